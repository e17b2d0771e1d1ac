"""Following the chain: events in order, none missed, across restarts and reorganisations.

News of a block (by polling, or a WebSocket that only wakes the poll) is a hint; the log
query from the cursor is the truth. Each step:

1. Ask for the head. The same as before: nothing to do.
2. Ask in one batch for the block at the cursor, the logs behind it, and the head again.
3. The block at the cursor has another hash, or the head is below it: the chain went
   back. Go to the newest remembered block that it still has, and tell the consumer by
   ``Batch.reset``: it must look at the contracts' views, for events that it handled may
   never have happened.
4. The head changed while we asked: ask again.

The consumer handles a batch, then commits it. After a crash the batches that were not
committed come again: each event is handled at least once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Sized
from dataclasses import dataclass, field
from typing import Any

from dsq.core.chain.client import Chain
from dsq.core.chain.cursor import START, Cursor, CursorStore
from dsq.core.chain.events import Event
from dsq.core.chain.followed import FollowerSnapshot
from dsq.core.chain.heads import HeadHint
from dsq.core.chain.logs import FIRST_RANGE, get_logs, is_too_many, next_range
from dsq.core.chain.rpc import Head, RpcError, number, raw
from dsq.core.clock import Clock, SystemClock
from dsq.core.errors import ReorgError, TryAgainError, UnreachableError

log = logging.getLogger("dsq.core.chain.follower")

TRANSIENT = (UnreachableError, TryAgainError)
"""What a follower waits out."""

TICK_SECONDS = 2.0
"""An empty batch comes at least so often while the chain answers."""

RANGE_BLOCKS = 2_000
"""Blocks of one batch while catching up."""

LAG_SECONDS = 1.5
"""A head below the cursor counts as going back only after so long: where several nodes
answer in turn, one may be a block behind the others."""

MAX_REORG = 1_000
"""Blocks that a chain may go back; more is another history, and nobody should go on alone."""

MAX_BACKOFF = 15.0
"""Seconds between tries while the node does not answer."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of consecutive blocks.

    Attributes:
        head: The last block that is included.
        reset: The chain went back (a reorganisation, or a development chain that was
            started again from an older state): events handled before may be undone.
        cursor: The place behind this batch.
    """

    events: tuple[Event, ...]
    head: Head
    reset: bool
    cursor: Cursor = field(repr=False, compare=False, default=START)


class Follower:
    """Yields the grid's events for ever: ``async for batch in Follower(chain, store)``.

    Args:
        chain: The connection.
        cursor: Where the place is kept between runs.
        names: Events that are wanted; None for all.
        start_block: Where to begin without a cursor; None for the grid's first block.
        poll_seconds: Pause between looks at the head.
        max_reorg: Blocks that the chain may go back; beyond that iterating raises
            :class:`~dsq.core.errors.ReorgError`.
        clock: Time; tests bring their own.
    """

    def __init__(
        self,
        chain: Chain,
        cursor: CursorStore,
        *,
        names: Collection[str] | None = None,
        start_block: int | None = None,
        poll_seconds: float = 0.5,
        max_reorg: int = MAX_REORG,
        clock: Clock | None = None,
    ) -> None:
        self._chain = chain
        self._store = cursor
        self._reader = chain.reader(names)
        self._start = chain.start_block if start_block is None else start_block
        self._poll = poll_seconds
        self._clock = clock or SystemClock()
        self._range = min(FIRST_RANGE, RANGE_BLOCKS)
        self._most = RANGE_BLOCKS
        self._ahead: _Ahead | None = None
        self._position = START
        self._reset_due = False
        self._behind_since: float | None = None
        self._caught_up = False
        self._max_reorg = max_reorg
        self._head: Head | None = None
        self._committed = -1
        self._resets = 0
        self._failures = 0
        self._heard_at: float | None = None

    def snapshot(self) -> FollowerSnapshot:
        """Where it stands."""
        quiet = None if self._heard_at is None else self._clock.monotonic() - self._heard_at
        return FollowerSnapshot(
            head=self._head.number if self._head else None,
            head_timestamp=self._head.timestamp if self._head else None,
            position=self._position.number,
            committed=self._committed,
            reorgs=self._resets,
            failures=self._failures,
            quiet_seconds=quiet,
        )

    async def commit(self, batch: Batch) -> None:
        """Keeps that the batch was handled."""
        self._store.save(batch.cursor)
        self._committed = batch.cursor.number

    async def keep_halt(self) -> None:
        """Keeps the place at which it halted (:class:`~dsq.core.errors.ReorgError`), and how far
        the chain surely went back: a chain that has grown since would not tell it any more.

        What was yielded must have been handled.
        """
        self._store.save(self._position)

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self._run()

    async def _run(self) -> AsyncIterator[Batch]:
        cursor = self._store.load()
        self._position = cursor or START
        if cursor is not None:
            # What came behind the cursor is not passed over, wherever a new reader would begin.
            self._start = min(self._start, self._chain.start_block, cursor.number + 1)
        self._committed = self._position.number
        last_yield = -TICK_SECONDS
        try:
            async with HeadHint(self._chain.ws_url) as hint:
                while True:
                    batch = await self._next()
                    due = self._clock.monotonic() - last_yield >= TICK_SECONDS
                    if batch is not None and (batch.events or batch.reset or due):
                        yield batch
                        last_yield = self._clock.monotonic()
                    if self._caught_up:
                        await hint.wait(self._poll, self._clock)
                    elif batch is None:
                        await self._clock.sleep(min(self._poll, 0.1))
        finally:
            if self._ahead is not None:
                await self._ahead.drop()

    async def _next(self) -> Batch | None:
        """One step, however long the node is away."""
        failures = 0
        while True:
            try:
                batch = await self._step()
            except TRANSIENT as error:
                failures += 1
                # The node may have been asked for too much at once.
                self._range = max(1, self._range // 2)
                self._failures += 1
                if failures == 1:
                    log.warning("chain=lost reason=%r", str(error))
                await self._clock.sleep(min(self._poll * 2**failures, MAX_BACKOFF))
            else:
                if failures:
                    log.warning("chain=back after_failures=%d", failures)
                return batch

    async def _step(self) -> Batch | None:
        """Reads what comes behind the position; None if there is nothing certain to say."""
        self._head = head = await self._chain.head()
        self._heard_at = self._clock.monotonic()
        self._caught_up = True
        if head.hash == self._position.hash:
            self._behind_since = None
            return self._batch((), head)
        if head.number < self._position.number:
            if not self._is_back_for_good():
                return None
            await self._go_back(head.number)
        self._behind_since = None
        if self._position.hash and head.number == self._position.number:
            # Another block of the same height: nothing is behind it yet that would show it.
            await self._go_back(head.number - 1)
            self._caught_up = False
            return None
        first = max(self._position.number + 1, self._start)
        if first > head.number:
            return self._batch((), head)
        last = min(head.number, first + self._range - 1)
        before, logs, end = await self._read(first, last, head.number)
        if self._position.hash and (before is None or before.hash != self._position.hash):
            await self._go_back(self._position.number - 1)
            self._caught_up = False
            return None
        replaced = last == head.number and end is not None and end.hash != head.hash
        if end is None or replaced or not _belong(logs, end):
            # A block was replaced between our questions.
            self._caught_up = False
            return None
        self._caught_up = last == head.number
        self._range = self._next_range(last - first + 1, logs)
        self._most = min(RANGE_BLOCKS, self._most + max(1, self._most // 8))
        self._position = self._position.advance(end.number, end.hash)
        return self._batch(tuple(self._reader.read_all(logs)), end)

    def _batch(self, events: tuple[Event, ...], head: Head) -> Batch:
        reset, self._reset_due = self._reset_due, False
        return Batch(events, head, reset, self._position)

    def _is_back_for_good(self) -> bool:
        now = self._clock.monotonic()
        if self._behind_since is None:
            self._behind_since = now
        return now - self._behind_since >= LAG_SECONDS

    async def _go_back(self, limit: int) -> None:
        """Moves to the newest remembered block up to ``limit`` that the chain still has."""
        marks = [mark for mark in self._position.recent if mark[0] <= limit]
        blocks = await self._chain.rpc.all_of(
            [("eth_getBlockByNumber", [hex(height), False]) for height, _ in marks]
        )
        common, replaced = -1, limit + 1
        for (height, block_hash), block in reversed(list(zip(marks, blocks, strict=True))):
            if block is not None and Head.from_json(block).hash == block_hash:
                common = height
                break
            replaced = height
        self._check_depth(min(replaced, limit + 1), common)
        self._resets += 1
        log.warning("chain=went_back from=%d to=%d", self._position.number, common)
        self._position = self._position.back_to(common)
        self._reset_due = True

    def _check_depth(self, replaced: int, common: int) -> None:
        """Stops if the chain surely went back too far: from the lowest block known to be gone."""
        depth = self._position.number - replaced + 1
        if depth <= self._max_reorg:
            return
        where = self._chain.rpc.where
        log.critical(
            "chain=went_back blocks=%d allowed=%d from=%d common=%d node=%s",
            depth,
            self._max_reorg,
            self._position.number,
            common,
            where,
        )
        self._position = self._position.without(replaced)
        raise ReorgError(
            f"The chain at {where} went back at least {depth} blocks,"
            f" from {self._position.number}; {self._max_reorg} are allowed.",
            hint="Find out which history is right. To go on with this one, raise reorg_depth.",
        )

    async def _read(self, first: int, last: int, head: int) -> _Answer:
        """What is asked of a range; while it is handled the next one is on its way."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and (ahead.first, ahead.last) != (first, last):
            await ahead.drop()
            ahead = None
        if ahead is not None:
            answer = await ahead.task
        else:
            answer = await self._ask(self._position.number, first, last)
        if last < head:
            # The range that the next step will ask for, if nothing happens in between.
            end = min(head, last + self._next_range(last - first + 1, answer[1]))
            task = asyncio.create_task(self._ask(last, last + 1, end), name="chain-logs")
            self._ahead = _Ahead(last + 1, end, task)
        return answer

    def _next_range(self, blocks: int, logs: Sized) -> int:
        return next_range(max(self._range, blocks), len(logs), self._most)

    async def _ask(self, cursor: int, first: int, last: int) -> _Answer:
        """The block at the cursor, the logs of a range, and the range's last block."""
        cursor_block = hex(max(cursor, 0))
        query = {**self._reader.filter(), "fromBlock": hex(first), "toBlock": hex(last)}
        before, logs, end = await self._chain.rpc.batch(
            [
                ("eth_getBlockByNumber", [cursor_block, False]),
                ("eth_getLogs", [query]),
                ("eth_getBlockByNumber", [hex(last), False]),
            ]
        )
        if isinstance(logs, RpcError) and is_too_many(logs):
            self._most = max(1, (last - first + 1) // 2)
            logs = await get_logs(self._chain.rpc, self._reader.filter(), first, last)
        for answer in (before, logs, end):
            if isinstance(answer, RpcError):
                raise answer
        return _head(before), logs, _head(end)


_Answer = tuple[Head | None, list[dict[str, Any]], Head | None]


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A range that is asked for before it is due."""

    first: int
    last: int
    task: asyncio.Task[_Answer]

    async def drop(self) -> None:
        """It is not wanted any more, whatever comes of it."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def _head(block: Any) -> Head | None:
    return Head.from_json(block) if block else None


def _belong(logs: list[dict[str, Any]], end: Head) -> bool:
    """False if logs of the last block come from another block of the same number."""
    return all(
        raw(entry["blockHash"]) == end.hash
        for entry in logs
        if number(entry["blockNumber"]) == end.number
    )
