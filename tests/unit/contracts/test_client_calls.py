"""The client's calls, words and events for what the contracts have beyond the published ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from eth_abi.abi import encode

from dsq import contracts
from dsq.core.chain.abi import contract
from dsq.core.chain.addresses import Addresses
from dsq.core.chain.calls import Call, Calls, Report
from dsq.core.chain.events import EventReader
from dsq.core.chain.reverts import WORDS, decode_revert
from dsq.core.errors import UsageError
from dsq.core.model import Address, JobStatus
from tests.support.evm import ADMIN_ROLE, CREDIT, DEFINITION, RATE, World


@pytest.fixture
def calls(world: World) -> Calls:
    return Calls(addresses_of(world))


def addresses_of(world: World) -> Addresses:
    return Addresses(
        metascheduler=world.scheduler.account,
        credit=world.credit.account,
        provider_manager=world.providers.account,
        provider_job_queues=world.queues.account,
        jobs=world.jobs.account,
        constants=world.constants.account,
    )


def send(world: World, call: Call, sender: Address) -> None:
    """Executes a call in a block of its own."""
    world.mine()
    world.execute(sender, call.to.lower, call.data)


def test_batches(world: World, calls: Calls) -> None:
    """Placements, claims and reports of several jobs do what they say."""
    jobs = [world.request(), world.request()]
    send(world, calls.meta_schedule_jobs([(j, world.p1) for j in jobs]), world.service)
    send(world, calls.claim_next_jobs(5), world.p1)
    started = [Report(j, JobStatus.RUNNING, world.time) for j in jobs]
    send(world, calls.report_jobs(started), world.p1)
    world.warp(600)
    ended = Report(jobs[1], JobStatus.FAILED, world.time - 300, world.time, "boom", 256)
    send(world, calls.report_jobs([ended]), world.p1)
    job = world.job(jobs[1])
    assert (job.status, job.final_cost) == (JobStatus.FAILED, 5 * RATE)
    assert (job.last_error, job.exit_code) == ("boom", 256)
    assert calls.report_jobs([ended]).label == "reportJobs(1 jobs)"


def test_expiry(world: World, calls: Calls) -> None:
    """Anyone takes an unclaimed job back."""
    job_id = world.job_at(JobStatus.META_SCHEDULED)
    world.warp(3600)
    send(world, calls.expire_job(job_id), world.bob)
    assert world.job(job_id).status == JobStatus.PENDING


def test_hand_overs(world: World, calls: Calls) -> None:
    """Owners and administrators change in two steps."""
    send(world, calls.transfer_ownership("Constants", world.bob), world.admin)
    send(world, calls.accept_ownership("Constants"), world.bob)
    send(world, calls.set_constant("cancel_timeout", 7), world.bob)
    assert world.constants.call("cancelTimeout") == 7
    send(world, calls.begin_admin_transfer("JobRepository", world.bob), world.admin)
    send(world, calls.accept_admin_transfer("JobRepository"), world.bob)
    assert world.jobs.call("hasRole", ADMIN_ROLE, world.bob) is True


def test_approval_of_a_proposal(world: World, calls: Calls) -> None:
    """The hash of the proposal goes with the approval."""
    world.register(world.bob)
    seen = world.providers.call("proposalHash", world.bob)
    send(world, calls.approve_proposal(world.bob, seen), world.admin)
    assert world.providers.call("isValidForScheduling", world.bob) is True


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda c: c.set_constant("cancel_timeot", 1), "Did you mean 'cancel_timeout'"),
        (
            lambda c: c.request_new_job_with_permit(DEFINITION, 1, deadline=1, signature=b"x"),
            "65 bytes, not 1",
        ),
    ],
)
def test_mistakes(calls: Calls, build: Callable[[Calls], Call], words: str) -> None:
    """What cannot be meant is refused with words, before anything is sent."""
    with pytest.raises(UsageError) as error:
        build(calls)
    assert words in f"{error.value} {error.value.hint}"


def test_permit_is_split(calls: Calls) -> None:
    """A signature goes to the contract as v, r and s."""
    signature = b"r" * 32 + b"s" * 32 + b"\x1b"
    call = calls.request_new_job_with_permit(DEFINITION, CREDIT, deadline=9, signature=signature)
    assert call.data[4 + 4 * 32 : 4 + 8 * 32] == b"".join(
        [(9).to_bytes(32), (27).to_bytes(32), b"r" * 32, b"s" * 32]
    )


def test_each_error_has_words() -> None:
    """Every custom error of the contracts has its own sentence."""
    names = {
        e["name"]
        for c in contracts.ARTIFACTS
        for e in contracts.load(c).abi
        if e["type"] == "error"
    }
    assert names - WORDS.keys() == set()


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("NotExpired", (100, 161), "2 minutes left"),
        ("NotExpired", (100, 2**256 - 1), "nothing is overdue"),
        (
            "InvalidReportTimes",
            ((7).to_bytes(32), 5, 6, 9),
            "job 7 are not possible: claimed 1970-01-01 00:00:09",
        ),
        ("TextTooLong", (300, 256), "300 bytes; 256 are allowed"),
        ("ListTooLong", (129, 128), "129 entries; 128 are allowed"),
        ("ConstantBelowBound", (0, 1), "cannot be 0; 1 is the least"),
        ("ProposalChanged", (b"a" * 32, b"b" * 32), "has changed its proposal"),
        ("PendingAdminOnly", ("0x" + "11" * 20, "0x" + "22" * 20), "named as the next"),
    ],
)
def test_words(name: str, values: tuple[object, ...], words: str) -> None:
    """The values of an error are in its sentence."""
    error = next(
        e for c in contracts.ARTIFACTS for e in contract(c).errors.values() if e.name == name
    )
    data = error.selector + encode([p.type for p in error.parameters], values)
    found = decode_revert(data)
    assert words in str(found)
    assert found.name == name


def test_events_are_read(world: World) -> None:
    """The added events have plain names and types."""
    job_id = world.job_at(JobStatus.RUNNING)
    world.report(job_id, JobStatus.FINISHED, 1)
    reader = EventReader(addresses_of(world), ["JobSettled", "JobUpdated"])
    found = {}
    for place, entry in enumerate(world.evm.result.logs):
        data = entry.data[-1] if isinstance(entry.data, tuple) else entry.data
        event = reader.read(
            {
                "address": str(entry.address),
                "topics": [str(topic) for topic in entry.topics],
                "data": "0x" + bytes(data).hex(),
                "blockNumber": "0x1",
                "blockHash": "0x" + "00" * 32,
                "transactionHash": "0x" + "00" * 32,
                "logIndex": hex(place),
            }
        )
        if event is not None:
            found[event.name] = event.args
    assert found["JobUpdated"] == {
        "job_id": job_id,
        "customer": world.alice,
        "provider": world.p1,
        "from_status": JobStatus.RUNNING,
        "to_status": JobStatus.FINISHED,
    }
    assert found["JobSettled"]["fee"] == RATE * 20 // 100
