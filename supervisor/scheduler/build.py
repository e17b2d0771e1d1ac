"""The cluster that a provider's settings name. Nothing is contacted here."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

from dsq.core.clock import Clock
from dsq.core.errors import SettingsError
from dsq.core.model import Address
from dsq.supervisor.scheduler.line import Transport
from dsq.supervisor.scheduler.port import Scheduler
from dsq.supervisor.scheduler.transport import LocalTransport
from dsq.supervisor.scheduler.users import OWNERS_FILE, AccountMap, WalletAccounts
from dsq.supervisor.settings import ClusterSettings, ProviderSettings, is_this_host

JOBS_FOLDER = "~/.dsq/jobs"

CustomerOf = Callable[[str], Address | None]


def build_scheduler(
    settings: ProviderSettings,
    clock: Clock | None = None,
    *,
    customer_of: CustomerOf | None = None,
) -> Scheduler:
    """The cluster that the settings name; nothing is contacted yet.

    Args:
        settings: The provider's settings.
        clock: Time, for waits.
        customer_of: The wallet of a job by its id on chain; needed where each wallet has an
            account of its own.

    Raises:
        SettingsError: This process may not run jobs as ``job_user``.
    """
    cluster = settings.cluster
    if cluster.kind == "local":
        from dsq.supervisor.scheduler.local.scheduler import LocalScheduler

        return LocalScheduler(
            cluster.root or settings.state_dir / "cluster",
            workdir=Path(cluster.workdir) if cluster.workdir else None,
            cpus=cluster.cpus,
            mem_mb=cluster.mem_mb,
            gpus=cluster.gpus,
            gpu_type=cluster.gpu_type,
            user=cluster.job_user or None,
            job_path=cluster.job_path or None,
            max_minutes=cluster.max_minutes,
            clock=clock,
        )
    return _build_slurm(settings, clock, customer_of)


def _build_slurm(
    settings: ProviderSettings, clock: Clock | None, customer_of: CustomerOf | None
) -> Scheduler:
    from dsq.supervisor.scheduler.slurm import SlurmScheduler, SlurmSettings

    cluster = settings.cluster
    slurm = SlurmSettings(
        partition=cluster.partition,
        workdir=cluster.workdir or JOBS_FOLDER,
        bin_dir=cluster.bin_dir,
        job_path=cluster.job_path or None,
        account=cluster.slurm_account,
    )
    line: Transport
    admin: Transport | None = None
    make_line: Callable[[str], Transport]
    if cluster.kind == "ssh":
        from dsq.supervisor.scheduler.ssh import SshTransport

        line = SshTransport(
            cluster.host,
            user=cluster.user,
            port=cluster.port or 0,
            identity_file=cluster.identity_file,
            passphrase_file=cluster.identity_passphrase_file,
            known_hosts=cluster.known_hosts,
            host_key=cluster.host_key,
            use_ssh_config=cluster.use_ssh_config,
            ssh_config=cluster.ssh_config,
            clock=clock,
        )
        make_line = line.sibling
    else:
        env = {"SLURM_CONF": str(cluster.slurm_conf)} if cluster.slurm_conf else {}
        line = LocalTransport(cluster.job_user or None, env=env)
        # This process's own account may have the right to raise limits; the jobs' has not.
        admin = LocalTransport(env=env) if cluster.job_user else None

        def make_line(account: str) -> Transport:
            return LocalTransport(account, env=env)

    accounts = None
    if cluster.has_accounts:
        accounts = WalletAccounts(account_map(settings), customer_of or _nobodys, make_line)
    return SlurmScheduler(line, slurm, admin=admin, accounts=accounts, clock=clock)


def account_map(settings: ProviderSettings) -> AccountMap:
    """Which account each wallet has.

    Raises:
        SettingsError: The settings give all wallets one account.
    """
    cluster = settings.cluster
    if not cluster.has_accounts:
        raise SettingsError(
            "All jobs run as one account here.",
            hint="Set cluster.user_template or cluster.users_file for one a wallet.",
        )
    return AccountMap(
        cluster.user_template,
        cluster.users_file,
        settings.state_dir / OWNERS_FILE,
        forbidden=_forbidden(cluster),
    )


def _forbidden(cluster: ClusterSettings) -> set[str]:
    """Accounts that are not for jobs: the service account, and here the wallet's owner."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    service = {cluster.user or me} if cluster.kind == "ssh" else {me}
    here = cluster.kind != "ssh" or is_this_host(cluster.host)
    return service | ({me} if here else set())


def _nobodys(_: str) -> None:
    """No journal, no jobs."""
