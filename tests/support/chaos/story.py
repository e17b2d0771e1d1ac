"""One seed from its beginning to the end of its last job."""

from __future__ import annotations

import asyncio
import random

from dsq.core.model import JobStatus
from dsq.supervisor.records import Phase
from tests.support.boundaries import KINDS
from tests.support.chaos.faults import Faults, faults_of

SECONDS = 300.0
"""Virtual seconds of trouble."""

SETTLE_SECONDS = 900.0
"""Virtual seconds after the last fault until all must have ended; a death is over with the next
start. The longest job takes 200, a job that Slurm lost is waited for 120, at most three times."""

CLOSED_SECONDS = 1000.0
"""A partition may stay closed for so long: longer than a provider keeps jobs waiting there."""

PROVOKES = {
    "claimNextCancellingJob": "cancel",
    "scancel": "cancel",
    "claimNextTopUpJob": "top_up",
    "top-up": "top_up",
    "limit": "top_up",
    "refuseJob": "refusal",
}
"""What leads to boundaries that come seldom."""


class Story(Faults):
    """One seed's run."""

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

    async def trouble(self) -> None:
        """What users and fate do for some minutes."""
        p, chance = self.p, self.chance
        names = faults_of(self.seed)
        end = p.world.clock.monotonic() + SECONDS
        while p.world.clock.monotonic() < end:
            await asyncio.sleep(chance.expovariate(1 / 8))
            await self.start_again()
            name = chance.choice(names)
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

    def heal(self) -> None:
        """Everything answers again."""
        p = self.p
        p.slurm.is_down = p.chain.is_down = p.logs.is_down = p.chain.is_stalled = False
        p.slurm.refuses = ""
        p.world.disk_full = p.world.sender_disk_full = False
        if self.seed % 7:
            p.slurm.closed = ""
        p.slurm.lose_replies = p.slurm.lose_requests = p.slurm.delay_requests = 0
        p.scripts.error = None
        for job in p.slurm.jobs_by_id.values():
            if job.state == "SUSPENDED":
                job.state = "RUNNING"
        self.calm_since = p.world.clock.monotonic()

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
