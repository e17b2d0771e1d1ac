"""The world's faults: each is a method, drawn by its name."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

from dsq.core.chain import Cursor
from dsq.core.chain.cursor import START
from dsq.core.errors import ContractError, ReorgError, UnreachableError
from dsq.core.units import CREDIT
from tests.support.boundaries import KINDS
from tests.support.chaos.scene import Scene
from tests.support.fake_feed import GENESIS
from tests.support.fakes import FakeFeed, FakeSlurmJob

MOST_JOBS = 14

DEPTH = 8
"""Blocks that the chain may go back where that is made little."""

EFFECTS = ("before tx", "before sbatch", "before scancel", "before limit")

BREAKS = ("NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "DEADLINE", "CANCELLED", "FAILED")


class Faults(Scene):
    """What users and fate do. A fault that finds nothing to do returns False."""

    def fault_crash(self) -> None:
        self.p.die_soon(self.chance.randrange(1, 14))

    def fault_crash_later(self) -> None:
        self.p.die_soon(self.chance.randrange(1, 40))

    def fault_crash_there(self) -> None:
        """At the next boundary of some kind, whenever that comes."""
        self.p.world.crash_kind = self.chance.choice(KINDS)

    def fault_lost_reply(self) -> None:
        self.p.slurm.lose_replies = self.chance.randrange(1, 3)

    def fault_lost_request(self) -> None:
        self.p.slurm.lose_requests = 1

    def fault_late_request(self) -> None:
        self.p.slurm.delay_requests = 1

    def fault_cluster(self) -> None:
        self.p.slurm.is_down = not self.p.slurm.is_down

    async def fault_slurmctld_restarts(self) -> None:
        self.p.slurm.is_down = True
        await asyncio.sleep(self.chance.choice((1, 5)))
        self.p.slurm.is_down = False

    def fault_rpc(self) -> None:
        self.p.chain.is_down = not self.p.chain.is_down

    def fault_pool(self) -> None:
        self.p.chain.is_stalled = not self.p.chain.is_stalled

    def fault_logs(self) -> None:
        self.p.logs.is_down = not self.p.logs.is_down

    def fault_refusal(self) -> None:
        """The cluster takes no jobs, or takes them again."""
        self.p.slurm.refuses = "" if self.p.slurm.refuses else "no"

    def fault_scripts(self) -> None:
        self.p.scripts.error = None if self.p.scripts.error else UnreachableError("down")

    def fault_events(self) -> None:
        if self.p.feed is not None:
            self.p.feed.repeats = self.chance.randrange(3)
            self.p.feed.lose(self.chance.randrange(3))

    def fault_partition(self) -> None:
        """It starts no jobs, or starts them again."""
        self.p.slurm.closed = "" if self.p.slurm.closed else "the partition main is DOWN"

    async def fault_lost_state(self) -> bool:
        """The controller is killed, and its last seconds with it; it gives ids a second time."""
        slurm = self.p.slurm
        slurm.start_delay = 10.0
        self.fault_new_job()
        for _ in range(12):
            await asyncio.sleep(1)
            await self.start_again()
            if self._one("PENDING") and self.chance.random() < 0.7:
                break
        slurm.is_down = True
        lost = slurm.lose_state(10.0)
        self.unbillable.update(int(job.spec.name, 16) for job in slurm.forgot)
        await asyncio.sleep(self.chance.choice((2, 5)))
        slurm.is_down, slurm.start_delay = False, 0.3
        if lost and len(self.jobs) < MOST_JOBS:
            self.submit()  # and gets the id of one that was lost
        return bool(lost)

    def fault_disk(self) -> None:
        """It is full, or has room again."""
        self.p.world.disk_full = not self.p.world.disk_full

    def fault_sender_disk(self) -> None:
        """That of the sender's file is full, or has room again."""
        self.p.world.sender_disk_full = not self.p.world.sender_disk_full

    async def fault_old_place(self) -> bool:
        """The journal's place lies before the grid's contract: all events come once more.

        Not while the chain is on another way than the place: nothing could tell of that any more.
        """
        chain, place = self.p.chain, self._place()
        block = chain.block_at(place.number)
        is_on_chain = block is not None and block.hash == place.hash
        if not is_on_chain or chain.is_down or self.p.world.disk_full:
            return False
        await self._replaced(Cursor(0, GENESIS.hash, ((0, GENESIS.hash),)))
        self.p.world.met["a place before the contract"] += 1
        while self._place().number < place.number:
            await asyncio.sleep(1)
            await self.start_again()
        return True

    async def fault_lost_chain(self) -> bool:
        """The node lost its last data, while the supervisor was away."""
        depth = self.chance.randrange(10, 38)
        if self.p.chain.block < depth + 5:
            return False
        await self.p.kill()
        self.p.chain.reorganise(depth, lambda: self.chance.random() < 0.5)
        self.p.start()
        self.p.world.met["a place beyond the head"] += self._place().number > self.p.chain.block
        return True

    async def fault_blind_place(self) -> bool:
        """The chain went back below all blocks that the journal remembers."""
        place = self._place().number
        if place < 10:
            return False
        await self._replaced(Cursor(place, b"\1" * 32, ((place, b"\1" * 32),)))
        self.p.world.met["no common block"] += 1
        return True

    async def fault_too_deep(self) -> bool:
        """The chain goes back further than the settings allow, until its operator allows it."""
        p = self.p
        depth = self.chance.randrange(DEPTH + 4, 36)
        is_early = p.chain.block < depth + 8
        if is_early or p.chain.is_down or p.world.disk_full or not await self._is_level():
            return False
        await asyncio.sleep(1)  # what was heard is on the disk
        if p.world.is_dead:
            return False
        usual, p.reorg_depth = p.reorg_depth, DEPTH
        await p.kill()
        p.start()
        assert await self._is_level(), "it does not find its place"
        # It knows block for block what it read itself, and of a history that it caught up with less.
        await asyncio.sleep((depth + 2) * p.chain.block_seconds)
        p.chain.reorganise(depth, lambda: self.chance.random() < 0.5)
        await self._halts(depth)
        p.world.met["a halt"] += 1
        mark = len(p.world.boundaries)
        await asyncio.sleep(self.chance.choice((5, 100)))
        # Started again before anybody looked at the chain.
        p.journal.close()
        p.start()
        await self._halts(depth)
        did = [name for name in p.world.boundaries[mark:] if name.startswith(EFFECTS)]
        assert not did, f"after its halt it went on with: {did}"
        p.journal.close()
        p.reorg_depth = usual
        p.start()
        self.calm_since = p.world.clock.monotonic()
        return True

    async def _is_level(self) -> bool:
        """Whether the supervisor comes to the newest block."""
        p = self.p
        for _ in range(60):
            await asyncio.sleep(0.5)
            if p.world.is_dead or p.has_stopped or p.agent is None:
                return False
            feed = p.agent.hearing.feed
            place = feed.follower.snapshot().position if isinstance(feed, FakeFeed) else -1
            if 0 <= p.chain.block - 1 - place <= 1:
                return True
        return False

    async def _halts(self, depth: int) -> None:
        """Waits until it stops because of a chain that went back too far."""
        p = self.p
        for _ in range(60):
            if p.has_stopped:
                break
            await asyncio.sleep(0.5)
        else:
            raise AssertionError(f"the chain went back {depth} blocks, and it goes on")
        if not isinstance(error := p.error(), ReorgError):
            raise error or AssertionError("it stopped without a word")

    def _place(self) -> Cursor:
        text = self.p.journal.get_meta("cursor")
        return Cursor.from_json(text) if text else START

    async def _replaced(self, place: Cursor) -> None:
        """Has the supervisor start with another place in its journal."""
        await self.p.kill()
        with contextlib.closing(sqlite3.connect(self.p.journal.path)) as db, db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('cursor', ?)", (place.to_json(),))
        self.p.start()

    def fault_reorganisation(self) -> None:
        self.p.chain.reorganise(self.chance.randrange(1, 8), lambda: self.chance.random() < 0.5)

    def fault_clock(self) -> None:
        self.p.world.clock.step(self.chance.choice((-30, 30, 600)))

    def fault_clock_back(self) -> None:
        """Somebody sets the clock back by an hour."""
        self.p.world.clock.step(-3600)

    def fault_clock_ahead(self) -> None:
        """Somebody sets the clock forward by hours, or a day."""
        self.p.world.clock.step(self.chance.choice((7200, 86_400)))

    def fault_cancel(self) -> None:
        with contextlib.suppress(ContractError):
            self.p.chain.cancel(self._open_job())

    def fault_top_up(self) -> None:
        with contextlib.suppress(ContractError):
            self.p.chain.top_up(self._open_job(), 2 * CREDIT)

    def fault_placed_again(self) -> None:
        self.place_again()

    def fault_new_job(self) -> bool:
        if len(self.jobs) >= MOST_JOBS - 2:
            return False
        self.submit()
        return True

    def fault_broken_job(self) -> bool:
        """Slurm ends a running job."""
        if job := self._one("RUNNING"):
            self.p.slurm.kill(job.id, self.chance.choice(BREAKS), signal=9)
        return job is not None

    def fault_boot_failure(self) -> bool:
        """The nodes of a job do not start."""
        if job := self._one("PENDING"):
            self.p.slurm.kill(job.id, "BOOT_FAIL", signal=0)
        return job is not None

    def fault_requeue(self) -> bool:
        if job := self._one("RUNNING"):
            self.unbillable.add(int(job.spec.name, 16))
            self.p.slurm.requeue(job.id)
        return job is not None

    def fault_suspended(self) -> bool:
        if job := self._one("RUNNING", "SUSPENDED"):
            job.state = "SUSPENDED" if job.state == "RUNNING" else "RUNNING"
        return job is not None

    def fault_forgotten(self) -> bool:
        """Slurm loses its record of a job that has ended."""
        if job := self._one("COMPLETED", "FAILED", "CANCELLED"):
            self.unbillable.add(int(job.spec.name, 16))
            job.gone_at = 0.0
        return job is not None

    async def fault_stop(self) -> bool:
        """SIGTERM, and a new start."""
        p = self.p
        p.world.crash_kind = ""
        if p.world.is_dead or p.world.crash_at:
            return False
        took = await p.stop()
        if took > 5:
            p.world.violated(f"the stop took {took:.1f} s")
        await asyncio.sleep(self.chance.choice((0.5, 100)))
        p.start()
        return True

    async def fault_lost_journal(self) -> bool:
        """Killed, and the journal is gone: only some seeds."""
        if self.seed % 4 or not self.p.chain.batches or self.chance.random() < 0.5:
            return False
        self.may_stop = self.p.slurm.lost_journal = True
        await self.p.kill()
        for path in self.p.settings.state_dir.glob("journal.db*"):
            path.unlink()
        self.p.start()
        return True

    def _open_job(self) -> int:
        """Mostly one that has not ended."""
        jobs = [job_id for job_id in self.jobs if not self.p.job(job_id).status.is_final]
        return self.chance.choice(jobs if jobs and self.chance.random() < 0.8 else self.jobs)

    def _one(self, *states: str) -> FakeSlurmJob | None:
        jobs = [
            job
            for job_id, job in self.p.slurm.jobs_by_id.items()
            if job.state in states and job.id == job_id
        ]
        return self.chance.choice(jobs) if jobs else None


FAULTS = sorted(name.removeprefix("fault_") for name in dir(Faults) if name.startswith("fault_"))
"""Everything that can go wrong, by name."""

RARE = ("clock_ahead", "sender_disk", "too_deep")
"""What goes wrong in some seeds only: the others stay short, and as they were before it came."""

RARE_SEEDS = 8
"""One seed of so many has them, each three times as likely as what comes in all."""


def faults_of(seed: int) -> list[str]:
    """What can go wrong in a seed."""
    common = [name for name in FAULTS if name not in RARE]
    return [*common, *RARE, *RARE, *RARE] if seed % RARE_SEEDS == 3 else common
