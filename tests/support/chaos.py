"""Everything that can go wrong, drawn by a seed: the real agent and journal in a fake world.

    python -m tests.support.chaos [SEEDS] [FIRST_SEED]     many seeds, on all cores
    python -m tests.support.chaos --trace SEED             one seed, with what happened

The process dies at any boundary of journal and effect, of each kind; requests and answers get lost or
late; chain, cluster and services go away; the chain goes back, also over a customer's
payment, also far below what was read; clocks differ and jump; Slurm kills, requeues, suspends
and forgets jobs, gives their ids again and closes its partition; the journal is lost, its disk
full, its place on the chain too old or too far; a second supervisor uses the key. Whatever
happens: no job runs twice, none is lost, each ends in a bounded time, at most once, billed by
Slurm's own times, and the credits add up.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from dsq.core.chain import Cursor
from dsq.core.chain.cursor import START
from dsq.core.errors import ContractError, UnreachableError
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT, billed_minutes
from dsq.supervisor.lock import AnotherSupervisorError, RivalError
from dsq.supervisor.records import Phase
from dsq.supervisor.run import first_error
from tests.support.boundaries import KINDS
from tests.support.fake_feed import GENESIS
from tests.support.fakes import FakeSlurmJob
from tests.support.provider import Provider, provider
from tests.support.stepcheck import StepCheck
from tests.support.virtual import run_virtual

SECONDS = 300.0
"""Virtual seconds of trouble."""

SETTLE_SECONDS = 900.0
"""Virtual seconds after the last fault until all must have ended; a death is over with the next
start. The longest job takes 200, a job that Slurm lost is waited for 120, at most three times."""

CLOSED_SECONDS = 1000.0
"""A partition may stay closed for so long: longer than a provider keeps jobs waiting there."""

MOST_JOBS = 14

BREAKS = ("NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "DEADLINE", "CANCELLED", "FAILED")


PROVOKES = {
    "claimNextCancellingJob": "cancel",
    "scancel": "cancel",
    "claimNextTopUpJob": "top_up",
    "top-up": "top_up",
    "limit": "top_up",
    "refuseJob": "refusal",
}
"""What leads to boundaries that come seldom."""

MEETINGS = (
    "a job that waits is forgotten",
    "an id is given again",
    "another job bears an id",
    "a partition is closed",
    "a write of the journal is refused",
    "a place before the contract",
    "a place beyond the head",
    "no common block",
)
"""What faults lead to, counted where the supervisor meets it."""

ENOUGH_SEEDS = 200
"""In so many seeds every fault comes, all is met that they lead to, and the process dies at every
kind of boundary."""


@dataclass
class Tally:
    """What seeds met.

    Attributes:
        failed: Seeds in which something did not hold.
        crashes: At how many boundaries of each kind the process died.
        faults: How often each came, and found something to do.
        met: How often the supervisor met what they lead to.
    """

    failed: int = 0
    crashes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Counts another's with this one's."""
        self.failed += other.failed
        self.crashes += other.crashes
        self.faults += other.faults
        self.met += other.met

    def unmet(self) -> list[str]:
        """What should have happened in many seeds, and never did."""
        return [
            *(f"a death {kind}" for kind in KINDS if not self.crashes[kind]),
            *(f"the fault {name}" for name in FAULTS if not self.faults[name]),
            *(name for name in MEETINGS if not self.met[name]),
        ]

    def lines(self) -> list[str]:
        """The counts, as they are printed."""
        deaths = ", ".join(f"{kind} {self.crashes[kind]}" for kind in KINDS)
        faults = ", ".join(f"{name} {self.faults[name]}" for name in FAULTS)
        met = ", ".join(f"{name} {self.met[name]}" for name in MEETINGS)
        return [f"deaths: {deaths}", f"faults: {faults}", f"met: {met}"]


@dataclass
class Story:
    """One seed's run.

    Attributes:
        unbillable: Jobs whose bill cannot be compared with Slurm's record.
        may_stop: The journal was lost: the supervisor may stop by itself, to be safe.
        check: Looks at each step.
        faults: How often each came.
        provoking: The fault that leads to the boundary at which the process dies first.
        calm_since: When the last fault was over.
    """

    seed: int
    p: Provider
    chance: random.Random
    jobs: list[int] = field(default_factory=list)
    unbillable: set[int] = field(default_factory=set)
    may_stop: bool = False
    check: StepCheck | None = None
    faults: Counter[str] = field(default_factory=Counter)
    provoking: str = ""
    calm_since: float = 0.0

    def say(self, words: str) -> None:
        self.p.world.say(f"* {words}")

    # --- what happens ----------------------------------------------------------------------

    def begin(self) -> None:
        """Draws the world and its first jobs."""
        p, chance = self.p, self.chance
        p.world.random = random.Random(self.seed + 1)
        p.world.chain_skew = chance.choice((0, 0, 2, -2, 100, -100))
        p.world.cluster_skew = chance.choice((0, 0, 3, -3, 200, -200))
        p.chain.batches = chance.random() > 0.1
        p.slurm.completing = chance.choice((0.0, 0.0, 3.0))
        p.slurm.may_raise = chance.random() > 0.2
        self.first_death(KINDS[self.seed % len(KINDS)])
        for _ in range(chance.randrange(3, 8)):
            self.submit()
        self.watch()

    def first_death(self, kind: str) -> None:
        """The process dies at the first boundary of this kind, which is made likely."""
        p = self.p
        p.world.crash_kind = kind
        self.provoking = next((fault for part, fault in PROVOKES.items() if part in kind), "")
        if kind.endswith(("claimNextJob", "providerSetJobStatus")):
            p.chain.batches = False
        elif kind.endswith(("claimNextJobs", "reportJobs")):
            p.chain.batches = True
        elif kind.endswith("limit"):
            p.slurm.may_raise = True
        elif kind.endswith("refuseJob"):
            p.slurm.refuses = "no"

    def submit(self) -> None:
        """A customer's job, placed with the provider."""
        chance = self.chance
        seconds, code = chance.choice((0, 1, 30, 70, 200)), chance.choice((0, 0, 3))
        job_id = self.p.chain.request(
            credits=chance.choice((2, 4, 1000)), script=f"seconds={seconds} exit={code}"
        )
        self.p.chain.offer(job_id)
        self.jobs.append(job_id)

    async def trouble(self) -> None:
        """What users and fate do for some minutes."""
        p, chance = self.p, self.chance
        end = p.world.clock.monotonic() + SECONDS
        while p.world.clock.monotonic() < end:
            await asyncio.sleep(chance.expovariate(1 / 8))
            await self.start_again()
            name = chance.choice(FAULTS)
            if self.provoking and chance.random() < 0.3:
                name = self.provoking
            self.say(name)
            done = getattr(self, f"fault_{name}")()
            if asyncio.iscoroutine(done):
                done = await done
            self.faults[name] += done is not False
            self.check_now()
        self.heal()
        if p.slurm.closed:
            await self.open_later()

    async def open_later(self) -> None:
        """The partition is closed for longer than jobs are kept waiting there."""
        clock = self.p.world.clock
        opens_at = clock.monotonic() + CLOSED_SECONDS
        while clock.monotonic() < opens_at:
            await self.start_again()
            await asyncio.sleep(5)
            self.check_now()
        self.p.slurm.closed = ""
        self.calm_since = clock.monotonic()

    async def start_again(self) -> None:
        p = self.p
        if p.has_stopped and self.may_stop and isinstance(p.error(), AnotherSupervisorError):
            # What an earlier process sent looks like somebody else's work.
            self.say("stopped by itself, and started again")
            p.journal.close()
            await asyncio.sleep(30)
            p.start()
        elif p.has_stopped and not p.world.is_dead and (error := p.error()) is not None:
            raise error
        if p.world.is_dead:
            down_for = self.chance.choice((0.1, 3, 60, 900 if self.seed % 5 == 0 else 3))
            await p.restart_after_crash(down_for=down_for)
            self.calm_since = p.world.clock.monotonic()

    def heal(self) -> None:
        """Everything answers again."""
        p = self.p
        p.slurm.is_down = p.chain.is_down = p.logs.is_down = p.chain.is_stalled = False
        p.slurm.refuses = ""
        p.world.disk_full = False
        if self.seed % 7:
            p.slurm.closed = ""
        p.slurm.lose_replies = p.slurm.lose_requests = p.slurm.delay_requests = 0
        p.scripts.error = None
        for job in p.slurm.jobs_by_id.values():
            if job.state == "SUSPENDED":
                job.state = "RUNNING"
        self.calm_since = p.world.clock.monotonic()

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

    def place_again(self) -> None:
        """What was handed back is placed again."""
        for job_id in self.jobs:
            if self.p.job(job_id).status is JobStatus.PENDING:
                self.p.chain.offer(job_id)

    # --- what must hold ----------------------------------------------------------------------

    async def settled(self) -> None:
        """Waits until each job has ended; what nobody knows any more is ended by the grid."""
        p = self.p
        self.calm_since = max(self.calm_since, p.world.clock.monotonic() - 1)

        def waited() -> float:
            return p.world.clock.monotonic() - self.calm_since

        def done() -> bool:
            self.place_again()
            if waited() > SETTLE_SECONDS / 2 and not p.world.is_dead:
                self.expire_left_alone()
            return (
                not p.world.is_dead
                and all(p.job(job_id).status.is_final for job_id in self.jobs)
                and not p.journal.open_records()
            )

        while not done():
            await self.start_again()
            self.check_now()
            assert waited() < SETTLE_SECONDS, "not all jobs have ended"
            await asyncio.sleep(1)

    def expire_left_alone(self) -> None:
        """The grid's exit, for jobs that the provider lost with its journal."""
        for job_id in self.jobs:
            is_running = self.p.job(job_id).status is JobStatus.RUNNING
            record = self.p.record(job_id)
            # By a claim that was mined again it may be known, by what it ran as not.
            is_lost = record is None or record.phase is Phase.CLAIMED
            if is_running and is_lost:
                self.say(f"job {job_id} expires")
                self.unbillable.add(job_id)
                self.p.chain.expire(job_id)

    def watch(self, *others: Provider) -> None:
        """From now on each step is looked at."""
        self.p.world.watch = self.check = StepCheck(self.jobs, self.p, *others)

    def check_now(self) -> None:
        """What holds at every moment, and held at each step until now."""
        if self.check is not None:
            self.check("now")
        assert not self.p.world.violations, self.p.world.violations

    def check_ends(self) -> None:
        """What holds when all is over."""
        self.check_now()
        for job_id in self.jobs:
            self._check_job(job_id)

    def _check_job(self, job_id: int) -> None:
        p = self.p
        job = p.job(job_id)
        accepted = p.accepted(job_id)
        for one in accepted:
            if one.spec.token in p.slurm.given_up:
                continue  # it came late, and its script ends at once
            assert one.state not in ("PENDING", "RUNNING", "SUSPENDED", "COMPLETING"), (
                f"job {job_id} ended on chain and goes on in Slurm as {one.id}"
            )
        ran = [one for one in accepted if one.runs]
        assert len(ran) <= 1, f"job {job_id} ran {len(ran)} times"
        if job.status is JobStatus.FINISHED:
            assert ran, f"job {job_id} is FINISHED and never ran"
            assert ran[0].state == "COMPLETED", f"job {job_id} is FINISHED, Slurm: {ran[0].state}"
        if job_id in self.unbillable or (self.may_stop and len(ran) < len(accepted)):
            return  # its journal was lost: an attempt that ended at the fence may be what counts
        minutes = p.chain.bills.get(job_id, 0)
        if minutes and ran:
            true = billed_minutes(ran[0].end - ran[0].start)
            began = ran[0].start - p.world.cluster_skew
            if p.chain.state.terms[job_id].claimed_at - p.world.chain_skew > began:
                # The claim was rolled back and came again later: nobody pays for the time before.
                assert minutes <= true, f"job {job_id} was billed {minutes} min, it took {true}"
                return
            assert minutes == true, f"job {job_id} was billed {minutes} min, it took {true}"
        if ran and ran[0].state == "COMPLETED" and job.status is not JobStatus.CANCELLED:
            assert job.status is JobStatus.FINISHED, f"job {job_id}: {job.status.name}"
            assert minutes, f"job {job_id} is not paid"


FAULTS = sorted(name.removeprefix("fault_") for name in dir(Story) if name.startswith("fault_"))
"""Everything that can go wrong, by name."""


async def play(seed: int, folder: Path, tally: Tally | None = None) -> list[str]:
    """Plays one seed; raises what did not hold. Returns the trace."""
    if seed % 10 == 9:
        return await play_rivals(seed, folder)
    async with provider(folder) as p:
        story = Story(seed, p, random.Random(seed))
        if tally is not None:
            tally.crashes, tally.faults, tally.met = p.world.crashes, story.faults, p.world.met
        with traced(p):
            story.begin()
            await story.trouble()
            await story.settled()
            story.check_ends()
        return p.world.trace


@contextlib.contextmanager
def traced(p: Provider) -> Iterator[None]:
    """Puts what happened beside an error."""
    try:
        yield
    except Exception as error:
        tail = "\n".join(p.world.trace[-60:])
        raise AssertionError(f"{error}\n{tail}") from error


async def play_rivals(seed: int, folder: Path) -> list[str]:
    """Two supervisors with one key on two machines, one cluster: one of them gives way."""
    chance = random.Random(seed)
    async with provider(folder / "a") as p:
        story = Story(seed, p, chance)
        with traced(p):
            for _ in range(4):
                story.submit()
            await asyncio.sleep(chance.choice((0, 5, 40, 100)))
            began = len(p.chain.log)
            rival = p.rival(folder / "b")
            story.watch(rival)
            task = rival.start_task()
            for _ in range(6):
                await asyncio.sleep(chance.expovariate(1 / 30))
                story.submit()
                story.check_now()
            await asyncio.sleep(400)
            stopped = [one for one in (p, rival) if one.has_stopped]
            assert len(stopped) <= 1, "both supervisors stopped"
            for one in stopped:
                assert isinstance(one.error(), RivalError), one.error()
            # One that never got a claim through has not been heard of.
            makers = {
                p.sender.knows(event.tx_hash)
                for event in p.chain.log[began:]
                if event.name == "ClaimJobEvent"
            }
            assert stopped or len(makers) < 2, "two supervisors work with one key"
            if not rival.has_stopped:
                await rival.stop()
            with contextlib.suppress(BaseException):
                await task
            story.may_stop = True
            await story.settled()
            # A job may have met two supervisors: its bill is checked, its end is not.
            story.check_now()
        return p.world.trace


def run_seed(seed: int, tally: Tally | None = None) -> str:
    """Plays a seed; "" or what went wrong. ``tally`` takes what it met."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="dsq-chaos-", dir=base))
    try:
        run_virtual(play(seed, folder, tally))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        if isinstance(error, BaseExceptionGroup):
            error = first_error(error)
        return f"{type(error).__name__}: {error}"
    finally:
        logging.disable(before)
        shutil.rmtree(folder, ignore_errors=True)
    return ""


def _tallied(seed: int) -> tuple[str, Tally]:
    tally = Tally()
    return run_seed(seed, tally), tally


def run_seeds(first: int, count: int, *, workers: int | None = None) -> Tally:
    """Plays seeds on all cores; prints those that fail."""
    total = Tally()
    began = time.monotonic()
    # What is there already lives as long as the workers: nobody need look through it again.
    gc.collect()
    gc.freeze()
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        numbers = range(first, first + count)
        played = pool.map(_tallied, numbers, chunksize=8)
        for seed, (problem, tally) in zip(numbers, played, strict=True):
            total.add(tally)
            if problem:
                total.failed += 1
                head, *tail = problem.splitlines()
                print(f"seed {seed} failed: {head}", flush=True)
                if total.failed <= 3:
                    print("\n".join(tail[-40:]), flush=True)
            done = seed - first + 1
            if done % 1000 == 0:
                print(f"{done} seeds in {time.monotonic() - began:.0f} s", flush=True)
    return total


def main(words: list[str]) -> int:
    """The command line."""
    if words[:1] == ["--trace"]:
        folder = Path(tempfile.mkdtemp(prefix="dsq-chaos-"))
        try:
            print("\n".join(run_virtual(play(int(words[1]), folder))))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return 0
    count = int(words[0]) if words else 200
    first = int(words[1]) if len(words) > 1 else 0
    total = run_seeds(first, count)
    print("\n".join(total.lines()))
    unmet = total.unmet() if count >= ENOUGH_SEEDS else []
    for name in unmet:
        print(f"never met in {count} seeds: {name}")
    print(f"{count} seeds, {total.failed} failed")
    return 1 if total.failed or unmet else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
