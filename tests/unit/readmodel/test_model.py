"""The read model's file: what is put comes back, in any order, after any end."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.model import (
    Address,
    Affinity,
    Constants,
    Job,
    JobCost,
    JobDefinition,
    JobStatus,
    JobTime,
    Label,
    StorageType,
)
from dsq.core.readmodel import Anchor, Order, ReadModel
from dsq.core.readmodel.model import ORDERS
from dsq.core.readmodel.records import (
    job_from_text,
    job_to_text,
    provider_from_text,
    provider_to_text,
)
from tests.support.fake_grid import GAIA, IRIS, NOW, job, provider, some_jobs

texts = st.text(max_size=20)
addresses = st.binary(min_size=20, max_size=20).map(Address)
wei = st.integers(0, 2**88)
seconds = st.integers(0, 2**32)
labels = st.lists(st.builds(Label, texts, texts), max_size=3).map(tuple)
jobs = st.builds(
    Job,
    st.integers(1, 2**62),
    st.sampled_from(JobStatus),
    addresses,
    addresses,
    st.builds(
        JobDefinition,
        *[st.integers(0, 2**32)] * 4,
        texts,
        st.sampled_from(StorageType),
        labels,
        st.lists(st.builds(Affinity, texts, st.just(">="), texts), max_size=2).map(tuple),
    ),
    st.builds(JobCost, wei, wei, wei, st.booleans()),
    st.builds(JobTime, *[seconds] * 6),
    texts,
    st.booleans(),
    texts,
    st.integers(0, 65535),
)


@given(jobs)
def test_a_job_comes_back_exactly(one: Job) -> None:
    """Every field survives the file, wei of any size too."""
    assert job_from_text(job_to_text(one)) == one


def test_a_provider_comes_back_exactly() -> None:
    """So does a provider."""
    one = provider(GAIA, "gaia", is_banned=True)
    assert provider_from_text(provider_to_text(one)) == one


def test_what_was_known_is_there_after_a_restart(tmp_path: Path) -> None:
    """Jobs, providers, constants and the anchor survive the process."""
    path = tmp_path / "deep" / "jobs.sqlite"
    model = ReadModel(path)
    model.put_all(some_jobs())
    model.put_providers([provider(GAIA, "gaia"), provider(IRIS, "iris")])
    constants = Constants(1, 2, 3, 4, 5, 6)
    model.put_constants(constants)
    model.set_anchor(Anchor(7, b"\x07" * 32, 10))
    model.close()
    again = ReadModel(path)
    assert list(again.get([41, 35]).values()) == [some_jobs()[0], some_jobs()[6]] or again.get(
        [41, 35]
    ) == {each.id: each for each in some_jobs() if each.id in (41, 35)}
    assert again.counts()[JobStatus.RUNNING] == 2
    assert [each.id for each in again.hot()] == [37, 38, 39, 40, 41]
    assert list(again.providers()) == [GAIA, IRIS]
    assert again.constants == constants
    assert again.anchor == Anchor(7, b"\x07" * 32, 10)
    assert path.stat().st_mode & 0o777 == 0o600
    again.close()


@pytest.mark.parametrize("damage", [b"not a database at all, but long enough to be read" * 40, b""])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    """The chain is the truth; a file that cannot be read costs a second reading only."""
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(damage)
    model = ReadModel(path)
    assert model.anchor is None
    model.put_all(some_jobs())
    assert len(model.ids()) == 10
    model.close()


def test_a_file_of_another_version_is_made_anew(tmp_path: Path) -> None:
    """No migration: what is in it can be read again."""
    path = tmp_path / "jobs.sqlite"
    model = ReadModel(path)
    model.put_all(some_jobs())
    model.close()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 999")
    again = ReadModel(path)
    assert len(again.ids()) == 0
    again.close()


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    """A second console sees what the first wrote, and neither locks the other out."""
    one, other = ReadModel(tmp_path / "j.sqlite"), ReadModel(tmp_path / "j.sqlite")
    one.put_all(some_jobs()[:5])
    other.put_all(some_jobs()[5:])
    assert len(one.ids()) == len(other.ids()) == 10
    one.close()
    other.close()


@pytest.mark.parametrize("by", ORDERS)
def test_jobs_are_sorted_by_every_key(by: str) -> None:
    """Each order holds every job once, and downward is upward turned round."""
    model = ReadModel()
    model.put_all(some_jobs())
    up = list(model.ids(order=Order(by, descending=False), now=NOW))
    down = list(model.ids(order=Order(by, descending=True), now=NOW))
    assert sorted(up) == sorted(each.id for each in some_jobs())
    assert down == up[::-1]


def test_the_longest_running_come_first() -> None:
    """Elapsed time counts up to now for a job that runs."""
    model = ReadModel()
    model.put_all(some_jobs())
    assert list(model.ids(order=Order("elapsed"), now=NOW))[:2] == [33, 41]


def test_a_page_of_jobs_is_read_alone() -> None:
    """A limit gives the first ones of the order."""
    model = ReadModel()
    model.put_all(job(number, JobStatus.PENDING) for number in range(1, 1200))
    assert list(model.ids(limit=3)) == [1199, 1198, 1197]
    assert len(model.get(list(range(1, 1200)))) == 1199


def test_putting_is_all_or_nothing() -> None:
    """A row that cannot be written leaves the file as it was."""
    model = ReadModel()
    bad = dataclasses.replace(job(2, JobStatus.PENDING), id="two")  # type: ignore[arg-type]
    with pytest.raises(sqlite3.Error):
        model.put_all([job(1, JobStatus.PENDING), bad])
    assert len(model.ids()) == 0
    model.put_all([job(1, JobStatus.PENDING)])
    assert list(model.ids()) == [1]
