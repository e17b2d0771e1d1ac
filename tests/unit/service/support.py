"""A grid in memory for the service: jobs, a clock that can be set, raw calls."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import grpc.aio

from dsq.core.errors import NotFoundError, UnreachableError
from dsq.core.model import (
    ZERO_ADDRESS,
    Address,
    Job,
    JobCost,
    JobDefinition,
    JobStatus,
    JobTime,
    job_hex_id,
)
from dsq.core.rpc.gen.logger.v1alpha1 import logger_pb2_grpc
from dsq.core.rpc.gen.sbatchapi.v1alpha1 import sbatch_pb2_grpc
from dsq.sbatch.service.serve import Service

WORKFLOW: dict[str, Any] = {
    "resources": {"tasks": 1, "cpusPerTask": 1, "memPerCpu": 100, "gpus": 0},
    "steps": [{"name": "hello", "run": {"command": "echo hello"}}],
}

SUBMIT = "mutation Submit($job: Job!) { submit(job: $job) }"


class TestClock:
    """The machine's clock with an offset that a test may change."""

    __test__ = False

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return time.time() + self.offset

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(seconds)


class Jobs:
    """The chain's jobs, in memory."""

    def __init__(self) -> None:
        self.by_id: dict[int, Job] = {}
        self.last = 0
        self.down = False
        self.asked = 0

    def add(
        self,
        key: str,
        customer: Address,
        provider: Address = ZERO_ADDRESS,
        status: JobStatus = JobStatus.SCHEDULED,
    ) -> Job:
        """A new job on chain."""
        definition = JobDefinition(1, 1, 100, batch_location_hash=key)
        self.last += 1
        job = Job(self.last, status, customer, provider, definition, JobCost(10**20), JobTime())
        self.by_id[job.id] = job
        return job

    def change(self, job: Job, **values: Any) -> Job:
        """A change of a job on chain."""
        self.by_id[job.id] = dataclasses.replace(self.by_id[job.id], **values)
        return self.by_id[job.id]

    def forget(self) -> None:
        """The chain goes back to its start."""
        self.by_id.clear()
        self.last = 0

    async def job(self, job_id: int) -> Job:
        self._answer()
        if job_id not in self.by_id:
            raise NotFoundError(f"There is no job {job_id}.")
        return self.by_id[job_id]

    async def jobs(self, ids: Sequence[int]) -> list[Job]:
        return [await self.job(job_id) for job_id in ids]

    async def job_count(self) -> int:
        self._answer()
        return self.last

    def _answer(self) -> None:
        self.asked += 1
        if self.down:
            raise UnreachableError("The chain is down.")


class Raw:
    """Calls to the gRPC services as any client makes them."""

    def __init__(self, service: Service) -> None:
        self.channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{service.grpc_port}", options=[("grpc.enable_http_proxy", 0)]
        )
        self.auth: Any = sbatch_pb2_grpc.AuthAPIStub(self.channel)  # type: ignore[no-untyped-call]
        self.scripts: Any = sbatch_pb2_grpc.SBatchAPIStub(self.channel)  # type: ignore[no-untyped-call]
        self.logger: Any = logger_pb2_grpc.LoggerAPIStub(self.channel)  # type: ignore[no-untyped-call]


def log_name(job: Job) -> str:
    """The name of a job's log."""
    return job_hex_id(job.id)
