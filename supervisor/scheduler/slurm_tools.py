"""Slurm's programs at the other end of a line."""

from __future__ import annotations

import asyncio
import logging
import posixpath
import time
from collections.abc import Sequence

from dsq.core.errors import UnreachableError
from dsq.supervisor.scheduler import slurm_commands as commands
from dsq.supervisor.scheduler import slurm_output as printed
from dsq.supervisor.scheduler.accounts import RemoteAccount
from dsq.supervisor.scheduler.line import Completed, Transport
from dsq.supervisor.scheduler.port import SchedulerError, SlurmJob
from dsq.supervisor.scheduler.stats import AccountingState, LineStats

log = logging.getLogger("dsq.supervisor.slurm")

KEPT_VARIABLES = (
    *("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *("SLURM_CONF", "SLURM_CONF_SERVER"),
)
"""What Slurm's programs, and through sbatch the jobs, get of the account's environment."""


SILENCE_PAUSE = 5.0
"""Seconds for which an accounting that did not answer is not asked again, at least."""

SOME_JOB = "1"
"""Asked for where only an answer is wanted, whatever it says."""

LOAD_FACTOR = 4
"""It is left alone for so many times as long as it let itself be waited for."""


class SlurmTools:
    """Runs Slurm's programs, each in a clean environment and with a time limit.

    Args:
        line: The line.
        bin_dir: Folder of the programs; "" finds them by PATH.
        keep_env: Names of more variables of the account that programs and jobs get.
        timeout: Seconds for a program.
    """

    def __init__(
        self, line: Transport, *, bin_dir: str, keep_env: Sequence[str], timeout: float
    ) -> None:
        self.line = line
        self.timeout = timeout
        self._bin_dir = bin_dir
        self._keep = (*KEPT_VARIABLES, *keep_env)
        self._account: RemoteAccount | None = None
        self.stats = LineStats()

    def program(self, name: str) -> str:
        """How one of Slurm's programs is called there."""
        return posixpath.join(self._bin_dir, name) if self._bin_dir else name

    async def account(self) -> RemoteAccount:
        """Who commands on this line run as, asked once."""
        if self._account is None:
            ids, env = await asyncio.gather(
                self.line.run(["id"], timeout=self.timeout),
                self.line.run(["env", "-0"], timeout=self.timeout),
            )
            if ids.returncode != 0 or env.returncode != 0:
                raise UnreachableError("The cluster's account cannot be asked for its environment.")
            self._account = RemoteAccount.parse(
                text_of(ids.stdout), text_of(env.stdout), self._keep
            )
        return self._account

    async def run_any(self, argv: Sequence[str]) -> Completed:
        """Runs a program that may be missing; times in its output are unix seconds.

        Raises:
            UnreachableError: No answer.
        """
        account = await self.account()
        times = [f"{key}={value}" for key, value in commands.TIME_FORMAT.items()]
        return await self.counted(argv[0], [*account.prefix(), *times, *argv])

    async def run(self, argv: Sequence[str]) -> Completed:
        """Runs a program; times in its output are unix seconds.

        Raises:
            UnreachableError: No answer, or the program is not there.
        """
        done = await self.run_any(argv)
        if done.returncode in (126, 127):
            reason = printed.first_line(text_of(done.stderr))
            raise UnreachableError(
                f"{argv[0]} cannot be run there: {reason}.",
                hint="Set bin_dir to the folder of Slurm's programs.",
            )
        return done

    async def counted(
        self,
        program: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float | None = None,
    ) -> Completed:
        """Runs a command and counts it under the name of its program."""
        name, began = posixpath.basename(program), time.monotonic()
        try:
            return await self.line.run(argv, stdin=stdin, timeout=timeout or self.timeout)
        except UnreachableError:
            self.stats.failures[name] += 1
            raise
        finally:
            self.stats.took(name, time.monotonic() - began)

    async def query(self, argv: Sequence[str]) -> str:
        """The output of a program that has to succeed.

        Raises:
            UnreachableError: No answer.
            SchedulerError: Another error.
        """
        done = await self.run(argv)
        if done.returncode != 0:
            raise failure(argv, text_of(done.stderr))
        return text_of(done.stdout)


class Accounting:
    """What Slurm knows of jobs that left the queue: in the data base, else in the completion log.

    Args:
        tools: The programs.

    Attributes:
        has_answered: There is accounting: it has answered at some time, or is shut to us now.
        is_answering: It answered the last time.
    """

    has_answered = False
    is_answering = False

    def __init__(self, tools: SlurmTools) -> None:
        self._tools = tools
        self._completion: bool | None = None
        self._silence = ""
        self._silent_until = 0.0
        self._fault = ""
        self._asking: asyncio.Task[None] | None = None

    def state(self) -> AccountingState:
        """Whether it answered when it was last asked."""
        reason = self._silence or self._fault
        if reason:
            return AccountingState(ok=False, detail=reason)
        return AccountingState(ok=True if self.has_answered else None)

    def look_again(self) -> None:
        """Asks one that was silent whether it answers by now; nobody waits for it."""
        if self._silence and self._asking is None:
            self._asking = asyncio.create_task(self._look_again(), name="dsq-accounting")

    async def _look_again(self) -> None:
        try:
            await self.records(jobs=[SOME_JOB])
        except UnreachableError:
            pass
        finally:
            self._asking = None

    async def close(self) -> None:
        """Ends what is still asked."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    @property
    def is_completion_log(self) -> bool:
        """Whether the last answer came from the completion log."""
        return bool(self._completion)

    async def records(
        self,
        *,
        jobs: Sequence[str] = (),
        name: str = "",
        seconds: int | None = None,
        user: str = "",
        output: bool = False,
    ) -> list[SlurmJob]:
        """Looks jobs up; the arguments are those of :func:`slurm_commands.sacct`.

        A cluster that keeps neither has no records, nor has one without the program. One that
        did not answer is left alone for a moment: the queue is read meanwhile without waiting.

        Raises:
            UnreachableError: There is accounting, but it does not answer.
        """
        self.is_answering = False
        began = time.monotonic()
        if began < self._silent_until:
            raise UnreachableError(self._silence)
        try:
            found = await self._ask(jobs, name, seconds, user, output)
        except UnreachableError as error:
            now = time.monotonic()
            self._silent_until = now + max(SILENCE_PAUSE, LOAD_FACTOR * (now - began))
            if not self._silence:
                log.warning("accounting=silent reason=%r", str(error))
            self._silence = str(error)
            raise
        if self._silence:
            log.info("accounting=answers")
        self._silence = ""
        return found

    async def _ask(
        self, jobs: Sequence[str], name: str, seconds: int | None, user: str, output: bool
    ) -> list[SlurmJob]:
        kinds = (False, True) if self._completion is None else (self._completion,)
        for completion in kinds:
            argv = commands.sacct(
                self._tools.program("sacct"),
                completion=completion,
                jobs=jobs,
                name="" if completion else name,  # the log ignores it
                seconds=seconds,
                user=user,
                output=output,
            )
            done = await self._tools.run_any(argv)
            if done.returncode in (126, 127):
                log.warning("sacct=missing reason=%s", printed.first_line(text_of(done.stderr)))
                return []
            if done.returncode == 0:
                self._completion = completion
                self.is_answering = self.has_answered = True
                self._fault = ""
                return printed.parse_sacct(text_of(done.stdout))
            stderr = text_of(done.stderr)
            if printed.is_lost_line(stderr):
                raise UnreachableError(f"sacct got no answer: {printed.first_line(stderr)}.")
            self.has_answered |= printed.is_denied(stderr)
            if not printed.accounting_is_off(stderr):
                reason = printed.first_line(stderr)
                log.warning("sacct completion=%s reason=%s", completion, reason)
                self._fault = f"sacct failed: {reason}." if self.has_answered else ""
        return []


def failure(argv: Sequence[str], stderr: str) -> UnreachableError | SchedulerError:
    """The error that a failed program means."""
    reason = printed.first_line(stderr) or "no reason given"
    program = posixpath.basename(argv[0])
    if printed.is_lost_line(stderr):
        return UnreachableError(f"{program} got no answer from Slurm: {reason}.")
    return SchedulerError(f"{program} failed: {reason}.")


def text_of(data: bytes) -> str:
    """Output as text; what is not UTF-8 is shown as such."""
    return data.decode("utf-8", "replace")
