"""Builders of calls of the fake contracts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dsq.core.chain.calls import Report
from dsq.core.model import Address, JobStatus, Label, ProviderHardware, ProviderPrices
from tests.support.fake_contracts import FakeContracts
from tests.support.fake_state import FakeCall, Said


class FakeCalls:
    """Builders of calls, as :class:`dsq.core.chain.Calls`."""

    def __init__(self, chain: FakeContracts) -> None:
        self._chain = chain

    def _call(self, label: str, function: Callable[..., list[Said]], *args: Any) -> FakeCall:
        return FakeCall(label, lambda: function(*args))

    def note(self, account: Address, words: bytes) -> FakeCall:
        return FakeCall(f"note({words.decode()})", list)

    def claim_next_job(self) -> FakeCall:
        return self._call("claimNextJob()", self._chain.on_claim, 1)

    def claim_next_jobs(self, most: int) -> FakeCall:
        return self._call(f"claimNextJobs({most})", self._chain.on_claim, most)

    def claim_next_cancelling_job(self) -> FakeCall:
        return self._call("claimNextCancellingJob()", self._chain.on_claim_cancelling)

    def claim_next_top_up_job(self) -> FakeCall:
        return self._call("claimNextTopUpJob()", self._chain.on_claim_top_up)

    def refuse_job(self, job_id: int) -> FakeCall:
        return self._call(f"refuseJob({job_id})", self._chain.on_refuse, job_id)

    def report_jobs(self, reports: Sequence[Report]) -> FakeCall:
        shown = " ".join(f"{r.job_id}:{r.status.name}" for r in reports)
        return self._call(f"reportJobs({shown})", self._chain.on_report, list(reports))

    def provider_set_job_status(
        self,
        job_id: int,
        status: JobStatus,
        minutes: int,
        last_error: str = "",
        exit_status: int = 0,
    ) -> FakeCall:
        return self._call(
            f"providerSetJobStatus({job_id}, {status.name}, {minutes})",
            self._chain.on_set_status,
            job_id,
            status,
            minutes,
            last_error,
            exit_status,
        )

    def register(
        self, hardware: ProviderHardware, prices: ProviderPrices, labels: Sequence[Label]
    ) -> FakeCall:
        return self._call("register()", self._chain.on_register, hardware, prices, labels)
