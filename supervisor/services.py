"""What every part of the agent shares: ports, journal, health, transactions, chain views."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from dsq.core.clock import Clock
from dsq.core.errors import DsqError, NotFoundError, UnreachableError
from dsq.core.model import Address, JobStatus
from dsq.supervisor.journal import Journal
from dsq.supervisor.observe import ChainView
from dsq.supervisor.ports import ChainPort, LogSink, ScriptSource, SenderPort
from dsq.supervisor.scheduler.port import Scheduler
from dsq.supervisor.snapshot import Connection, TxRow
from dsq.supervisor.states import Policy

if TYPE_CHECKING:
    from dsq.core.chain import Call, Receipt

log = logging.getLogger("dsq.supervisor.services")

T = TypeVar("T")

SERVICES = ("chain", "cluster", "accounting", "sbatch", "logs")
"""Names of the connections, in the order in which they are shown."""

PERHAPS = "accounting"
"""Not every cluster has it: shown once it has answered, or kept silent where it is there."""

CALL_SECONDS = 45.0
"""Longest wait for one answer of a cluster; its transport gives up earlier."""

TOGETHER_SECONDS = 0.003
"""Jobs that are asked for within so long are read from the chain together."""

PART = 500
PARTS_AT_ONCE = 4
"""Many jobs are read in such parts, so many of them at once."""

FEE_SECONDS = 60.0
"""The grid's fee is taken as known for so long."""

TX_SECONDS = 60.0
"""Wait for a transaction to be mined; after it the job is looked at anew."""


async def bounded(awaitable: Awaitable[T], what: str, seconds: float = CALL_SECONDS) -> T:
    """Awaits with a time limit.

    Raises:
        UnreachableError: Time was up: whether the call took effect is not known.
    """
    try:
        async with asyncio.timeout(seconds):
            return await awaitable
    except TimeoutError:
        raise UnreachableError(f"{what} gave no answer in {seconds:g} s.") from None


def _end(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


class Waker:
    """Ends a loop's pause early."""

    def __init__(self) -> None:
        self._is_set = False
        self._pausing: set[asyncio.Future[None]] = set()

    def set(self) -> None:
        """Ends the pause that runs, or the next one."""
        self._is_set = True
        for waiting in self._pausing:
            _end(waiting)

    async def pause(self, seconds: float) -> None:
        """Waits, at most ``seconds``."""
        if not self._is_set:
            # Done so often that a timeout's context and an event's would count.
            loop = asyncio.get_running_loop()
            waiting = loop.create_future()
            self._pausing.add(waiting)
            timer = loop.call_later(max(0.0, seconds), _end, waiting)
            try:
                await waiting
            finally:
                timer.cancel()
                self._pausing.discard(waiting)
        self._is_set = False


class Health:
    """Which services answer. Loops report here; screens and rules read it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known = {name: Connection(name) for name in SERVICES}

    def good(self, name: str, detail: str = "", latency_ms: float | None = None) -> None:
        """The service answered."""
        self._set(name, True, detail or self._known[name].detail, latency_ms)

    def bad(self, name: str, error: Exception) -> None:
        """The service did not answer."""
        self._set(name, False, str(error), None)

    def said(self, name: str, ok: bool | None, detail: str) -> None:
        """The service's own word, which also stands in the log; None for none."""
        if ok is not None:
            self._set(name, ok, detail, None, logged=True)

    def _set(
        self, name: str, ok: bool, detail: str, latency_ms: float | None, *, logged: bool = False
    ) -> None:
        old = self._known[name]
        at = old.changed_at if old.ok is ok else self._clock.now()
        if not logged and old.ok is not ok and not (old.ok is None and ok):
            level = logging.INFO if ok else logging.WARNING
            log.log(level, "%s %s", name, "answers again" if ok else f"does not answer: {detail}")
        detail = "" if ok and old.ok is False and detail == old.detail else detail
        self._known[name] = replace(
            old, ok=ok, detail=detail, latency_ms=latency_ms or old.latency_ms, changed_at=at
        )

    def shift(self, seconds: float) -> None:
        """The machine's clock was set: durations count on as if it had not been."""
        for name, known in self._known.items():
            self._known[name] = replace(known, changed_at=known.changed_at + seconds)

    def of(self, name: str) -> Connection:
        """The state of one service."""
        return self._known[name]

    def all(self) -> tuple[Connection, ...]:
        """The state of every service that there is."""
        known = self._known.values()
        return tuple(one for one in known if one.ok is not None or one.name != PERHAPS)


@dataclass(slots=True)
class Sent:
    """A transaction on its way, and its row on the screen."""

    tx_hash: bytes
    row: TxRow


class Transactions:
    """Sends calls, and remembers the last ones for the screen."""

    def __init__(self, sender: SenderPort, clock: Clock, *, keep: int = 200) -> None:
        self._sender = sender
        self._clock = clock
        self._rows: deque[TxRow] = deque(maxlen=keep)

    async def send(self, call: Call, *, gas: int | None = None) -> Receipt:
        """Sends a call and waits until it is mined.

        Args:
            call: What to call.
            gas: Gas to offer (:class:`~dsq.supervisor.gas.BatchGas`); None has the call tried
                first, so that a refusal costs nothing.

        Raises:
            ContractError: The contract refuses.
            TransactionError: It was not mined in time.
            UnreachableError: The chain does not answer.
        """
        sent = Sent(b"", TxRow(self._clock.now(), call.label, "sending"))
        self._rows.append(sent.row)
        with self._watched(sent):
            if gas is None:
                receipt = await self._sender.send(call, timeout=TX_SECONDS)
            else:
                receipt = await self._sender.send(call, timeout=TX_SECONDS, gas=gas)
        return self._mined(sent, receipt)

    async def submit(self, call: Call) -> Sent:
        """Sends a call; errors as in :meth:`send`, but for what shows only in a block."""
        sent = Sent(b"", TxRow(self._clock.now(), call.label, "sending"))
        self._rows.append(sent.row)
        with self._watched(sent):
            sent.tx_hash = await bounded(self._sender.submit(call), "The chain", TX_SECONDS)
        self._change(sent, state="sent", tx_hash="0x" + sent.tx_hash.hex())
        return sent

    async def confirm(self, sent: Sent) -> Receipt:
        """Waits until what was submitted is mined; errors as in :meth:`send`."""
        with self._watched(sent):
            receipt = await self._sender.wait(sent.tx_hash, TX_SECONDS)
        return self._mined(sent, receipt)

    def _mined(self, sent: Sent, receipt: Receipt) -> Receipt:
        self._change(
            sent,
            state="mined",
            tx_hash="0x" + receipt.tx_hash.hex(),
            block_number=receipt.block_number,
            gas_used=receipt.gas_used,
        )
        log.debug("tx=%s block=%d", sent.row.label, receipt.block_number)
        return receipt

    @contextlib.contextmanager
    def _watched(self, sent: Sent) -> Iterator[None]:
        try:
            yield
        except DsqError as error:
            self._change(sent, state="failed", error=str(error))
            log.info("tx=%s failed=%r", sent.row.label, str(error))
            raise
        except BaseException:
            self._change(sent, state="abandoned")
            raise

    def _change(self, sent: Sent, **changes: Any) -> None:
        old, sent.row = sent.row, replace(sent.row, **changes)
        self._put(old, sent.row)

    def _put(self, old: TxRow, new: TxRow) -> None:
        for index, row in enumerate(self._rows):
            if row is old:
                self._rows[index] = new
                return

    def rows(self) -> tuple[TxRow, ...]:
        """The last transactions, newest first."""
        return tuple(reversed(self._rows))


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


class ChainViews:
    """Jobs as last read from the chain; :meth:`get` reads again what is too old.

    Those who ask within a few milliseconds share one question to the node.

    Attributes:
        is_trusted: False while the chain may be another one than was read: no job can be read then.
    """

    def __init__(self, chain: ChainPort, me: Address, clock: Clock, health: Health) -> None:
        self._chain = chain
        self._me = me
        self._clock = clock
        self._health = health
        self._known: dict[int, ChainView] = {}
        self._wanted: set[int] = set()
        self._coming: dict[int, asyncio.Task[dict[int, ChainView]]] = {}
        self._reading: asyncio.Task[dict[int, ChainView]] | None = None
        self.is_trusted = True

    def peek(self, job_id: int) -> ChainView | None:
        """The last reading, however old."""
        return self._known.get(job_id)

    def forget(self, job_id: int) -> None:
        """The job changed: what is known of it is old."""
        self._known.pop(job_id, None)
        self._coming.pop(job_id, None)

    def shows(self, job_id: int, status: JobStatus) -> bool:
        """Whether the last reading has a status already."""
        known = self._known.get(job_id)
        return known is not None and known.job.status is status

    def forget_all(self) -> None:
        """The chain went back: nothing that is known holds."""
        self._known.clear()
        self._coming.clear()

    async def get(self, job_id: int, max_age: float) -> ChainView | None:
        """A job not older than ``max_age`` seconds, None if it cannot be read now."""
        known = self._known.get(job_id)
        if known is not None and self._clock.now() - known.at <= max_age:
            return known
        if (coming := self._coming.get(job_id)) is not None:
            view = (await asyncio.shield(coming)).get(job_id)
            if view is not None and self._clock.now() - view.at <= max_age:
                return view
        self._wanted.add(job_id)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_wanted(), name="dsq-views")
        # Who goes away does not take the others' answer with him.
        found = await asyncio.shield(self._reading)
        return found.get(job_id)

    async def read_many(self, job_ids: Sequence[int]) -> AsyncIterator[Sequence[int]]:
        """Reads jobs in parts, some of them at once; gives the ids of each part that was read.

        Who asks for one of these jobs meanwhile gets this reading, too.
        """
        gate = asyncio.Semaphore(PARTS_AT_ONCE)

        async def read(part: Sequence[int]) -> dict[int, ChainView]:
            async with gate:
                return await self.read(part)

        parts = [job_ids[start : start + PART] for start in range(0, len(job_ids), PART)]
        tasks = [asyncio.create_task(read(part), name="dsq-views") for part in parts]
        for part, task in zip(parts, tasks, strict=True):
            self._coming.update(dict.fromkeys(part, task))
        try:
            for part, task in zip(parts, tasks, strict=True):
                await task
                self._arrived(part, task)
                yield part
        finally:
            for part, task in zip(parts, tasks, strict=True):
                task.cancel()
                self._arrived(part, task)

    def _arrived(self, part: Sequence[int], task: asyncio.Task[dict[int, ChainView]]) -> None:
        for job_id in part:
            if self._coming.get(job_id) is task:
                del self._coming[job_id]

    async def _read_wanted(self) -> dict[int, ChainView]:
        await asyncio.sleep(TOGETHER_SECONDS)
        wanted, self._wanted, self._reading = self._wanted, set(), None
        return await self.read(sorted(wanted))

    async def read(self, job_ids: Sequence[int]) -> dict[int, ChainView]:
        """Reads jobs now; those that cannot be read are missing from the answer."""
        if not job_ids or not self.is_trusted:
            return {}
        at = self._clock.now()
        started = self._clock.monotonic()
        try:
            jobs = await bounded(self._chain.jobs(job_ids), "The chain")
        except NotFoundError:
            if len(job_ids) == 1:
                return {}
            single = [await self.read([job_id]) for job_id in job_ids]
            return {job_id: view for views in single for job_id, view in views.items()}
        except DsqError as error:
            self._health.bad("chain", error)
            return {}
        self._health.good("chain", latency_ms=(self._clock.monotonic() - started) * 1000)
        found = {job.id: ChainView(job, job.provider == self._me, at) for job in jobs}
        self._known.update(found)
        return found
