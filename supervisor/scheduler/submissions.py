"""Many submissions over few sessions, each with an outcome of its own.

A session costs a login shell and several round trips, sbatch itself a few milliseconds.
Submissions that wait for a session therefore go together in the next one, one after the
other; what became of each is read from its own lines. One that finds a session free goes at
once and alone. If the line breaks, the outcome of all that were on it is unknown.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from dsq.core.errors import UnreachableError
from dsq.supervisor.scheduler.port import Completed
from dsq.supervisor.scheduler.slurm_tools import SlurmTools

SESSIONS = 4
"""Sessions for submissions at once; the rest of a connection's are for looking."""

MOST_TOGETHER = 16
SECONDS_EACH = 2.0
"""What a session's time limit grows by for each further submission on it."""

NO_FOLDER = 97
"""Exit code of a submission whose folder could not be made."""

FILLER = "--export=ALL"
"""Makes all argument lists of a session equally long; said twice it means the same."""


@dataclass(slots=True)
class _Submission:
    folder: str
    argv: list[str]
    script: bytes
    done: asyncio.Future[Completed] = field(repr=False)


def loop_text(words: int) -> str:
    """Shell text that submits job after job; it holds no value of any job.

    Its arguments are a mark and, for each job, the folder, the size of the script and so many
    words of a command; the scripts follow each other on standard input.

    Args:
        words: Length of each command.
    """
    command = " ".join(f'"${{{number}}}"' for number in range(3, 3 + words))
    return (
        "mark=$1; shift\n"
        "while [ $# -gt 0 ]; do\n"
        '  echo "$mark begin"\n'
        f'  if (umask 077; mkdir -p -- "$1") && cd -- "$1"; then\n'
        f'    {{ out=$(head -c "$2" | {command} 2>&3); code=$?; }} 3>&1\n'
        "  else\n"
        f'    code={NO_FOLDER} out=; head -c "$2" >/dev/null\n'
        "  fi 2>&1\n"
        '  printf \'%s end %s\\n%s\\n\' "$mark" "$code" "$out"\n'
        f"  shift {2 + words}\n"
        "done\n"
        'echo "$mark all"'
    )


def outcomes(mark: str, output: str, count: int) -> list[Completed | None]:
    """What became of each submission; None for one of which nothing certain was printed."""
    found: list[Completed | None] = []
    for part in output.split(f"{mark} begin\n")[1:]:
        said, end, rest = part.partition(f"{mark} end ")
        code, _, out = rest.partition("\n")
        # Only what is followed by the next mark has been printed to its end.
        is_whole = bool(end) and bool(re.fullmatch(r"\d+", code))
        is_last = len(found) == count - 1
        if is_last:
            out, last, _ = out.partition(f"{mark} all")
            is_whole = is_whole and bool(last)
        found.append(Completed(int(code), out.encode(), said.encode()) if is_whole else None)
    found = found[:count]
    if 0 < len(found) < count:
        found[-1] = None
    return [*found, *[None] * (count - len(found))]


class Submissions:
    """Submits jobs as one account.

    Args:
        tools: The account's programs.
        timeout: Seconds for one submission.
    """

    def __init__(self, tools: SlurmTools, timeout: float) -> None:
        self._tools = tools
        self._timeout = timeout
        self._waiting: deque[_Submission] = deque()
        self._sessions: set[asyncio.Task[None]] = set()

    async def submit(self, folder: str, argv: Sequence[str], script: bytes) -> Completed:
        """Makes a folder, and runs a command there with a script on its standard input.

        Raises:
            UnreachableError: Whether the command did its work is not known.
        """
        done: asyncio.Future[Completed] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Submission(folder, list(argv), script, done))
        if len(self._sessions) < SESSIONS:
            task = asyncio.create_task(self._work(), name="dsq-submissions")
            self._sessions.add(task)
            task.add_done_callback(self._sessions.discard)
        # A caller that goes away does not take the others on its session with it.
        return await asyncio.shield(done)

    async def _work(self) -> None:
        while self._waiting:
            count = max(1, min(MOST_TOGETHER, -(-len(self._waiting) // SESSIONS)))
            jobs = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
            try:
                results = await self._run(jobs)
            except Exception as error:
                _settle(jobs, error)
            except BaseException:
                _settle(jobs, UnreachableError("The submission was broken off."))
                raise
            else:
                for job, result in zip(jobs, results, strict=True):
                    unknown = UnreachableError("sbatch's answer was cut off.")
                    _settle([job], result or unknown)

    async def _run(self, jobs: Sequence[_Submission]) -> list[Completed | None]:
        mark = f"@{secrets.token_hex(8)}"
        words = max(len(job.argv) for job in jobs)
        arguments = [mark]
        for job in jobs:
            filled = [*job.argv, *[FILLER] * (words - len(job.argv))]
            arguments += [job.folder, str(len(job.script)), *filled]
        account = await self._tools.account()
        done = await self._tools.counted(
            jobs[0].argv[0],
            [*account.prefix(), "sh", "-c", loop_text(words), "sh", *arguments],
            stdin=b"".join(job.script for job in jobs),
            timeout=self._timeout + SECONDS_EACH * (len(jobs) - 1),
        )
        return outcomes(mark, done.stdout.decode("utf-8", "replace"), len(jobs))


def _settle(jobs: Sequence[_Submission], result: Completed | Exception) -> None:
    for job in jobs:
        if job.done.done():
            continue
        if isinstance(result, Completed):
            job.done.set_result(result)
        else:
            job.done.set_exception(result)
            job.done.exception()  # nobody may be waiting any more
