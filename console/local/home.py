"""The folder of a local grid: where everything is, its keys, and what it remembers.

::

    DIR/grid.json             what clients need (0600, written by rename)
    DIR/state.json            options, ports and places, kept over restarts
    DIR/keys/                 keystore files and their passphrase (0700)
    DIR/chain/                the local chain's state, the deployment's record
    DIR/services/             scripts and logs of the sbatch service, the meta-scheduler's state
    DIR/providers/<name>/     provider.toml, journal, and the provider's own cluster
    DIR/logs/, DIR/run/       log files; pid files and locks
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import secrets
import socket
import stat
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dsq.core.config import GridConfig, KeySettings, grid_json_path
from dsq.core.errors import SettingsError, UsageError
from dsq.core.wallet import (
    KeyRef,
    Wallet,
    create_key_file,
    key_file_address,
    read_key_file,
    read_passphrase,
)

CLUSTERS = ("local", "mini-slurm", "slurm")


@dataclass(frozen=True, slots=True)
class Options:
    """What ``dsq up`` was asked for; a home remembers it.

    Attributes:
        chain: ``local``, or the URL of an RPC endpoint.
        cluster: One of :data:`CLUSTERS`, or ``USER@HOST`` or ``USER@HOST:PORT``.
        job_user: Unix account of jobs; "" is the account that runs the grid.
    """

    chain: str = "local"
    chain_id: int = 31337
    cluster: str = "local"
    providers: int = 1
    job_user: str = ""
    ssh_identity: str = ""
    ssh_known_hosts: str = ""
    operator_key: str = ""
    operator_passphrase: str = ""

    @property
    def is_ssh(self) -> bool:
        return self.cluster not in CLUSTERS

    @property
    def owns_cluster(self) -> bool:
        """True when the clusters live in the home, so that ``down`` ends their jobs."""
        return self.cluster in ("local", "mini-slurm")

    def check(self) -> None:
        """Refuses what makes no sense together.

        Raises:
            UsageError: With the sentence for the user.
        """
        if self.is_ssh and "@" not in self.cluster:
            raise UsageError(
                f"There is no cluster '{self.cluster}'.",
                hint=f"Choose one of {', '.join(CLUSTERS)}, or write USER@HOST.",
            )
        if self.providers < 1:
            raise UsageError("A grid has at least one provider.", hint="Use --providers 1 or more.")
        if self.providers > 1 and not self.owns_cluster:
            raise UsageError(f"One provider sells the cluster '{self.cluster}': leave --providers.")


@dataclass(slots=True)
class State:
    """What a home remembers in ``state.json``."""

    options: Options = field(default_factory=Options)
    ports: dict[str, int] = field(default_factory=dict)
    jobs_root: str = ""
    metascheduler: str = ""


class Home:
    """A local grid's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    def __repr__(self) -> str:
        return f"Home({self.path})"

    @property
    def state_file(self) -> Path:
        return self.path / "state.json"

    @property
    def grid_file(self) -> Path:
        return grid_json_path(self.path)

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def passphrase_file(self) -> Path:
        return self.keys / "passphrase"

    @property
    def chain(self) -> Path:
        return self.path / "chain"

    @property
    def services(self) -> Path:
        return self.path / "services"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def run(self) -> Path:
        return self.path / "run"

    def provider(self, name: str) -> Path:
        return self.path / "providers" / name

    def provider_config(self, name: str) -> Path:
        return self.provider(name) / "provider.toml"

    def create(self) -> None:
        """Makes the folders and the passphrase; what is there stays.

        Raises:
            SettingsError: The folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for folder in (self.keys, self.chain, self.services, self.logs, self.run):
                folder.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise SettingsError(
                f"The home {self.path} cannot be made: {error.strerror}."
            ) from error
        if not self.passphrase_file.exists():
            write_atomically(self.passphrase_file, secrets.token_urlsafe(32) + "\n")

    def key(self, name: str) -> KeySettings:
        """The key called ``name``, made when it is not there yet."""
        path = self.keys / f"{name}.json"
        if not path.exists():
            wallet = Wallet.generate()
            create_key_file(path, wallet, read_passphrase(self.passphrase_file), light=True)
        return KeySettings(
            address=str(key_file_address(path) or self.wallet(name).address),
            key_file=path,
            passphrase_file=self.passphrase_file,
            name=name,
        )

    def wallet(self, name: str) -> Wallet:
        """Opens the key called ``name``."""
        return read_key_file(self.keys / f"{name}.json", read_passphrase(self.passphrase_file))

    def key_ref(self, name: str) -> KeyRef:
        return self.key(name).ref

    def load_state(self) -> State | None:
        """What the home remembers; None for a new one.

        Raises:
            SettingsError: ``state.json`` is damaged.
        """
        try:
            data = json.loads(self.state_file.read_text())
            options = Options(**data["options"])
            return State(options, dict(data["ports"]), data["jobs_root"], data["metascheduler"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise SettingsError(f"{self.state_file} is damaged: {error}.") from error

    def save_state(self, state: State) -> None:
        data = {
            "version": 1,
            "options": asdict(state.options),
            "ports": state.ports,
            "jobs_root": state.jobs_root,
            "metascheduler": state.metascheduler,
        }
        write_atomically(self.state_file, json.dumps(data, indent=2, sort_keys=True) + "\n")

    def write_grid(self, config: GridConfig) -> str:
        """Writes ``grid.json`` and returns its text."""
        keys = {"user": config.user, "operator": config.operator}
        data: dict[str, Any] = {
            "version": 1,
            "rpc_url": config.rpc_url,
            "ws_url": config.ws_url,
            "chain_id": config.chain_id,
            "metascheduler": config.metascheduler,
            "sbatch_url": config.sbatch_url,
            "sbatch_grpc": config.sbatch_grpc,
            "logger_grpc": config.logger_grpc,
            "oracle_url": config.oracle_url,
            **{name: _key_json(key) for name, key in keys.items() if key is not None},
            "providers": [{"name": p.name, **_key_json(p)} for p in config.providers],
        }
        text = json.dumps(data, indent=2, sort_keys=True) + "\n"
        write_atomically(self.grid_file, text)
        return text

    def provider_names(self, count: int) -> list[str]:
        return [f"p{number}" for number in range(1, count + 1)]


def _key_json(key: KeySettings) -> dict[str, str]:
    return {
        "address": key.address,
        "key_file": str(key.key_file),
        "passphrase_file": str(key.passphrase_file),
    }


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replaces a file by rename, so that readers see the old or the new text, never a part."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)


def port_is_free(port: int) -> bool:
    """True when one may listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def merge_options(known: State | None, asked: dict[str, Any]) -> Options:
    """The options in force: what was asked for now over what the home remembers.

    Raises:
        UsageError: The home was made with another chain or cluster.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    if known is None:
        options = Options(**given)
    else:
        options = replace(known.options, **given)
        for name in ("chain", "chain_id", "cluster"):
            old, new = getattr(known.options, name), getattr(options, name)
            if old != new:
                flag = "--" + name.replace("_", "-")
                raise UsageError(
                    f"This home was made with {flag} {old}, not {new}.",
                    hint="Use another --home, or leave the flag out.",
                )
        if options.providers < known.options.providers:
            raise UsageError(
                f"This home has {known.options.providers} providers; their number can only grow."
            )
    options.check()
    return options


def jobs_root(home: Home, state: State, user: str) -> Path:
    """The folder below which jobs of ``user`` may write; remembered in the state.

    A home inside a private folder (root's own, say) cannot be reached by another
    account; its jobs then get a folder of their own beside the system's temporary files.
    """
    if state.jobs_root:
        root = Path(state.jobs_root)
    elif not user or _reachable(home.path):
        root = home.path / "jobs"
    else:
        digest = hashlib.sha256(str(home.path).encode()).hexdigest()[:12]
        root = Path(tempfile.gettempdir()) / f"dsq-{os.getuid()}-{digest}"
    root.mkdir(mode=0o711, exist_ok=True)
    info = root.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise SettingsError(f"{root} belongs to somebody else; jobs cannot be kept there.")
    root.chmod(0o711)
    state.jobs_root = str(root)
    return root


def _reachable(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def own_by(path: Path, user: str) -> Path:
    """Makes a private folder of ``user`` ("": of this account)."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    if user:
        try:
            account = pwd.getpwnam(user)
        except KeyError:
            raise UsageError(
                f"There is no account '{user}' on this machine.", hint="Name one with --job-user."
            ) from None
        os.chown(path, account.pw_uid, account.pw_gid)
    return path
