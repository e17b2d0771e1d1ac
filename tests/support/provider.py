"""A whole provider in virtual time: the real agent and journal on a fake grid."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from dsq.core.model import Job, job_hex_id
from dsq.supervisor.agent import Agent
from dsq.supervisor.records import JobRecord
from dsq.supervisor.run import first_error
from dsq.supervisor.settings import ProviderSettings, parse_settings
from tests.support.fakes import (
    ME,
    CrashingJournal,
    FakeChain,
    FakeFeed,
    FakeLogs,
    FakeScheduler,
    FakeScripts,
    FakeSender,
    FakeSlurmJob,
    World,
)
from tests.support.world import LIFE, Life


def settings(tmp_path: Path, **cluster: Any) -> ProviderSettings:
    """A provider's settings; ``cluster`` adds to ``[cluster]``."""
    timing = cluster.pop("timing", {})
    return parse_settings(
        {
            "name": "gaia",
            "state_dir": "state",
            "chain": {
                "rpc_url": "http://127.0.0.1:1",
                "chain_id": 31337,
                "metascheduler": "0x" + "33" * 20,
            },
            "services": {"sbatch_grpc": "127.0.0.1:2", "logger_grpc": "127.0.0.1:3"},
            "cluster": {"kind": "slurm", **cluster},
            "timing": timing,
            "benchmark": {"probe": False},
        },
        base=tmp_path,
        where="test",
    )


class Provider:
    """One provider's process on a fake grid; it can die and be started again.

    Args:
        tmp_path: Where its journal lies.
        crash_at: Boundary at which the first process dies.
    """

    def __init__(self, tmp_path: Path, *, crash_at: int = 0, **cluster: Any) -> None:
        self.settings = settings(tmp_path, **cluster)
        self.reorg_depth = self.settings.chain.reorg_depth
        self.world = World(crash_at=crash_at)
        self.chain = FakeChain(self.world)
        self.sender = FakeSender(self.chain)
        self.slurm = FakeScheduler(self.world)
        self.scripts = FakeScripts(self.world)
        self.logs = FakeLogs(self.world)
        self.agent: Agent | None = None
        self.feed: FakeFeed | None = None
        self._stop: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._life = Life()

    @property
    def journal(self) -> CrashingJournal:
        assert self.agent is not None
        journal = self.agent.services.journal
        assert isinstance(journal, CrashingJournal)
        return journal

    def start(self) -> Agent:
        """Starts the process."""
        journal = CrashingJournal(self.settings.state_dir / "journal.db", self.world)

        def feed(start: int) -> FakeFeed:
            self.feed = FakeFeed(self.chain, journal, start, self.reorg_depth)
            return self.feed

        self.agent = Agent(
            self.settings,
            ME,
            self.chain,
            self.sender,  # type: ignore[arg-type]
            self.slurm,
            self.scripts,
            self.logs,
            journal,
            self.world.clock,
            feed=feed,
            token_seed=b"seed",
        )
        self._stop = asyncio.Event()
        self._life = Life()
        token = LIFE.set(self._life)
        self._task = asyncio.create_task(self.agent.run(self._stop))
        LIFE.reset(token)
        return self.agent

    async def stop(self) -> float:
        """Stops it as SIGTERM does; returns the seconds it took."""
        assert self._stop is not None
        assert self._task is not None
        began = self.world.clock.monotonic()
        self._stop.set()
        await self._task
        self.journal.close()
        return self.world.clock.monotonic() - began

    def rival(self, folder: Path) -> Provider:
        """Another supervisor with the same key, on another machine, for the same cluster."""
        other = Provider(folder)
        other.world, other.chain, other.slurm = self.world, self.chain, self.slurm
        other.scripts, other.logs = self.scripts, self.logs
        other.sender = FakeSender(self.chain, "b")
        other.sender.rivals, self.sender.rivals = [self.sender], [other.sender]
        return other

    def start_task(self) -> asyncio.Task[None]:
        """Starts the process; returns its task."""
        self.start()
        assert self._task is not None
        return self._task

    @property
    def has_stopped(self) -> bool:
        """The process ended by itself."""
        return self._task is not None and self._task.done()

    def error(self) -> BaseException | None:
        """What it ended of."""
        assert self._task is not None
        error = self._task.exception()
        return first_error(error) if isinstance(error, BaseExceptionGroup) else error

    async def kill(self) -> None:
        """Ends it as kill -9 does: nothing more is written or sent."""
        assert self._task is not None
        self.world.is_dead = self._life.is_over = True
        self._task.cancel()
        with contextlib.suppress(BaseException):
            await self._task
        for task in asyncio.all_tasks():
            if task.get_name().startswith("dsq-"):
                task.cancel()
        await asyncio.sleep(0)
        self.journal.die()
        self.world.revive()

    def die_soon(self, boundaries: int) -> None:
        """Has the process die after some more boundaries."""
        self.world.crash_at = len(self.world.boundaries) + boundaries

    async def restart_after_crash(self, *, down_for: float = 0.0) -> bool:
        """Waits for the planned crash, then starts again. False if it never came."""
        if not self.world.is_dead:
            return False
        await self.kill()
        await asyncio.sleep(down_for)
        self.start()
        return True

    async def until(self, condition: Callable[[], Any], seconds: float = 600.0) -> None:
        """Waits for a condition; a planned crash on the way is survived by a restart."""
        deadline = self.world.clock.monotonic() + seconds
        while not condition():
            await self.restart_after_crash(down_for=3.0)
            assert self.world.clock.monotonic() < deadline, self.story()
            await asyncio.sleep(0.25)

    async def until_over(self, *job_ids: int, seconds: float = 1200.0) -> None:
        """Waits until jobs have ended on chain and in the journal."""

        def over() -> bool:
            return (
                not self.world.is_dead
                and all(self.job(i).status.is_final for i in job_ids)
                and all(self.is_closed(i) for i in job_ids)
            )

        await self.until(over, seconds)

    def is_closed(self, job_id: int) -> bool:
        """The journal is done with a job, or never had to know it."""
        record = self.record(job_id)
        if record is None:
            return not self.chain.state.claims.get(job_id)
        return not record.is_open

    def job(self, job_id: int) -> Job:
        return self.chain.peek(job_id)

    def record(self, job_id: int) -> JobRecord | None:
        if self.world.is_dead:
            return None
        return self.journal.get(job_id)

    def accepted(self, job_id: int) -> list[FakeSlurmJob]:
        return self.slurm.accepted(job_hex_id(job_id))

    def story(self) -> str:
        """What happened, for a failed assertion."""
        parts = [f"boundaries: {self.world.boundaries[-40:]}"]
        for job_id in self.chain.job_ids:
            notes = [] if self.world.is_dead else self.journal.history(job_id)
            parts.append(f"{job_id} {self.job(job_id).status.name}: {[n.text for n in notes]}")
        return "\n".join(parts)


@contextlib.asynccontextmanager
async def provider(tmp_path: Path, *, crash_at: int = 0, **cluster: Any) -> AsyncIterator[Provider]:
    """A started provider with its world; everything ends with the ``with``."""
    made = Provider(tmp_path, crash_at=crash_at, **cluster)
    background = [
        asyncio.create_task(made.chain.mine()),
        asyncio.create_task(made.slurm.live()),
    ]
    made.start()
    try:
        yield made
        if not (made.world.is_dead or made.has_stopped):
            try:
                await made.stop()
            except BaseException:
                # It may also be killed while it stops.
                if not made.world.is_dead:
                    raise
    finally:
        if made._task is not None and not made._task.done():
            await made.kill()
        for task in background:
            task.cancel()
