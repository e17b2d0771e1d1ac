"""The process of the sbatch API: HTTP on one port, gRPC on another."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import grpc
import grpc.aio
import uvicorn

from dsq.core.clock import Clock, SystemClock
from dsq.core.errors import DsqError, SettingsError
from dsq.core.model import Address
from dsq.core.rpc.channel import is_loopback
from dsq.core.rpc.gen.grpc.health.v1 import health_pb2_grpc
from dsq.core.rpc.gen.logger.v1alpha1 import logger_pb2_grpc
from dsq.core.rpc.gen.sbatchapi.v1alpha1 import sbatch_pb2_grpc
from dsq.sbatch.model import Workflow
from dsq.sbatch.service.engine import Engine
from dsq.sbatch.service.graphql import GraphQLEndpoint, make_app
from dsq.sbatch.service.health import HealthService
from dsq.sbatch.service.ledger import JobSource, Ledger
from dsq.sbatch.service.logs import LoggerService
from dsq.sbatch.service.logstore import LogStore
from dsq.sbatch.service.scripts import AuthService, SBatchService
from dsq.sbatch.service.sealing import Sealer
from dsq.sbatch.service.settings import ServiceSettings
from dsq.sbatch.service.store import SqliteScriptStore
from dsq.sbatch.service.submit import Submissions

log = logging.getLogger("dsq.sbatch.service")

STOP_SECONDS = 1.0
"""How long open calls may take to end; readers that follow a log are then cut off."""

READY_SECONDS = 3.0
"""How long the chain may take to answer for the service to count as ready."""

MAX_REQUEST_BYTES = 4 << 20
"""Longest gRPC message from a client: one log line and some more."""

GRPC_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


class Service:
    """The running service. ``http_port`` and ``grpc_port`` are known after :meth:`start`.

    Args:
        jobs: The chain's jobs.
        clock: Time for expiry and signatures.
        render: Makes the batch script of a workflow; None takes dsq's renderer.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        jobs: JobSource,
        clock: Clock | None = None,
        render: Callable[[Workflow], str] | None = None,
    ) -> None:
        self.settings = settings
        self.http_port = 0
        self.grpc_port = 0
        self._jobs = jobs
        self._clock = clock or SystemClock()
        self._render = render
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Opens the stores and both ports.

        Raises:
            SettingsError: The data folder, a port or a certificate cannot be used.
        """
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        settings = self.settings
        _make_folder(settings.data_dir)
        self._stack.callback(_lock(settings.data_dir).close)
        sealer = Sealer.open(settings.data_dir)
        self._store = SqliteScriptStore(settings.data_dir / "scripts.sqlite", sealer)
        self._stack.push_async_callback(self._store.close)
        self._logs = LogStore(settings.data_dir / "logs", sealer, self._clock)
        self._stack.push_async_callback(self._logs.close)
        ledger = Ledger(
            self._jobs,
            self._store,
            self._clock,
            unseen_seconds=settings.unseen_seconds,
            grace_seconds=settings.grace_seconds,
        )
        cleaning = asyncio.create_task(ledger.run(settings.cleanup_seconds), name="clean-up")
        self._stack.push_async_callback(_end, cleaning)
        await self._start_grpc(ledger)
        await self._start_http(sealer)
        log.info("listening http=%d grpc=%d", self.http_port, self.grpc_port)

    async def _start_grpc(self, ledger: Ledger) -> None:
        settings = self.settings
        credentials = _credentials(settings)
        server = grpc.aio.server(options=GRPC_OPTIONS)
        self._stack.push_async_callback(server.stop, STOP_SECONDS)
        address = _target(settings.grpc_host, settings.grpc_port)
        try:
            if credentials is None:
                self.grpc_port = server.add_insecure_port(address)
            else:
                self.grpc_port = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise SettingsError(
                f"The gRPC services cannot listen on {address}.", hint="Choose another port."
            ) from error
        own = _target(settings.grpc_host, self.grpc_port)
        self._add_services(server, ledger, settings.logger_endpoint or own)
        await server.start()

    def _add_services(self, server: Any, ledger: Ledger, logger_endpoint: str) -> None:
        settings = self.settings
        auth = AuthService(self._store, self._clock)
        scripts = SBatchService(
            self._store, self._jobs, ledger, self._clock, logger_endpoint=logger_endpoint
        )
        logger = LoggerService(
            self._logs,
            self._jobs,
            self._clock,
            allow_unsigned=settings.allow_unsigned_logs,
            max_line_bytes=settings.max_log_line_bytes,
            end_seconds=settings.log_end_seconds,
        )
        add: Any = sbatch_pb2_grpc.add_AuthAPIServicer_to_server
        add(auth, server)
        add = sbatch_pb2_grpc.add_SBatchAPIServicer_to_server
        add(scripts, server)
        add = logger_pb2_grpc.add_LoggerAPIServicer_to_server
        add(logger, server)
        add = health_pb2_grpc.add_HealthServicer_to_server
        add(HealthService(self.ready), server)

    async def _start_http(self, sealer: Sealer) -> None:
        settings = self.settings
        render = self._render or _renderer(settings)
        submissions = Submissions(self._store, settings, self._clock, render)
        endpoint = GraphQLEndpoint(
            Engine(), submissions, sealer, self._clock, max_body_bytes=settings.max_body_bytes
        )
        self._stack.callback(endpoint.close)
        listener = _listen(settings.http_host, settings.http_port)
        self._stack.callback(listener.close)
        self.http_port = listener.getsockname()[1]
        config = uvicorn.Config(
            make_app(endpoint, self.ready),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=int(STOP_SECONDS),
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
        )
        server = _QuietServer(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        self._stack.push_async_callback(_stop_http, server, serving)
        while not server.started:
            if serving.done():
                await serving
                raise SettingsError("The HTTP server did not start; its log says why.")
            await asyncio.sleep(0.01)

    async def ready(self) -> str:
        """Returns "" when the chain and the store answer, else one sentence."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._jobs.job_count()
        except (DsqError, TimeoutError):
            return "The chain does not answer."
        try:
            await self._store.cursor()
        except Exception:
            return "The store does not answer."
        return ""

    async def stop(self) -> None:
        """Lets open calls end, then closes everything."""
        await self._stack.aclose()


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the process decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    settings: ServiceSettings,
    stop: asyncio.Event | None = None,
    *,
    on_ready: Callable[[Service], None] | None = None,
) -> None:
    """Runs the sbatch API until ``stop`` is set, or the process gets SIGINT or SIGTERM.

    Args:
        on_ready: Called once both ports listen.

    Raises:
        SettingsError: A setting cannot be used.
        UnreachableError: The chain does not answer at the start.
        WrongChainError: The endpoint serves another chain.
    """
    from dsq.core.chain import Chain

    if not settings.rpc_url or not settings.metascheduler:
        raise SettingsError(
            "The sbatch API needs the chain.", hint="Set rpc_url, chain_id and metascheduler."
        )
    _warn_of_plain_text(settings)
    ended = stop or asyncio.Event()
    async with await Chain.connect(
        settings.rpc_url,
        chain_id=settings.chain_id,
        metascheduler=Address.parse(settings.metascheduler),
    ) as chain:
        service = Service(settings, chain)
        await service.start()
        try:
            if on_ready is not None:
                on_ready(service)
            with _signals(ended) if stop is None else contextlib.nullcontext():
                await ended.wait()
        finally:
            await service.stop()


@contextlib.contextmanager
def _signals(ended: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _renderer(settings: ServiceSettings) -> Callable[[Workflow], str]:
    from dsq.sbatch.render import RenderSettings, render

    render_settings = RenderSettings(
        pre_hook=_hook(settings.pre_hook_file), post_hook=_hook(settings.post_hook_file)
    )
    return lambda workflow: render(workflow, settings=render_settings)


def _hook(path: Path | None) -> str:
    try:
        return path.read_text() if path else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The hook {path} cannot be read: {error}.") from error


def _credentials(settings: ServiceSettings) -> Any:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be read: {error.strerror}.") from error
    return grpc.ssl_server_credentials([pair])


def _warn_of_plain_text(settings: ServiceSettings) -> None:
    if settings.tls_cert is None:
        for host in {settings.http_host, settings.grpc_host}:
            if not is_loopback(host):
                log.warning("plain text on host=%s: put TLS in front or set tls_cert", host)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"The folder {path} cannot be used: {error.strerror}.") from error


def _lock(folder: Path) -> IO[bytes]:
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


def _target(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
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
            f"The GraphQL API cannot listen on {_target(host, port)}: {error.strerror}.",
            hint="Choose another port.",
        ) from error
    return listener


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _stop_http(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    server.should_exit = True
    await serving
