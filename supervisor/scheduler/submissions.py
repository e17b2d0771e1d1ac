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
from dsq.core.quoting import join, quote
from dsq.supervisor.scheduler import slurm_output as printed
from dsq.supervisor.scheduler.line import Completed
from dsq.supervisor.scheduler.port import SubmitRefused
from dsq.supervisor.scheduler.slurm_tools import SlurmTools, text_of

SESSIONS = 6
"""Sessions for submissions at once; the rest of a connection's are for looking."""

MOST_TOGETHER = 24
LEAST_TOGETHER = 4
"""Fewer do not get a session of their own while another one is at work, ..."""

GATHER_SECONDS = 0.05
"""... unless they have waited so long."""

SECONDS_EACH = 2.0
"""What a session's time limit grows by for each further submission on it."""

MOST_BYTES = 1 << 20
"""Scripts of a session together, which its shell holds in memory; one alone may be longer."""

NO_FOLDER = 97
"""Exit code of a submission whose folder could not be made."""

READ_ALL = 'eval "$(cat)"'
"""Reads a session's text to its end before any of it is run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one submission.

    Attributes:
        done: How its command ended, with its own output.
        queue: What squeue said afterwards about all jobs of the session.
    """

    done: Completed
    queue: str = ""


@dataclass(frozen=True, slots=True)
class Submission:
    """What is to be submitted.

    Attributes:
        folder: Absolute path; made if it is not there, for its owner only. The command runs there.
        argv: The command.
        script: Its standard input.
    """

    folder: str
    argv: Sequence[str]
    script: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Waiting:
    job: Submission
    result: asyncio.Future[Outcome]


def session_text(mark: str, jobs: Sequence[Submission], ask: Sequence[str]) -> bytes:
    """Shell text that submits job after job, and then asks for those that were taken.

    Each script stands in it behind its command, between two lines that no script holds, and not
    in a ``$(…)``, whose end old shells would look for in it. All of it is one compound command:
    if its end is missing, because the line broke, the shell finds no end either and runs
    nothing, so that no half script is ever submitted. One process makes all folders; one that
    could not be made so is tried once more for the sake of the reason.

    Args:
        mark: A word without meaning to a shell that is in none of the scripts.
        jobs: What to submit. Scripts without a NUL; a line end is added to those without one.
        ask: Command that asks about jobs; their ids are added to its last word.
    """
    folders = join([job.folder for job in jobs])
    parts = [_HEAD.format(mark=mark, folders=folders, no_folder=NO_FOLDER).encode()]
    for job in jobs:
        line_end = b"\n" if job.script and not job.script.endswith(b"\n") else b""
        parts += [
            f"if begin {quote(job.folder)}; then\nsubmit {join(job.argv)} <<'{mark}'\n".encode(),
            job.script,
            line_end,
            f"{mark}\nfi\nend\n".encode(),
        ]
    parts.append(_TAIL.format(mark=mark, ask=join(ask)).encode())
    return b"".join(parts)


_HEAD = """{{
ids=''
begin() {{
  echo '{mark} begin'
  code={no_folder} out=''
  cd -- "$1" 2>/dev/null && return 0
  {{ (umask 077; exec mkdir -p -- "$1") && cd -- "$1"; }} 2>&1 || return 1
}}
submit() {{
  out=$(exec "$@" 2>&3)
  code=$?
}}
end() {{
  printf '%s end %s\\n%s\\n' '{mark}' "$code" "$out"
  id=${{out%%;*}}
  case $id in ''|*[!0-9]*) ;; *) ids=$ids,$id ;; esac
}}
(umask 077; exec mkdir -p -- {folders}) 2>/dev/null
exec 3>&1
"""

_TAIL = """echo '{mark} all'
[ -z "$ids" ] || SLURM_TIME_FORMAT=%s {ask}"${{ids#,}}" 2>/dev/null
exit 0
}}
"""


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
        self._waiting: deque[_Waiting] = deque()
        self._sessions: set[asyncio.Task[None]] = set()

    async def submit(self, folder: str, argv: Sequence[str], script: bytes) -> Outcome:
        """Makes a folder, and runs a command there with a script on its standard input.

        Raises:
            UnreachableError: Whether the command did its work is not known.
        """
        result: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(Submission(folder, argv, script), result))
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
            jobs = self._next()
            if not jobs:
                return
            try:
                results = await self._run([each.job for each in jobs])
            except Exception as error:
                _settle(jobs, error)
            except BaseException:
                _settle(jobs, UnreachableError("The submission was broken off."))
                raise
            else:
                for each, result in zip(jobs, results, strict=True):
                    unknown = UnreachableError("sbatch's answer was cut off.")
                    _settle([each], result or unknown)

    def _next(self) -> list[_Waiting]:
        """What goes on the next session: a fair share of what waits."""
        share = max(-(-len(self._waiting) // SESSIONS), LEAST_TOGETHER)
        jobs: list[_Waiting] = []
        size = 0
        while self._waiting and len(jobs) < min(MOST_TOGETHER, share):
            size += len(self._waiting[0].job.script)
            if jobs and size > MOST_BYTES:
                break
            jobs.append(self._waiting.popleft())
        return jobs

    async def _run(self, jobs: Sequence[Submission]) -> list[Outcome | None]:
        mark = f"@{secrets.token_hex(8)}"
        while any(mark.encode() in job.script for job in jobs):
            mark = f"@{secrets.token_hex(8)}"
        account = await self._tools.account()
        done = await self._tools.counted(
            jobs[0].argv[0],
            [*account.prefix(), "sh", "-c", READ_ALL],
            stdin=session_text(mark, jobs, self._ask),
            timeout=self._timeout + SECONDS_EACH * (len(jobs) - 1),
        )
        return outcomes(mark, done.stdout.decode("utf-8", "replace"), len(jobs))


def _settle(jobs: Sequence[_Waiting], result: Outcome | Exception) -> None:
    for each in jobs:
        if each.result.done():
            continue
        if isinstance(result, Outcome):
            each.result.set_result(result)
        else:
            each.result.set_exception(result)
            each.result.exception()  # nobody may be waiting any more


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
