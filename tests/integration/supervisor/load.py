"""Many jobs on one provider, and what must be true of them in the end."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dsq.core.errors import ContractError, DsqError
from dsq.core.model import Job, JobStatus
from dsq.core.rpc.graphql import GraphQLClient
from dsq.core.units import CREDIT, cost_of
from dsq.sbatch.workflow import load_workflow
from dsq.supervisor.ends import LOST_UNSEEN
from tests.integration.supervisor.conftest import Site

PLACED_AT_ONCE = 50

SLURM_ID = re.compile(r" job=(\d+) (?:submitted .* slurm=|(?:waits|runs) in Slurm as )(\d+)")

AMOUNT = 100
CREDITS = 400_000 * CREDIT

# On a busy machine a job lasts long enough for Slurm to look at its memory, and to end it.
RESOURCES = "resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 100, gpus: 0}\n"


@dataclass
class Load:
    """Jobs that each leave one line behind.

    Attributes:
        ran: Folder in which each job's script writes its name.
    """

    site: Site
    ran: Path
    jobs: list[int] = field(default_factory=list)
    customer_had: int = 0

    @classmethod
    async def on(cls, site: Site, folder: Path) -> Load:
        """A load for a site; ``folder`` is one that jobs can reach."""
        ran = folder / f"ran-{secrets.token_hex(4)}"
        ran.mkdir()
        ran.chmod(0o777)
        calls = site.chain.calls
        await site.operator_sender.send(calls.transfer(site.customer.address, CREDITS))
        await site.customer_sender.send(calls.approve_credit(None, CREDITS))
        had = await site.chain.balance(site.customer.address)
        return cls(site, ran, customer_had=had)

    async def offer(self, count: int, *, seconds: float | None = 1.0) -> None:
        """Requests jobs and places them with the provider.

        Args:
            seconds: How long each takes; None for jobs without a step, which leave no line.
        """
        site = self.site
        text = (
            f"{RESOURCES}steps: []\n"
            if seconds is None
            else f"{RESOURCES}steps:\n- name: it\n  run:\n    command: |\n"
            # The attempt's folder is <job>/<token>; srun changes the name of the job.
            f"      name=$(basename $(dirname $SLURM_SUBMIT_DIR))\n"
            f"      echo $SLURM_JOB_ID >> {self.ran}/$name\n"
            f"      sleep {seconds}\n"
        )
        workflow = load_workflow(text)
        client = GraphQLClient(f"http://127.0.0.1:{site.service.http_port}/graphql", site.customer)
        key = await client.submit(workflow.to_wire())
        await client.close()
        definition = workflow.definition(key)
        sender = site.customer_sender
        sent = []
        for _ in range(count):
            call = site.chain.calls.request_new_job(definition, AMOUNT * CREDIT, "load")
            sent.append(await sender.submit(call))
        made = []
        for tx_hash in sent:
            event = (await sender.wait(tx_hash)).event("NewJobRequestEvent")
            assert event is not None
            made.append(int(event.args["job_id"]))
        self.jobs += made
        await self.place(made)

    async def place(self, jobs: Sequence[int]) -> None:
        """Gives jobs to the provider."""
        calls = self.site.chain.calls
        for start in range(0, len(jobs), PLACED_AT_ONCE):
            part = [(job_id, self.site.me) for job_id in jobs[start : start + PLACED_AT_ONCE]]
            await self.site.operator_sender.send(calls.meta_schedule_jobs(part))

    async def states(self) -> list[Job]:
        """All jobs as they are on chain."""
        return await self.site.chain.jobs(self.jobs)

    async def ended(self, seconds: float) -> list[Job]:
        """Waits until all have ended; what was handed back is placed again."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(DsqError):
                jobs = await self.states()
                if all(job.status.is_final for job in jobs):
                    return jobs
                back = [job.id for job in jobs if job.status is JobStatus.PENDING]
                if back:
                    with contextlib.suppress(ContractError):
                        await self.place(back)
                shown = Counter(job.status.name for job in jobs)
                assert time.monotonic() < deadline, f"{shown}\n{self.site.log()}"
            await asyncio.sleep(0.5)

    async def check(self, *allowed: JobStatus, interrupted: Collection[str] = ()) -> Counter[str]:
        """Each job ended once and ran at most once, its bill is right, the credits add up.

        Args:
            allowed: Ends that may be; FINISHED if none are named.
            interrupted: Slurm's ids of jobs that ran when its controller was killed: those may
                have FAILED too.
        """
        allowed = allowed or (JobStatus.FINISHED,)
        ids = self.slurm_ids()
        site, jobs = self.site, await self.states()
        prices = (await site.chain.provider(site.me)).prices
        earned = 0
        for job in jobs:
            lines = self.lines(job.hex_id)
            assert len(lines) <= 1, f"job {job.id} ran as {lines}"
            if job.status is JobStatus.FAILED and ids[job.id] & set(interrupted):
                # Billed until it was last seen running, not at all if it was never seen so.
                is_free = job.last_error == LOST_UNSEEN
                cost = 0 if is_free else cost_of(job.definition, prices, 1)
                assert job.cost.final_cost == cost, job
            else:
                words = f"{job.status.name} {job.last_error}"
                assert job.status in allowed, f"job {job.id} (Slurm {ids[job.id]}): {words}"
            if job.status is JobStatus.FINISHED:
                assert len(lines) == 1, f"job {job.id} is FINISHED and never ran"
                assert job.cost.final_cost == cost_of(job.definition, prices, 1), job
            earned += job.cost.final_cost - job.cost.final_cost * 20 // 100
        spent = sum(job.cost.final_cost for job in jobs)
        assert await site.chain.balance(site.me) == earned
        assert self.customer_had - await site.chain.balance(site.customer.address) == spent
        return Counter(job.status.name for job in jobs)

    def slurm_ids(self) -> defaultdict[int, set[str]]:
        """Every id that Slurm gave to each job, by the provider's log: one that Slurm forgot is
        not in the journal any more."""
        found: defaultdict[int, set[str]] = defaultdict(set)
        for job_id, slurm_id in SLURM_ID.findall((self.site.folder / "provider.log").read_text()):
            found[int(job_id)].add(slurm_id)
        return found

    def lines(self, name: str) -> list[str]:
        """Slurm jobs in which a job's script ran."""
        path = self.ran / name
        return path.read_text().split() if path.exists() else []
