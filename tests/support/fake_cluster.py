"""A cluster in memory: two nodes, the rules of Slurm that a supervisor can run into."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from dsq.core.errors import NotFoundError, UnreachableError
from dsq.supervisor.scheduler.port import (
    ENDED_STATES,
    ClusterInfo,
    Free,
    JobSpec,
    Node,
    NodeFree,
    NotPermitted,
    SlurmJob,
    SlurmJobId,
    SubmitRefused,
)
from dsq.supervisor.waiting import Waker
from tests.support.world import Crash, World

LOOK_SECONDS = 1.0
"""So often the cluster looks at its jobs, whatever is due."""

FIRST_ID = 1000


@dataclass
class FakeSlurmJob:
    """One job in the fake cluster; what it does is in its script: ``seconds=90 exit=3``.

    Attributes:
        runs: How often its script went past the fence.
        restarts: How often it was put back into the queue.
        ran: Start and end of that run.
    """

    id: str
    submit_time: int
    spec: JobSpec
    seconds: float
    exit_code: int
    output: bytes
    state: str = "PENDING"
    reason: str = "Priority"
    start: int = 0
    end: int = 0
    code: int = 0
    signal: int = 0
    limit: int = 0
    node: str = ""
    gone_at: float | None = None
    runs: int = 0
    restarts: int = 0
    completing: float = 0.0
    ends_as: str = ""


class FakeScheduler:
    """A cluster of two nodes with four CPUs each.

    Attributes:
        lose_requests, lose_replies: Submissions whose request or answer gets lost.
        delay_requests: Submissions that seem lost, and arrive later.
        completing: Seconds that a job stays COMPLETING.
        lost_journal: A job may be sent again after it ran; its script then ends at once.
        closed: Why no jobs start, as the partition says it; "" while they start.
        forgot: Jobs of which the controller lost its record while they ran.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.jobs_by_id: dict[str, FakeSlurmJob] = {}
        self.tokens: dict[str, FakeSlurmJob] = {}
        self.forgot: list[FakeSlurmJob] = []
        self._next_id = FIRST_ID
        self.is_down = False
        self.refuses = ""
        self.closed = ""
        self.lose_replies = 0
        self.lose_requests = 0
        self.delay_requests = 0
        self.may_raise = True
        self.min_job_age = 3600.0
        self.max_minutes: int | None = None
        self.start_delay = 0.3
        self.completing = 0.0
        self.latency = 0.02
        self.polls = 0
        self.submissions = 0
        self.given_up: set[str] = set()
        self.fences: set[str] = set()
        self.lost_journal = False
        self._moved = Waker()

    # the world's side

    def now(self) -> float:
        """The cluster's clock."""
        return self.world.true_time() + self.world.cluster_skew

    async def live(self) -> None:
        """Starts, ends and forgets jobs, for ever."""
        while True:
            now = self.now()
            alive = [job for job in self.jobs_by_id.values() if job.state not in ENDED_STATES]
            for job in alive:
                self._advance(job, now)
            due = min((self._due(job) for job in alive), default=now + LOOK_SECONDS)
            await self._moved.pause(min(max(0.1, due - now), LOOK_SECONDS))

    def _due(self, job: FakeSlurmJob) -> float:
        """When something may happen to a job by itself."""
        if job.state == "COMPLETING":
            return job.end + job.completing
        if job.state == "PENDING":
            return math.inf if self.closed else job.submit_time + self.start_delay
        if job.state == "RUNNING":
            return job.start + min(job.seconds, 60 * job.limit)
        return math.inf

    def _advance(self, job: FakeSlurmJob, now: float) -> None:
        if job.state == "COMPLETING":
            if now >= job.end + job.completing:
                job.state = job.ends_as
                job.gone_at = now + self.min_job_age
        elif job.state == "PENDING" and self.closed:
            job.reason = "PartitionDown"
        elif job.state == "PENDING" and now >= job.submit_time + self.start_delay:
            node = next((n for n in ("n1", "n2") if self._free_cpus(n) >= job.spec.ntasks), "")
            if node:
                self._begin(job, node, now)
        elif job.state == "RUNNING":
            if now >= job.start + job.seconds:
                job.code = job.exit_code
                self._end(job, "FAILED" if job.exit_code else "COMPLETED", job.start + job.seconds)
            elif now >= job.start + 60 * job.limit:
                self._end(job, "TIMEOUT", job.start + 60 * job.limit)

    def _begin(self, job: FakeSlurmJob, node: str, now: float) -> None:
        job.state, job.reason, job.node, job.start = "RUNNING", "", node, int(now)
        self.world.say(f"slurm {job.id} starts (job {int(job.spec.name, 16)})")
        ran = any(other.runs for other in self.accepted(job.spec.name))
        if ran and job.spec.once and job.spec.token not in self.fences and not self.lost_journal:
            self.world.violated(f"job {int(job.spec.name, 16)} was sent a second time, as {job.id}")
        if job.spec.token in self.fences or (ran and job.spec.once):
            # Begun before, or given up, or another attempt ran: its script ends at once.
            job.code = 75
            self._end(job, "FAILED", job.start)
            return
        self.fences.add(job.spec.token)
        job.runs += 1
        if ran:
            self.world.violated(f"job {int(job.spec.name, 16)} runs a second time, as {job.id}")
        self.world.watch(f"slurm starts {job.id}")

    def _end(self, job: FakeSlurmJob, state: str, at: float) -> None:
        job.end = int(at)
        self.world.say(f"slurm {job.id} ends {state}")
        self._moved.set()
        if self.completing:
            job.state, job.ends_as, job.completing = "COMPLETING", state, self.completing
            return
        job.state = state
        job.gone_at = at + self.min_job_age
        self.world.watch(f"slurm ends {job.id}")

    def _free_cpus(self, node: str) -> int:
        used = sum(
            job.spec.ntasks * job.spec.cpus_per_task
            for job in self.jobs_by_id.values()
            if job.node == node and job.state in ("RUNNING", "SUSPENDED")
        )
        return 4 - used

    def kill(self, slurm_id: str, state: str = "CANCELLED", signal: int = 15) -> None:
        """The operator, or the cluster itself, ends a job."""
        job = self.jobs_by_id[slurm_id]
        job.signal = signal if job.state == "RUNNING" else 0
        self._end(job, state, self.now())

    def requeue(self, slurm_id: str) -> None:
        """The cluster puts a running job back into its queue (it must not run again).

        As in Slurm its time of submission is a new one, so that whoever asks by the old one is
        told of no job.
        """
        job = self.jobs_by_id[slurm_id]
        job.submit_time = int(self.now())
        job.state, job.reason, job.node, job.start = "PENDING", "BeginTime", "", 0
        job.restarts += 1
        self._moved.set()

    def forget(self, slurm_id: str) -> None:
        """The cluster loses every record of a job that has ended."""
        self.jobs_by_id[slurm_id].gone_at = 0.0

    def lose(self, slurm_id: str) -> None:
        """A controller that was killed knows nothing of a job that waited: it never runs."""
        job = self.jobs_by_id[slurm_id]
        job.state, job.gone_at = "CANCELLED", 0.0

    def lose_state(self, seconds: float) -> list[FakeSlurmJob]:
        """The controller was killed and begins where it stood some seconds ago.

        What was submitted since, it does not know: what waits never runs, what runs is ended,
        and the ids are given again. What has ended is in the accounting.

        Returns:
            The jobs that are lost.
        """
        since = int(self.now() - seconds)
        young = [job for job in self.jobs_by_id.values() if job.submit_time >= since]
        lost = [job for job in young if job.state not in ENDED_STATES and job.gone_at is None]
        for job in lost:
            self.world.say(f"slurm {job.id} is forgotten ({job.state})")
            if job.state == "PENDING":
                self.world.met["a job that waits is forgotten"] += 1
            else:
                job.end = int(self.now())
                self.forgot.append(job)
            job.state, job.gone_at = "CANCELLED", 0.0
        if young:
            self._next_id = min(self._next_id, *(int(job.id) for job in young))
        self._moved.set()
        return lost

    def accepted(self, job_id: str) -> list[FakeSlurmJob]:
        """All submissions that Slurm took for one job of the grid."""
        return [job for job in self.jobs_by_id.values() if job.spec.name == job_id]

    # the port

    async def _answer(self) -> None:
        await self.world.delay(self.latency)
        if self.world.has_died():
            raise Crash("cluster")
        if self.is_down:
            raise UnreachableError("The cluster does not answer.")

    async def check(self) -> str:
        await self._answer()
        return "slurm 22.05"

    async def discover(self) -> ClusterInfo:
        await self._answer()
        nodes = tuple(Node(name, 4, 8000, state="IDLE") for name in ("n1", "n2"))
        return ClusterInfo(nodes, "main", self.max_minutes, "slurm 22.05")

    async def submit(self, spec: JobSpec, script: str) -> SlurmJobId:
        self.world.boundary(f"before sbatch {spec.name[-3:]} {spec.token}")
        self.submissions += 1
        await self._answer()
        if self.refuses:
            raise SubmitRefused(self.refuses)
        if self.lose_requests:
            self.lose_requests -= 1
            raise UnreachableError("The line broke.")
        if self.delay_requests:
            self.delay_requests -= 1
            asyncio.get_running_loop().call_later(20.0, self._take, spec, script)
            raise UnreachableError("The line broke.")
        slurm_id = self._take(spec, script)
        if self.lose_replies:
            self.lose_replies -= 1
            raise UnreachableError("The line broke.")
        self.world.boundary(f"after sbatch {spec.name[-3:]} {spec.token}")
        return SlurmJobId(slurm_id, self.jobs_by_id[slurm_id].submit_time)

    def _take(self, spec: JobSpec, script: str) -> str:
        slurm_id = str(self._next_id)
        self._next_id += 1
        if (older := self.jobs_by_id.pop(slurm_id, None)) is not None:
            self.jobs_by_id[f"{slurm_id} of {older.submit_time}"] = older
            self.world.met["an id is given again"] += 1
        words = dict(word.split("=", 1) for word in script.split() if "=" in word)
        self.jobs_by_id[slurm_id] = FakeSlurmJob(
            slurm_id,
            int(self.now()),
            spec,
            float(words.get("seconds", 90)),
            int(words.get("exit", 0)),
            words.get("output", "hello").replace("\\n", "\n").encode(),
            limit=spec.minutes,
        )
        self.tokens.setdefault(spec.token, self.jobs_by_id[slurm_id])
        self._moved.set()
        self.world.say(f"slurm {slurm_id} accepted (job {int(spec.name, 16)})")
        self.world.watch(f"slurm accepts {slurm_id}")
        return slurm_id

    async def find(self, name: str, token: str, since: int) -> SlurmJob | None:
        await self._answer()
        job = self.tokens.get(token)
        if job is not None and not self._is_gone(job):
            return self._show(job)
        if token in self.fences and token not in self.given_up:
            return SlurmJob("", 0, name=name, state="UNKNOWN")
        self.given_up.add(token)
        self.fences.add(token)
        return None

    def _known(self, wanted: SlurmJobId) -> FakeSlurmJob | None:
        """The job with an id and a time of submission: ids alone come again."""
        job = self.jobs_by_id.get(wanted.id)
        if job is not None and wanted.submit_time not in (0, job.submit_time):
            self.world.met["another job bears an id"] += 1
            job = self.jobs_by_id.get(f"{wanted.id} of {wanted.submit_time}")
        return None if job is None or self._is_gone(job) else job

    def _is_gone(self, job: FakeSlurmJob) -> bool:
        return job.gone_at is not None and self.now() >= job.gone_at

    async def poll(self, jobs: Sequence[SlurmJobId]) -> dict[str, SlurmJob]:
        self.polls += 1
        await self._answer()
        found: dict[str, SlurmJob] = {}
        for wanted in jobs:
            if (job := self._known(wanted)) is not None:
                found[wanted.id] = self._show(job)
        return found

    def _show(self, job: FakeSlurmJob) -> SlurmJob:
        return SlurmJob(
            job.id,
            job.submit_time,
            job.spec.name,
            "grid",
            job.state,
            job.reason,
            job.start,
            job.end,
            job.code,
            job.signal,
            job.node,
            job.limit,
            job.restarts,
        )

    async def cancel(self, job: SlurmJobId) -> None:
        self.world.boundary(f"before scancel {job.id}")
        await self._answer()
        found = self._known(job)
        if found is not None and found.state not in ENDED_STATES and found.state != "COMPLETING":
            self.kill(found.id)
        self.world.boundary(f"after scancel {job.id}")

    async def set_time_limit(self, job: SlurmJobId, minutes: int) -> None:
        self.world.boundary(f"before limit {job.id} {minutes}")
        await self._answer()
        found = self._known(job)
        if found is None or found.state in ENDED_STATES:
            raise NotFoundError("The job has ended.")
        if not self.may_raise and found.state == "RUNNING" and minutes > found.limit:
            raise NotPermitted("The account may not raise limits.")
        found.limit = minutes
        self.world.boundary(f"after limit {job.id}")

    async def can_raise_limit(self) -> bool:
        await self._answer()
        return self.may_raise

    async def read_output(
        self, spec_name: str, token: str, offset: int, limit: int = 65536
    ) -> bytes:
        await self._answer()
        job = self.tokens.get(token)
        if job is None or not job.runs:
            return b""
        return job.output[offset : offset + limit]

    async def free(self) -> Free:
        await self._answer()
        if self.closed:
            self.world.met["a partition is closed"] += 1
            return Free(closed=self.closed)
        return Free(tuple(NodeFree(n, self._free_cpus(n), 8000, 0) for n in ("n1", "n2")))

    async def close(self) -> None:
        pass
