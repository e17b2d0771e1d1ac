"""Calls that change the grid, built without asking the chain.

A :class:`Call` is what a :class:`~dsq.core.chain.sender.Sender` signs and sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dsq.core.chain import codec
from dsq.core.chain.admin_calls import CONSTANT_SETTERS, AdminCalls
from dsq.core.chain.call import Call
from dsq.core.chain.roles import (
    DEFAULT_ADMIN_ROLE,
    METASCHEDULER_CONTRACT_ROLE,
    METASCHEDULER_ROLE,
    ROLES,
    role_of,
)
from dsq.core.errors import UsageError
from dsq.core.model import (
    Address,
    JobDefinition,
    JobStatus,
    Label,
    ProviderHardware,
    ProviderPrices,
    encode_job_name,
)

__all__ = [
    "CONSTANT_SETTERS",
    "DEFAULT_ADMIN_ROLE",
    "LAST_ERROR_BYTES",
    "METASCHEDULER_CONTRACT_ROLE",
    "METASCHEDULER_ROLE",
    "ROLES",
    "Call",
    "Calls",
    "Report",
    "cut",
    "role_of",
]

LAST_ERROR_BYTES = 1024
"""What the contract keeps of a job's last error (``Limits.LAST_ERROR``); it refuses more."""


def cut(text: str) -> str:
    """A last error that the contract takes: no report must fail for the length of its words."""
    raw = text.encode()
    if len(raw) <= LAST_ERROR_BYTES:
        return text
    mark = "…"
    return raw[: LAST_ERROR_BYTES - len(mark.encode())].decode(errors="ignore") + mark


@dataclass(frozen=True, slots=True)
class Report:
    """What a provider says about one of its jobs in a batch.

    Attributes:
        status: RUNNING (again: a sign of life) or an end.
        start: Unix seconds at which it began to run, not before the claim.
        end: Unix seconds at which it ended; not read while it runs.
        exit_status: The wait status (exit code 3 is 768).
    """

    job_id: int
    status: JobStatus
    start: int = 0
    end: int = 0
    last_error: str = ""
    exit_status: int = 0


class Calls(AdminCalls):
    """Builds the calls of one grid. Money is wei, durations are whole minutes."""

    def note(self, account: Address, words: bytes) -> Call:
        """A transfer of nothing by an account to itself, for those who watch it."""
        return Call(account, words, f"note({words.decode(errors='replace')})")

    # Jobs, by their customer.

    def request_new_job(
        self, definition: JobDefinition, locked_wei: int, name: str = "", delegate: bool = False
    ) -> Call:
        """Asks for a job and locks ``locked_wei`` (the allowance must cover it)."""
        return self._call(
            "MetaScheduler",
            "requestNewJob",
            codec.definition_to_tuple(definition),
            locked_wei,
            encode_job_name(name),
            delegate,
        )

    def request_new_job_with_permit(
        self,
        definition: JobDefinition,
        locked_wei: int,
        name: str = "",
        delegate: bool = False,
        *,
        deadline: int,
        signature: bytes,
    ) -> Call:
        """The same with a permit instead of an allowance.

        Args:
            deadline: Unix seconds until which the permit holds.
            signature: 65 bytes (r, s, v) over the permit of exactly ``locked_wei``.

        Raises:
            UsageError: The signature has another length.
        """
        if len(signature) != 65:
            raise UsageError(f"A signature has 65 bytes, not {len(signature)}.")
        return self._call(
            "MetaScheduler",
            "requestNewJobWithPermit",
            codec.definition_to_tuple(definition),
            locked_wei,
            encode_job_name(name),
            delegate,
            deadline,
            signature[64],
            signature[:32],
            signature[32:64],
        )

    def cancel_job(self, job_id: int) -> Call:
        """Cancels a job; while it runs, asks its provider to."""
        return self._of_job("cancelJob", job_id)

    def top_up_job(self, job_id: int, wei: int) -> Call:
        """Adds credits to a scheduled or running job."""
        return self._of_job("topUpJob", job_id, wei)

    def top_up_job_delegate(self, job_id: int) -> Call:
        """Adds a slice of the customer's credits, where the customer allowed that."""
        return self._of_job("topUpJobDelegate", job_id)

    def set_delegate(self, job_id: int, allowed: bool) -> Call:
        """Lets others top up the job from the customer's credits, or not."""
        return self._of_job("setDelegateSpendingAuthority", job_id, allowed)

    # Jobs, by the meta-scheduler.

    def meta_schedule(self, job_id: int, provider: Address) -> Call:
        """Gives a pending job to a provider."""
        return self._of_job("metaSchedule", job_id, provider)

    def meta_schedule_jobs(self, placements: Sequence[tuple[int, Address]]) -> Call:
        """Gives several pending jobs to providers; what cannot be placed any more is left out."""
        pairs = [(codec.job_id_to_bytes(job_id), provider) for job_id, provider in placements]
        return self._call("MetaScheduler", "metaScheduleJobs", pairs, shown=f"{len(pairs)} jobs")

    def expire_job(self, job_id: int) -> Call:
        """Takes a job from a provider that let its time pass; anyone may."""
        return self._of_job("expireJob", job_id)

    def withdraw_claimable(self, to: Address) -> Call:
        """Pays what waits for the caller because a payment to it did not go through."""
        return self._call("MetaScheduler", "withdrawClaimable", to, shown=to.short)

    def timeout_job(self, job_id: int) -> Call:
        """Takes a job back from a provider that did not start it in time."""
        return self._of_job("timeoutJob", job_id)

    def panic_job(self, job_id: int, reason: str) -> Call:
        """Ends a job that cannot go on; everything is refunded."""
        return self._of_job("panicJob", job_id, cut(reason))

    # Jobs, by the provider.

    def claim_next_job(self) -> Call:
        return self._call("MetaScheduler", "claimNextJob")

    def claim_next_jobs(self, most: int) -> Call:
        """Claims up to ``most`` jobs, oldest first."""
        return self._call("MetaScheduler", "claimNextJobs", most, shown=most)

    def report_jobs(self, reports: Sequence[Report]) -> Call:
        """Reports on several jobs; a report that does not fit any more is left out."""
        rows = [
            (
                codec.job_id_to_bytes(report.job_id),
                int(report.status),
                report.start,
                report.end,
                cut(report.last_error),
                report.exit_status,
            )
            for report in reports
        ]
        return self._call("MetaScheduler", "reportJobs", rows, shown=f"{len(rows)} jobs")

    def claim_next_cancelling_job(self) -> Call:
        return self._call("MetaScheduler", "claimNextCancellingJob")

    def claim_next_top_up_job(self) -> Call:
        return self._call("MetaScheduler", "claimNextTopUpJob")

    def refuse_job(self, job_id: int) -> Call:
        """Hands a job back; it becomes pending again."""
        return self._of_job("refuseJob", job_id)

    def provider_set_job_status(
        self,
        job_id: int,
        status: JobStatus,
        minutes: int = 0,
        last_error: str = "",
        exit_status: int = 0,
    ) -> Call:
        """Reports that a job runs or has ended.

        Args:
            minutes: What is billed when it ended.
            last_error: Why it ended so; cut to what the contract keeps.
            exit_status: The wait status (exit code 3 is 768).
        """
        return self._call(
            "MetaScheduler",
            "providerSetJobStatus",
            codec.job_id_to_bytes(job_id),
            int(status),
            minutes,
            cut(last_error),
            exit_status,
            shown=f"{job_id}, {status.name}",
        )

    def _of_job(self, function: str, job_id: int, *args: Any) -> Call:
        raw = codec.job_id_to_bytes(job_id)
        return self._call("MetaScheduler", function, raw, *args, shown=job_id)

    # Credits.

    def approve_credit(self, spender: Address | None, wei: int) -> Call:
        """Sets what ``spender`` (None: the MetaScheduler) may take from the caller."""
        return self._call("Credit", "approve", spender or self._addresses.metascheduler, wei)

    def transfer(self, to: Address, wei: int) -> Call:
        return self._call("Credit", "transfer", to, wei, shown=to.short)

    # Providers.

    def register(
        self, hardware: ProviderHardware, prices: ProviderPrices, labels: Sequence[Label]
    ) -> Call:
        """Proposes the caller as a provider."""
        return self._call(
            "ProviderManager",
            "register",
            codec.hardware_to_tuple(hardware),
            codec.prices_to_tuple(prices),
            [codec.label_to_tuple(label) for label in labels],
        )

    def approve_provider(self, provider: Address) -> Call:
        return self._of_provider("approve", provider)

    def approve_proposal(self, provider: Address, proposal_hash: bytes) -> Call:
        """Approves a provider if its proposal is still the one with this hash."""
        return self._call(
            "ProviderManager", "approveProposal", provider, proposal_hash, shown=provider.short
        )

    def remove_provider(self, provider: Address) -> Call:
        return self._of_provider("remove", provider)

    def ban(self, provider: Address) -> Call:
        return self._of_provider("ban", provider)

    def unban(self, provider: Address) -> Call:
        return self._of_provider("unban", provider)

    def _of_provider(self, function: str, provider: Address) -> Call:
        return self._call("ProviderManager", function, provider, shown=provider.short)
