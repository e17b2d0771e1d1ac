"""The providers of a local grid: their settings files, and clusters that live in the home."""

from __future__ import annotations

import os
import pwd
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import tomli_w

from dsq.console.local.home import Home, Options, State, jobs_root, own_by, write_atomically
from dsq.console.local.minislurm import MiniSlurm
from dsq.core.errors import SettingsError
from dsq.core.wallet import KeyRef

if TYPE_CHECKING:
    from dsq.console.local.ledger import Ledger

PRICES = {"gpu_per_min": "8.5", "cpu_per_min": "0.95", "mem_per_min": "0.00008"}
"""The reference's published prices, in credits."""

MINI_SLURM_NODES = 2
MINI_SLURM_CPUS = 8
MINI_SLURM_GPUS = 2


def default_cluster() -> str:
    """The cluster of a home that was not asked for one.

    Never the site's own Slurm: a try-out must not send jobs to a real cluster unasked.
    """
    return "local" if MiniSlurm.missing() else "mini-slurm"


def default_job_user(options: Options) -> str:
    """Jobs never run as root: a grid that root starts runs them as nobody."""
    if options.job_user or options.is_ssh or os.geteuid() != 0:
        return options.job_user
    return "nobody"


def mini_slurm(home: Home, name: str) -> MiniSlurm:
    """The throwaway Slurm of a provider."""
    memory = psutil.virtual_memory().total // (1 << 20)
    return MiniSlurm(
        home.provider(name) / "slurm",
        nodes=MINI_SLURM_NODES,
        cpus=MINI_SLURM_CPUS,
        mem_mb=max(memory, 8000),
        gpus=MINI_SLURM_GPUS,
    )


def check_cluster(options: Options) -> None:
    """Says at once when a cluster cannot be had here.

    Raises:
        SettingsError: A program is missing.
    """
    if options.cluster == "mini-slurm" and (reason := MiniSlurm.missing()):
        raise SettingsError(
            f"A mini-slurm cannot be started: {reason}.",
            hint="Install Slurm ('apt-get install slurm-wlm munge') or use --cluster local.",
        )
    if options.cluster == "slurm" and shutil.which("sbatch") is None:
        raise SettingsError(
            "There is no sbatch on PATH.", hint="Use --cluster local, mini-slurm or USER@HOST."
        )


async def start_clusters(home: Home, options: Options, names: list[str]) -> None:
    """Starts the clusters that live in the home."""
    if options.cluster == "mini-slurm":
        for name in names:
            await mini_slurm(home, name).start()


def at_rest(home: Home, options: Options, names: list[str]) -> list[str]:
    """Names whose cluster lives in the home and does not run."""
    if options.cluster != "mini-slurm":
        return []
    return [name for name in names if not mini_slurm(home, name).is_running()]


async def stop_clusters(
    home: Home, options: Options, names: list[str], *, cancel_jobs: bool = True
) -> None:
    """Stops the clusters that live in the home."""
    if options.cluster == "mini-slurm":
        for name in names:
            await mini_slurm(home, name).stop(cancel_jobs=cancel_jobs)


def write_provider(home: Home, state: State, ledger: Ledger, name: str) -> None:
    """Writes ``provider.toml``, unless its owner has edited it."""
    options = state.options
    folder = home.provider(name)
    folder.mkdir(parents=True, exist_ok=True)
    user = default_job_user(options)
    root = own_by(jobs_root(home, state, user) / name, user)
    key: KeyRef = home.key_ref(f"provider-{name}")
    settings: dict[str, Any] = {
        "state_dir": str(folder / "state"),
        "shared_account": not options.is_ssh,
        "chain": {
            "rpc_url": ledger.rpc_url,
            **({"ws_url": ledger.ws_url} if ledger.ws_url else {}),
            "chain_id": ledger.chain_id,
            "metascheduler": str(ledger.metascheduler),
        },
        "services": {
            "sbatch_grpc": f"127.0.0.1:{state.ports['grpc']}",
            "logger_grpc": f"127.0.0.1:{state.ports['grpc']}",
        },
        "wallet": {"key_file": str(key.key_file), "passphrase_file": str(key.passphrase_file)},
        "cluster": _cluster(home, options, name, user),
        "labels": {"name": name},
    }
    if options.owns_cluster or run_as_other(options, user):
        folders = {"workdir": "jobs", "cache_root": "cache", "scratch_root": "scratch"}
        settings["cluster"] |= {field: str(root / below) for field, below in folders.items()}
    settings["prices"] = PRICES
    path = home.provider_config(name)
    if path.exists():
        settings = _keep_edits(path, settings)
    write_atomically(path, tomli_w.dumps(settings))


def _keep_edits(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Prices, labels and limits are the owner's; where things are is ours."""
    known = tomllib.loads(path.read_text())
    merged = {**known, **settings}
    for table in ("prices", "labels"):
        merged[table] = known.get(table, settings[table])
    merged["cluster"] = {**known.get("cluster", {}), **settings["cluster"]}
    return merged


def run_as_other(options: Options, user: str) -> bool:
    """True when jobs run here as another account, which may have no home of its own."""
    return not options.is_ssh and bool(user) and user != pwd.getpwuid(os.geteuid()).pw_name


def _cluster(home: Home, options: Options, name: str, user: str) -> dict[str, Any]:
    run_as = {"job_user": user} if run_as_other(options, user) else {}
    if options.cluster == "local":
        return {"kind": "local", **run_as}
    if options.cluster == "mini-slurm":
        cluster = mini_slurm(home, name)
        return {
            "kind": "slurm",
            "slurm_conf": cluster.env()["SLURM_CONF"],
            "partition": cluster.partition,
            **run_as,
        }
    if options.cluster == "slurm":
        conf = os.environ.get("SLURM_CONF")
        return {"kind": "slurm", **({"slurm_conf": conf} if conf else {}), **run_as}
    account, _, host = options.cluster.partition("@")
    host, _, port = host.partition(":")
    named = {"identity_file": options.ssh_identity, "known_hosts": options.ssh_known_hosts}
    return {
        "kind": "ssh",
        "user": account,
        "host": host,
        **({"port": int(port)} if port else {}),
        **{key: value for key, value in named.items() if value},
    }


def delete(home: Home) -> None:
    """Deletes a home that was ended, and what it keeps elsewhere."""
    state = home.load_state()
    if state is not None:
        for name in home.provider_names(state.options.providers):
            mini_slurm(home, name).remove()
        if state.jobs_root:
            shutil.rmtree(state.jobs_root, ignore_errors=True)
    shutil.rmtree(home.path, ignore_errors=True)
