"""The process of the sbatch API: HTTP on one port, gRPC on another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from dsq.core.clock import Clock, SystemClock
from dsq.core.errors import SettingsError
from dsq.core.model import Address
from dsq.core.rpc.gen.grpc.health.v1 import health_pb2
from dsq.core.rpc.gen.logger.v1alpha1 import logger_pb2
from dsq.core.rpc.gen.sbatchapi.v1alpha1 import sbatch_pb2
from dsq.sbatch.model import Workflow
from dsq.sbatch.service import grpcweb
from dsq.sbatch.service.engine import Engine
from dsq.sbatch.service.gate import Gate
from dsq.sbatch.service.graphql import WAITING_WORKERS, WORKERS, GraphQLEndpoint
from dsq.sbatch.service.health import HealthService
from dsq.sbatch.service.http import make_app
from dsq.sbatch.service.ledger import JobSource, Ledger
from dsq.sbatch.service.limits import Addresses, Budget, LocalBudget, NoLimit, StreamLimit
from dsq.sbatch.service.listen import (
    STOP_SECONDS,
    grpc_server,
    http_server,
    listen,
    lock,
    make_folder,
    target,
    warn_of_plain_text,
)
from dsq.sbatch.service.logs import LoggerService
from dsq.sbatch.service.logstore import LogStore, Quota
from dsq.sbatch.service.metrics import Metrics
from dsq.sbatch.service.prepare import Preparation
from dsq.sbatch.service.rpc import Charge, Method, add_methods, methods_of
from dsq.sbatch.service.scripts import AuthService, SBatchService
from dsq.sbatch.service.sealing import Sealer
from dsq.sbatch.service.settings import ServiceSettings
from dsq.sbatch.service.sqlite_store import SqliteScriptStore
from dsq.sbatch.service.store import ScriptStore
from dsq.sbatch.service.submit import Submissions

log = logging.getLogger("dsq.sbatch.service")

SWITCH_SECONDS = 0.0005
"""How long one thread of the process runs while others want to."""

READY_SECONDS = 3.0
"""How long the chain and the store may take each for the service to count as ready."""

SERVICE_NAMES: dict[type, str] = {
    AuthService: "AuthAPI",
    SBatchService: "SBatchAPI",
    LoggerService: "LoggerAPI",
    HealthService: "Health",
}


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
        self.metrics = Metrics()
        self._asking: asyncio.Task[str] | None = None
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
        make_folder(settings.data_dir)
        self._stack.callback(lock(settings.data_dir).close)
        sealer = Sealer.open(settings.data_dir, settings.key_files)
        self._store = self._open_store(sealer)
        self._stack.push_async_callback(self._store.close)
        self._logs = LogStore(
            settings.data_dir / "logs",
            sealer,
            self._clock,
            Quota(
                settings.max_log_bytes, settings.max_customer_log_bytes, settings.log_keep_seconds
            ),
            self.metrics.log_dropped.inc,
        )
        self._stack.push_async_callback(self._logs.close)
        self._gate = self._make_gate()
        ledger = Ledger(
            self._jobs,
            self._store,
            self._clock,
            self.metrics,
            unseen_seconds=settings.unseen_seconds,
            grace_seconds=settings.grace_seconds,
        )
        self._run(ledger.run(settings.cleanup_seconds), "clean-up")
        self._run(self._clean_logs(), "clean-up of logs")
        server, self.grpc_port = grpc_server(settings)
        self._stack.push_async_callback(server.stop, STOP_SECONDS)
        methods = self._methods(ledger)
        add_methods(server, methods)
        await server.start()
        await self._start_http(sealer, methods)
        log.info("listening http=%d grpc=%d", self.http_port, self.grpc_port)

    def _open_store(self, sealer: Sealer) -> ScriptStore:
        settings = self.settings
        if settings.redis_url is None:
            return SqliteScriptStore(settings.data_dir / "scripts.sqlite", sealer)
        from dsq.sbatch.service.redis_store import RedisScriptStore

        url = settings.redis_url.get_secret_value()
        return RedisScriptStore(url, sealer, prefix=settings.redis_prefix)

    def _make_gate(self) -> Gate:
        settings = self.settings
        budget: Budget = NoLimit()
        if settings.requests_per_minute:
            budget = LocalBudget(settings.requests_per_minute, self._clock.monotonic)
            if (shared := getattr(self._store, "budget", None)) is not None:
                budget = shared(settings.requests_per_minute)
        streams = StreamLimit(settings.max_streams, settings.max_streams_per_address)
        addresses = Addresses(settings.trusted_proxies)
        return Gate(budget, streams, addresses, self.metrics, settings.metrics_allow)

    def _methods(self, ledger: Ledger) -> list[Method]:
        settings = self.settings
        endpoint = settings.logger_endpoint or target(settings.grpc_host, self.grpc_port)
        logger = LoggerService(
            self._logs,
            self._jobs,
            self._clock,
            self.metrics,
            allow_unsigned=settings.allow_unsigned_logs,
            max_line_bytes=settings.max_log_line_bytes,
            end_seconds=settings.log_end_seconds,
        )
        services: list[tuple[Any, object, dict[str, Charge]]] = [
            (sbatch_pb2, AuthService(self._store, self._clock), {}),
            (
                sbatch_pb2,
                SBatchService(
                    self._store, self._jobs, ledger, self._clock, logger_endpoint=endpoint
                ),
                {},
            ),
            (health_pb2, HealthService(self.ready), {"Check": Charge.NEVER}),
        ]
        if settings.serve_logs:
            services.append((logger_pb2, logger, {"Write": Charge.WHEN_REFUSED}))
        found = []
        for module, servicer, charge in services:
            name = SERVICE_NAMES[type(servicer)]
            descriptor = module.DESCRIPTOR.services_by_name[name]
            found += methods_of(descriptor, servicer, self._gate, self.metrics, charge)
        return found

    async def _start_http(self, sealer: Sealer, methods: list[Method]) -> None:
        settings = self.settings
        render = self._render or _renderer(settings)
        preparation = Preparation(settings, self._clock)
        submissions = Submissions(
            self._store, settings, self._clock, render, self.metrics, preparation
        )
        endpoint = GraphQLEndpoint(
            Engine(),
            submissions,
            sealer,
            self._clock,
            self._gate,
            max_body_bytes=settings.max_body_bytes,
            body_seconds=settings.body_seconds,
            workers=WAITING_WORKERS if settings.outbound_hosts else WORKERS,
        )
        self._stack.callback(endpoint.close)
        listener = listen(settings.http_host, settings.http_port)
        self._stack.callback(listener.close)
        self.http_port = listener.getsockname()[1]
        web = grpcweb.routes(
            methods, max_body_bytes=settings.max_body_bytes, body_seconds=settings.body_seconds
        )
        app = make_app(endpoint, self.ready, self._gate, self.metrics, web)
        server = http_server(settings, app)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        self._stack.push_async_callback(_stop_http, server, serving)
        while not server.started:
            if serving.done():
                await serving
                raise SettingsError("The HTTP server did not start; its log says why.")
            await asyncio.sleep(0.01)

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._stack.push_async_callback(_end, asyncio.create_task(work, name=name))

    async def _clean_logs(self) -> None:
        while True:
            await self._clock.sleep(self.settings.cleanup_seconds)
            try:
                await self._logs.clean()
            except Exception as error:
                log.warning("clean-up of logs put off error=%s", type(error).__name__)

    async def ready(self) -> str:
        """Returns "" when the chain and the store answer, else one sentence.

        Who asks while somebody else does gets the same answer: it costs a question to the chain.
        """
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)

    def _asked(self, _task: asyncio.Task[str]) -> None:
        self._asking = None

    async def _ask(self) -> str:
        chain = await _answers(self._jobs.job_count())
        store = await _answers(self._store.cursor())
        self.metrics.chain_up.set(chain)
        self.metrics.store_up.set(store)
        if not chain:
            return "The chain does not answer."
        return "" if store else "The store does not answer."

    async def stop(self) -> None:
        """Lets open calls end, then closes everything."""
        await self._stack.aclose()


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
    warn_of_plain_text(settings)
    # Workers that render must not keep the loop waiting for its turn.
    sys.setswitchinterval(SWITCH_SECONDS)
    ended = stop or asyncio.Event()
    async with await Chain.connect(
        (settings.rpc_url, *settings.rpc_urls),
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


async def _answers(question: Awaitable[object]) -> bool:
    try:
        async with asyncio.timeout(READY_SECONDS):
            await question
    except Exception:
        return False
    return True


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _stop_http(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    server.should_exit = True
    await serving
