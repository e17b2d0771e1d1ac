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
from dsq.core.errors import SettingsError, WalletError
from dsq.core.metascheduler.loop import MetaScheduler
from dsq.core.metascheduler.memory import Memory
from dsq.core.metascheduler.oracle import create_app
from dsq.core.model import Address
from dsq.core.wallet import Wallet

log = logging.getLogger("dsq.core.metascheduler.service")


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
    """

    rpc_url: str
    chain_id: int
    metascheduler: str
    state_dir: Path
    ws_url: str | None = None
    host: str = "127.0.0.1"
    port: int = 3000

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
        UnreachableError: The chain does not answer at the start.
        WalletError: The key has not the role.
        WrongChainError: It is another chain.
    """
    listener = _listen(settings.host, settings.port)
    try:
        async with await Chain.connect(
            settings.rpc_url,
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
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    sender = Sender(chain, wallet, store=settings.state_dir / "sender.sqlite")
    memory = Memory(
        settings.state_dir / "metascheduler.json",
        f"{settings.chain_id}/{settings.metascheduler_address.lower}",
    )
    service = MetaScheduler(chain, sender, memory=memory)
    server = _Server(
        uvicorn.Config(
            create_app(service, chain), log_config=None, access_log=False, lifespan="off"
        )
    )
    host, port = listener.getsockname()[:2]
    log.info("oracle listens url=http://%s:%d/", host, port)
    await sender.start()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await service.run(stop)
    finally:
        server.should_exit = True
        await serving
        await sender.close()


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
