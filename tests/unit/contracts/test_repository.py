"""The store of jobs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsq.core.model import Address, Affinity, JobDefinition, JobStatus, Label, StorageType
from tests.support.evm import (
    DEFINITION,
    METASCHEDULER_ROLE,
    Event,
    RevertedError,
    World,
    definition_tuple,
    names,
    raw_id,
)

CUSTOMER = Address(b"\x11" * 20)
OTHER = Address(b"\x22" * 20)
COST = (1, 2, 3, True)
TIME = (11, 12, 13, 14, 15, 16)

SETTERS: dict[str, Any] = {
    "setJobStatus": 3,
    "setCost": COST,
    "setTime": TIME,
    "setProviderAddr": OTHER,
    "setCustomerAddr": OTHER,
    "setDefinition": definition_tuple(DEFINITION),
    "setJobName": b"n" * 32,
    "setHasCancelRequest": True,
    "setLastError": "words",
    "setExitCode": -5,
}


def job_tuple(
    *, job_id: int = 0, status: JobStatus = JobStatus.PENDING, customer: Address = CUSTOMER
) -> tuple[Any, ...]:
    """A job with something in every field."""
    return (
        raw_id(job_id),
        int(status),
        customer.lower,
        OTHER.lower,
        definition_tuple(DEFINITION),
        COST,
        TIME,
        b"a".ljust(32, b"\0"),
        True,
        "why",
        768,
    )


def frozen(value: Any) -> Any:
    """Lists as tuples, as the decoder returns them."""
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


@pytest.fixture
def store(world: World) -> World:
    """A world whose administrator may write to the repository."""
    world.jobs.send("grantRole", METASCHEDULER_ROLE, world.admin)
    return world


def test_create(store: World) -> None:
    """The id is the next number, whatever the argument says; everything else is taken as it is."""
    events = store.jobs.send("create", job_tuple(job_id=77, status=JobStatus.FINISHED))
    assert events == [Event("JobRepository", "JobCreated", {"_jobId": raw_id(1)})]
    stored = frozen(job_tuple(job_id=1, status=JobStatus.FINISHED))
    assert store.jobs.call("get", raw_id(1)) == stored
    assert store.jobs.call("jobs", raw_id(1)) == stored
    assert store.jobs.call("jobIdCounter") == 2


def test_narrow_views(store: World) -> None:
    """State and definition are the same job, in parts."""
    store.jobs.send("create", job_tuple(status=JobStatus.RUNNING))
    state = store.jobs.call("getState", raw_id(1))
    assert state == (3, CUSTOMER.lower, OTHER.lower, COST, TIME[1:], True, 768)
    assert store.jobs.call("getDefinition", raw_id(1)) == frozen(definition_tuple(DEFINITION))


def test_customers_jobs(store: World) -> None:
    """A customer's jobs are listed oldest first; a job that changes hands is on both lists."""
    for customer in (CUSTOMER, OTHER, CUSTOMER):
        store.jobs.send("create", job_tuple(customer=customer))
    assert store.jobs.call("getByCustomer", CUSTOMER) == (raw_id(1), raw_id(3))
    assert store.jobs.call("jobIdByCustomer", CUSTOMER, 1) == raw_id(3)
    store.jobs.send("setCustomerAddr", raw_id(1), OTHER)
    assert store.jobs.call("getByCustomer", OTHER) == (raw_id(2), raw_id(1))
    assert store.jobs.call("getByCustomer", CUSTOMER) == (raw_id(1), raw_id(3))
    assert store.jobs.call("getByCustomer", store.bob) == ()
    with pytest.raises(RevertedError):
        store.jobs.call("jobIdByCustomer", CUSTOMER, 2)


@pytest.mark.parametrize("setter", SETTERS)
def test_setters(store: World, setter: str) -> None:
    """Each setter changes its field and nothing else."""
    fields = {
        "setJobStatus": 1,
        "setCustomerAddr": 2,
        "setProviderAddr": 3,
        "setDefinition": 4,
        "setCost": 5,
        "setTime": 6,
        "setJobName": 7,
        "setHasCancelRequest": 8,
        "setLastError": 9,
        "setExitCode": 10,
    }
    blank: tuple[object, ...] = (
        0,
        CUSTOMER,
        "0x" + "00" * 20,
        (1, 1, 1, 1, "", 0, [], []),
        (0, 0, 0, False),
    )
    store.jobs.send("create", (bytes(32), *blank, (0,) * 6, bytes(32), False, "", 0))
    before = list(store.jobs.call("get", raw_id(1)))
    value = SETTERS[setter]
    store.jobs.send(setter, raw_id(1), value)
    before[fields[setter]] = value.lower if isinstance(value, Address) else frozen(value)
    assert store.jobs.call("get", raw_id(1)) == tuple(before)


@pytest.mark.parametrize("setter", SETTERS)
def test_setters_need_a_job_and_the_role(store: World, setter: str) -> None:
    """Unknown jobs are InvalidJob, callers without the role are told so."""
    for job_id in (0, 1):
        with pytest.raises(RevertedError) as error:
            store.jobs.send(setter, raw_id(job_id), SETTERS[setter])
        assert error.value.name == "InvalidJob"
    store.jobs.send("create", job_tuple())
    with pytest.raises(RevertedError) as error:
        store.jobs.send(setter, raw_id(1), SETTERS[setter], sender=store.service)
    assert f"is missing role 0x{METASCHEDULER_ROLE.hex()}" in error.value.values[0]


def test_status_event(store: World) -> None:
    """setJobStatus tells the old and the new status."""
    store.jobs.send("create", job_tuple(status=JobStatus.RUNNING))
    (event,) = store.jobs.send("setJobStatus", raw_id(1), int(JobStatus.FAILED))
    assert (event.name, event.values) == (
        "JobTransitionEvent",
        {"_jobId": raw_id(1), "_from": 3, "_to": 6},
    )


def test_update(store: World) -> None:
    """An update overwrites everything; it tells of the status only if that changed."""
    store.jobs.send("create", job_tuple())
    assert store.jobs.send("update", job_tuple(job_id=1, customer=OTHER)) == []
    assert store.jobs.call("getByCustomer", OTHER) == (raw_id(1),)
    changed = job_tuple(job_id=1, status=JobStatus.FAILED, customer=OTHER)
    assert names(store.jobs.send("update", changed)) == ["JobTransitionEvent"]
    assert store.jobs.call("get", raw_id(1)) == frozen(changed)
    assert store.jobs.call("getByCustomer", OTHER) == (raw_id(1),)
    with pytest.raises(RevertedError) as error:
        store.jobs.send("update", job_tuple(job_id=2))
    assert error.value.name == "InvalidJob"


@pytest.mark.parametrize("view", ["get", "getState", "getDefinition"])
@pytest.mark.parametrize("job_id", [0, 1, 2**256 - 1])
def test_unknown_job(world: World, view: str, job_id: int) -> None:
    """A job that is not there is InvalidJob."""
    with pytest.raises(RevertedError) as error:
        world.jobs.call(view, raw_id(job_id))
    assert error.value.name == "InvalidJob"


def test_getter_of_an_unknown_job(world: World) -> None:
    """The mapping getter returns empty fields, as published."""
    nobody = "0x" + "00" * 20
    nothing = (0, 0, 0, 0, "", 0, (), ())
    assert world.jobs.call("jobs", raw_id(9)) == (
        *(bytes(32), 0, nobody, nobody, nothing, (0, 0, 0, False), (0,) * 6),
        *(bytes(32), False, "", 0),
    )


@pytest.mark.parametrize(
    ("setter", "value", "words"),
    [
        ("setCost", (2**88, 0, 0, False), "StateCodec: a number does not fit"),
        ("setTime", (0, 2**32, 0, 0, 0, 0), "StateCodec: a number does not fit"),
        ("setTime", (0, 0, 0, 0, 2**40, 0), "StateCodec: a number does not fit"),
        ("setTime", (2**40, 0, 0, 0, 0, 0), "SafeCast: value doesn't fit in 40 bits"),
    ],
)
def test_numbers_that_do_not_fit(store: World, setter: str, value: Any, words: str) -> None:
    """Larger amounts and times than the store keeps are refused, not cut."""
    store.jobs.send("create", job_tuple())
    with pytest.raises(RevertedError) as error:
        store.jobs.send(setter, raw_id(1), value)
    assert error.value.values == (words,)


words = st.text(max_size=32)  # at most 128 bytes
uint64 = st.integers(0, 2**64 - 1)
definitions = st.builds(
    JobDefinition,
    ntasks=uint64,
    cpus_per_task=uint64,
    mem_per_cpu=uint64,
    gpus=uint64,
    batch_location_hash=words,
    storage_type=st.sampled_from(StorageType),
    uses=st.lists(st.builds(Label, words, words), max_size=5).map(tuple),
    affinity=st.lists(
        st.builds(Affinity, words, st.sampled_from(["<", ">=", "in", ""]), words), max_size=5
    ).map(tuple),
)


@settings(
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(definition=definitions)
def test_definitions_read_back(store: World, definition: JobDefinition) -> None:
    """Whatever is stored is read back as it was, to the last byte of every label."""
    raw = definition_tuple(definition)
    if store.jobs.call("jobIdCounter") == 1:
        store.jobs.send("create", job_tuple())
    store.jobs.send("setDefinition", raw_id(1), raw)
    assert store.jobs.call("getDefinition", raw_id(1)) == frozen(raw)
