"""Keeps a local grid running: starts every part, restarts what dies, ends it in order.

One keeper a home: it holds a lock for its life. Killed at any moment, it leaves the
parts running; the next one stops the leftovers and starts again from what the home,
the chain and the journals know.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from dataclasses import replace
from pathlib import Path

from dsq.console.local import clusters, processes
from dsq.console.local.closing import close_providers
from dsq.console.local.held import gate
from dsq.console.local.home import Home, Options, State, port_is_free
from dsq.console.local.ledger import Ledger, operator_wallet, settle, start_node
from dsq.console.local.progress import Tell
from dsq.core.chain import Chain, DevChain, Sender
from dsq.core.config import GridConfig
from dsq.core.errors import ContractError, DsqError, SettingsError, TryAgainError, UnreachableError
from dsq.core.loopback import free_port
from dsq.core.model import Address

log = logging.getLogger("dsq.console.local.keeper")

PORTS = ("rpc", "http", "grpc", "oracle")
READY_SECONDS = 90.0
CHECK_SECONDS = 1.0
RESTART_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Waits before a service that died is started again; the last one repeats."""


class Keeper:
    """The parts of one local grid, from start to end."""

    def __init__(self, home: Home, options: Options, tell: Tell) -> None:
        self.home = home
        self.options = options
        self.tell = tell
        self.names = home.provider_names(options.providers)
        self.state = home.load_state() or State(options)
        self.node: DevChain | None = None
        self.ledger: Ledger | None = None
        self._restarts: dict[str, tuple[int, float]] = {}
        self._begun_clusters: list[str] = []

    # -- start -------------------------------------------------------------------

    async def start(self) -> str:
        """Brings everything up and returns the text of ``grid.json``.

        Raises:
            DsqError: A part cannot be started, with the reason.
        """
        clusters.check_cluster(self.options)
        self.home.create()
        known = self.home.load_state()
        self.state = replace(known, options=self.options) if known else State(self.options)
        await self.stop_leftovers()
        self._choose_ports()
        self.home.save_state(self.state)
        gate(self.home).unlink(missing_ok=True)
        for service in self.services():
            self._spawn(service)  # They load meanwhile, and begin when the gate opens.
        self.node = await start_node(self.home, self.options, self.state.ports["rpc"], self.tell)
        async with contextlib.AsyncExitStack() as stack:
            if self.node is not None:
                await stack.enter_async_context(self.node.at_once())
            await self._settle()
            await self._wait_ready()
        text = self.home.write_grid(self.config())
        self.tell("ready      the grid takes jobs")
        return text

    async def _settle(self) -> None:
        """Contracts, keys and clusters; then the services may begin."""
        self.tell(f"clusters   {self.options.cluster}, {len(self.names)} provider(s)")
        self._begun_clusters = clusters.at_rest(self.home, self.options, self.names)
        starting = asyncio.ensure_future(
            clusters.start_clusters(self.home, self.options, self.names)
        )
        try:
            ledger = await settle(self.home, self.options, self.node, self.names, self.tell)
            await asyncio.shield(starting)
        except BaseException:
            # A daemon that is just being started would not be found by who stops it.
            await asyncio.gather(starting, return_exceptions=True)
            raise
        self.ledger = ledger
        self.state.metascheduler = str(ledger.metascheduler)
        for name in self.names:
            clusters.write_provider(self.home, self.state, ledger, name)
        self.home.save_state(self.state)
        gate(self.home).touch()

    def services(self) -> list[str]:
        """Names of the services, in the order of their start."""
        return ["sbatch", "metascheduler", *(f"provider-{name}" for name in self.names)]

    def _choose_ports(self) -> None:
        for name in PORTS:
            port = self.state.ports.get(name)
            if port is None:
                self.state.ports[name] = free_port()
            elif not port_is_free(port):
                raise SettingsError(
                    f"Port {port} of this home's {name} endpoint is in use by another program.",
                    hint=f"End it, or remove 'ports' from {self.home.state_file}.",
                )

    def _spawn(self, service: str) -> None:
        module = "dsq.console.local.service"
        processes.start(
            [sys.executable, "-m", module, service, "--home", str(self.home.path)],
            pid_file=self._pid_file(service),
            log_file=self.home.logs / f"{service}.log",
            env=processes.clean_environment(),
        )

    def _pid_file(self, service: str) -> Path:
        return self.home.run / f"{service}.pid"

    async def _wait_ready(self) -> None:
        self.tell("services   sbatch, meta-scheduler and providers begin")
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        async with await self._chain() as chain:
            waiting = set(self.services())
            while waiting:
                self._check_started(waiting)
                await self.approve(chain)
                waiting = {name for name in waiting if not await self._is_ready(name, chain)}
                if asyncio.get_running_loop().time() > deadline:
                    raise TryAgainError(
                        f"Not ready after {READY_SECONDS:.0f} s: {', '.join(sorted(waiting))}.",
                        hint=f"Their logs are in {self.home.logs}.",
                    )
                await asyncio.sleep(0.1)

    def _check_started(self, waiting: set[str]) -> None:
        for service in sorted(waiting):
            if processes.find(self._pid_file(service)) is None:
                raise SettingsError(
                    f"The service {service} ended while it started: "
                    f"{last_line(self.home.logs / f'{service}.log')}",
                    hint=f"Its log is {self.home.logs / f'{service}.log'}.",
                )

    async def _is_ready(self, service: str, chain: Chain) -> bool:
        ports = self.state.ports
        if service == "sbatch":
            return await _answers(ports["http"]) and await _answers(ports["grpc"])
        if service == "metascheduler":
            return await _answers(ports["oracle"])
        address = Address.parse(self.home.key(service).address)
        return (await chain.provider(address)).is_valid

    async def _chain(self) -> Chain:
        assert self.ledger is not None
        return await Chain.connect(
            self.ledger.rpc_url,
            chain_id=self.ledger.chain_id,
            metascheduler=self.ledger.metascheduler,
        )

    async def approve(self, chain: Chain) -> None:
        """Approves this home's providers that wait with new data."""
        waiting = []
        for name in self.names:
            address = Address.parse(self.home.key(f"provider-{name}").address)
            if (await chain.proposal(address)).is_waiting:
                waiting.append(address)
        if not waiting:
            return
        sender = Sender(chain, operator_wallet(self.home, self.options))
        await sender.start()
        try:
            for address in waiting:
                # Another approval may come first; a banned provider stays banned.
                with contextlib.suppress(ContractError):
                    await sender.send(chain.calls.approve_provider(address))
        finally:
            await sender.close()

    def config(self) -> GridConfig:
        """What clients need to use this grid."""
        assert self.ledger is not None
        ports = self.state.ports
        operator = self.home.key("operator")
        if self.options.operator_key:
            operator = operator.model_copy(
                update={
                    "address": str(operator_wallet(self.home, self.options).address),
                    "key_file": Path(self.options.operator_key),
                    "passphrase_file": Path(self.options.operator_passphrase),
                }
            )
        return GridConfig(
            name=str(self.home.path),
            rpc_url=self.ledger.rpc_url,
            ws_url=self.ledger.ws_url,
            chain_id=self.ledger.chain_id,
            metascheduler=str(self.ledger.metascheduler),
            sbatch_url=f"http://127.0.0.1:{ports['http']}/graphql",
            sbatch_grpc=f"127.0.0.1:{ports['grpc']}",
            logger_grpc=f"127.0.0.1:{ports['grpc']}",
            oracle_url=f"http://127.0.0.1:{ports['oracle']}/",
            home=self.home.path,
            user=self.home.key("user"),
            operator=operator,
            providers=tuple(
                self.home.key(f"provider-{name}").model_copy(update={"name": name})
                for name in self.names
            ),
        )

    # -- life --------------------------------------------------------------------

    async def keep(self, stop: asyncio.Event) -> None:
        """Restarts what dies and approves changed providers, until ``stop`` is set."""
        rounds = 0
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await stop.wait()
                return
            rounds += 1
            try:
                await self._look_after(rounds)
            except DsqError as error:
                log.warning("looking after the grid: %s", error)

    async def _look_after(self, rounds: int) -> None:
        if self.node is not None and not self.node.is_running():
            log.warning("the chain's node ended; starting it again")
            await self.node.start()
        if rounds % 30 == 0:
            await clusters.start_clusters(self.home, self.options, self.names)
        for service in self.services():
            if processes.find(self._pid_file(service)) is None:
                self._restart(service)
        if rounds % 5 == 0:
            with contextlib.suppress(UnreachableError):
                async with await self._chain() as chain:
                    await self.approve(chain)

    def _restart(self, service: str) -> None:
        now = asyncio.get_running_loop().time()
        count, due = self._restarts.get(service, (0, now))
        if now < due:
            return
        log.warning(
            "%s ended (%s); starting it again",
            service,
            last_line(self.home.logs / f"{service}.log"),
        )
        wait = RESTART_SECONDS[min(count, len(RESTART_SECONDS) - 1)]
        self._restarts[service] = (count + 1, now + wait)
        self._spawn(service)

    # -- end ---------------------------------------------------------------------

    async def stop_leftovers(self) -> None:
        """Stops services that an earlier keeper left behind; jobs and clusters go on."""
        await asyncio.gather(
            *(processes.stop(path) for path in sorted(self.home.run.glob("*.pid")))
        )
        await DevChain.stop_leftover(self.home.chain)

    async def give_up(self) -> None:
        """After a start that failed: ends what it has started.

        A cluster that ran before goes on, and so do jobs of an earlier life: the next start
        finds them.
        """
        await self.stop_leftovers()
        await clusters.stop_clusters(
            self.home, self.options, self._begun_clusters, cancel_jobs=False
        )

    async def stop(self, *, wait: bool = False) -> None:
        """Ends jobs (unless their cluster is outside), then the services, the chain last."""
        if self._chain_runs():
            await close_providers(self.home, self.options, wait=wait, tell=self.tell)
        self.tell("services   stopping")
        await self.stop_services()
        await clusters.stop_clusters(self.home, self.options, self.names)
        self.tell("chain      stopping")
        await DevChain.stop_leftover(self.home.chain)

    def _chain_runs(self) -> bool:
        """False when the local node has ended: then nothing can be settled any more."""
        if self.options.chain != "local":
            return True
        return DevChain(self.home.chain, self.state.ports.get("rpc", 0), Path()).is_running()

    async def stop_services(self) -> None:
        """Providers before the services that they report to."""
        for group in (
            [f"provider-{name}" for name in self.names],
            ["metascheduler", "sbatch"],
        ):
            await asyncio.gather(*(processes.stop(self._pid_file(name)) for name in group))


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def last_line(path: Path) -> str:
    """The last line of a log file, for one sentence about an end."""
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return "no log"
    return lines[-1] if lines else "its log is empty"
