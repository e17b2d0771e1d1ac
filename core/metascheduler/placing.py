"""Placements on their way into the chain: as few transactions as the gas of a block allows.

``metaScheduleJobs`` leaves out what cannot be placed and says so with ``PlacementSkipped``;
the others of the batch count. A batch that the contract refuses as a whole is halved, down
to a single ``metaSchedule``, whose refusal names the reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dsq.core.chain import Call, Chain, Receipt, Sender
from dsq.core.errors import ContractError, DsqError
from dsq.core.metascheduler.policy import Placement
from dsq.core.model import Job, JobStatus

log = logging.getLogger("dsq.core.metascheduler.placing")

BATCH_GAS = 10_000_000
"""Gas of one transaction of placements: a third of a block of 30 million."""

JOB_GAS = 150_000
"""Gas of placing a job without labels (88 to 135 thousand measured; docs/contracts.md)."""

LABEL_GAS = 4_500
"""Gas of each label or affinity of the job: the contract reads them to fix the rate."""

TOLERATED = ("SameStatusError", "InvalidTransition", "JobHotStatusOnly", "PlacementSkipped")
"""Answers of the contract that only mean: the job has moved on."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Outcome of a placement.

    Attributes:
        error: Why it did not take effect; None if it did.
        provider_at_fault: The job still waits: it was the provider that could not get it.
    """

    placement: Placement
    error: DsqError | None
    provider_at_fault: bool = False


def gas_of(job: Job | None) -> int:
    """What placing a job costs at most, in gas; a job that is not known counts as a plain one."""
    if job is None:
        return JOB_GAS
    labels = len(job.definition.uses) + len(job.definition.affinity)
    return JOB_GAS + LABEL_GAS * labels


def batches(
    placements: Sequence[Placement], jobs: Mapping[int, Job], *, budget: int = BATCH_GAS
) -> list[list[Placement]]:
    """Parts placements into transactions of at most ``budget`` gas, in their order.

    A job that is dearer than the budget has a transaction of its own.
    """
    parts: list[list[Placement]] = []
    used = 0
    for placement in placements:
        gas = gas_of(jobs.get(placement.job_id))
        if not parts or used + gas > budget:
            parts.append([])
            used = 0
        parts[-1].append(placement)
        used += gas
    return parts


def outcomes(batch: Sequence[Placement], receipt: Receipt) -> list[Sent]:
    """What a mined batch made of each placement."""
    skipped = {
        int(event.args["job_id"]): JobStatus(event.args["status"])
        for event in receipt.events
        if event.name == "PlacementSkipped"
    }
    return [_outcome(placement, skipped.get(placement.job_id)) for placement in batch]


def _outcome(placement: Placement, status: JobStatus | None) -> Sent:
    if status is None:
        return Sent(placement, None)
    at_fault = status is JobStatus.PENDING
    reason = f"{placement.provider} may not get jobs" if at_fault else f"it is {status.name}"
    error = ContractError(
        f"Job {placement.job_id} was not placed: {reason}.", name="PlacementSkipped"
    )
    return Sent(placement, error, at_fault)


class Placer:
    """Sends placements.

    Args:
        chain: The grid's contracts.
        sender: Sends with a key that has ``METASCHEDULER_ROLE``.
    """

    def __init__(self, chain: Chain, sender: Sender) -> None:
        self._chain = chain
        self._sender = sender

    async def place(self, batch: Sequence[Placement]) -> list[Sent]:
        """Sends a batch and waits; says of each placement what became of it."""
        calls = self._chain.calls
        if len(batch) == 1:
            (one,) = batch
            _, error = await self.send(calls.meta_schedule(one.job_id, one.provider))
            return [Sent(one, error, _names(error, "ProviderNotJoined"))]
        receipt, error = await self.send(
            calls.meta_schedule_jobs([(one.job_id, one.provider) for one in batch])
        )
        if receipt is not None:
            return outcomes(batch, receipt)
        if not isinstance(error, ContractError):
            return [Sent(one, error) for one in batch]
        half = len(batch) // 2
        parts = await asyncio.gather(self.place(batch[:half]), self.place(batch[half:]))
        return [sent for part in parts for sent in part]

    async def send(self, call: Call) -> tuple[Receipt | None, DsqError | None]:
        """Sends a call and waits; says what went wrong instead of raising it."""
        try:
            return await self._sender.send(call), None
        except ContractError as error:
            level = logging.INFO if error.name in TOLERATED else logging.ERROR
            log.log(level, "refused call=%s reason=%r", call.label, str(error))
            return None, error
        except DsqError as error:
            log.warning("not sent call=%s reason=%r", call.label, str(error))
            return None, error


def _names(error: DsqError | None, name: str) -> bool:
    return isinstance(error, ContractError) and error.name == name
