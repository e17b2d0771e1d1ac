"""The filter language of the job table."""

from __future__ import annotations

import random

import pytest

from dsq.console.user.filters import parse_filter
from dsq.console.user.state import JobStore
from dsq.core.errors import UsageError
from dsq.core.model import Address, JobDefinition, JobStatus, Label
from tests.support.fake_grid import GAIA, IRIS, job, some_jobs


def named(address: Address) -> str:
    return {GAIA: "gaia", IRIS: "iris"}.get(address, "")


def found(text: str) -> list[int]:
    accepted = parse_filter(text, named)
    return [each.id for each in some_jobs() if accepted.matches(each)]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", [41, 40, 39, 38, 37, 36, 35, 34, 33, 32]),
        ("status:running", [41, 40]),
        ("status:RUN", [41, 40]),
        ("status:placed", [37]),
        ("status:meta_scheduled", [37]),
        ("status:out-of-credits", [33]),
        ("status:hot !status:running", [39, 38, 37]),
        ("status:waiting", [39, 38, 37]),
        ("status:bad", [35, 33, 32]),
        ("status:ended provider:iris", [36, 32]),
        ("provider:gaia", [41, 38, 35, 33]),
        ("!provider:gaia !provider:iris", [39, 34]),
        ("mesh", [38, 37]),
        ("MESH !coarse", [38]),
        ("41", [41]),
        ("id:4", []),
        ("error:exit", [35]),
        ("answer", [32]),
        ("name:l", [41, 40, 33, 32]),
    ],
)
def test_filters(text: str, ids: list[int]) -> None:
    """Words are joined by and, ! turns one round, field:value looks into one field."""
    assert found(text) == ids


def test_uses_are_searched() -> None:
    """A job can be found by the labels it asks for."""
    definition = JobDefinition(1, 1, 1, uses=(Label("gpu", "a100"),))
    wants = job(1, JobStatus.PENDING, definition=definition)
    assert parse_filter("uses:gpu=a100", named).matches(wants)
    assert not parse_filter("uses:h100", named).matches(wants)


def test_the_addresses_of_unnamed_providers_are_found() -> None:
    """A provider is found by its address as well as by its name."""
    assert found(f"provider:{GAIA.lower[:8]}") == [41, 38, 35, 33]


@pytest.mark.parametrize(
    ("text", "words"),
    [("stauts:running", "'status'"), ("status:runing", "'running'"), ("xyz:1", "Fields:")],
)
def test_mistakes_are_explained(text: str, words: str) -> None:
    """An unknown field or status is one sentence with the close match."""
    with pytest.raises(UsageError, match=".") as caught:
        parse_filter(text, named)
    assert words in str(caught.value)


def test_the_store_keeps_the_filter_while_jobs_change() -> None:
    """After any changes the shown jobs are exactly those that pass, newest first."""
    rng = random.Random(7)
    store, model = JobStore(), dict[int, JobStatus]()
    accepted = parse_filter("status:hot", named)
    store.set_filter(accepted)
    for _ in range(2000):
        changed = job(rng.randint(1, 120), JobStatus(rng.randint(0, 8)))
        store.put(changed)
        model[changed.id] = changed.status
    shown = [store.row(index).id for index in range(len(store))]
    assert shown == sorted((n for n, status in model.items() if status.is_hot), reverse=True)
    assert all(store.index_of(job_id) == index for index, job_id in enumerate(shown))
    assert store.index_of(10**6) is None
    for status in JobStatus:
        assert store.count(status) == sum(1 for each in model.values() if each is status)
    store.set_filter(None)
    assert len(store) == store.total == len(model)


def test_putting_the_same_job_again_changes_nothing() -> None:
    """The screen is not painted for news that is none."""
    store = JobStore()
    store.put(job(1, JobStatus.PENDING))
    before = store.revision
    store.put(job(1, JobStatus.PENDING))
    assert store.revision == before
