"""Time limits of Slurm jobs: setting them, and who may raise them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dsq.core.errors import NotFoundError, UnreachableError
from dsq.supervisor.scheduler import slurm_commands as commands
from dsq.supervisor.scheduler import slurm_output as printed
from dsq.supervisor.scheduler.port import (
    ENDED_STATES,
    NotPermitted,
    SchedulerError,
    SlurmJob,
    SlurmJobId,
)
from dsq.supervisor.scheduler.slurm_tools import SlurmTools, failure, text_of


async def queued(tools: SlurmTools, job: SlurmJobId) -> SlurmJob | None:
    """The job in the queue, None if it is not there or its id belongs to another one."""
    argv = commands.squeue(tools.program("squeue"), jobs=[job.id])
    done = await tools.run(argv)
    stderr = text_of(done.stderr)
    if done.returncode != 0:
        if printed.is_gone(stderr):
            return None
        raise failure(argv, stderr)
    for record in printed.parse_squeue(text_of(done.stdout)):
        same = not job.submit_time or record.submit_time == job.submit_time
        if record.id == job.id and same:
            return record
    return None


class Limits:
    """The limits of a cluster's jobs.

    Args:
        tools: The programs of the account that looks.
        admin: Those of the account that may raise limits.
        slurm_user: Asks for the account that slurmctld runs as.
    """

    def __init__(
        self, tools: SlurmTools, admin: SlurmTools, slurm_user: Callable[[], Awaitable[str]]
    ) -> None:
        self._tools = tools
        self._admin = admin
        self._slurm_user = slurm_user

    async def set(self, job: SlurmJobId, minutes: int) -> None:
        """Sets the whole limit of a job that has not ended; errors as the port has them."""
        if minutes < 1:  # Slurm reads 0 as "no limit"
            raise SchedulerError(f"A time limit of {minutes} minutes cannot be set.")
        current = await queued(self._tools, job)
        if current is None or current.state in ENDED_STATES:
            raise NotFoundError(f"Slurm job {job.id} has ended.")
        argv = commands.update_limit(self._admin.program("scontrol"), job.id, minutes)
        done = await self._admin.run(argv)
        if done.returncode == 0:
            return
        stderr = text_of(done.stderr)
        if printed.is_denied(stderr):
            raise NotPermitted(
                f"Slurm does not let this account raise the limit of job {job.id}.",
                hint=f"Make it an operator: {await self._remedy()}.",
            )
        if printed.is_gone(stderr):
            raise NotFoundError(f"Slurm job {job.id} has ended.")
        raise failure(argv, stderr)

    async def _remedy(self) -> str:
        """What an administrator of the accounting types."""
        user = (await self._admin.account()).user
        return f"sacctmgr modify user {user} set adminlevel=operator"

    async def may_raise(self) -> bool:
        """Whether the account may raise the limit of a running job.

        True for root, for the account slurmctld runs as, and for an operator or administrator
        of the accounting; Slurm lets nobody else raise the limit of a running job.
        """
        account = await self._admin.account()
        if account.uid == 0 or account.user == await self._slurm_user():
            return True
        argv = commands.show_admin_level(self._admin.program("sacctmgr"), account.user)
        done = await self._admin.run(argv)
        if done.returncode != 0 and printed.is_lost_line(text_of(done.stderr)):
            raise UnreachableError("sacctmgr got no answer.")
        level = text_of(done.stdout).strip().casefold()
        return done.returncode == 0 and level in ("operator", "administrator")
