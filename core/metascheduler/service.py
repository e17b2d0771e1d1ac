"""The meta-scheduler as a process: the service and its oracle until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from dsq.core.chain import Chain, Sender
from dsq.core.chain.follower import MAX_REORG
from dsq.core.errors import SettingsError, WalletError
from dsq.core.metascheduler.lease import lease as lease_of
from dsq.core.metascheduler.lease import refuse
from dsq.core.metascheduler.loop import MetaScheduler
from dsq.core.metascheduler.memory import Memory
from dsq.core.metascheduler.oracle import create_app
from dsq.core.model import Address
from dsq.core.place import Place
from dsq.core.wallet import Wallet

log = logging.getLogger("dsq.core.metascheduler.service")

STANDBY_SECONDS = 1.0
"""Pause between looks whether the active one has ended."""


@dataclass(frozen=True, slots=True)
class MetaSchedulerSettings:
    """How a meta-scheduler runs.

    Attributes:
        rpc_url: JSON-RPC over HTTP.
        chain_id: The chain it must be.
        metascheduler: Address of the grid's contract.
        ws_url: WebSocket endpoint for faster news; None polls.
        host: Where the oracle listens.
        port: 0 takes a free one.
        state_dir: Folder for its snapshot and unsent transactions.
        rpc_urls: Further nodes of the same chain, asked when ``rpc_url`` fails.
        reorg_depth: Blocks that the chain may go back.
        fee_cap: The most that a unit of gas may cost, in wei; None for no limit.
        standby: Wait while another one with this key is at work on this machine.
    """

    rpc_url: str
    chain_id: int
    metascheduler: str
    state_dir: Path
    ws_url: str | None = None
    host: str = "127.0.0.1"
    port: int = 3000
    rpc_urls: tuple[str, ...] = ()
    reorg_depth: int = MAX_REORG
    fee_cap: int | None = None
    standby: bool = False

    @property
    def metascheduler_address(self) -> Address:
        return Address.parse(self.metascheduler)


class _Server(uvicorn.Server):
    """Leaves signals to the process that embeds it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run_metascheduler(
    settings: MetaSchedulerSettings, wallet: Wallet, stop: asyncio.Event
) -> None:
    """Runs the meta-scheduler and its oracle until ``stop`` is set.

    Args:
        settings: Where the grid is and where to listen.
        wallet: A key with ``METASCHEDULER_ROLE`` and coins for gas.
        stop: Ends the run.

    Raises:
        SettingsError: The oracle's address cannot be listened on.
        AnotherMetaSchedulerError: Another one with this key is at work on this machine.
        ReorgError: The chain went back further than is allowed.
        UnreachableError: The chain does not answer at the start.
        WalletError: The key has not the role.
        WrongChainError: It is another chain.
    """
    listener = _listen(settings.host, settings.port)
    try:
        async with await Chain.connect(
            (settings.rpc_url, *settings.rpc_urls),
            chain_id=settings.chain_id,
            metascheduler=settings.metascheduler_address,
            ws_url=settings.ws_url,
        ) as chain:
            await _serve(settings, chain, wallet, listener, stop)
    finally:
        listener.close()


async def _serve(
    settings: MetaSchedulerSettings,
    chain: Chain,
    wallet: Wallet,
    listener: socket.socket,
    stop: asyncio.Event,
) -> None:
    if not await chain.has_role("MetaScheduler", "METASCHEDULER_ROLE", wallet.address):
        raise WalletError(
            f"{wallet.address} may not place jobs: it has no METASCHEDULER_ROLE.",
            hint="The grid's operator grants it on the MetaScheduler contract.",
        )
    contract = settings.metascheduler_address
    lease = lease_of(settings.state_dir, settings.chain_id, contract, wallet.address)
    holder = lease.take()
    if holder and not settings.standby:
        raise refuse(holder)
    sender = Sender(
        chain, wallet, store=settings.state_dir / "sender.sqlite", fee_cap=settings.fee_cap
    )
    memory = Memory(
        settings.state_dir / "metascheduler.json", f"{settings.chain_id}/{contract.lower}"
    )
    service = MetaScheduler(chain, sender, memory=memory, max_reorg=settings.reorg_depth)
    server = _Server(
        uvicorn.Config(
            create_app(service, chain), log_config=None, access_log=False, lifespan="off"
        )
    )
    host, port = listener.getsockname()[:2]
    log.info("oracle listens url=http://%s:%d/", host, port)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _stand_by(service, lease, holder, stop)
        if not stop.is_set():
            await sender.start()
            await service.run(stop)
    finally:
        server.should_exit = True
        await serving
        await sender.close()
        lease.release()


async def _stand_by(service: MetaScheduler, lease: Place, holder: str, stop: asyncio.Event) -> None:
    """Waits until the active one has ended."""
    if not holder:
        return
    service.is_standby = True
    log.warning("standby=yes another=%r", holder)
    while holder and not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STANDBY_SECONDS):
                await stop.wait()
        holder = lease.take()
    if not stop.is_set():
        log.warning("standby=no active=yes")
        service.is_standby = False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"The oracle cannot listen on {host}:{port}: {error.strerror}.",
            hint="Choose another address with --listen.",
        ) from error
    return listener
