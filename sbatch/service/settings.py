"""Settings of the sbatch API."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from dsq.core.config import explain
from dsq.core.errors import SettingsError

DAY = 24 * 3600.0

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: tuple[Network, ...] = (
    ipaddress.IPv4Network("127.0.0.0/8"),
    ipaddress.IPv6Network("::1/128"),
)


class ServiceSettings(BaseModel):
    """Where the service listens, what it trusts and what it allows.

    Attributes:
        data_dir: Folder of the database, the logs and the key that encrypts both (0700).
        http_host: Address of the GraphQL API; port 0 takes a free one.
        grpc_host: Address of the gRPC services; port 0 takes a free one.
        rpc_url: The chain's JSON-RPC endpoint.
        rpc_urls: More nodes of the same chain, asked when ``rpc_url`` fails.
        chain_id: Chain that the endpoint must serve; None takes any.
        metascheduler: Address of the MetaScheduler contract.
        logger_endpoint: What providers are told as the log service; "" tells this service's
            own gRPC address.
        serve_logs: Be a log service. Replicas that share scripts leave that to one of them.
        key_files: Keys that encrypt what is kept: the first one seals, all of them open.
            Empty takes ``service.key`` in the data folder.
        redis_url: Keep scripts and nonces in Redis instead of SQLite (``redis://``,
            ``rediss://`` for TLS); it may hold a password.
        redis_prefix: What all names in Redis begin with.
        pre_hook_file: Shell text that is put near the top of every script.
        post_hook_file: Shell text that is put at the end of every script.
        tls_cert: PEM certificate chain for both ports; None speaks plain text.
        tls_key: PEM key of ``tls_cert``.
        allow_unsigned_logs: Take log lines that carry no signature, as old writers send them.
        max_body_bytes: Longest request body.
        body_seconds: How long a client may take to send a request.
        max_steps: Most steps in one workflow, at all levels.
        max_depth: Most steps inside each other.
        max_iterations: Most turns of all loops together, nested ones multiplied.
        max_script_bytes: Longest rendered script.
        requests_per_minute: Requests of one address a minute, as many at once; 0 for no limit.
        max_streams: Most streams that are open at once.
        max_streams_per_address: Most of them of one address.
        trusted_proxies: Networks whose ``X-Forwarded-For`` is believed.
        metrics_allow: Networks that may read ``/metrics``.
        max_log_line_bytes: Longest line of a log.
        max_log_bytes: What is kept of one log: its oldest lines go first.
        max_customer_log_bytes: What is kept of all logs of one customer.
        log_keep_seconds: Life of a log that nobody writes to.
        unseen_seconds: Life of a script that no job on chain names.
        grace_seconds: Life of a script after its last job has ended.
        cleanup_seconds: How often old scripts and logs are looked for.
        log_end_seconds: A followed log ends when its job has ended and for so long nothing
            came, even if its writer never said that it is complete.
        outbound_hosts: Hosts that the service may ask (for modules, registries); empty asks
            nobody.
        outbound_private_hosts: Those of them that may lie at private addresses, in plain text.
        outbound_seconds: How long one of them may take.
        outbound_bytes: Longest answer of a registry.
        max_modules: Most modules of a workflow.
        max_module_depth: Most modules inside each other.
        max_module_bytes: What may come for one module.
        modules_seconds: How long all modules of a workflow may take.
        registry_lookups: Ask registries whether the images of a workflow are there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_dir: Path
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=3000, ge=0, lt=1 << 16)
    grpc_host: str = "127.0.0.1"
    grpc_port: int = Field(default=3001, ge=0, lt=1 << 16)
    rpc_url: str = ""
    rpc_urls: tuple[str, ...] = ()
    chain_id: int | None = None
    metascheduler: str | None = None
    logger_endpoint: str = ""
    serve_logs: bool = True
    key_files: tuple[Path, ...] = ()
    redis_url: SecretStr | None = None
    redis_prefix: str = "dsq:"
    pre_hook_file: Path | None = None
    post_hook_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    allow_unsigned_logs: bool = False
    max_body_bytes: int = Field(default=4 << 20, gt=0)
    body_seconds: float = Field(default=30.0, gt=0)
    max_steps: int = Field(default=10_000, gt=0)
    max_depth: int = Field(default=32, gt=0)
    max_iterations: int = Field(default=1_000_000, gt=0)
    max_script_bytes: int = Field(default=32 << 20, gt=0)
    requests_per_minute: int = Field(default=600, ge=0)
    max_streams: int = Field(default=4000, gt=0)
    max_streams_per_address: int = Field(default=200, gt=0)
    trusted_proxies: tuple[Network, ...] = ()
    metrics_allow: tuple[Network, ...] = LOOPBACK
    max_log_line_bytes: int = Field(default=1 << 20, gt=0)
    max_log_bytes: int = Field(default=4 << 30, gt=0)
    max_customer_log_bytes: int = Field(default=32 << 30, gt=0)
    log_keep_seconds: float = Field(default=30 * DAY, gt=0)
    unseen_seconds: float = Field(default=DAY, gt=0)
    grace_seconds: float = Field(default=DAY, gt=0)
    cleanup_seconds: float = Field(default=600.0, gt=0)
    log_end_seconds: float = Field(default=15.0, gt=0)
    outbound_hosts: tuple[str, ...] = ()
    outbound_private_hosts: tuple[str, ...] = ()
    outbound_seconds: float = Field(default=30.0, gt=0)
    outbound_bytes: int = Field(default=4 << 20, gt=0)
    max_modules: int = Field(default=50, ge=0)
    max_module_depth: int = Field(default=8, gt=0)
    max_module_bytes: int = Field(default=16 << 20, gt=0)
    modules_seconds: float = Field(default=60.0, gt=0)
    registry_lookups: bool = False

    @model_validator(mode="after")
    def _belongs_together(self) -> ServiceSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key come together")
        if not self.serve_logs and not self.logger_endpoint:
            raise ValueError("serve_logs = false needs logger_endpoint, the service that does")
        if self.registry_lookups and not self.outbound_hosts:
            raise ValueError("registry_lookups needs outbound_hosts, the registries to ask")
        return self


PATHS = ("data_dir", "pre_hook_file", "post_hook_file", "tls_cert", "tls_key")


def read_settings(
    path: Path | None, defaults: Mapping[str, Any] | None = None, **chosen: Any
) -> ServiceSettings:
    """The settings of a TOML file and of flags, which win.

    Args:
        path: The file; None for none. Relative paths in it are below its folder.
        defaults: What neither gives.
        chosen: Fields by name; None counts as not given.

    Raises:
        SettingsError: The file cannot be read, or a field is unknown or wrong.
    """
    values: dict[str, Any] = {**(defaults or {}), **(_table(path) if path else {})}
    values.update({name: value for name, value in chosen.items() if value is not None})
    try:
        return ServiceSettings.model_validate(values)
    except ValidationError as error:
        where = str(path) if path else "The settings of the sbatch API"
        raise SettingsError(explain(error, where, ServiceSettings.model_fields)) from None


def _table(path: Path) -> Mapping[str, Any]:
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"The settings {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings {path} do not parse: {error}.") from error
    folder = path.absolute().parent
    for name in PATHS:
        if isinstance(values.get(name), str):
            values[name] = folder / Path(values[name]).expanduser()
    if isinstance(values.get("key_files"), list):
        values["key_files"] = [
            folder / Path(str(name)).expanduser() for name in values["key_files"]
        ]
    return values
