"""Many submissions over few sessions, each with an outcome of its own.

A session costs a login shell and several round trips, sbatch itself a few milliseconds.
Submissions that wait for a session therefore go together in the next one, one after the
other; what became of each is read from its own lines. One that finds no session at work goes
at once and alone. If the line breaks, the outcome of all that were on it is unknown.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from dsq.core.errors import UnreachableError
from dsq.supervisor.scheduler import slurm_output as printed
from dsq.supervisor.scheduler.line import Completed
from dsq.supervisor.scheduler.port import SubmitRefused
from dsq.supervisor.scheduler.slurm_tools import SlurmTools, text_of

SESSIONS = 4
"""Sessions for submissions at once; the rest of a connection's are for looking."""

MOST_TOGETHER = 16
LEAST_TOGETHER = 4
"""Fewer do not get a session of their own while another one is at work, ..."""

GATHER_SECONDS = 0.05
"""... unless they have waited so long."""

SECONDS_EACH = 2.0
"""What a session's time limit grows by for each further submission on it."""

NO_FOLDER = 97
"""Exit code of a submission whose folder could not be made."""

FILLER = "--export=ALL"
"""Makes all argument lists of a session equally long; said twice it means the same."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one submission.

    Attributes:
        done: How its command ended, with its own output.
        queue: What squeue said afterwards about all jobs of the session.
    """

    done: Completed
    queue: str = ""


@dataclass(slots=True)
class _Submission:
    folder: str
    argv: list[str]
    script: bytes
    result: asyncio.Future[Outcome] = field(repr=False)


def loop_text(words: int, asking: int) -> str:
    """Shell text that submits job after job; it holds no value of any job.

    Its arguments are a mark, so many words that ask about jobs (their ids are added to the
    last one), the size of a list of folders, and for each job its folder, the size of its
    script and so many words of a command. Standard input has the list, each folder with a NUL
    behind it, and then the scripts. The list saves a process for each job; a folder that
    could not be made so is tried once more for the sake of the reason. Whatever a command
    leaves unread of its script is read away: the next one must begin with its own.

    Args:
        words: Length of each command.
        asking: Length of the command that asks.
    """
    command = " ".join(f'"${{{number}}}"' for number in range(3, 3 + words))
    keep = "\n".join(f"ask{number}=$1; shift" for number in range(asking))
    ask = " ".join(f'"$ask{number}"' for number in range(asking))
    return (
        "mark=$1; shift\n"
        f"{keep}\n"
        "size=$1 ids=; shift\n"
        'make() { head -c "$1" | { xargs -0 mkdir -p --; cat >/dev/null; }; }\n'
        '[ "$size" = 0 ] || (umask 077; make "$size") 2>/dev/null\n'
        'leave() { cat >/dev/null; exit "$1"; }\n'
        "while [ $# -gt 0 ]; do\n"
        '  echo "$mark begin"\n'
        '  if cd -- "$1" 2>/dev/null || { (umask 077; mkdir -p -- "$1") && cd -- "$1"; }; then\n'
        f'    {{ out=$(head -c "$2" | {{ {command} 2>&3 || leave $?; }}); code=$?; }} 3>&1\n'
        "  else\n"
        f'    code={NO_FOLDER} out=; head -c "$2" >/dev/null\n'
        "  fi 2>&1\n"
        '  printf \'%s end %s\\n%s\\n\' "$mark" "$code" "$out"\n'
        "  id=${out%%;*}\n"
        "  case $id in ''|*[!0-9]*) ;; *) ids=$ids,$id ;; esac\n"
        f"  shift {2 + words}\n"
        "done\n"
        'echo "$mark all"\n'
        f'ask{asking - 1}="$ask{asking - 1}${{ids#,}}"\n'
        f'[ -z "$ids" ] || SLURM_TIME_FORMAT=%s {ask} 2>/dev/null\n'
        "exit 0"
    )


def outcomes(mark: str, output: str, count: int) -> list[Outcome | None]:
    """What became of each submission; None for one of which nothing certain was printed."""
    before, _, queue = output.partition(f"{mark} all\n")
    is_whole = f"{mark} all\n" in output
    found: list[Outcome | None] = []
    for part in before.split(f"{mark} begin\n")[1:]:
        said, end, rest = part.partition(f"{mark} end ")
        code, _, out = rest.partition("\n")
        certain = bool(end) and bool(re.fullmatch(r"\d+", code))
        done = Completed(int(code), out.encode(), said.encode()) if certain else None
        found.append(Outcome(done, queue) if done is not None else None)
    if not is_whole and found:
        found[-1] = None  # what is printed to its end is followed by the next mark
    found = found[:count]
    return [*found, *[None] * (count - len(found))]


class Submissions:
    """Submits jobs as one account.

    Args:
        tools: The account's programs.
        timeout: Seconds for one submission.
        ask: The command that asks for jobs; their ids are added to its last word.
    """

    def __init__(self, tools: SlurmTools, timeout: float, ask: Sequence[str]) -> None:
        self._tools = tools
        self._ask = list(ask)
        self._timeout = timeout
        self._waiting: deque[_Submission] = deque()
        self._sessions: set[asyncio.Task[None]] = set()

    async def submit(self, folder: str, argv: Sequence[str], script: bytes) -> Outcome:
        """Makes a folder, and runs a command there with a script on its standard input.

        Raises:
            UnreachableError: Whether the command did its work is not known.
        """
        result: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Submission(folder, list(argv), script, result))
        if len(self._sessions) < SESSIONS:
            task = asyncio.create_task(self._work(), name="dsq-submissions")
            self._sessions.add(task)
            task.add_done_callback(self._sessions.discard)
        # A caller that goes away does not take the others on its session with it.
        return await asyncio.shield(result)

    async def _work(self) -> None:
        while self._waiting:
            if len(self._sessions) > 1 and len(self._waiting) < LEAST_TOGETHER:
                await asyncio.sleep(GATHER_SECONDS)
            share = max(-(-len(self._waiting) // SESSIONS), LEAST_TOGETHER)
            count = min(MOST_TOGETHER, share)
            jobs = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
            if not jobs:
                return
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

    async def _run(self, jobs: Sequence[_Submission]) -> list[Outcome | None]:
        mark = f"@{secrets.token_hex(8)}"
        words = max(len(job.argv) for job in jobs)
        folders = b"".join(job.folder.encode() + b"\0" for job in jobs) if len(jobs) > 1 else b""
        arguments = [mark, *self._ask, str(len(folders))]
        for job in jobs:
            filled = [*job.argv, *[FILLER] * (words - len(job.argv))]
            arguments += [job.folder, str(len(job.script)), *filled]
        account = await self._tools.account()
        done = await self._tools.counted(
            jobs[0].argv[0],
            [*account.prefix(), "sh", "-c", loop_text(words, len(self._ask)), "sh", *arguments],
            stdin=folders + b"".join(job.script for job in jobs),
            timeout=self._timeout + SECONDS_EACH * (len(jobs) - 1),
        )
        return outcomes(mark, done.stdout.decode("utf-8", "replace"), len(jobs))


def _settle(jobs: Sequence[_Submission], result: Outcome | Exception) -> None:
    for job in jobs:
        if job.result.done():
            continue
        if isinstance(result, Outcome):
            job.result.set_result(result)
        else:
            job.result.set_exception(result)
            job.result.exception()  # nobody may be waiting any more


def submitted_id(done: Completed, folder: str) -> str:
    """The id in sbatch's answer.

    Raises:
        SubmitRefused: Slurm said no, or the folder could not be made: the job is not there.
        UnreachableError: The answer leaves it open whether Slurm took the job.
    """
    stderr = text_of(done.stderr)
    if done.returncode == 0:
        job_id = printed.parse_submitted(text_of(done.stdout))
        if not job_id:
            raise UnreachableError("sbatch printed no job id; the job may be there or not.")
        return job_id
    if done.returncode == NO_FOLDER:
        raise SubmitRefused(
            f"The folder {folder} cannot be made on the cluster: {printed.first_line(stderr)}."
        )
    # Above 128 a signal ended it, perhaps after Slurm had taken the job.
    was_ended = done.returncode < 0 or done.returncode > 128
    if was_ended or done.returncode in (126, 127) or printed.is_lost_line(stderr):
        reason = printed.first_line(stderr) or f"it ended with {done.returncode}"
        raise UnreachableError(f"sbatch got no answer: {reason}.")
    raise SubmitRefused(f"Slurm refused the job: {printed.refusal(stderr)}.")
