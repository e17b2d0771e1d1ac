"""Slurm as a cluster: commands over a transport, meaning from their text."""

from __future__ import annotations

import asyncio
import logging
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dsq.core.clock import Clock, SystemClock
from dsq.core.errors import SettingsError, UnreachableError, close_matches
from dsq.supervisor.scheduler import slurm_cluster as described
from dsq.supervisor.scheduler import slurm_commands as commands
from dsq.supervisor.scheduler import slurm_output as printed
from dsq.supervisor.scheduler.accounts import RemoteAccount
from dsq.supervisor.scheduler.batch import Batch
from dsq.supervisor.scheduler.line import Transport
from dsq.supervisor.scheduler.port import (
    ENDED_STATES,
    FORGOTTEN,
    ClusterInfo,
    Free,
    JobSpec,
    LoginRefused,
    NotPermitted,
    SlurmJob,
    SlurmJobId,
    SubmitRefused,
)
from dsq.supervisor.scheduler.script import RAN, STARTED, compose
from dsq.supervisor.scheduler.slurm_limits import Limits, queued
from dsq.supervisor.scheduler.slurm_poll import Poll
from dsq.supervisor.scheduler.slurm_search import Search
from dsq.supervisor.scheduler.slurm_tools import Accounting, SlurmTools, text_of
from dsq.supervisor.scheduler.stats import AccountingState, LineStats
from dsq.supervisor.scheduler.submissions import Submissions, submitted_id
from dsq.supervisor.scheduler.users import JobAccounts

log = logging.getLogger("dsq.supervisor.slurm")

HOME_PATHS = ("DSQ_CACHE_ROOT", "DSQ_SCRATCH_ROOT")
"""Variables of jobs that may begin with ``~/``: the home is only known there."""

LOOK_UP_PAUSE = 0.05
"""Seconds that submissions wait for each other before they ask for their submit times."""

_FENCE = '(umask 077; mkdir -p -- "$1") && mkdir -- "$1/$2"'


@dataclass(frozen=True, slots=True)
class SlurmSettings:
    """What a site decides.

    Attributes:
        partition: Partition of all jobs; "" is the cluster's default one.
        workdir: Folder for the jobs' output, on a file system that login and compute nodes
            share; may begin with ``~/`` or ``$HOME/``.
        bin_dir: Folder of Slurm's programs; "" finds them by PATH.
        job_path: PATH of the jobs; None keeps that of the account.
        account: Slurm account that jobs are counted on; "" is the user's default.
        extra: More arguments for sbatch.
        keep_env: Names of more variables of the account's environment that jobs get.
        timeout: Seconds for a query.
        submit_timeout: Seconds for sbatch.
    """

    partition: str = ""
    workdir: str = "~/.dsq/jobs"
    bin_dir: str = ""
    job_path: str | None = None
    account: str = ""
    extra: tuple[str, ...] = ()
    keep_env: tuple[str, ...] = ()
    timeout: float = 20.0
    submit_timeout: float = 30.0


class SlurmScheduler:
    """A Slurm cluster behind a transport.

    Args:
        transport: Line to the account that jobs run as.
        settings: What the site decides.
        admin: Line to an account that may raise limits of running jobs; None uses
            ``transport`` for that too.
        accounts: Accounts that jobs run as instead of the one of ``transport``, which then
            only looks: at all jobs of the cluster, so that it must be allowed to see them.
        clock: Time, for waits.
    """

    def __init__(
        self,
        transport: Transport,
        settings: SlurmSettings | None = None,
        *,
        admin: Transport | None = None,
        accounts: JobAccounts | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings or SlurmSettings()
        self._tools = self._tools_on(transport)
        self._admin = self._tools_on(admin) if admin else self._tools
        self._accounts = accounts
        self._of_account: dict[str, SlurmTools] = {}
        self._submissions: dict[int, Submissions] = {}
        self._accounting = Accounting(self._tools)
        self._program = self._tools.program
        self._clock = clock or SystemClock()
        self._search = Search(self._tools, self._accounting, self._clock)
        self._poll = Poll(self._tools, self._accounting, one_account=accounts is None)
        self._limits = Limits(self._tools, self._admin, self._slurm_user)
        self._fresh = Batch(self._look_up, pause=LOOK_UP_PAUSE)

    def _tools_on(self, line: Transport) -> SlurmTools:
        return SlurmTools(
            line,
            bin_dir=self.settings.bin_dir,
            keep_env=self.settings.keep_env,
            timeout=self.settings.timeout,
        )

    def _tools_of(self, account: str) -> SlurmTools:
        """The programs as one account; "" is the service account."""
        if self._accounts is None or not account:
            return self._tools
        line = self._accounts.line(account)
        known = self._of_account.get(account)
        if known is None or known.line is not line:
            if known is not None:
                self._submissions.pop(id(known), None)
            known = self._of_account[account] = self._tools_on(line)
        return known

    def _submissions_of(self, tools: SlurmTools) -> Submissions:
        known = self._submissions.get(id(tools))
        if known is None:
            ask = commands.squeue(self._program("squeue"), jobs=[""], named=True)
            known = Submissions(tools, self.settings.submit_timeout, ask)
            self._submissions[id(tools)] = known
        return known

    def _tools_of_job(self, name: str) -> SlurmTools:
        """The programs as the account of a job.

        Raises:
            SubmitRefused: The job may not run here.
        """
        if self._accounts is None:
            return self._tools
        try:
            return self._tools_of(self._accounts.account_of(name))
        except SettingsError as error:
            raise SubmitRefused(str(error)) from error

    # ---- the port --------------------------------------------------------------------------

    async def check(self) -> str:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.check`."""
        config = await self._config()
        self._accounting.look_again()
        return f"slurm {config.version}".strip()

    async def discover(self) -> ClusterInfo:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.discover`.

        Raises:
            SettingsError: There is no such partition.
        """
        version, nodes, partitions = await asyncio.gather(
            self.check(),
            self._tools.query(commands.show_nodes(self._program("scontrol"))),
            self._tools.query(commands.show_partitions(self._program("scontrol"))),
        )
        wanted = self.settings.partition
        info = described.parse_cluster(nodes, partitions, wanted, version)
        if info is None:
            names = described.partition_names(partitions)
            if not wanted:
                raise SettingsError(
                    "The cluster has no default partition.", hint=f"It has: {', '.join(names)}."
                )
            raise SettingsError(
                f"The cluster has no partition '{wanted}'.{close_matches(wanted, names)}"
            )
        return info

    async def partitions(self) -> list[described.Partition]:
        """The cluster's partitions, for choosing one."""
        argv = commands.show_partitions(self._program("scontrol"))
        return described.parse_partitions(await self._tools.query(argv))

    async def account(self) -> RemoteAccount:
        """Who commands run as there."""
        return await self._tools.account()

    async def free(self) -> Free:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.free`."""
        nodes, partitions = await asyncio.gather(
            self._tools.query(commands.show_nodes(self._program("scontrol"))),
            self._tools.query(commands.show_partitions(self._program("scontrol"))),
        )
        return described.parse_free(nodes, partitions, self.settings.partition)

    async def submit(self, spec: JobSpec, script: str) -> SlurmJobId:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.submit`."""
        spec.check()
        tools = self._tools_of_job(spec.name)
        account = await self._job_account(tools, spec.name)
        workdir = self._workdir(account)
        folder = commands.attempt_dir(workdir, spec.name, spec.token)
        roots = {key: spec.env[key] for key in HOME_PATHS if key in spec.env}
        roots = {key: account.below_home(path) for key, path in roots.items()}
        text = compose(
            replace(spec, env={**spec.env, **roots}),
            script,
            env=self._job_environment(account, spec),
            fence=posixpath.join(folder, STARTED),
            once=posixpath.join(posixpath.dirname(folder), RAN + spec.once) if spec.once else "",
        )
        options = commands.SubmitOptions(
            self.settings.partition, self.settings.account, self.settings.extra
        )
        argv = commands.sbatch(self._program("sbatch"), spec, workdir, options)
        outcome = await self._submissions_of(tools).submit(folder, argv, text.encode())
        job_id = submitted_id(outcome.done, folder)
        log.info("submitted name=%s token=%s slurm=%s", spec.name, spec.token, job_id)
        rows = {job.id: job for job in printed.parse_squeue(outcome.queue)}
        row = rows.get(job_id) or await self._fresh.get(job_id)
        # A controller that died since then may have forgotten the job, and given its id again.
        if row is None or row.output != spec.name[: commands.NAME_WIDTH]:
            raise UnreachableError(f"Slurm took a job as {job_id}, and does not show it.")
        return row.job_id

    async def _job_account(self, tools: SlurmTools, name: str) -> RemoteAccount:
        """Who a job would run as.

        Raises:
            SubmitRefused: The account of its wallet is not there, or is root.
        """
        try:
            account = await tools.account()
        except LoginRefused as error:
            if tools is self._tools:
                raise
            assert self._accounts is not None
            raise SubmitRefused(
                f"The cluster does not let account '{self._accounts.account_of(name)}' in: {error}"
            ) from error
        if tools is not self._tools and account.uid == 0:
            raise SubmitRefused(f"Jobs may not run as root ('{account.user}') on this cluster.")
        return account

    async def find(self, name: str, token: str, since: int) -> SlurmJob | None:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.find`.

        Looks in the queue, then in the accounting. When neither knows the attempt, it makes
        the folder that the attempt's script would make first: a script that comes later ends
        at once, and if the folder is already there, the script has begun.
        """
        tools = self._tools_of_job(name)
        account = await tools.account()
        workdir = self._workdir(account)
        folder = commands.attempt_dir(workdir, name, token)
        for _ in range(2):
            job = await self._search.find(account.user, workdir, name, token, since)
            if job is not None:
                return replace(job, name=name, output=commands.output_path(workdir, name, token))
            argv = ["sh", "-c", _FENCE, "sh", folder, STARTED]
            done = await tools.line.run(argv, timeout=self.settings.timeout)
            if done.returncode == 0:
                return None
            there = await tools.line.run(
                ["test", "-d", posixpath.join(folder, STARTED)], timeout=self.settings.timeout
            )
            if there.returncode != 0:
                reason = printed.first_line(text_of(done.stderr))
                raise UnreachableError(f"The folder {folder} cannot be made: {reason}.")
        log.warning("forgotten name=%s token=%s", name, token)
        return SlurmJob("", 0, name=name, user=account.user, state=FORGOTTEN)

    async def poll(self, jobs: Sequence[SlurmJobId]) -> dict[str, SlurmJob]:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.poll`."""
        return await self._poll.poll(jobs)

    async def cancel(self, job: SlurmJobId) -> None:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.cancel`.

        Raises:
            NotPermitted: It is another account's job.
        """
        wait = 0.1
        for _ in range(12):
            current = await queued(self._tools, job)
            if current is None or current.state in ENDED_STATES or current.state == "COMPLETING":
                return
            owner = self._accounts is not None and self._accounts.is_known(current.user)
            tools = self._tools_of(current.user) if owner else self._tools
            done = await tools.run(commands.scancel(self._program("scancel"), job.id))
            stderr = text_of(done.stderr)
            if printed.is_denied(stderr):
                raise NotPermitted(f"Slurm does not let this account cancel job {job.id}.")
            if done.returncode != 0 and printed.is_lost_line(stderr):
                raise UnreachableError(f"scancel got no answer: {printed.first_line(stderr)}.")
            await self._clock.sleep(wait)
            wait = min(wait * 2, 2.0)
        raise UnreachableError(f"Slurm job {job.id} is still there after it was cancelled.")

    async def set_time_limit(self, job: SlurmJobId, minutes: int) -> None:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.set_time_limit`."""
        await self._limits.set(job, minutes)

    async def can_raise_limit(self) -> bool:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.can_raise_limit`."""
        return await self._limits.may_raise()

    async def read_output(
        self, spec_name: str, token: str, offset: int, limit: int = 65536
    ) -> bytes:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.read_output`."""
        tools = self._tools_of_job(spec_name)
        workdir = self._workdir(await tools.account())
        return await tools.line.read(commands.output_path(workdir, spec_name, token), offset, limit)

    def line_stats(self) -> LineStats:
        """What the lines to this cluster have done so far."""
        found = LineStats()
        known = (self._tools, self._admin, *self._of_account.values())
        for tools in {id(tools): tools for tools in known}.values():
            found.add(tools.stats)
            if isinstance(line := getattr(tools.line, "stats", None), LineStats):
                found.add(line)
        return found

    def accounting(self) -> AccountingState:
        """Whether the accounting tells how jobs ended."""
        return self._accounting.state()

    async def close(self) -> None:
        """Closes the transports."""
        await self._accounting.close()
        await self._tools.line.close()
        if self._admin is not self._tools:
            await self._admin.line.close()
        if self._accounts is not None:
            await self._accounts.close()

    # ---- helpers ---------------------------------------------------------------------------

    def _workdir(self, account: RemoteAccount) -> str:
        """The absolute path of the folder for output.

        Raises:
            SettingsError: Slurm would read something else than this path.
        """
        text = posixpath.normpath(account.below_home(self.settings.workdir))
        if not text.startswith("/") or any(sign in text for sign in "%\\\n|"):
            raise SettingsError(
                f"The workdir '{self.settings.workdir}' cannot be used.",
                hint="Write an absolute path, or one that begins with ~/, without % \\ and |.",
            )
        return text

    def _job_environment(self, account: RemoteAccount, spec: JobSpec) -> dict[str, str]:
        """What stands before the job's own variables in its script."""
        path = spec.job_path or self.settings.job_path
        if path is None and self.settings.bin_dir:
            path = f"{self.settings.bin_dir}:{account.env.get('PATH', '/usr/bin:/bin')}"
        return {"SLURM_EXPORT_ENV": "ALL", **({"PATH": path} if path else {})}

    async def _config(self) -> described.Config:
        text = await self._tools.query(commands.show_config(self._program("scontrol")))
        return described.parse_config(text)

    async def _slurm_user(self) -> str:
        return (await self._config()).slurm_user

    async def _look_up(self, job_ids: Sequence[str]) -> dict[str, SlurmJob]:
        argv = commands.squeue(self._program("squeue"), jobs=job_ids, named=True)
        return {job.id: job for job in printed.parse_squeue(await self._tools.query(argv))}
