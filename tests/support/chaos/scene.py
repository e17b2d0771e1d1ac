"""A world and its jobs: what every fault and every check works on."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from dsq.core.model import JobStatus
from dsq.supervisor.lock import AnotherSupervisorError
from tests.support.provider import Provider
from tests.support.stepcheck import StepCheck


@dataclass
class Scene:
    """A world in which a seed is played.

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

    def submit(self) -> None:
        """A customer's job, placed with the provider."""
        chance = self.chance
        seconds, code = chance.choice((0, 1, 30, 70, 200)), chance.choice((0, 0, 3))
        job_id = self.p.chain.request(
            credits=chance.choice((2, 4, 1000)), script=f"seconds={seconds} exit={code}"
        )
        self.p.chain.offer(job_id)
        self.jobs.append(job_id)

    def place_again(self) -> None:
        """What was handed back is placed again."""
        for job_id in self.jobs:
            if self.p.job(job_id).status is JobStatus.PENDING:
                self.p.chain.offer(job_id)

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

    def watch(self, *others: Provider) -> None:
        """From now on each step is looked at."""
        self.p.world.watch = self.check = StepCheck(self.jobs, self.p, *others)

    def check_now(self) -> None:
        """What holds at every moment, and held at each step until now."""
        if self.check is not None:
            self.check("now")
        assert not self.p.world.violations, self.p.world.violations
