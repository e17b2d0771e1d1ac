"""Connections to gRPC services, and their errors as dsq's."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dsq.core.errors import (
    DsqError,
    NotFoundError,
    SettingsError,
    TryAgainError,
    UnreachableError,
    UsageError,
    WalletError,
)

MAX_MESSAGE_BYTES = 64 << 20
"""Longest message a client takes; gRPC's own limit of 4 MiB would cut long scripts."""

TLS_SCHEMES = ("https", "grpcs")
PLAIN_SCHEMES = ("http", "grpc")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a gRPC service listens.

    Attributes:
        tls: Encrypted. Without a scheme in the text: only where the host is not loopback.
    """

    host: str
    port: int
    tls: bool

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Reads ``host:port``, or a URL of the schemes https, grpcs (TLS), http, grpc (plain).

        Raises:
            SettingsError: The text is none of these.
        """
        has_scheme = "://" in text
        try:
            parts = urlsplit(text if has_scheme else f"//{text}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port, parts = "", None, urlsplit("")
        tls = parts.scheme in TLS_SCHEMES if has_scheme else not is_loopback(host)
        known = not has_scheme or parts.scheme in TLS_SCHEMES + PLAIN_SCHEMES
        if has_scheme and port is None:
            port = 443 if tls else 80
        if not host or not port or not known or parts.path not in ("", "/"):
            raise SettingsError(
                f"'{text}' is not the address of a gRPC service.",
                hint="Write host:port, or https://host:port for TLS.",
            )
        return cls(host, port, tls)

    @property
    def target(self) -> str:
        """``host:port``, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Tells whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_channel(endpoint: Endpoint) -> Any:
    """A connection (``grpc.aio.Channel``) that opens with its first call.

    TLS trusts the system's certificates, or those that ``SSL_CERT_FILE`` names.
    """
    import grpc.aio

    options: list[tuple[str, int]] = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        # A proxy of the environment never stands between two parts of one machine.
        ("grpc.enable_http_proxy", int(not is_loopback(endpoint.host))),
    ]
    if not endpoint.tls:
        return grpc.aio.insecure_channel(endpoint.target, options=options)
    bundle = ssl.get_default_verify_paths().cafile
    roots = Path(bundle).read_bytes() if bundle else None
    credentials = grpc.ssl_channel_credentials(root_certificates=roots)
    return grpc.aio.secure_channel(endpoint.target, credentials, options=options)


def as_dsq_error(error: Any, service: str, endpoint: str) -> DsqError:
    """Turns a gRPC error into dsq's.

    Args:
        error: A ``grpc.aio.AioRpcError``.
        service: Name of the service for the sentence, as in "the log service".
        endpoint: Where it is.
    """
    return of_status(error.code(), error.details() or "", service, endpoint)


def of_status(status: Any, details: str, service: str, endpoint: str) -> DsqError:
    """What a ``grpc.StatusCode`` other than OK means; arguments as of :func:`as_dsq_error`."""
    import grpc

    details = details or "no reason given"
    where = f"{service} at {endpoint}"
    codes = grpc.StatusCode
    if status in (codes.UNAVAILABLE, codes.DEADLINE_EXCEEDED, codes.CANCELLED):
        return UnreachableError(
            f"{where[:1].upper()}{where[1:]} does not answer: {details}",
            hint="Check the endpoint and that the service runs.",
        )
    sentence = f"{where[:1].upper()}{where[1:]} refused: {details}"
    kinds: dict[Any, type[DsqError]] = {
        codes.UNAUTHENTICATED: WalletError,
        codes.PERMISSION_DENIED: WalletError,
        codes.NOT_FOUND: NotFoundError,
        codes.INVALID_ARGUMENT: UsageError,
        codes.FAILED_PRECONDITION: UsageError,
        codes.RESOURCE_EXHAUSTED: TryAgainError,
        codes.ABORTED: TryAgainError,
    }
    return kinds.get(status, DsqError)(sentence)
