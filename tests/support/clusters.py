"""Schedulers on this machine, on a test's Slurm, and on it over SSH."""

from __future__ import annotations

import asyncio
import itertools
import os
import pwd
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsq.console.local.minislurm import MiniSlurm
from dsq.supervisor.scheduler.local.scheduler import LocalScheduler
from dsq.supervisor.scheduler.port import JobSpec, Scheduler, SlurmJob, SlurmJobId
from dsq.supervisor.scheduler.slurm import SlurmScheduler, SlurmSettings
from dsq.supervisor.scheduler.ssh import SshTransport
from dsq.supervisor.scheduler.transport import LocalTransport
from tests.support.slurm import job_account, job_folder
from tests.support.sshd import SshServer

CPUS = 16
"""CPUs of each of two nodes."""

_numbers = itertools.count(int(time.time() * 1000))


def connect(server: SshServer, **options: Any) -> SshTransport:
    """A line to the server."""
    return SshTransport(
        "127.0.0.1",
        port=server.port,
        user=server.user,
        identity_file=server.identity,
        known_hosts=server.known_hosts,
        **options,
    )


@dataclass
class Cluster:
    """A scheduler, and what tests do with it."""

    scheduler: Scheduler
    kind: str
    jobs: list[SlurmJobId] = field(default_factory=list)

    def spec(self, **values: Any) -> JobSpec:
        """A small job with a name and a token of its own."""
        given: dict[str, Any] = {
            "name": f"0x{next(_numbers):064x}",
            "token": secrets.token_hex(8),
            "ntasks": 1,
            "cpus_per_task": 1,
            "mem_per_cpu": 100,
            "gpus": 0,
            "minutes": 5,
        }
        return JobSpec(**{**given, **values})

    async def submit(self, script: str, **values: Any) -> tuple[JobSpec, SlurmJobId]:
        spec = self.spec(**values)
        job = await self.scheduler.submit(spec, script)
        self.jobs.append(job)
        return spec, job

    async def until(
        self, job: SlurmJobId, good: Callable[[SlurmJob], bool], patience: float = 30
    ) -> SlurmJob:
        """Polls until the job is as wanted."""
        deadline = time.monotonic() + patience
        while True:
            seen = (await self.scheduler.poll([job])).get(job.id)
            if seen is not None and good(seen):
                return seen
            assert time.monotonic() < deadline, f"still {seen}"
            await asyncio.sleep(0.1)

    async def running(self, job: SlurmJobId) -> SlurmJob:
        return await self.until(job, lambda seen: seen.state == "RUNNING")

    async def ended(self, job: SlurmJobId, patience: float = 30) -> SlurmJob:
        return await self.until(job, lambda seen: seen.ended, patience)

    async def output(self, spec: JobSpec) -> str:
        data = b""
        while more := await self.scheduler.read_output(spec.name, spec.token, len(data)):
            data += more
        return data.decode()

    async def run(self, script: str, **values: Any) -> tuple[SlurmJob, str]:
        """Runs a job to its end; returns its record and its output."""
        spec, job = await self.submit(script, **values)
        return await self.ended(job), await self.output(spec)


def local_cluster(root: Path, **options: Any) -> LocalScheduler:
    """A cluster of this machine, whose jobs run as another account if the tests run as root."""
    user = job_account() if os.geteuid() == 0 else None
    root.mkdir(exist_ok=True)
    work = job_folder(root)
    return LocalScheduler(
        root / "cluster",
        workdir=work,
        user=user,
        **{"cpus": 2 * CPUS, "mem_mb": 64000, "gpus": 4, **options},
    )


def slurm_settings(folder: Path, user: str, **options: Any) -> SlurmSettings:
    """Settings with a folder for output that ``user`` owns."""
    work = folder / f"work-{user}"
    work.mkdir(exist_ok=True, mode=0o700)
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(work, entry.pw_uid, entry.pw_gid)
    return SlurmSettings(partition="batch", workdir=str(work), **options)


def slurm_here(folder: Path, slurm: MiniSlurm, **options: Any) -> SlurmScheduler:
    """Slurm over the line to this machine; root may raise limits."""
    user = job_account()
    line = LocalTransport(user if os.geteuid() == 0 else None, env=slurm.env())
    admin = LocalTransport(env=slurm.env()) if os.geteuid() == 0 else None
    return SlurmScheduler(line, slurm_settings(folder, user, **options), admin=admin)
