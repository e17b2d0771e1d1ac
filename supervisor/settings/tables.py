"""The settings of one provider, table by table; ``[cluster]`` is in :mod:`.cluster`."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator

from dsq.core.errors import UsageError
from dsq.core.model import Address, Label, ProviderPrices
from dsq.core.units import parse_credits
from dsq.core.wallet import KeyRef
from dsq.supervisor.settings.base import Count, Positive, Strict
from dsq.supervisor.settings.cluster import ClusterSettings

BenchmarkKind = Literal["compute", "storage", "network", "bandwidth"]

_TOKEN = re.compile(r"[a-zA-Z0-9._](?:[-a-zA-Z0-9._]*[a-zA-Z0-9._])?")


class ChainSettings(Strict):
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

    @field_validator("rpc_url", "rpc_urls", "ws_url")
    @classmethod
    def _urls(
        cls, value: str | tuple[str, ...] | None, info: ValidationInfo
    ) -> str | tuple[str, ...] | None:
        schemes = ("ws", "wss") if info.field_name == "ws_url" else ("http", "https")
        for url in (value,) if isinstance(value, str) else value or ():
            parts = urlsplit(url)
            # It is not repeated: providers of nodes put keys into it.
            if parts.scheme not in schemes or not parts.hostname:
                raise ValueError(f"write {schemes[0]}://host:port or {schemes[1]}://host/…")
        return value

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


class ServiceSettings(Strict):
    """``[services]``: where scripts come from and output goes to."""

    sbatch_grpc: str
    logger_grpc: str = ""

    @field_validator("sbatch_grpc", "logger_grpc")
    @classmethod
    def _service(cls, text: str) -> str:
        scheme, mark, rest = text.rpartition("://")
        place = rest.rstrip("/") if mark else text
        port = place.rpartition(":")[2]
        is_known = scheme in ("https", "grpcs", "http", "grpc") if mark else port.isdecimal()
        if text and (not is_known or not place or "/" in place):
            raise ValueError("write host:port, or https://host:port for TLS")
        return text


class WalletSettings(Strict):
    """``[wallet]``: the provider's key."""

    key_file: Path | None = Field(default=None, strict=False)
    passphrase_file: Path | None = Field(default=None, strict=False)

    @property
    def ref(self) -> KeyRef:
        return KeyRef(None, self.key_file, self.passphrase_file)


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


class PriceSettings(Strict):
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


class TimingSettings(Strict):
    """``[timing]``: patience, in seconds. The defaults fit; tests shorten them."""

    poll_fast: float = Field(default=0.5, gt=0, strict=False)
    poll_slow: float = Field(default=5.0, gt=0, strict=False)
    lost_grace: float = Field(default=120.0, ge=0, strict=False)
    fetch_patience: float = Field(default=600.0, ge=0, strict=False)
    hand_back_after: float = Field(default=900.0, ge=0, strict=False)
    hand_on_after: float = Field(default=120.0, ge=0, strict=False)
    prove_every: float = Field(default=1800.0, ge=0, strict=False)


class BenchmarkSettings(Strict):
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


class HttpSettings(Strict):
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


class LogSettings(Strict):
    """``[log]``: lines on standard error.

    Attributes:
        format: ``text`` (key=value words) or ``json`` (one object a line).
        level: The least important that is written.
    """

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class ProviderSettings(Strict):
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
