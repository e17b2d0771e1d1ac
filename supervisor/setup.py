"""A first look at a cluster, and the settings that come of it.

A provider needs nothing but this package and an SSH key: what the settings ask for is found
by looking, and by one small job that shows what a compute node has and that its output
can be read from here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from dsq.core.config import GridConfig
from dsq.core.errors import SettingsError, UnreachableError, close_matches
from dsq.supervisor.benchmark.kinds import MACHINE
from dsq.supervisor.benchmark.runner import BenchmarkRunner
from dsq.supervisor.benchmark.store import ResultStore
from dsq.supervisor.scheduler.port import ClusterInfo
from dsq.supervisor.scheduler.slurm import SlurmScheduler
from dsq.supervisor.scheduler.slurm_cluster import Partition
from dsq.supervisor.settings import BenchmarkSettings

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """Which cluster is meant, as far as the caller knows.

    Attributes:
        host: The login node; "" is this machine's Slurm.
        host_key: Its key, if it had to be confirmed by a person.
    """

    host: str = ""
    user: str = ""
    port: int = 0
    identity_file: Path | None = None
    identity_passphrase_file: Path | None = None
    known_hosts: Path | None = None
    host_key: str = ""
    use_ssh_config: bool = False
    partition: str = ""
    workdir: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found.

    Attributes:
        account: Who commands and jobs run as there.
        labels: What the small job found on a compute node.
        can_raise_limit: Whether top-ups can lengthen running jobs.
        worries: What the operator should know, a sentence each.
    """

    target: Target
    account: str
    info: ClusterInfo
    labels: dict[str, str] = field(default_factory=dict)
    can_raise_limit: bool = False
    worries: tuple[str, ...] = ()


async def ask_host_key(target: Target) -> tuple[str, str]:
    """The key that a machine shows, and its fingerprint, for a person to compare.

    Raises:
        UnreachableError: Nobody answers there.
    """
    import asyncssh

    try:
        key = await asyncssh.get_server_host_key(target.host, target.port or 22, config=None)
    except (OSError, asyncssh.Error) as error:
        raise UnreachableError(f"No SSH server answers at {target.host}: {error}.") from error
    if key is None:
        raise UnreachableError(f"{target.host} shows no host key.")
    text = " ".join(key.export_public_key().decode().split()[:2])
    return text, key.get_fingerprint()


def scheduler_of(target: Target) -> SlurmScheduler:
    """The cluster; nothing is contacted yet."""
    from dsq.supervisor.scheduler.line import Transport
    from dsq.supervisor.scheduler.slurm import SlurmSettings
    from dsq.supervisor.scheduler.ssh import SshTransport
    from dsq.supervisor.scheduler.transport import LocalTransport

    line: Transport = LocalTransport()
    if target.host:
        line = SshTransport(
            target.host,
            user=target.user,
            port=target.port,
            identity_file=target.identity_file,
            passphrase_file=target.identity_passphrase_file,
            known_hosts=target.known_hosts,
            host_key=target.host_key,
            use_ssh_config=target.use_ssh_config,
        )
    settings = SlurmSettings(partition=target.partition)
    return SlurmScheduler(line, replace(settings, workdir=target.workdir or settings.workdir))


async def partitions(target: Target) -> list[Partition]:
    """The cluster's partitions.

    Raises:
        UnreachableError: The machine or its Slurm does not answer.
    """
    scheduler = scheduler_of(target)
    try:
        return await scheduler.partitions()
    finally:
        await scheduler.close()


def choose(found: list[Partition], wanted: str = "") -> Partition | None:
    """The partition that is meant: the one named, the default one, or the only one.

    Raises:
        SettingsError: There is none of that name.
    """
    names = [one.name for one in found]
    if wanted:
        if wanted not in names:
            raise SettingsError(
                f"The cluster has no partition '{wanted}'.{close_matches(wanted, names)}",
                hint=f"It has {', '.join(names)}.",
            )
        return found[names.index(wanted)]
    default = [one for one in found if one.is_default]
    return default[0] if default else (found[0] if len(found) == 1 else None)


async def look(target: Target, *, say: Say | None = None) -> Look:
    """Looks at the cluster, and runs the small job there.

    Raises:
        UnreachableError: The machine or its Slurm does not answer.
        SettingsError: There is no such partition, or it has no usable node.
    """
    scheduler = scheduler_of(target)
    try:
        account = await scheduler.account()
        info = await scheduler.discover()
        if not info.nodes:
            raise SettingsError(f"The partition '{info.partition}' has no usable node.")
        with tempfile.TemporaryDirectory(prefix="dsq-init-") as folder:
            store = ResultStore(Path(folder))
            await BenchmarkRunner(scheduler, BenchmarkSettings(), store, say=say).run(
                [MACHINE], info
            )
            result = store.get(MACHINE)
        assert result is not None
        raised = result.can_raise_limit
        if raised is None:
            raised = await scheduler.can_raise_limit()
    finally:
        await scheduler.close()
    labels = dict(result.labels)
    return Look(
        replace(target, partition=info.partition),
        account.user,
        info,
        labels,
        raised,
        tuple(_worries(target, account.user, account.uid, labels, result.error, raised)),
    )


def _worries(
    target: Target, user: str, uid: int, labels: dict[str, str], error: str, raised: bool
) -> list[str]:
    found = []
    if not target.host:
        found.append(
            "Jobs would run as the account that owns the wallet: name another one as "
            "USER@localhost, or set cluster.job_user (which needs root)."
        )
    if uid == 0:
        found.append("Jobs would run as root: give the provider an account of its own.")
    if error:
        found.append(
            f"The small job gave nothing: {error}. Is the workdir on a file system that login "
            "and compute nodes share?"
        )
    elif not any(f"{name}.version" in labels for name in ("apptainer", "singularity", "enroot")):
        found.append(
            "No container runtime was found on a compute node; jobs that need one will fail."
        )
    if not raised:
        found.append(
            "Top-ups cannot lengthen running jobs; an administrator can change that: "
            f"sacctmgr modify user {user} set adminlevel=operator"
        )
    return found


def quoted(text: str | Path) -> str:
    """A TOML string."""
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"')
    plain = (f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c for c in escaped)
    return '"' + "".join(plain) + '"'


def settings_text(
    found: Look,
    grid: GridConfig,
    *,
    name: str,
    state_dir: Path,
    key_file: Path | None,
    passphrase_file: Path | None,
) -> str:
    """The settings file, with what each part is for."""
    target, info = found.target, found.info
    nodes = f"{len(info.nodes)} nodes, {sum(node.cpus for node in info.nodes)} CPUs"
    gpus = sum(node.gpus for node in info.nodes)
    nodes += f", {gpus} GPUs" if gpus else ""
    limit = f"{info.max_minutes} min" if info.max_minutes else "none"
    cluster = {
        "kind": quoted("ssh" if target.host else "slurm"),
        "host": quoted(target.host) if target.host else "",
        "user": quoted(found.account) if target.host else "",
        "port": str(target.port) if target.port else "",
        "identity_file": quoted(target.identity_file) if target.identity_file else "",
        "identity_passphrase_file": quoted(target.identity_passphrase_file)
        if target.identity_passphrase_file
        else "",
        "known_hosts": quoted(target.known_hosts) if target.known_hosts else "",
        "host_key": quoted(target.host_key) if target.host_key else "",
        "use_ssh_config": "true" if target.use_ssh_config else "",
        "partition": quoted(info.partition),
        "workdir": quoted(target.workdir) if target.workdir else "",
    }
    services = {"sbatch_grpc": quoted(grid.sbatch_grpc)}
    if grid.logger_grpc:
        services["logger_grpc"] = quoted(grid.logger_grpc)
    wallet = {
        "key_file": quoted(key_file) if key_file else "",
        "passphrase_file": quoted(passphrase_file) if passphrase_file else "",
    }
    chain = {
        "rpc_url": quoted(grid.rpc_url),
        "ws_url": quoted(grid.ws_url) if grid.ws_url else "",
        "chain_id": str(grid.chain_id),
        "metascheduler": quoted(grid.metascheduler),
    }
    runtimes = ", ".join(
        f"{key.removesuffix('.version')} {value}"
        for key, value in sorted(found.labels.items())
        if key.endswith(".version")
    )
    lines = [
        "# A provider of the grid, made by 'dsq-provider init'. docs/provider.md has every field.",
        f"name = {quoted(name)}",
        f"state_dir = {quoted(state_dir)}   # journal and transactions: keep it, nobody else's",
        "",
        "# The grid.",
        *_table("chain", chain),
        "",
        "# Where scripts come from, and output goes to.",
        *_table("services", services),
        "",
        "# The provider's key; it needs some native coins for gas.",
        *(_table("wallet", wallet) if any(wallet.values()) else ["# [wallet]: ETH_PRIVATE_KEY"]),
        "",
        f"# {info.version}; {nodes}; longest limit {limit}; containers: {runtimes or 'none'}.",
        f"# Jobs run as '{found.account}'; one account a wallet: user_template, users_file.",
        *_table("cluster", cluster),
        "claim_ahead = 2      # jobs that may wait in Slurm beyond what could start at once",
        "# max_minutes = 2880 # longest limit of a job here",
        "",
        "# Credits a minute, each: CPU (hardware thread), GPU, MB of memory.",
        "[prices]",
        'cpu_per_min = "0.95"',
        'gpu_per_min = "8.5"',
        'mem_per_min = "0.00008"',
        "",
        "# Facts that jobs can ask for; hardware, limits and runtimes are found by themselves.",
        "[labels]",
        '# zone = "fr-paris-1"',
        "",
        "# What is measured by itself, with jobs: compute, storage, network, bandwidth.",
        "[benchmark]",
        "kinds = []",
    ]
    return "\n".join(lines) + "\n"


def _table(name: str, values: dict[str, str]) -> list[str]:
    return [f"[{name}]", *(f"{key} = {value}" for key, value in values.items() if value)]
