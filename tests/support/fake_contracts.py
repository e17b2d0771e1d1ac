"""The rules of the contracts as one provider meets them: who may do what, billing, queues."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from dsq.core.chain.calls import Report
from dsq.core.chain.client import ClaimTerms
from dsq.core.model import (
    ZERO_ADDRESS,
    Address,
    Job,
    JobCost,
    JobDefinition,
    JobStatus,
    JobTime,
    Label,
    Provider,
    ProviderHardware,
    ProviderPrices,
)
from dsq.core.units import CREDIT, UINT64_MAX, wei_per_minute
from tests.support.fake_state import CONSTANTS, CUSTOMER, ME, PRICES, Said, State, refused
from tests.support.world import World

ALLOWED = {
    JobStatus.SCHEDULED: {
        JobStatus.RUNNING,
        JobStatus.CANCELLED,
        JobStatus.FAILED,
        JobStatus.PANICKED,
    },
    JobStatus.RUNNING: {
        JobStatus.CANCELLED,
        JobStatus.FINISHED,
        JobStatus.FAILED,
        JobStatus.OUT_OF_CREDITS,
        JobStatus.PANICKED,
    },
    JobStatus.PENDING: set(),
    JobStatus.META_SCHEDULED: {JobStatus.CANCELLED, JobStatus.PANICKED},
}


class FakeContracts(ABC):
    """What people, the meta-scheduler and a provider (:data:`ME`) do, as the contracts allow it.

    Attributes:
        registrations: How often the provider registered.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.state = State()
        self.provider_record = Provider(
            ME,
            ProviderHardware((0, 0), (4, 4), (8000, 8000)),
            PRICES,
            is_approved=True,
            is_valid=True,
        )
        self.proposal_record = Provider(ME, ProviderHardware(), ProviderPrices(0, 0, 0))
        self.registrations = 0

    @property
    @abstractmethod
    def block(self) -> int:
        """Number of the block that is being made."""

    @abstractmethod
    def _act(self, run: Callable[[], list[Said]], *, is_optional: bool = False) -> None:
        """Lets something happen; a reorganisation may drop what is optional."""

    @property
    def balances(self) -> dict[Address, int]:
        return self.state.balances

    @property
    def bills(self) -> dict[int, int]:
        return self.state.bills

    @property
    def ends(self) -> dict[int, list[tuple[JobStatus, int, str, int]]]:
        return self.state.ends

    @property
    def _claimable(self) -> list[int]:
        return self.state.claimable

    @property
    def job_ids(self) -> list[int]:
        return list(self.state.jobs)

    def peek(self, job_id: int) -> Job:
        """The job, for assertions."""
        return self.state.jobs[job_id]

    # what customers and the meta-scheduler do: at once, in the block that is being made

    def request(
        self,
        *,
        credits: int = 1000,  # noqa: A002 - as users say it
        definition: JobDefinition | None = None,
        script: str = "h",
    ) -> int:
        """A customer asks for a job."""
        job_id = len(self.state.jobs) + 1
        wanted = definition or JobDefinition(1, 1, 1000, 0, script)

        def run() -> list[Said]:
            self.state.jobs[job_id] = Job(
                job_id,
                JobStatus.PENDING,
                CUSTOMER,
                ZERO_ADDRESS,
                wanted,
                JobCost(credits * CREDIT),
                JobTime(submit=self.now(), block_number_state_change=self.block),
            )
            return []

        self._act(run)
        return job_id

    def offer(self, job_id: int, provider: Address = ME) -> None:
        """The meta-scheduler places a job."""

        def run() -> list[Said]:
            job = self.state.jobs[job_id]
            if job.status is not JobStatus.PENDING:
                raise refused("InvalidTransition")
            self.state.jobs[job_id] = replace(job, provider=provider)
            rate = wei_per_minute(job.definition, self.provider_record.prices)
            self.state.terms[job_id] = ClaimTerms(0, rate)
            if provider == ME:
                self.state.claimable.append(job_id)
            return [self._move(job_id, JobStatus.META_SCHEDULED)]

        self._act(run)

    def cancel(self, job_id: int) -> None:
        """The customer cancels a job."""

        def run() -> list[Said]:
            job = self.state.jobs[job_id]
            if job.status.is_final:
                raise refused("JobHotStatusOnly")
            self.state.jobs[job_id] = replace(job, has_cancel_request=True)
            if job.status in (JobStatus.RUNNING, JobStatus.SCHEDULED):
                self.state.cancelling.append(job_id)
            if job.status is JobStatus.RUNNING:
                args = {"job_id": job_id, "customer": CUSTOMER, "provider": job.provider}
                return [("JobCancelRequested", args)]
            self._settle(job_id, 0)
            return [self._move(job_id, JobStatus.CANCELLED)]

        self._act(run, is_optional=True)

    def top_up(self, job_id: int, wei: int) -> None:
        """The customer pays for more time."""

        def run() -> list[Said]:
            job = self.state.jobs[job_id]
            if job.status not in (JobStatus.SCHEDULED, JobStatus.RUNNING):
                raise refused("RunningScheduledStatusOnly")
            if job.cost.pending_top_up == 0:
                self.state.top_up.append(job_id)
            cost = replace(
                job.cost,
                max_cost=job.cost.max_cost + wei,
                pending_top_up=job.cost.pending_top_up + wei,
            )
            self.state.jobs[job_id] = replace(job, cost=cost)
            return []

        self._act(run, is_optional=True)

    def expire(self, job_id: int) -> None:
        """Somebody ends a job whose provider is silent; paid is what was proved."""

        def run() -> list[Said]:
            job, state = self.state.jobs[job_id], self.state
            if job.status is JobStatus.RUNNING:
                proved = state.proved.get(job_id, job.time.start) - job.time.start
                self._settle(job_id, max(1, proved // 60))
                return [self._move(job_id, JobStatus.FAILED)]
            return self._hand_back(job_id)

        self._act(run)

    def timeout(self, job_id: int) -> None:
        """The meta-scheduler takes a job back."""
        self._act(lambda: self._hand_back(job_id))

    def force(self, job_id: int, **changes: Any) -> None:
        """Sets a job's fields, as a reorganisation might."""
        self.state.jobs[job_id] = replace(self.state.jobs[job_id], **changes)

    def emit(self, name: str, args: dict[str, Any]) -> None:
        """Writes an event into the block that is being made."""
        self._act(lambda: [(name, args)])

    def approve(self) -> None:
        """The grid's operator approves what waits."""
        self.provider_record = replace(
            self.proposal_record, is_waiting=False, is_approved=True, is_valid=True
        )
        self.proposal_record = Provider(ME, ProviderHardware(), ProviderPrices(0, 0, 0))

    # what the provider's transactions do

    def on_claim(self, most: int) -> list[Said]:
        said: list[Said] = []
        queue = self.state.claimable
        while queue and len(said) < 2 * most:
            job_id = queue.pop(0)
            if not self._is(job_id, JobStatus.META_SCHEDULED):
                continue
            job = self.state.jobs[job_id]
            terms = self.state.terms[job_id] = replace(
                self.state.terms[job_id], claimed_at=self.now()
            )
            minutes = min(job.cost.max_cost // terms.rate, UINT64_MAX)
            self.state.claims[job_id] = self.state.claims.get(job_id, 0) + 1
            self.state.claim_blocks[job_id] = self.block
            self.state.jobs[job_id] = replace(job, cost=replace(job.cost, pending_top_up=0))
            args = {
                "customer": job.customer,
                "provider": ME,
                "job_id": job_id,
                "max_duration_minute": minutes,
                "definition": job.definition,
            }
            said += [("ClaimJobEvent", args), self._move(job_id, JobStatus.SCHEDULED)]
        if not said:
            raise refused("NoJob")
        return said

    def on_claim_cancelling(self) -> list[Said]:
        job_id = self._next(
            self.state.cancelling, {JobStatus.RUNNING, JobStatus.CANCELLED}, needs_claim=True
        )
        self._prove(job_id)
        args = {"customer": CUSTOMER, "provider": ME, "job_id": job_id}
        return [("ClaimNextCancellingJobEvent", args)]

    def on_claim_top_up(self) -> list[Said]:
        job_id = self._next(self.state.top_up, {JobStatus.SCHEDULED, JobStatus.RUNNING})
        job = self.state.jobs[job_id]
        minutes = job.cost.pending_top_up // self.state.terms[job_id].rate
        self.state.jobs[job_id] = replace(job, cost=replace(job.cost, pending_top_up=0))
        self._prove(job_id)
        args = {"job_id": job_id, "provider": ME, "max_duration_minute": minutes}
        return [("ClaimNextTopUpJobEvent", args)]

    def on_refuse(self, job_id: int) -> list[Said]:
        if not self._mine(job_id):
            raise refused("JobProviderOnly")
        if self.state.jobs[job_id].status not in (JobStatus.META_SCHEDULED, JobStatus.SCHEDULED):
            raise refused("MetaScheduledScheduledStatusOnly")
        return self._hand_back(job_id)

    def on_report(self, reports: Sequence[Report]) -> list[Said]:
        said: list[Said] = []
        for report in reports:
            job = self.state.jobs[report.job_id]
            is_running = job.status is JobStatus.RUNNING
            if self._mine(job.id) and is_running and report.status is JobStatus.RUNNING:
                self._prove(job.id)
                continue
            if not self._mine(job.id) or report.status not in ALLOWED.get(job.status, ()):
                args = {"job_id": job.id, "provider": ME, "status": job.status}
                said.append(("ReportSkipped", args))
                continue
            minutes = 0
            if is_running or report.status is JobStatus.RUNNING:
                end = self.now() if report.status is JobStatus.RUNNING else report.end
                self._check_times(job.id, report.start, end)
                time = replace(job.time, start=report.start)
                if is_running:
                    time = replace(time, end=end)
                    minutes = (end - report.start) // 60
                self.state.jobs[job.id] = replace(job, time=time)
            said += self._report(
                job.id, report.status, minutes, report.last_error, report.exit_status
            )
        return said

    def _check_times(self, job_id: int, start: int, end: int) -> None:
        claimed = self.state.terms[job_id].claimed_at
        if not claimed <= start <= end <= self.now():
            raw = job_id.to_bytes(32, "big")
            raise refused("InvalidReportTimes", jobId=raw, start=start, end=end, claimedAt=claimed)

    def on_set_status(
        self, job_id: int, status: JobStatus, minutes: int, last_error: str, exit_status: int
    ) -> list[Said]:
        job = self.state.jobs[job_id]
        if not self._mine(job_id):
            raise refused("JobProviderOnly")
        if job.status is status:
            raise refused("SameStatusError")
        if job.status.is_final:
            raise refused("JobHotStatusOnly")
        if status not in ALLOWED[job.status]:
            raise refused("InvalidTransition")
        return self._report(job_id, status, minutes, last_error, exit_status)

    def _report(
        self, job_id: int, status: JobStatus, minutes: int, last_error: str, exit_status: int
    ) -> list[Said]:
        said: list[Said] = []
        job = self.state.jobs[job_id]
        if status is JobStatus.RUNNING:
            self._prove(job_id)
        if status.is_final:
            ran = job.status is JobStatus.RUNNING and status is not JobStatus.PANICKED
            billed = max(1, minutes) if ran else 0
            bound = (self.now() - self.state.terms[job_id].claimed_at) // 60 + 1
            if billed > bound:
                args = {"job_id": job_id, "provider": ME, "billing_amount": billed}
                said.append(("BilledTooMuchEvent", args))
                billed = bound
            self.state.ends.setdefault(job_id, []).append(
                (status, billed if ran else minutes, last_error, exit_status)
            )
            self._settle(job_id, billed)
            self.state.jobs[job_id] = replace(
                self.state.jobs[job_id], last_error=last_error, exit_status=exit_status
            )
        return [*said, self._move(job_id, status)]

    def on_register(
        self, hardware: ProviderHardware, prices: ProviderPrices, labels: Sequence[Label]
    ) -> list[Said]:
        self.registrations += 1
        self.proposal_record = Provider(ME, hardware, prices, tuple(labels), is_waiting=True)
        return [("ProviderWaitingForApproval", {"provider": ME})]

    # inside

    def now(self) -> int:
        """The chain's clock."""
        return int(self.world.true_time() + self.world.chain_skew)

    def _is(self, job_id: int, status: JobStatus) -> bool:
        return self._mine(job_id) and self.state.jobs[job_id].status is status

    def _mine(self, job_id: int) -> bool:
        return self.state.jobs[job_id].provider == ME

    def _served(self, job_id: int, statuses: set[JobStatus], *, needs_claim: bool) -> bool:
        claimed = not needs_claim or bool(self.state.terms[job_id].claimed_at)
        return self._mine(job_id) and self.state.jobs[job_id].status in statuses and claimed

    def _next(
        self, queue: list[int], statuses: set[JobStatus], *, needs_claim: bool = False
    ) -> int:
        while queue:
            job_id = queue.pop(0)
            if self._served(job_id, statuses, needs_claim=needs_claim):
                return job_id
        raise refused("NoJob")

    def _prove(self, job_id: int) -> None:
        if self.state.jobs[job_id].status in (JobStatus.RUNNING, JobStatus.SCHEDULED):
            self.state.proved[job_id] = self.now()

    def _hand_back(self, job_id: int) -> list[Said]:
        job = self.state.jobs[job_id]
        self.state.jobs[job_id] = replace(job, provider=ZERO_ADDRESS)
        args = {"job_id": job_id, "provider": job.provider, "customer": CUSTOMER}
        return [("JobRefusedEvent", args), self._move(job_id, JobStatus.PENDING)]

    def _settle(self, job_id: int, minutes: int) -> None:
        job = self.state.jobs[job_id]
        terms = self.state.terms.get(job_id)
        final = min(terms.rate * minutes, job.cost.max_cost) if terms else 0
        fee = final * CONSTANTS.deepsquare_cut // 100
        balances = self.state.balances
        balances[ME] = balances.get(ME, 0) + final - fee
        balances[CUSTOMER] = balances.get(CUSTOMER, 0) + job.cost.max_cost - final
        self.state.fees += fee
        self.state.bills[job_id] = minutes
        self.state.jobs[job_id] = replace(job, cost=replace(job.cost, final_cost=final))

    def _move(self, job_id: int, status: JobStatus) -> Said:
        job = self.state.jobs[job_id]
        time = replace(job.time, block_number_state_change=self.block)
        if status is JobStatus.RUNNING:
            time = replace(time, start=time.start or self.now())
        if status.is_final:
            time = replace(time, end=self.now(), start=time.start or self.now())
        self.state.jobs[job_id] = replace(job, status=status, time=time)
        args = {"job_id": job_id, "from_status": job.status, "to_status": status}
        return "JobTransitionEvent", args
