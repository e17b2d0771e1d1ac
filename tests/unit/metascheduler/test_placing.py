"""Placements in batches: how they are parted, and what a spoiled batch costs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.chain import Event, Receipt
from dsq.core.errors import ContractError, DsqError, UnreachableError
from dsq.core.metascheduler.placing import JOB_GAS, LABEL_GAS, Placer, batches, gas_of, outcomes
from dsq.core.metascheduler.policy import Placement
from dsq.core.model import Job, JobStatus

from .grids import address, definition, job


def _placements(count: int) -> list[Placement]:
    return [Placement(number + 1, address(1)) for number in range(count)]


def _receipt(*skipped: tuple[int, JobStatus]) -> Receipt:
    events = tuple(
        Event(
            "PlacementSkipped",
            "MetaScheduler",
            {"job_id": number, "provider": address(1), "status": status},
            1,
            b"",
            b"",
            place,
        )
        for place, (number, status) in enumerate(skipped)
    )
    return Receipt(b"", 1, 1, events)


@given(st.lists(st.integers(0, 128), max_size=60), st.integers(1, 10))
def test_no_batch_is_dearer_than_the_budget(labels: list[int], jobs_of_budget: int) -> None:
    """Order is kept, nothing is lost, and only a batch of one may exceed the budget."""
    budget = jobs_of_budget * JOB_GAS
    jobs: dict[int, Job] = {
        number + 1: job(number + 1, definition(uses=" ".join(f"k{n}=v" for n in range(count))))
        for number, count in enumerate(labels)
    }
    placements = _placements(len(labels))
    parts = batches(placements, jobs, budget=budget)
    assert [one for part in parts for one in part] == placements
    for part in parts:
        assert len(part) == 1 or sum(gas_of(jobs[one.job_id]) for one in part) <= budget
    # Each batch was full: its successor's first job would not have fitted.
    for part, following in itertools.pairwise(parts):
        assert sum(gas_of(jobs[one.job_id]) for one in (*part, following[0])) > budget


def test_labels_make_a_job_dearer() -> None:
    """The contract reads a job's labels and affinities to fix its rate."""
    needs = definition(uses="a=b c=d", affinity="e<f")
    assert gas_of(job(1, needs)) == JOB_GAS + 3 * LABEL_GAS
    assert gas_of(None) == JOB_GAS


def test_skipped_entries_do_not_spoil_the_others() -> None:
    """Entries that the contract left out have failed; a waiting one because of its provider."""
    sent = outcomes(_placements(3), _receipt((1, JobStatus.CANCELLED), (3, JobStatus.PENDING)))
    assert [(one.error is None, one.provider_at_fault) for one in sent] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    assert "it is CANCELLED" in str(sent[0].error)
    assert f"{address(1)} may not get jobs" in str(sent[2].error)


@dataclass
class Contract:
    """Stands for sender and calls: refuses whatever holds a job of ``bad``."""

    bad: dict[int, DsqError] = field(default_factory=dict)
    sent: list[list[int]] = field(default_factory=list)

    def meta_schedule(self, job_id: int, provider: Any) -> Any:
        return SimpleNamespace(ids=[job_id], label=f"metaSchedule({job_id})")

    def meta_schedule_jobs(self, pairs: Sequence[tuple[int, Any]]) -> Any:
        return SimpleNamespace(ids=[number for number, _ in pairs], label="metaScheduleJobs()")

    async def send(self, call: Any) -> Receipt:
        self.sent.append(call.ids)
        for number in call.ids:
            if number in self.bad:
                raise self.bad[number]
        return _receipt()


def _placer(contract: Contract) -> Placer:
    return Placer(SimpleNamespace(calls=contract), contract)  # type: ignore[arg-type]


async def test_one_transaction_for_all() -> None:
    """Placements of a batch cost one transaction, a single one uses the published function."""
    contract = Contract()
    sent = await _placer(contract).place(_placements(40))
    assert contract.sent == [list(range(1, 41))]
    assert all(one.error is None for one in sent)
    await _placer(contract).place(_placements(1))
    assert contract.sent[-1] == [1]


async def test_a_refused_batch_is_halved_to_the_bad_entry() -> None:
    """Of 40 jobs one makes the contract refuse: it alone fails, with its reason."""
    refusal = ContractError("There is no such job.", name="InvalidJob")
    contract = Contract({17: refusal})
    sent = await _placer(contract).place(_placements(40))
    assert [one.placement for one in sent] == _placements(40)
    assert [one.placement.job_id for one in sent if one.error is not None] == [17]
    assert len(contract.sent) <= 2 * 6 + 1


@pytest.mark.parametrize("count", [1, 7])
async def test_a_silent_chain_fails_the_batch_once(count: int) -> None:
    """What may be on its way is not sent again in parts."""
    contract = Contract({1: UnreachableError("The chain does not answer.")})
    sent = await _placer(contract).place(_placements(count))
    assert len(contract.sent) == 1
    assert all(isinstance(one.error, UnreachableError) for one in sent)


async def test_a_provider_that_left_is_named() -> None:
    """A refused single placement says whether the provider must be read anew."""
    gone = ContractError("The provider is not approved.", name="ProviderNotJoined")
    (sent,) = await _placer(Contract({1: gone})).place(_placements(1))
    assert sent.provider_at_fault
