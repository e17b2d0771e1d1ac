"""What every part of the agent shares: ports, journal, health, transactions, chain views."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from dsq.core.clock import Clock
from dsq.core.model import Address
from dsq.supervisor.connections import Health
from dsq.supervisor.journal import Journal
from dsq.supervisor.ports import ChainPort, LogSink, ScriptSource, SenderPort
from dsq.supervisor.scheduler.port import Scheduler
from dsq.supervisor.states import Policy
from dsq.supervisor.transactions import Transactions
from dsq.supervisor.views import ChainViews
from dsq.supervisor.waiting import bounded

log = logging.getLogger("dsq.supervisor.services")

FEE_SECONDS = 60.0
"""The grid's fee is taken as known for so long."""


@dataclass(slots=True)
class Services:
    """The ports of one agent, and what its parts know in common."""

    me: Address
    chain: ChainPort
    sender: SenderPort
    scheduler: Scheduler
    sbatch: ScriptSource
    logs: LogSink | None
    journal: Journal
    clock: Clock
    policy: Policy = field(default_factory=Policy)
    env: dict[str, str] = field(default_factory=dict)
    job_path: str | None = None
    token_seed: bytes = field(default=b"", repr=False)
    _has_batches: bool | None = None
    _fee: tuple[float, int] | None = None
    _asking_fee: asyncio.Task[int] | None = None
    health: Health = field(init=False)
    txs: Transactions = field(init=False)
    views: ChainViews = field(init=False)

    def __post_init__(self) -> None:
        self.health = Health(self.clock)
        self.txs = Transactions(self.sender, self.clock)
        self.views = ChainViews(self.chain, self.me, self.clock, self.health)

    async def has_batches(self) -> bool:
        """Whether the grid's contract takes many claims and reports at once; asked once."""
        if self._has_batches is None:
            self._has_batches = await bounded(self.chain.has_batches(), "The chain")
            log.info("batches=%s", "yes" if self._has_batches else "no")
        return self._has_batches

    async def fee_percent(self) -> int:
        """The grid's part of what a job costs; asked at most once a minute."""
        if self._fee is not None and self.clock.monotonic() - self._fee[0] < FEE_SECONDS:
            return self._fee[1]
        if self._asking_fee is None:  # hundreds of jobs may end at once, and share the answer
            self._asking_fee = asyncio.create_task(self._ask_fee(), name="dsq-fee")
        return await asyncio.shield(self._asking_fee)

    async def _ask_fee(self) -> int:
        try:
            constants = await bounded(self.chain.constants(), "The chain")
        finally:
            self._asking_fee = None
        self._fee = self.clock.monotonic(), constants.deepsquare_cut
        return constants.deepsquare_cut
