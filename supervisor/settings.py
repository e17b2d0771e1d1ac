"""Settings of one provider: a TOML file, checked strictly.

docs/provider.md lists every field; a test compares that table with these models.
Relative paths are relative to the file that names them.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dsq.core.errors import SettingsError, UsageError, close_matches
from dsq.core.model import Address, Label, ProviderPrices
from dsq.core.units import parse_credits
from dsq.core.wallet import KeyRef
from dsq.supervisor.scheduler.users import check_template

Kind = Literal["local", "slurm", "ssh"]
BenchmarkKind = Literal["compute", "storage", "network", "bandwidth"]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Port = Annotated[int, Field(gt=0, lt=65536)]

_PATH_FIELDS = {
    "wallet": ("key_file", "passphrase_file"),
    "cluster": (
        *("identity_file", "identity_passphrase_file", "known_hosts", "ssh_config"),
        *("slurm_conf", "root", "users_file"),
    ),
}
"""Paths on this machine; paths on the cluster (``workdir``…) are taken as they are."""

_KIND_FIELDS = {
    **dict.fromkeys(
        (
            *("host", "user", "port", "identity_file", "identity_passphrase_file"),
            *("known_hosts", "host_key", "use_ssh_config", "ssh_config"),
        ),
        ("ssh",),
    ),
    **dict.fromkeys(("root", "cpus", "mem_mb", "gpus", "gpu_type"), ("local",)),
    **dict.fromkeys(("partition", "bin_dir", "slurm_account"), ("slurm", "ssh")),
    "slurm_conf": ("slurm",),
    **dict.fromkeys(("user_template", "users_file"), ("ssh", "slurm")),
    "job_user": ("local", "slurm"),
}
"""Fields of ``[cluster]`` that make sense for some kinds only."""

_TOKEN = re.compile(r"[a-zA-Z0-9._](?:[-a-zA-Z0-9._]*[a-zA-Z0-9._])?")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ChainSettings(_Strict):
    """``[chain]``: the grid's chain and contract."""

    rpc_url: str
    rpc_urls: tuple[str, ...] = Field(default=(), strict=False)
    ws_url: str | None = None
    chain_id: Positive
    metascheduler: str
    reorg_depth: Positive = 1_000
    max_fee_gwei: Positive | None = None

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The chain's nodes, the preferred one first."""
        return (self.rpc_url, *self.rpc_urls)

    @property
    def fee_cap(self) -> int | None:
        """The most that a unit of gas may cost, in wei."""
        return None if self.max_fee_gwei is None else self.max_fee_gwei * 10**9

    @field_validator("metascheduler")
    @classmethod
    def _address(cls, text: str) -> str:
        try:
            Address.parse(text)
        except UsageError as error:
            raise ValueError(str(error).rstrip(".")) from None
        return text

    @property
    def metascheduler_address(self) -> Address:
        return Address.parse(self.metascheduler)


class ServiceSettings(_Strict):
    """``[services]``: where scripts come from and output goes to."""

    sbatch_grpc: str
    logger_grpc: str = ""


class WalletSettings(_Strict):
    """``[wallet]``: the provider's key."""

    key_file: Path | None = Field(default=None, strict=False)
    passphrase_file: Path | None = Field(default=None, strict=False)

    @property
    def ref(self) -> KeyRef:
        return KeyRef(None, self.key_file, self.passphrase_file)


class ClusterSettings(_Strict):
    """``[cluster]``: where jobs run, and under which account and limits."""

    kind: Kind
    host: str = ""
    user: str = ""
    port: Port | None = None
    use_ssh_config: bool = False
    ssh_config: Path | None = Field(default=None, strict=False)
    identity_file: Path | None = Field(default=None, strict=False)
    identity_passphrase_file: Path | None = Field(default=None, strict=False)
    known_hosts: Path | None = Field(default=None, strict=False)
    host_key: str = ""
    user_template: str = ""
    users_file: Path | None = Field(default=None, strict=False)
    partition: str = ""
    workdir: str = ""
    job_path: str = ""
    job_user: str = ""
    cache_root: str = ""
    scratch_root: str = ""
    max_minutes: Positive | None = None
    claim_ahead: Count = 2
    slurm_conf: Path | None = Field(default=None, strict=False)
    bin_dir: str = ""
    slurm_account: str = ""
    root: Path | None = Field(default=None, strict=False)
    cpus: Positive | None = None
    mem_mb: Positive | None = None
    gpus: Count | None = None
    gpu_type: str = ""

    @model_validator(mode="after")
    def _fields_of_the_kind(self) -> ClusterSettings:
        if self.kind == "ssh" and not self.host:
            raise ValueError("kind 'ssh' needs 'host'")
        for name in set(_KIND_FIELDS) & self.model_fields_set:
            if getattr(self, name) and self.kind not in _KIND_FIELDS[name]:
                kinds = " or ".join(_KIND_FIELDS[name])
                raise ValueError(f"'{name}' is for kind {kinds}, not for '{self.kind}'")
        if self.known_hosts and self.host_key:
            raise ValueError("'known_hosts' and 'host_key' exclude each other")
        if self.has_accounts and self.job_user:
            raise ValueError("'job_user' and an account for each wallet exclude each other")
        return self

    @field_validator("user_template")
    @classmethod
    def _an_account_each(cls, text: str) -> str:
        if text:
            check_template(text)
        return text

    @field_validator("host_key")
    @classmethod
    def _one_key(cls, text: str) -> str:
        if text and not re.fullmatch(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\n]*)?", text.strip()):
            raise ValueError("write type and key as in a known_hosts file: 'ssh-ed25519 AAAA…'")
        return text.strip()

    @property
    def has_accounts(self) -> bool:
        """Whether each wallet has an account of its own."""
        return bool(self.user_template or self.users_file)


def _price(value: object) -> str:
    """A price as text; a TOML number as its author wrote it (8e-5), not as its binary value."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError('a price is a decimal number, as in 0.95 or "0.95"')
    text = value if isinstance(value, str) else format(Decimal(repr(value)), "f")
    try:
        parse_credits(text)
    except UsageError as error:
        raise ValueError(str(error).rstrip(".")) from None
    return text


class PriceSettings(_Strict):
    """``[prices]``: credits a minute; a whole number, a decimal, or a decimal in quotes."""

    gpu_per_min: str = "8.5"
    cpu_per_min: str = "0.95"
    mem_per_min: str = "0.00008"

    @field_validator("gpu_per_min", "cpu_per_min", "mem_per_min", mode="before")
    @classmethod
    def _decimal(cls, value: object) -> str:
        return _price(value)

    @model_validator(mode="after")
    def _not_all_free(self) -> PriceSettings:
        if self.wei.cpu_per_min == 0 and self.wei.mem_per_min == 0:
            raise ValueError("cpu_per_min and mem_per_min cannot both be 0")
        return self

    @property
    def wei(self) -> ProviderPrices:
        """The prices as the contracts hold them."""
        return ProviderPrices(
            parse_credits(self.gpu_per_min),
            parse_credits(self.cpu_per_min),
            parse_credits(self.mem_per_min),
        )


class TimingSettings(_Strict):
    """``[timing]``: patience, in seconds. The defaults fit; tests shorten them."""

    poll_fast: float = Field(default=0.5, gt=0, strict=False)
    poll_slow: float = Field(default=5.0, gt=0, strict=False)
    lost_grace: float = Field(default=120.0, ge=0, strict=False)
    fetch_patience: float = Field(default=600.0, ge=0, strict=False)
    hand_back_after: float = Field(default=900.0, ge=0, strict=False)
    hand_on_after: float = Field(default=120.0, ge=0, strict=False)
    prove_every: float = Field(default=1800.0, ge=0, strict=False)


class BenchmarkSettings(_Strict):
    """``[benchmark]``: what is measured with jobs, and how large those may be.

    Attributes:
        probe: Run the small job of each registration; ``local`` clusters have none.
        kinds: What to measure by itself; ``dsq-provider register --benchmark`` runs all.
        max_age_days: Results older than this are measured again.
        nodes: Most nodes of one benchmark; 0 for all.
        minutes: Time limit of each.
        storage_mb: MB that are written and read for each storage.
        iperf_host: ``host`` or ``host:port`` of an iperf3 server.
        download_url, upload_url: What curl fetches from and sends to (PUT) without iperf3.
    """

    probe: bool = True
    kinds: tuple[BenchmarkKind, ...] = Field(default=(), strict=False)
    max_age_days: float = Field(default=90.0, gt=0, strict=False)
    nodes: Count = 0
    minutes: Positive = 30
    storage_mb: Annotated[int, Field(ge=16)] = 1024
    iperf_host: str = ""
    download_url: str = ""
    upload_url: str = ""


class HttpSettings(_Strict):
    """``[http]``: metrics and health for the machines that watch this one.

    Attributes:
        listen: ``host:port``; "" for none. Without it 127.0.0.1:3003, if that is free.
    """

    listen: str | None = None

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, text: str | None) -> str | None:
        if text:
            host, mark, port = text.rpartition(":")
            if not mark or not host or not port.isdecimal() or int(port) > 65535:
                raise ValueError("write host:port, as in 127.0.0.1:3003")
        return text


class LogSettings(_Strict):
    """``[log]``: lines on standard error.

    Attributes:
        format: ``text`` (key=value words) or ``json`` (one object a line).
        level: The least important that is written.
    """

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class ProviderSettings(_Strict):
    """One provider: one key, one cluster, one journal."""

    name: str = ""
    state_dir: Path = Field(strict=False)
    shared_account: bool = False
    keep_days: Count = 180
    chain: ChainSettings
    services: ServiceSettings
    wallet: WalletSettings = WalletSettings()
    cluster: ClusterSettings
    prices: PriceSettings = PriceSettings()
    labels: dict[str, str] = Field(default_factory=dict)
    timing: TimingSettings = TimingSettings()
    benchmark: BenchmarkSettings = BenchmarkSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()

    @field_validator("labels")
    @classmethod
    def _labels_survive(cls, labels: dict[str, str]) -> dict[str, str]:
        for key in labels:
            if not normalise(key):
                raise ValueError(f"'{key}' is no label: letters, digits, . _ and - are")
        return labels

    @property
    def operator_labels(self) -> tuple[Label, ...]:
        """``[labels]`` in the grid's spelling (:func:`normalise`), sorted by key."""
        named = {normalise(key): normalise(value) for key, value in self.labels.items()}
        if self.name and "name" not in named:
            named["name"] = normalise(self.name)
        return tuple(Label(key, value) for key, value in sorted(named.items()))

    @property
    def max_minutes(self) -> int | None:
        return self.cluster.max_minutes

    @property
    def job_environment(self) -> dict[str, str]:
        """Where scripts keep their storage: below the account's home unless the site says else."""
        cluster = self.cluster
        home = f"{self.state_dir}" if cluster.kind == "local" else "~/.dsq"
        return {
            "DSQ_CACHE_ROOT": cluster.cache_root or f"{home}/cache",
            "DSQ_SCRATCH_ROOT": cluster.scratch_root or f"{home}/scratch",
        }

    @property
    def probe_settings(self) -> BenchmarkSettings:
        """``[benchmark]``; a ``local`` cluster has no probe, for all of it is known."""
        if self.cluster.kind != "local":
            return self.benchmark
        return self.benchmark.model_copy(update={"probe": False})


def normalise(text: str) -> str:
    """A label's key or value as the grid spells it (reference/supervisor 1.6).

    Runs of letters, digits, ``.`` and ``_`` (and ``-`` inside) joined by ``-``, lower case.
    """
    return "-".join(_TOKEN.findall(text)).lower()


def load_settings(path: Path) -> ProviderSettings:
    """Reads a provider's settings file.

    Raises:
        SettingsError: It cannot be read, does not parse, or a field is unknown or wrong.
    """
    path = path.expanduser().absolute()
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(
            f"The settings file {path} cannot be read: {error.strerror}.",
            hint="Name it with --config FILE, or a local grid with --home DIR.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path} does not parse: {error}.") from error
    return parse_settings(data, base=path.parent, where=str(path))


def parse_settings(data: dict[str, Any], *, base: Path, where: str) -> ProviderSettings:
    """Checks settings that are already parsed; relative paths are below ``base``.

    Raises:
        SettingsError: A field is unknown or wrong; ``where`` says in which file.
    """
    data = _with_absolute_paths(data, base)
    try:
        return ProviderSettings.model_validate(data)
    except ValidationError as error:
        raise SettingsError(_explain(error, where)) from None


def _with_absolute_paths(data: dict[str, Any], base: Path) -> dict[str, Any]:
    resolved = dict(data)
    if isinstance(data.get("state_dir"), str):
        resolved["state_dir"] = base / Path(data["state_dir"]).expanduser()
    for table, names in _PATH_FIELDS.items():
        if not isinstance(data.get(table), dict):
            continue
        values = dict(data[table])
        for name in names:
            if isinstance(values.get(name), str):
                values[name] = base / Path(values[name]).expanduser()
        resolved[table] = values
    return resolved


def _explain(error: ValidationError, where: str) -> str:
    """One sentence; a misspelt field comes before the field that is missing because of it."""
    problems = error.errors(include_url=False, include_input=False)
    first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    path = ".".join(str(part) for part in first["loc"]) or "settings"
    if first["type"] == "extra_forbidden":
        known = close_matches(str(first["loc"][-1]), _siblings(first["loc"]))
        return f"{where}: unknown field '{path}'.{known}"
    words = first["msg"].removeprefix("Value error, ")
    return f"{where}: field '{path}': {words[:1].lower()}{words[1:]}."


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    """The fields that can stand at ``location``."""
    model: type[BaseModel] = ProviderSettings
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type):
            return []
        if issubclass(field.annotation, BaseModel):
            model = field.annotation
    return list(model.model_fields)


def account_problem(settings: ProviderSettings) -> str:
    """Why jobs would run as the account that owns the wallet; "" if they would not.

    A job of that account can read the key file, its passphrase, the journal, and the
    supervisor's memory. Jobs get another account with ``job_user``, or on a host other
    than this one; an account of the same name on another host counts as another one.
    """
    me = pwd.getpwuid(os.geteuid()).pw_name
    cluster = settings.cluster
    if cluster.has_accounts:
        return ""  # each wallet has its own; this one is never among them
    if cluster.kind == "ssh":
        return _same(cluster.user or me, me) if is_this_host(cluster.host) else ""
    return _same(cluster.job_user or me, me)


def _same(job_account: str, me: str) -> str:
    if job_account != me:
        return ""
    return (
        f"Jobs would run as '{me}', the account that owns this provider's wallet: "
        "any job could read the key, its passphrase and the journal."
    )


def is_this_host(host: str) -> bool:
    """Whether ``host`` names this machine; names are compared, not resolved."""
    import socket

    name = host.rsplit("@", 1)[-1].strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        own = socket.gethostname().lower()
        return name in {"localhost", own, own.split(".")[0], socket.getfqdn().lower()}
