"""Looking for an attempt whose submission had an unknown outcome, by its token."""

from __future__ import annotations

from dsq.core.clock import Clock
from dsq.supervisor.scheduler import slurm_commands as commands
from dsq.supervisor.scheduler import slurm_output as printed
from dsq.supervisor.scheduler.port import SlurmJob
from dsq.supervisor.scheduler.slurm_tools import Accounting, SlurmTools, failure, text_of

LOOK_BACK_SECONDS = 900
"""The chain's or this machine's clock may run ahead of the cluster's."""


class Search:
    """Finds attempts among the jobs of an account.

    A user chooses his jobs' names and paths: an attempt counts only if its token is in the path of
    a row that is certainly Slurm's own.

    Args:
        tools: The programs, as an account that sees the jobs.
        accounting: Records of jobs that left the queue.
        clock: Time.
    """

    def __init__(self, tools: SlurmTools, accounting: Accounting, clock: Clock) -> None:
        self._tools = tools
        self._accounting = accounting
        self._clock = clock

    async def find(
        self, user: str, workdir: str, name: str, token: str, since: int
    ) -> SlurmJob | None:
        """The queue's or the accounting's record of an attempt; None if neither has one.

        Args:
            user: The account it runs as.
            workdir: Folder of the account's attempts.
            name: The job's id on chain.
            token: The attempt's token.
            since: Unix time of the plan.
        """
        wanted = commands.output_path(workdir, name, token)[: commands.PATH_WIDTH]
        argv = commands.squeue(self._tools.program("squeue"), user=user, name=name, output=True)
        for job in printed.parse_squeue(await self._tools.query(argv)):
            if job.output == wanted and await self._is_in_queue(job, wanted, user):
                return job
        folder = commands.attempt_dir(workdir, name, token)
        seconds = max(0, int(self._clock.now()) - since) + LOOK_BACK_SECONDS
        for job in await self._accounting.records(
            name=name, seconds=seconds, user=user, output=True
        ):
            if job.output == folder and await self._is_accounted(job, folder, user):
                return job
        return None

    async def _is_in_queue(self, job: SlurmJob, wanted: str, user: str) -> bool:
        """Whether a row is Slurm's own: a path with line breaks in it can forge others.

        Asked for one id alone, the first row is that job's, whatever stands in its path.
        """
        argv = commands.squeue(self._tools.program("squeue"), user=user, jobs=[job.id], output=True)
        done = await self._tools.run(argv)
        if done.returncode != 0:
            stderr = text_of(done.stderr)
            if printed.is_gone(stderr):
                return False
            raise failure(argv, stderr)
        rows = printed.parse_squeue(text_of(done.stdout))
        return bool(rows) and (rows[0].job_id, rows[0].output) == (job.job_id, wanted)

    async def _is_accounted(self, job: SlurmJob, folder: str, user: str) -> bool:
        """The same for a record of the accounting; ids come again there."""
        plain = await self._accounting.records(jobs=[job.id])
        if not any(one.job_id == job.job_id and one.user == user for one in plain):
            return False
        rows = await self._accounting.records(jobs=[job.id], output=True)
        return any(one.job_id == job.job_id and one.output == folder for one in rows)
