"""Keeps the console's state up to date: connects, loads, follows, reconnects.

Events are a hint: each only says which jobs to read again. Everything here is I/O without
a screen; it runs in one worker and writes to :class:`ConsoleState`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from dsq.console.user.port import BatchLike, GridPort
from dsq.console.user.state import ConsoleState, Link
from dsq.console.widgets.notice import Notice
from dsq.core.errors import DsqError, NotFoundError, UnreachableError
from dsq.core.model import Job
from dsq.core.readmodel.sync import synchronise

log = logging.getLogger("dsq.console.feed")

Connect = Callable[[], Awaitable[GridPort]]

SILENCE_SECONDS = 8.0
"""Without a batch for so long, the feed asks for the head to see whether the link is up."""
PROBE_TIMEOUT = 6.0
RETRY_DELAYS = (2.0, 4.0, 8.0, 15.0, 30.0)
BALANCE_EVERY = 2.0

PROVIDER_EVENTS = frozenset(
    {"ProviderWaitingForApproval", "ProviderApproved", "ProviderRemoved", "ProviderBanChanged"}
)
MONEY_EVENTS = frozenset({"Transfer", "Approval"})


class Feed:
    """The connection of a console to its grid.

    Args:
        connect: Opens the grid; called again after a failed attempt.
        state: What is written to.
        now: Unix seconds.
    """

    def __init__(self, connect: Connect, state: ConsoleState, now: Callable[[], float]) -> None:
        self._connect = connect
        self._state = state
        self._now = now
        self._retry = asyncio.Event()
        self._balance_due = 0.0
        self._stale_money = False
        self.grid: GridPort | None = None

    def retry_now(self) -> None:
        """Ends the wait for the next attempt."""
        self._retry.set()

    def require_grid(self) -> GridPort:
        """The open grid.

        Raises:
            UnreachableError: There is no connection yet.
        """
        if self.grid is None:
            raise UnreachableError(
                "The grid is not connected yet.", hint="The banner shows the next attempt."
            )
        return self.grid

    async def run(self) -> None:
        """Runs until it is cancelled.

        Raises:
            DsqError: The grid cannot be opened, and waiting will not mend it: a wrong chain,
                a wallet that does not open.
        """
        attempt = 0
        try:
            while True:
                try:
                    if self.grid is None:
                        self.grid = await self._connect()
                        self._state.address = self.grid.address
                    await self.load()
                    attempt = 0
                    self._online()
                    await self._follow(self.grid)
                except DsqError as error:
                    if self.grid is None and not isinstance(error, UnreachableError):
                        raise
                    await self._wait_after(error, attempt)
                except Exception as error:  # a fault of ours must not end the console
                    log.exception("feed failed")
                    await self._wait_after(error, attempt)
                attempt += 1
        finally:
            if self.grid is not None:
                with contextlib.suppress(Exception):
                    await self.grid.close()

    async def load(self) -> None:
        """Brings everything up to date, the jobs page by page."""
        grid = self.require_grid()
        state = self._state
        head, balance, providers, constants, may_admit = await asyncio.gather(
            grid.head(), grid.balance(), grid.providers(), grid.constants(), grid.may_admit()
        )
        state.balance, state.constants, state.may_admit = balance, constants, may_admit
        state.contracts = grid.contracts()
        state.providers = {provider.address: provider for provider in providers}
        state.head, state.head_seen_at = head, self._now()
        state.jobs.model.put_providers(providers)
        state.jobs.model.put_constants(constants)
        state.touch()
        async for to_read in synchronise(grid, state.jobs):
            state.to_read = to_read
            state.touch()
        state.loaded = True
        state.touch()

    async def _follow(self, grid: GridPort) -> None:
        feed = grid.changes()
        first = True
        try:
            async for batch in self._with_probes(grid, feed):
                self._online()
                self._state.head, self._state.head_seen_at = batch.head, self._now()
                self._state.touch()
                if batch.reset:
                    await self.load()
                elif first:
                    # Between load() and the feed's first block something may have happened.
                    await self.load()
                else:
                    await self._apply(grid, batch)
                first = False
        finally:
            with contextlib.suppress(Exception):
                await feed.aclose()  # type: ignore[attr-defined]
        raise UnreachableError("The live feed of the grid has ended.")

    async def _with_probes(
        self, grid: GridPort, feed: AsyncIterator[BatchLike]
    ) -> AsyncIterator[BatchLike]:
        """The feed's batches; while it is silent, the head is asked for instead."""
        pending: asyncio.Future[BatchLike | None] | None = None
        failures = 0
        try:
            while True:
                if pending is None:
                    pending = asyncio.ensure_future(anext(feed, None))
                await asyncio.wait({pending}, timeout=SILENCE_SECONDS if not failures else 0)
                if pending.done():
                    batch = pending.result()
                    pending = None
                    if batch is None:
                        return
                    failures = 0
                    yield batch
                    continue
                failures = await self._probe(grid, pending, failures)
        finally:
            if pending is not None:
                pending.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await pending

    async def _probe(
        self, grid: GridPort, pending: asyncio.Future[BatchLike | None], failures: int
    ) -> int:
        try:
            head = await asyncio.wait_for(grid.head(), PROBE_TIMEOUT)
        except (DsqError, TimeoutError, OSError) as error:
            delay = self._offline(error, failures)
            await self._pause(delay, pending)
            return failures + 1
        self._online()
        self._state.head, self._state.head_seen_at = head, self._now()
        self._state.touch()
        return 0

    async def _pause(
        self, delay: float, pending: asyncio.Future[BatchLike | None] | None = None
    ) -> None:
        self._retry.clear()
        waiter = asyncio.ensure_future(self._retry.wait())
        waits: set[asyncio.Future[object]] = {waiter}  # type: ignore[arg-type]
        if pending is not None:
            waits.add(pending)  # type: ignore[arg-type]
        try:
            await asyncio.wait(waits, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()

    async def _wait_after(self, error: BaseException, attempt: int) -> None:
        if not isinstance(error, UnreachableError):
            self._state.notices.add(Notice.of_error(error, self._now(), "grid"))
        await self._pause(self._offline(error, attempt))

    def _offline(self, error: BaseException, attempt: int) -> float:
        delay = RETRY_DELAYS[min(attempt, len(RETRY_DELAYS) - 1)]
        now, link = self._now(), self._state.link
        silent = "The chain does not answer."
        reason = error.message if isinstance(error, DsqError) else str(error) or silent
        if link.state != "offline":
            notice = Notice(now, "warning", reason, getattr(error, "hint", ""), "connection")
            self._state.notices.add(notice)
        since = link.since if link.state == "offline" else now
        self._state.link = Link("offline", since, now + delay, reason)
        self._state.touch()
        return delay

    def _online(self) -> None:
        link = self._state.link
        if link.online:
            return
        now = self._now()
        if link.state == "offline":
            lost = now - link.since
            text = f"Connected again after {lost:.0f} s."
            self._state.notices.add(Notice(now, "information", text, "", "connection"))
        self._state.link = Link("online", now)
        self._state.touch()

    async def _apply(self, grid: GridPort, batch: BatchLike) -> None:
        state, changed, providers = self._state, set[int](), False
        me = grid.address
        for event in batch.events:
            args = event.args
            job_id = args.get("job_id")
            if isinstance(job_id, int) and (
                state.jobs.get(job_id) is not None or args.get("customer") == me
            ):
                changed.add(job_id)
            elif event.name in MONEY_EVENTS and me in args.values():
                self._stale_money = True
            elif event.name in PROVIDER_EVENTS:
                providers = True
        if changed:
            self._stale_money = True
            await self.refresh_jobs(changed)
        if providers:
            await self.refresh_providers()
        if self._stale_money and self._now() >= self._balance_due:
            await self.refresh_balance()

    async def refresh_jobs(self, ids: Iterable[int]) -> None:
        """Reads some jobs anew, in one question."""
        wanted = sorted(ids)
        try:
            found = await self.require_grid().jobs_by_id(wanted)
        except NotFoundError:
            # The chain went back over one of them; the feed will say so and read all anew.
            return
        for job in found:
            self.put(job)

    def put(self, job: Job) -> None:
        """Takes a job that someone has read."""
        self._state.jobs.put(job)
        if not job.status.is_hot:
            self._state.whys.pop(job.id, None)

    async def refresh_balance(self) -> None:
        """Reads the wallet anew."""
        self._stale_money = False
        self._balance_due = self._now() + BALANCE_EVERY
        self._state.balance = await self.require_grid().balance()
        if self._state.movements:
            await self.refresh_movements()
        self._state.touch()

    async def refresh_movements(self) -> None:
        """Reads what came and went since it was read last."""
        grid, known = self.require_grid(), self._state.movements
        first = known[-1].block_number if known else None
        fresh = await grid.movements(from_block=first)
        kept = [each for each in known if first is not None and each.block_number < first]
        self._state.movements = [*kept, *fresh]
        self._state.touch()

    async def refresh_providers(self) -> None:
        """Reads the providers anew."""
        providers = await self.require_grid().providers()
        self._state.jobs.model.put_providers(providers)
        self._state.providers = {provider.address: provider for provider in providers}
        self._state.touch()

    async def refresh_why(self, job_id: int) -> None:
        """Asks the meta-scheduler about a waiting job; silence is no error here."""
        grid = self.require_grid()
        try:
            self._state.whys[job_id] = await grid.why(job_id)
        except DsqError as error:
            log.info("no answer about job=%d: %s", job_id, error)
            self._state.whys.pop(job_id, None)
        self._state.touch()

    async def refresh(self) -> None:
        """Reads everything again if the link is up, else tries at once to reach the grid."""
        if not self._state.link.online:
            self.retry_now()
            return
        await self.load()
