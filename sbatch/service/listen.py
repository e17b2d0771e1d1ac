"""Ports, certificates and the folder of the service: what a start may fail at."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import grpc
import grpc.aio
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from dsq.core.errors import SettingsError
from dsq.core.rpc.channel import is_loopback
from dsq.sbatch.service.settings import ServiceSettings

log = logging.getLogger("dsq.sbatch.service")

KEEP_ALIVE_SECONDS = 20
"""How long an idle connection is kept: longer than clients keep theirs (5 s is usual), so that
none sends a request into a connection that is being closed."""

HEADER_SECONDS = 30.0
"""How long a client may take to send the head of a request."""

MAX_REQUEST_BYTES = 4 << 20
"""Longest gRPC message from a client: some lines of a log."""

GRPC_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


def grpc_server(settings: ServiceSettings) -> tuple[Any, int]:
    """A ``grpc.aio`` server on its port, not started yet.

    Raises:
        SettingsError: The port or the certificate cannot be used.
    """
    credentials = _credentials(settings)
    server = grpc.aio.server(options=GRPC_OPTIONS)
    address = target(settings.grpc_host, settings.grpc_port)
    try:
        if credentials is None:
            return server, server.add_insecure_port(address)
        return server, server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise SettingsError(
            f"The gRPC services cannot listen on {address}.", hint="Choose another port."
        ) from error


def http_server(settings: ServiceSettings, app: Any) -> uvicorn.Server:
    """The HTTP server.

    Raises:
        SettingsError: The certificate cannot be used.
    """
    config = uvicorn.Config(
        app,
        http=_PatientProtocol,
        ws="websockets-sansio",
        ws_max_size=settings.max_body_bytes,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        lifespan="off",
        server_header=False,
        limit_concurrency=settings.max_streams,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(STOP_SECONDS),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"The certificate {settings.tls_cert} cannot be used.") from error
    return _QuietServer(config)


STOP_SECONDS = 1.0
"""How long open calls may take to end; readers that follow a log are then cut off."""


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the process decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _PatientProtocol(H11Protocol):
    """HTTP/1.1 that does not wait for ever for the head of a request."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_watch()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._end_watch()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _end_watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def _credentials(settings: ServiceSettings) -> Any:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be read: {error.strerror}.") from error
    return grpc.ssl_server_credentials([pair])


def warn_of_plain_text(settings: ServiceSettings) -> None:
    """Logs what an operator should not leave so."""
    if settings.tls_cert is None:
        for host in {settings.http_host, settings.grpc_host}:
            if not is_loopback(host):
                log.warning("plain text on host=%s: put TLS in front or set tls_cert", host)


def make_folder(path: Path) -> None:
    """Makes the data folder.

    Raises:
        SettingsError: It cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"The folder {path} cannot be used: {error.strerror}.") from error


def lock(folder: Path) -> IO[bytes]:
    """Takes the data folder for this process: two services would write over each other's logs."""
    file = (folder / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise SettingsError(
            f"Another sbatch API uses the folder {folder}.", hint="Stop it, or name another one."
        ) from error
    return file


def target(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket for HTTP.

    Raises:
        SettingsError: The port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named asyncio sets TCP_NODELAY; without it answers wait 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"The GraphQL API cannot listen on {target(host, port)}: {error.strerror}.",
            hint="Choose another port.",
        ) from error
    return listener
