"""What a customer does to the jobs of a grid in memory: submits, cancels, pays for more time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dsq.core.errors import ContractError, CreditsError, NotFoundError, UnreachableError
from dsq.core.grid import Submission
from dsq.core.grid.definition import resources_of
from dsq.core.model import Affinity, Job, JobCost, JobDefinition, JobStatus, Label
from dsq.core.units import format_credits
from tests.support.fake_jobs import CONTRACT, NOW, job
from tests.support.fake_money import FakeMoney


def _script(workflow: Mapping[str, Any]) -> str:
    """A script of a workflow's commands."""
    steps = [step.get("run") or {} for step in workflow.get("steps", ())]
    return "".join(["#!/bin/bash\n", *(f"{run.get('command', ':')}\n" for run in steps)])


class FakeOrders(FakeMoney):
    """The part of a grid in memory about requests and what becomes of them."""

    minimum: int
    most: int | None
    named: dict[str, int]
    given: list[dict[str, str]]
    scripts: dict[int, str]

    def change(self, job_id: int, **changes: Any) -> None:
        """Changes a job and says so in the feed."""
        before = self.known[job_id]
        after = dataclasses.replace(before, **changes)
        self.known[job_id] = after
        self.say(
            "JobTransitionEvent", job_id=job_id, from_status=before.status, to_status=after.status
        )

    def _settle(self, found: Job, status: JobStatus, cost: int) -> None:
        """Ends a job; what it did not use comes back."""
        back = found.cost.max_cost - cost
        start = found.time.start
        # Equal times mean that it never ran.
        end = max(NOW, start + 1) if start else NOW
        self._move("returned", back, found.provider, found.id)
        self.change(
            found.id,
            status=status,
            cost=dataclasses.replace(found.cost, final_cost=cost),
            time=dataclasses.replace(found.time, start=start or NOW, end=end),
        )

    async def job(self, job_id: int) -> Job:
        self._check("job")
        if job_id not in self.known:
            raise NotFoundError(f"There is no job {job_id}.")
        return self.known[job_id]

    async def submit(
        self,
        workflow: Mapping[str, Any],
        credits: int,  # noqa: A002
        *,
        name: str = "",
        uses: Iterable[Label] = (),
        affinity: Iterable[Affinity] = (),
        approve: bool = True,
        secrets: Mapping[str, str] | None = None,
        key: str = "",
    ) -> Job:
        self._check("submit")
        self.given.append(dict(secrets or {}))
        if key and key in self.named:
            return self.known[self.named[key]]
        self._signs(credits)
        if credits < self.minimum:
            raise CreditsError(f"The grid's minimum is {format_credits(self.minimum)} credits.")
        self.sent.append(("submit", (dict(workflow), credits, name, tuple(uses), tuple(affinity))))
        number = max(self.known, default=0) + 1
        if key:
            self.named[key] = number
        made = job(number, JobStatus.PENDING, name, submit=-1)
        wanted = JobDefinition(
            **resources_of(workflow),
            batch_location_hash=f"script-{number}",
            uses=tuple(uses),
            affinity=tuple(affinity),
        )
        cost = JobCost(credits, 0)
        self.known[number] = dataclasses.replace(
            made, definition=wanted, customer=self.address, cost=cost
        )
        self.scripts[number] = _script(workflow)
        self._move("locked", credits, CONTRACT, number)
        self.say("NewJobRequestEvent", job_id=number, customer=self.address)
        return self.known[number]

    async def submit_many(
        self,
        submissions: Sequence[Submission],
        credits: int,  # noqa: A002
        *,
        on_job: Callable[[Submission, Job], None] = lambda _submission, _job: None,
        **options: Any,
    ) -> list[Job]:
        self._check("submit_many")
        jobs = []
        for each in submissions:
            if len(jobs) == self.most:
                raise UnreachableError("The chain does not answer.")
            made = await self.submit(
                each.workflow, credits, name=each.name, key=each.key, **options
            )
            on_job(each, made)
            jobs.append(made)
        return jobs

    async def cancel(self, job_id: int) -> Job:
        self._check("cancel")
        found = await self.job(job_id)
        self._signs()
        if found.status.is_final:
            raise ContractError(f"Job {job_id} has ended already: it is {found.status.name}.")
        if found.status is JobStatus.RUNNING:
            if not found.has_cancel_request:
                self.sent.append(("cancel", job_id))
                self.change(job_id, has_cancel_request=True)
        else:
            self.sent.append(("cancel", job_id))
            self._settle(found, JobStatus.CANCELLED, 0)
        return self.known[job_id]

    async def top_up(self, job_id: int, wei: int) -> Job:
        self._check("top_up")
        found = await self.job(job_id)
        self._signs(wei)
        if found.status not in (JobStatus.SCHEDULED, JobStatus.RUNNING):
            raise ContractError(f"Job {job_id} is {found.status.name}: it takes no top-up.")
        self.sent.append(("top_up", (job_id, wei)))
        self._move("topped up", wei, CONTRACT, job_id)
        cost = found.cost
        self.change(
            job_id,
            cost=dataclasses.replace(
                cost, max_cost=cost.max_cost + wei, pending_top_up=cost.pending_top_up + wei
            ),
        )
        return self.known[job_id]
