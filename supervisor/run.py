"""Building a supervisor from its settings, and running it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from dsq.core.clock import Clock, SystemClock
from dsq.core.errors import DsqError, SettingsError
from dsq.core.wallet import Wallet, load_wallet
from dsq.supervisor.agent import Agent
from dsq.supervisor.control import ControlFile
from dsq.supervisor.ending import Ending
from dsq.supervisor.health import served
from dsq.supervisor.hearing import EVENTS
from dsq.supervisor.journal import Journal
from dsq.supervisor.lock import only_supervisor
from dsq.supervisor.logcontext import RecentLines
from dsq.supervisor.metrics import Metrics
from dsq.supervisor.overview import snapshot
from dsq.supervisor.ports import Feed
from dsq.supervisor.scheduler.build import build_scheduler
from dsq.supervisor.scheduler.port import Free
from dsq.supervisor.settings import ProviderSettings, account_problem, check_files
from dsq.supervisor.snapshot import AgentSnapshot
from dsq.supervisor.tokens import seed_of

if TYPE_CHECKING:
    from dsq.core.chain import Chain, Cursor

log = logging.getLogger("dsq.supervisor.run")

LOOK_SECONDS = 0.5
"""Between snapshots, and looks at the control file."""

FREE_SECONDS = 5.0


class JournalCursor:
    """Keeps the follower's place in the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def load(self) -> Cursor | None:
        """See :class:`dsq.core.chain.CursorStore`."""
        from dsq.core.chain import Cursor

        text = self._journal.get_meta("cursor")
        with contextlib.suppress(ValueError):
            return Cursor.from_json(text) if text else None
        return None

    def save(self, cursor: Cursor) -> None:
        """See :class:`dsq.core.chain.CursorStore`."""
        self._journal.set_meta("cursor", cursor.to_json())


def check_account(settings: ProviderSettings, *, shared_account: bool = False) -> None:
    """Makes sure that jobs do not run as the account that owns the wallet.

    Raises:
        SettingsError: They would, and neither the settings nor a flag allow it.
    """
    problem = account_problem(settings)
    if problem and not (shared_account or settings.shared_account):
        raise SettingsError(
            problem,
            hint="Name another account with cluster.job_user (or cluster.user on another host), "
            "or accept it with --shared-account.",
        )


@contextlib.asynccontextmanager
async def built_agent(
    settings: ProviderSettings, wallet: Wallet, *, clock: Clock | None = None
) -> AsyncIterator[Agent]:
    """An agent with all its connections, which are closed after the ``with``.

    Raises:
        UnreachableError: The chain does not answer. A silent cluster or service is waited for.
        WrongChainError: The endpoint serves another chain.
        SettingsError: There is no grid at the contract's address, or the journal is unusable.
        AnotherSupervisorError: Another supervisor uses the key or the journal.
    """
    # gRPC has no part in the programs that are started here; unset, it says so at each one.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    from dsq.core.chain import Chain, Sender
    from dsq.core.rpc.logger import LogWriter
    from dsq.core.rpc.sbatch import SBatchClient

    clock = clock or SystemClock()
    contract = settings.chain.metascheduler_address
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(
            only_supervisor(settings.state_dir, settings.chain.chain_id, contract, wallet.address)
        )
        chain = await Chain.connect(
            settings.chain.endpoints,
            chain_id=settings.chain.chain_id,
            metascheduler=contract,
            ws_url=settings.chain.ws_url,
        )
        stack.push_async_callback(chain.close)
        journal = Journal(settings.state_dir / "journal.db", now=clock.now)
        stack.callback(journal.close)
        _check_grid(journal, settings)
        sender = Sender(
            chain, wallet, store=settings.state_dir / "tx.db", fee_cap=settings.chain.fee_cap
        )
        await sender.start()
        stack.push_async_callback(sender.close)
        scheduler = build_scheduler(settings, clock, customer_of=journal.customer_of)
        stack.push_async_callback(scheduler.close)
        scripts = SBatchClient(settings.services.sbatch_grpc, wallet)
        stack.push_async_callback(scripts.close)
        logs = None
        if settings.services.logger_grpc:
            logs = LogWriter(settings.services.logger_grpc, wallet)
            stack.push_async_callback(logs.close)
        yield Agent(
            settings,
            wallet.address,
            chain,
            sender,
            scheduler,
            scripts,
            logs,
            journal,
            clock,
            feed=lambda start: _follower(chain, journal, start, settings.chain.reorg_depth),
            token_seed=seed_of(wallet, settings.chain.chain_id, contract),
        )


def _follower(chain: Chain, journal: Journal, start: int, max_reorg: int) -> Feed:
    from dsq.core.chain import Follower

    cursor = JournalCursor(journal)
    return Follower(chain, cursor, names=EVENTS, start_block=start, max_reorg=max_reorg)


def _check_grid(journal: Journal, settings: ProviderSettings) -> None:
    """A journal belongs to one grid: its job numbers mean nothing on another."""
    grid = f"{settings.chain.chain_id}/{settings.chain.metascheduler_address.lower}"
    known = journal.get_meta("grid")
    if known is None:
        journal.set_meta("grid", grid)
    elif known != grid:
        raise SettingsError(
            f"The journal {journal.path} belongs to another grid ({known}, not {grid}).",
            hint="Give this provider a state_dir of its own.",
        )


async def run_provider(
    settings: ProviderSettings,
    *,
    stop: asyncio.Event,
    on_snapshot: Callable[[AgentSnapshot], None] | None = None,
    on_ready: Callable[[Agent], None] | None = None,
    wallet: Wallet | None = None,
    shared_account: bool = False,
) -> None:
    """Runs a provider until ``stop`` is set; jobs go on in Slurm after it.

    Args:
        settings: The provider's settings.
        stop: Ends it, within five seconds.
        on_snapshot: Called twice a second with what there is to show.
        on_ready: Called once with the agent, for ``pause``, ``resume``, ``drain`` and the like.
        wallet: The provider's key; None opens the one that the settings name.
        shared_account: Jobs may run as the account that owns the wallet.

    Raises:
        DsqError: It could not be started, with the reason (see :func:`built_agent`).
    """
    check_account(settings, shared_account=shared_account)
    check_files(settings)
    wallet = wallet or load_wallet(settings.wallet.ref)
    lines = RecentLines()
    logger = logging.getLogger("dsq")
    logger.addHandler(lines)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    try:
        metrics = Metrics()
        async with (
            built_agent(settings, wallet) as agent,
            served(agent, metrics, settings.http.listen),
        ):
            metrics.watch(agent)
            control = ControlFile(settings.state_dir)
            control.apply(agent)
            if on_ready is not None:
                on_ready(agent)
            looking = asyncio.create_task(_look(agent, control, lines, on_snapshot))
            try:
                await agent.run(stop)
            finally:
                looking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await looking
                if on_snapshot is not None:
                    on_snapshot(snapshot(agent, lines=lines))
    except BaseExceptionGroup as group:
        raise first_error(group) from group
    finally:
        logger.removeHandler(lines)


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, however deep."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _look(
    agent: Agent,
    control: ControlFile,
    lines: RecentLines,
    on_snapshot: Callable[[AgentSnapshot], None] | None,
) -> None:
    free: Free | None = None
    asked = float("-inf")
    clock = agent.services.clock
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        control.apply(agent)
        if on_snapshot is None:
            continue
        if clock.monotonic() - asked >= FREE_SECONDS and not agent.poller.is_dark:
            asked = clock.monotonic()
            with contextlib.suppress(DsqError):
                free = await agent.services.scheduler.free()
        try:
            on_snapshot(snapshot(agent, lines=lines, free=free))
        except Exception:
            # A screen's error is no reason to stop the provider.
            log.exception("snapshot=failed")


async def run_headless(settings: ProviderSettings, wallet: Wallet) -> None:
    """Runs a provider until SIGTERM or SIGINT; the process is over five seconds after it."""
    ending = Ending()
    await ending.run(
        run_provider(
            settings,
            stop=ending.stop,
            on_ready=lambda _: ending.begun(),
            wallet=wallet,
            shared_account=True,
        )
    )
