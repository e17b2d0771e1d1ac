"""The filter language of jobs, as the read model's file answers it."""

from __future__ import annotations

import dataclasses

import pytest

from dsq.core.errors import UsageError
from dsq.core.model import JobDefinition, JobStatus, Label
from dsq.core.readmodel import ReadModel, parse_filter
from tests.support.fake_grid import GAIA, IRIS, NOW, job, provider, some_jobs


@pytest.fixture(scope="module")
def model() -> ReadModel:
    """One job of every kind."""
    made = ReadModel()
    made.put_all(some_jobs())
    made.put_providers([provider(GAIA, "gaia"), provider(IRIS, "iris")])
    return made


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
        ("status:running|pending", [41, 40, 39]),
        ("status:ended provider:iris", [36, 32]),
        ("provider:gaia", [41, 38, 35, 33]),
        ("!provider:gaia !provider:iris", [39, 34]),
        ("gaia status:run", [41]),
        ("!gaia !iris", [39, 34]),
        ("mesh", [38, 37]),
        ("MESH !coarse", [38]),
        ("placed", [37]),
        ("41", [41]),
        ("id:4", []),
        ("id:0x29", [41]),
        ("id>=40", [41, 40]),
        ("id:" + "0x" + "f" * 64, []),
        ("error:exit", [35]),
        ("answer", [32]),
        ("\"step 'check' ended\"", [35]),
        ("name:l", [41, 40, 33, 32]),
        ("name:mesh|cfd", [38, 37, 36]),
        ("~^4[01]", [41, 40]),
        ("name:~^m.*e$", [38, 37]),
        ("provider:~^iris", [40, 37, 36, 32]),
        ("gpus>=4", [41]),
        ("exit:3", [35]),
        ("exit=3", [35]),
        ("cost>50", [36, 33]),
        ("cost>50 cost<100", [36]),
        ("locked!=212", [41, 40, 39]),
        ("age<10m", [39, 38, 37]),
        ("ran>1h", [41, 33]),
        ("!ran>1h", [40, 39, 38, 37, 36, 35, 34, 32]),
        ("waited<30s status:run", [41, 40]),
    ],
)
def test_filters(model: ReadModel, text: str, ids: list[int]) -> None:
    """Words are joined by and, ! turns one round, field:value looks into one field."""
    wanted = parse_filter(text)
    assert list(model.ids(wanted, now=NOW)) == ids
    assert model.passing([job.id for job in some_jobs()], wanted, now=NOW) == set(ids)


def test_uses_are_searched(model: ReadModel) -> None:
    """A job can be found by the labels it asks for."""
    definition = JobDefinition(1, 1, 1, uses=(Label("gpu", "A100"),))
    own = ReadModel()
    own.put_all([job(1, JobStatus.PENDING, definition=definition)])
    assert list(own.ids(parse_filter("uses:gpu=a100"))) == [1]
    assert list(own.ids(parse_filter("uses:h100"))) == []


def test_the_addresses_of_unnamed_providers_are_found(model: ReadModel) -> None:
    """A provider is found by its address as well as by its name."""
    found = model.ids(parse_filter(f"provider:{GAIA.lower[:8]}"))
    assert list(found) == [41, 38, 35, 33]


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE jobs; --", "name:%", 'name:"\'"', "a)(b", "?1", "\\"]
)
def test_a_filter_is_only_text(model: ReadModel, text: str) -> None:
    """Nothing that is typed becomes SQL; what no job has finds none."""
    assert list(model.ids(parse_filter(text), now=NOW)) == []
    assert len(model.ids()) == len(some_jobs())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stauts:running", "'status'"),
        ("status:runing", "'running'"),
        ("xyz:1", "Fields:"),
        ("cots>5", "'cost'"),
        ("cost>many", "no number"),
        ("age<5", "no duration"),
        ("name>5", "cannot be compared"),
        ("~(", "regular expression"),
        ('"open', "not closed"),
    ],
)
def test_mistakes_are_explained(text: str, words: str) -> None:
    """A mistake is one sentence with the close match or what to write."""
    with pytest.raises(UsageError) as caught:
        parse_filter(text)
    assert words in str(caught.value)


def test_a_filter_by_time_says_that_it_moves() -> None:
    """Screens ask again for filters whose answer changes without an event."""
    assert parse_filter("age<1h").moves
    assert not parse_filter("status:running").moves


def test_names_of_others_are_found_whatever_they_hold() -> None:
    """Hostile names are matched as plain text, in any case."""
    own, name = ReadModel(), "Ünïcode \x1b[31m [bold]%_'\""
    own.put_all([dataclasses.replace(job(1, JobStatus.PENDING), name=name)])
    assert list(own.ids(parse_filter("ünïCODE"))) == [1]
    assert list(own.ids(parse_filter("[bold]%_"))) == [1]
    assert list(own.ids(parse_filter("x%_"))) == []
