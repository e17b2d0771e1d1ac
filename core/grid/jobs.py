"""Jobs: submit, look, watch, pay more, end."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from dsq.core.chain import Call
from dsq.core.chain.follower import Batch
from dsq.core.chain.permit import Permit
from dsq.core.errors import ContractError, CreditsError, TransactionError, TryAgainError
from dsq.core.grid.definition import resources_of, storage_type_of
from dsq.core.grid.payment import Payment
from dsq.core.grid.repeats import recent_by_script, settled
from dsq.core.model import (
    Address,
    Affinity,
    Job,
    JobDefinition,
    JobStatus,
    Label,
    encode_job_name,
    utc,
)
from dsq.core.units import format_credits, format_minutes
from dsq.core.watching import Transition, follow_from_now, history, watch

NEVER = 1 << 32
"""From here on a time of the contract means that nothing is due (Unix seconds, year 2106)."""


class Jobs(Payment):
    """The part of a grid about jobs."""

    async def submit(
        self,
        workflow: Mapping[str, Any],
        credits: int,  # noqa: A002 - the word of the trade
        *,
        name: str = "",
        uses: Iterable[Label] = (),
        affinity: Iterable[Affinity] = (),
        approve: bool = True,
        delegate: bool = False,
        secrets: Mapping[str, str] | None = None,
        key: str = "",
    ) -> Job:
        """Submits a workflow: the script to the sbatch service, then the request on chain.

        One transaction where the grid's token takes permits; elsewhere an approval of
        exactly what is missing goes before it. A failed submit leaves no allowance.

        Args:
            workflow: The job as a mapping with the names of the sbatch API.
            credits: Wei to lock. At least the grid's minimum.
            name: At most 32 bytes.
            uses: Labels the provider must have.
            affinity: Demands on labels.
            approve: Sign a permit for, or approve, what the allowance lacks; else refuse.
            delegate: Let the grid top the job up from the allowance.
            secrets: Values of the secrets that the workflow names.
            key: A name for this submit. Repeated with the same name and workflow within 24
                hours it returns the job that was made, whatever happened the first time.

        Raises:
            WorkflowError: The service refuses the workflow; no credits were touched.
            CreditsError: Too few credits, or fewer than the minimum.
            AllowanceError: The allowance is too small and ``approve`` is False.
            UsageError: ``key`` named another workflow.
            TryAgainError: With a ``key``: a transaction of this wallet is still under way.
        """
        encode_job_name(name)
        definition = self._definition(workflow, "", uses, affinity)
        if key:
            await settled(self.chain, self.address)
            script = await self._store_script(workflow, secrets, key)
            made = await recent_by_script(self.chain, self.address)
            if script in made:
                return made[script]
        await self._check_money(credits, approve=approve, what="this job")
        await self._check_minimum(credits)
        if not key:
            script = await self._store_script(workflow, secrets, uuid.uuid4().hex)
        definition = dataclasses.replace(definition, batch_location_hash=script)
        async with self._paying(credits, approve=approve, permits=True) as permit:
            return await self._ask_for(definition, credits, name, delegate, permit)

    async def _check_minimum(self, wei: int) -> None:
        minimum = (await self.chain.constants()).minimum_amount
        if wei < minimum:
            raise CreditsError(
                f"{format_credits(wei)} credits are too few: the grid's minimum is "
                f"{format_credits(minimum)}.",
                hint="Lock more with --credits; what a job does not use comes back.",
            )

    def _definition(
        self,
        workflow: Mapping[str, Any],
        script: str,
        uses: Iterable[Label],
        affinity: Iterable[Affinity],
    ) -> JobDefinition:
        return JobDefinition(
            **resources_of(workflow),
            batch_location_hash=script,
            storage_type=storage_type_of(workflow),
            uses=tuple(uses),
            affinity=tuple(affinity),
        )

    async def _ask_for(
        self,
        definition: JobDefinition,
        wei: int,
        name: str,
        delegate: bool,
        permit: Permit | None,
    ) -> Job:
        """Asks the chain for a job; waits until it is there."""
        receipt = await self.send(self._request(definition, wei, name, delegate, permit))
        event = receipt.event("NewJobRequestEvent")
        if event is None:
            raise TransactionError("The request was mined without its event; 'dsq jobs' shows it.")
        return await self.chain.job(int(event.args["job_id"]))

    def _request(
        self,
        definition: JobDefinition,
        wei: int,
        name: str,
        delegate: bool,
        permit: Permit | None,
    ) -> Call:
        calls = self.chain.calls
        if permit is None:
            return calls.request_new_job(definition, wei, name, delegate)
        return calls.request_new_job_with_permit(
            definition,
            wei,
            name,
            delegate,
            deadline=permit.deadline,
            signature=permit.signature,
        )

    async def _store_script(
        self, workflow: Mapping[str, Any], secrets: Mapping[str, str] | None, key: str
    ) -> str:
        # Late, as the other clients: most commands need none, and HTTP and gRPC load slowly.
        from dsq.core.rpc.graphql import GraphQLClient

        client = GraphQLClient(self.config.sbatch_url, self.wallet)
        try:
            return await client.submit(workflow, idempotency_key=key, secrets=secrets)
        finally:
            await client.close()

    async def job(self, job_id: int) -> Job:
        """One job.

        Raises:
            NotFoundError: There is none with this number.
        """
        return await self.chain.job(job_id)

    async def jobs(
        self,
        *,
        status: JobStatus | None = None,
        customer: Address | None = None,
        limit: int | None = None,
        ids: Sequence[int] | None = None,
    ) -> list[Job]:
        """Jobs of ``customer`` (this wallet's by default), newest first; or those of ``ids``.

        Args:
            status: Only jobs with this status.
            customer: Whose jobs; not read where ``ids`` are given.
            limit: No more than so many.
            ids: These jobs, in this order.

        Raises:
            NotFoundError: One of ``ids`` does not exist.
        """
        if ids is None:
            ids = (await self.chain.job_ids_of(customer or self.address))[::-1]
        if status is None:
            return await self.chain.jobs(ids[:limit])
        if status.is_hot and ids:
            # Few jobs are open at any time: the chain says which, before any job is read.
            still_open = set(await self.chain.open_job_ids(min(ids), max(ids)))
            ids = [job_id for job_id in ids if job_id in still_open]
        found = [job for job in await self.chain.jobs(ids) if job.status == status]
        return found[:limit]

    async def jobs_at(self, provider: Address, *, limit: int | None = None) -> list[Job]:
        """Jobs that were placed with a provider, the last placed first."""
        return await self.chain.jobs((await self.chain.job_ids_at(provider))[::-1][:limit])

    async def job_ids(self, after: int = 0, *, customer: Address | None = None) -> list[int]:
        """Numbers of an account's jobs (this wallet's by default), oldest first.

        Args:
            after: Leave out the first so many.
        """
        return await self.chain.job_ids_of(customer or self.address, after)

    async def jobs_by_id(self, ids: Sequence[int]) -> list[Job]:
        """These jobs, in this order.

        Raises:
            NotFoundError: One of them does not exist.
        """
        return await self.jobs(ids=ids)

    def watch(self, job_id: int) -> AsyncIterator[Job]:
        """Yields the job now and after each change, every status once; ends with the final one."""
        return watch(self.chain, job_id)

    async def changes(self) -> AsyncIterator[Batch]:
        """The live feed: batches of the grid's events from now on, empty ones as a heartbeat."""
        async for batch in await follow_from_now(self.chain, None):
            yield batch

    async def history(self, job: Job) -> list[Transition]:
        """Each status change of a job with its time and transaction, oldest first."""
        return await history(self.chain, job)

    async def top_up(self, job_id: int, wei: int, *, approve: bool = True) -> Job:
        """Adds credits to a job, which its provider turns into time.

        Raises:
            CreditsError: The wallet holds too few.
            ContractError: The job is not scheduled or running.
        """
        await self.chain.job(job_id)
        await self._check_money(wei, approve=approve, what="this top-up")
        # The contract has no top-up with a permit.
        async with self._paying(wei, approve=approve, permits=False):
            await self.send(self.chain.calls.top_up_job(job_id, wei))
        return await self.chain.job(job_id)

    # -- ends --------------------------------------------------------------------

    async def cancel(self, job_id: int) -> Job:
        """Asks for a job's end: at once while it waits, by its provider once it runs.

        A job whose provider was asked before is not asked for again; if its provider has
        let the time for an answer pass, the job is released.
        """
        job = await self.chain.job(job_id)
        if job.status is JobStatus.RUNNING and job.has_cancel_request:
            due = await self.expiry(job_id)
            if due is None or (await self.chain.head()).timestamp < due:
                return job
            await self.send(self.chain.calls.expire_job(job_id))
        else:
            await self.send(self.chain.calls.cancel_job(job_id))
        return await self.chain.job(job_id)

    async def expiry(self, job_id: int) -> int | None:
        """Unix seconds from which on anyone may release a job from its provider.

        None while nothing runs out: the job has ended, waits for a provider, or is claimed by
        one that is on the grid; also on grids whose contracts release nothing.
        """
        job = await self.chain.job(job_id)
        if job.status.is_final:
            return None
        try:
            due = await self.chain.expiry_of(job_id)
        except ContractError:
            return None
        return due if due < NEVER else None

    async def release(self, job_id: int) -> Job:
        """Takes a job from a provider that let its time pass; anyone may.

        A job that does not run goes back to the queue. One that runs ends: its provider is
        paid what it proved, the rest goes back to the job's customer.

        Raises:
            TryAgainError: Its time has not come; the message says when it does, if ever.
            ContractError: The job has ended.
        """
        job = await self.chain.job(job_id)
        due = await self.expiry(job_id)
        if due is None and not job.status.is_final:
            raise TryAgainError(_never_due(job), hint=f"'dsq cancel {job_id}' asks for its end.")
        now = (await self.chain.head()).timestamp
        if due is not None and now < due:
            raise TryAgainError(_not_yet(job, due, now))
        await self.send(self.chain.calls.expire_job(job_id))
        return await self.chain.job(job_id)


def _never_due(job: Job) -> str:
    if job.status is JobStatus.PENDING:
        return f"Job {job.id} is PENDING: no provider has it."
    return f"Job {job.id} is {job.status.name}: its provider has no time limit now."


def _not_yet(job: Job, due: int, now: int) -> str:
    minutes = -(-(due - now) // 60)
    when = utc(due)
    return (
        f"Job {job.id} is {job.status.name} and may be released at {when:%Y-%m-%d %H:%M} UTC, "
        f"in {format_minutes(minutes)}."
    )
