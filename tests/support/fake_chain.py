"""The contracts as one provider meets them: blocks, a pool of transactions, reorganisations.

What people and the meta-scheduler do counts at once, in the block that is being made; a
provider's transactions are mined with the next one, in the order in which they were sent.
Every block keeps the state before it and what happened in it, so that the chain can go
back some blocks and take another way. The rules are in :mod:`.fake_contracts`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from dsq.core.chain import Event, Head, Receipt
from dsq.core.chain.client import ClaimTerms
from dsq.core.errors import ContractError, NotFoundError, UnreachableError
from dsq.core.model import Address, Constants, Job, JobStatus, Provider
from dsq.core.units import CREDIT
from tests.support.fake_calls import FakeCalls
from tests.support.fake_contracts import FakeContracts
from tests.support.fake_state import (
    CONSTANTS,
    FORGOTTEN,
    Action,
    Block,
    FakeCall,
    Said,
    Tx,
)
from tests.support.world import Crash, World

KEPT_BLOCKS = 40
"""Blocks whose state is kept, for reorganisations."""


class FakeChain(FakeContracts):
    """The contracts as one provider (:data:`ME`) meets them, with a block each second.

    Attributes:
        batches: False has the published contract, without claims and reports of many jobs.
        is_down: The node does not answer; blocks are made all the same.
        is_stalled: No transaction of the provider is mined.
        forks: How often the chain went back.
        lost_events: What the node left out of its answers.
    """

    def __init__(self, world: World, *, block_seconds: float = 1.0, batches: bool = True) -> None:
        super().__init__(world)
        self.chain_id = 31337
        self.block_seconds = block_seconds
        self.batches = batches
        self.calls = FakeCalls(self)
        self.is_down = False
        self.is_stalled = False
        self.pool: list[Tx] = []
        self.forks = 0
        self.lost_events: list[Event] = []
        self._event_count = 0
        self._news: asyncio.Future[None] | None = None
        self.blocks = [Block(1, self._hash(1), 0, self.state.copied())]

    # shorthands of tests

    @property
    def block(self) -> int:
        """Number of the block that is being made."""
        return self.blocks[-1].number

    @property
    def log(self) -> list[Event]:
        return [event for block in self.blocks for event in block.events]

    def _act(self, run: Callable[[], list[Said]], *, is_optional: bool = False) -> None:
        self._apply(Action(run, is_optional=is_optional))

    # blocks

    def _hash(self, number: int) -> bytes:
        return b"%16d%16d" % (self.forks, number)

    def _apply(self, action: Action) -> list[Event]:
        """Lets something happen in the block that is being made, wholly or not at all."""
        block, kept = self.blocks[-1], self.state
        self.state = kept.copied()
        try:
            said = action.run()
        except BaseException:
            self.state = kept
            raise
        block.actions.append(action)
        tx_hash = action.tx.hash if action.tx else b""
        events = []
        for name, args in said:
            self._event_count += 1
            event = Event(name, "Fake", args, block.number, block.hash, tx_hash, self._event_count)
            events.append(event)
        block.events += events
        return events

    def tried(self, call: FakeCall) -> None:
        """Tries a call without effect.

        Raises:
            ContractError: It would be refused.
        """
        kept, record, proposal = self.state, self.provider_record, self.proposal_record
        registrations = self.registrations
        self.state = kept.copied()
        try:
            call.run()
        finally:
            self.state = kept
            self.provider_record, self.proposal_record = record, proposal
            self.registrations = registrations

    async def mine(self) -> None:
        """A block every so often, for ever."""
        while True:
            await asyncio.sleep(self.block_seconds)
            self.next_block()

    async def news(self) -> None:
        """Waits until there is another block."""
        if self._news is None or self._news.done():
            self._news = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._news)

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def next_block(self) -> None:
        """Ends the block that was being made, and begins the next with what waits in the pool."""
        number = self.blocks[-1].number + 1
        # Whatever changes the state makes another one (`_apply`): this one stays as it is.
        self.blocks.append(Block(number, self._hash(number), self.now(), self.state))
        for block in self.blocks[-KEPT_BLOCKS - 1 : -KEPT_BLOCKS]:
            block.actions.clear()
            block.before = FORGOTTEN
        pool, self.pool = ([], self.pool) if self.is_stalled else (self.pool, [])
        for tx in pool:
            self._mine_one(tx)
        self._tell()
        self.world.watch(f"block {number}")

    def _mine_one(self, tx: Tx) -> None:
        # A transaction that is refused is mined as well, without effect.
        try:
            events = self._apply(Action(tx.call.run, tx))
        except ContractError as error:
            self.world.say(f"refused {tx.call.label}: {error.name}")
            self.blocks[-1].actions.append(Action(tx.call.run, tx))
            if not tx.result.done():
                tx.result.set_exception(error)
                tx.result.exception()
            return
        self.world.say(f"block {self.block} {tx.call.label}")
        if not tx.result.done():
            tx.result.set_result(Receipt(tx.hash, self.block, 100_000, tuple(events)))

    def reorganise(self, depth: int, drops: Callable[[], bool] = lambda: False) -> None:
        """Goes back some blocks and takes another way.

        Args:
            depth: Blocks that are undone, the one that is being made not counted.
            drops: Asked for each optional action: True leaves it out for good.
        """
        kept = sum(block.before is not FORGOTTEN for block in self.blocks)
        depth = min(depth, kept - 2)
        if depth < 1:
            return
        undone = self.blocks[-depth - 1 :]
        self.world.say(f"reorganised from block {self.block} to {undone[0].number}")
        del self.blocks[-depth - 1 :]
        self.forks += 1
        first = undone[0]
        self.state = first.before.copied()
        self.blocks.append(Block(first.number, self._hash(first.number), self.now(), first.before))
        back: list[Tx] = []
        for action in (action for block in undone for action in block.actions):
            if action.tx is not None:
                back.append(action.tx)
            elif action.is_optional and drops():
                self.world.say("an action of a customer was dropped")
            else:
                try:
                    self._apply(action)
                except ContractError as error:
                    self.world.say(f"not repeated after the reorganisation: {error.name}")
        self.pool[:0] = back
        self._tell()
        self.world.watch(f"reorganised {first.number}")

    # the port

    def answer(self) -> None:
        """Raises if the node does not answer."""
        if self.world.has_died():
            raise Crash("chain")
        if self.is_down:
            raise UnreachableError("The node does not answer.")

    def _head(self) -> Head:
        """The newest block that is complete: nobody sees the one that is being made."""
        block = self.blocks[-1]
        return Head(block.number, block.hash, block.time or self.now())

    def block_at(self, number: int) -> Block | None:
        """A block by its number."""
        index = number - self.blocks[0].number
        return self.blocks[index] if 0 <= index < len(self.blocks) else None

    async def head(self) -> Head:
        self.answer()
        return self._head()

    async def block_timestamp(self, block_number: int) -> int:
        self.answer()
        block = self.block_at(block_number)
        if block is None:
            raise NotFoundError(f"The chain has no block {block_number}.")
        return block.time

    async def has_batches(self) -> bool:
        self.answer()
        return self.batches

    async def claim_terms(self, ids: Sequence[int]) -> dict[int, ClaimTerms]:
        self.answer()
        if not self.batches:
            return {}
        terms = {i: self.state.terms[i] for i in ids if i in self.state.terms}
        return {i: held for i, held in terms.items() if held.claimed_at}

    async def job(self, job_id: int) -> Job:
        return (await self.jobs([job_id]))[0]

    async def jobs(self, ids: Sequence[int]) -> list[Job]:
        await self.world.delay(0.005)
        self.answer()
        if missing := [i for i in ids if i not in self.state.jobs]:
            raise NotFoundError(f"There is no job {missing[0]}.")
        return [self.state.jobs[i] for i in ids]

    async def job_count(self) -> int:
        self.answer()
        return len(self.state.jobs)

    async def queues(self, provider: Address) -> tuple[bool, bool, bool]:
        await self.world.delay(0.005)
        self.answer()
        cancelling = {JobStatus.RUNNING, JobStatus.CANCELLED}
        top_up = {JobStatus.SCHEDULED, JobStatus.RUNNING}
        return (
            any(self._is(i, JobStatus.META_SCHEDULED) for i in self.state.claimable),
            any(self._served(i, cancelling, needs_claim=True) for i in self.state.cancelling),
            any(self._served(i, top_up, needs_claim=False) for i in self.state.top_up),
        )

    async def events(
        self, from_block: int, to_block: int, names: Collection[str] | None = None
    ) -> list[Event]:
        self.answer()
        first = self.blocks[0].number
        asked = self.blocks[max(0, from_block - first) : max(0, to_block - first + 1)]
        return [
            event
            for block in asked
            for event in block.events
            if names is None or event.name in names
        ]

    async def provider(self, address: Address) -> Provider:
        self.answer()
        return self.provider_record

    async def proposal(self, address: Address) -> Provider:
        self.answer()
        return self.proposal_record

    async def constants(self) -> Constants:
        self.answer()
        return CONSTANTS

    async def balance(self, account: Address) -> int:
        return self.state.balances.get(account, 0)

    async def native_balance(self, account: Address) -> int:
        return CREDIT
