"""Sweeps: which jobs they make, and how these are told to belong together."""

from __future__ import annotations

import pytest

from dsq.core.groups import NAME_BYTES, is_group, member_name, membership, new_group
from dsq.core.model import encode_job_name
from dsq.sbatch.expand import MAX_JOBS, expand
from dsq.sbatch.workflow import parse_workflow, validate
from tests.unit.sbatch.builders import env, job, run

LETTERS = {"name": "LETTER", "values": ["a", "b c"]}
NUMBERS = {"name": "NUMBER", "range": {"begin": 3, "end": 1, "increment": -1}}


def test_a_sweep_makes_a_job_for_each_combination() -> None:
    """The last parameter changes fastest; both ends of a range count; texts stay as they are."""
    workflow = parse_workflow(job(run("true"), sweep={"parameters": [LETTERS, NUMBERS]}))
    points = list(expand(workflow))
    assert [(each.index, each.count) for each in points] == [(n, 6) for n in range(1, 7)]
    assert [each.values for each in points][:4] == [
        {"LETTER": "a", "NUMBER": "3"},
        {"LETTER": "a", "NUMBER": "2"},
        {"LETTER": "a", "NUMBER": "1"},
        {"LETTER": "b c", "NUMBER": "3"},
    ]


def test_parameters_are_variables_of_the_job() -> None:
    """They follow the job's own variables, with the job's number and how many there are."""
    sweep = {"parameters": [LETTERS, {"name": "N", "values": ["x", "y"]}], "combine": "zip"}
    points = list(expand(parse_workflow(job(run("true"), env=env(A="1"), sweep=sweep))))
    assert [each.workflow.to_wire() for each in points] == [
        job(run("true"), env=env(A="1", LETTER="a", N="x", SWEEP_INDEX="1", SWEEP_COUNT="2")),
        job(run("true"), env=env(A="1", LETTER="b c", N="y", SWEEP_INDEX="2", SWEEP_COUNT="2")),
    ]


def test_a_workflow_without_a_sweep_is_one_job() -> None:
    """It is left as it is."""
    workflow = parse_workflow(job(run("true")))
    (point,) = expand(workflow)
    assert point.workflow is workflow


@pytest.mark.parametrize(
    ("span", "words"),
    [
        ({"begin": 1, "end": MAX_JOBS + 1}, "makes 1001 jobs"),
        ({"begin": -(2**31), "end": 2**31 - 1}, "makes 4294967296 jobs"),
        ({"begin": 2, "end": 1}, "its range is empty"),
    ],
)
def test_a_sweep_has_a_size(span: dict[str, int], words: str) -> None:
    """None makes no job at all, and none makes too many; nothing is expanded to find out."""
    sweep = {"parameters": [{"name": "N", "range": span}]}
    (problem,) = validate(job(run("true"), sweep=sweep))
    assert words in problem.message


def test_parameters_have_one_source_of_values() -> None:
    """A parameter without values, or with two kinds of them, is an error."""
    parameters = [{"name": "A"}, {**NUMBERS, "values": ["1"]}]
    found = validate(job(run("true"), sweep={"parameters": parameters}))
    assert [each.message for each in found] == [
        "sweep.parameters[0] has neither 'values' nor 'range': it has one of them",
        "sweep.parameters[1] has both 'values' and 'range': it has one of them",
    ]


@pytest.mark.parametrize("title", ["", "train", "a#b.1/2", "x" * 40, "ü" * 30])
@pytest.mark.parametrize(("index", "count"), [(1, 1), (7, 12), (1000, 1000)])
def test_names_of_jobs_tell_their_group(title: str, index: int, count: int) -> None:
    """What was put in is read back, a long title cut at a whole character; the chain takes it."""
    group = new_group()
    name = member_name(title, group, index, count)
    found = membership(name)
    assert found is not None
    assert (found.group, found.index, found.count) == (group, index, count)
    assert title.startswith(found.title)
    assert len(found.title.encode()) >= min(len(title.encode()), 15) - 1
    assert len(name.encode()) <= NAME_BYTES
    encode_job_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "train", "a#b.1/2", "a#222222.3/2", "a#222222.0/2", "a#22222a.1/2", "a#222222.1/2b"],
)
def test_other_names_belong_to_no_group(name: str) -> None:
    """Only what this project writes is read as a group."""
    assert membership(name) is None
    assert not is_group("train")


def test_numbers_are_as_wide_as_the_count() -> None:
    """So that names sort as the jobs do."""
    assert member_name("t", "222222", 7, 120) == "t#222222.007/120"
