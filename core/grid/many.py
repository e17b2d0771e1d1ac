"""Many jobs at once: one allowance for all of them, their requests side by side."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsq.core.grid.jobs import Jobs
from dsq.core.grid.repeats import recent_by_script, settled
from dsq.core.model import Affinity, Job, Label, encode_job_name

PARALLEL = 8
"""Requests under way at once."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One of many jobs.

    Attributes:
        workflow: The job as a mapping with the names of the sbatch API.
        name: At most 32 bytes.
        key: A name for this submit; see ``Jobs.submit``.
    """

    workflow: Mapping[str, Any]
    name: str
    key: str


class Many(Jobs):
    """The part of a grid about groups of jobs."""

    async def submit_many(
        self,
        submissions: Sequence[Submission],
        credits: int,  # noqa: A002 - the word of the trade
        *,
        uses: Iterable[Label] = (),
        affinity: Iterable[Affinity] = (),
        approve: bool = True,
        secrets: Mapping[str, str] | None = None,
        on_job: Callable[[Submission, Job], None] = lambda _submission, _job: None,
    ) -> list[Job]:
        """Submits jobs together; locks the same credits for each.

        All credits are checked, and the allowance for all of them made, before the first
        request. After a failure no further request begins; those under way end. What was
        added to the allowance and not used is taken back.

        Args:
            on_job: Told of each job as soon as it is there, in no order.

        Returns:
            The jobs in the order of ``submissions``.

        Raises:
            DsqError: As :meth:`Jobs.submit`, the first that happened. ``on_job`` knows what
                was made; repeating the call makes the rest.
        """
        for each in submissions:
            encode_job_name(each.name)
        total = credits * len(submissions)
        await settled(self.chain, self.address)
        await self._check_money(total, approve=approve, what=f"these {len(submissions)} jobs")
        await self._check_minimum(credits)
        made = await recent_by_script(self.chain, self.address)
        wanted = (tuple(uses), tuple(affinity))
        jobs: dict[int, Job] = {}
        failures: list[Exception] = []
        pending = iter(enumerate(submissions))

        async def work() -> None:
            for index, each in pending:
                if failures:
                    return
                try:
                    jobs[index] = await self._submit_paid(each, credits, wanted, secrets, made)
                    on_job(each, jobs[index])
                except Exception as error:
                    failures.append(error)

        async with self._paying(total, approve=approve, permits=False):
            async with asyncio.TaskGroup() as group:
                for _ in range(min(PARALLEL, len(submissions))):
                    group.create_task(work())
            if failures:
                raise failures[0]
        return [jobs[index] for index in range(len(submissions))]

    async def _submit_paid(
        self,
        submission: Submission,
        wei: int,
        wanted: tuple[tuple[Label, ...], tuple[Affinity, ...]],
        secrets: Mapping[str, str] | None,
        made: Mapping[str, Job],
    ) -> Job:
        definition = self._definition(submission.workflow, "", *wanted)
        script = await self._store_script(submission.workflow, secrets, submission.key)
        if script in made:
            return made[script]
        definition = dataclasses.replace(definition, batch_location_hash=script)
        return await self._ask_for(definition, wei, submission.name, False, None)
