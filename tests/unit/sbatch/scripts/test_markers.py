"""The lines before and after named steps, by which a log is folded."""

from __future__ import annotations

import re
from typing import Any

from dsq.sbatch.render import render
from dsq.sbatch.workflow import parse_workflow
from tests.support.standins import Standins
from tests.unit.sbatch.builders import group, job, run
from tests.unit.sbatch.test_scripts import for_items, launch

BEGIN = re.compile(r"--> (?P<path>\S+)")
END = re.compile(r"<-- (?P<path>\S+) (?P<end>ok|failed with (?P<code>\d+)) \((?P<seconds>\d+) s\)")


def shown(standins: Standins, data: dict[str, Any]) -> tuple[int, list[str]]:
    """Exit code and output of a job as users get it, the seconds of ends cut off."""
    ended = standins.run(render(parse_workflow(data)))
    assert standins.leftovers() == []
    return ended.code, [line.partition(" (")[0] for line in ended.output.splitlines()]


def test_named_steps_have_a_beginning_and_an_end(standins: Standins) -> None:
    """A path of the workflow, the name, what the step says, the path and how it ended."""
    ended = standins.run(render(parse_workflow(job({"name": "one", **run("echo 1")}, run("echo")))))
    begin, name, text, end, other = ended.output.splitlines()
    assert (name, text, other) == ("Running: one", "1", "")
    assert BEGIN.fullmatch(begin)["path"] == "steps[0]"  # type: ignore[index]
    match = END.fullmatch(end)
    assert match is not None
    assert (match["path"], match["end"], match["code"]) == ("steps[0]", "ok", None)
    assert int(match["seconds"]) < 10


def test_they_stand_in_each_other_as_the_steps_do(standins: Standins) -> None:
    """Groups, loops, catch and finally: the lines nest, an inner end comes before an outer."""
    failing = {"name": "b", **run("exit 3"), "catch": [{"name": "c", **run("echo caught")}]}
    data = job(
        group(
            [failing, for_items(["x"], {"name": "d", **run("echo $item")})],
            name="a",
            finally_=None,
        )
    )
    del data["steps"][0]["finally_"]
    code, output = shown(standins, data)
    assert code == 0
    assert output == [
        *("--> steps[0]", "Running: a", "--> steps[0].steps[0]", "Running: b"),
        *("--> steps[0].steps[0].catch[0]", "Running: c", "caught"),
        *("<-- steps[0].steps[0].catch[0] ok", "<-- steps[0].steps[0] ok"),
        *("--> steps[0].steps[1].for.steps[0]", "Running: d", "x"),
        *("<-- steps[0].steps[1].for.steps[0] ok", "<-- steps[0] ok"),
    ]


def test_a_failure_ends_all_steps_that_it_is_in(standins: Standins) -> None:
    """Each open step is told to have failed, the innermost first, with the code."""
    data = job(group([{"name": "in", **run("exit 4")}], name="out"))
    code, output = shown(standins, data)
    assert code == 4
    assert output[-2:] == ["<-- steps[0].steps[0] failed with 4", "<-- steps[0] failed with 4"]


def test_skipped_steps_have_none(standins: Standins) -> None:
    """A step whose condition is false is not there."""
    data = job({"name": "n", "if": "1 == 2", **run("true")})
    assert shown(standins, data) == (0, [])


def test_launches_mark_what_runs_in_the_background(standins: Standins) -> None:
    """The lines of a launch come when it begins and ends, not when it is launched."""
    data = job(
        {"name": "behind", **launch(run("sleep 0.2; echo up"), handleName="h")},
        {"name": "after", "dependsOn": ["h"], **run("true")},
    )
    code, output = shown(standins, data)
    assert code == 0
    behind = [line for line in output if "steps[0]" in line or line in ("Running: behind", "up")]
    assert behind == ["--> steps[0]", "Running: behind", "up", "<-- steps[0] ok"]
    assert output.index("<-- steps[0] ok") < output.index("--> steps[1]")


def test_names_of_several_lines_and_signs(standins: Standins) -> None:
    """Names are printed as they are and cannot spoil the lines before and after."""
    code, output = shown(standins, job({"name": "%s\n\\n-- $(id)", **run("true")}))
    assert (code, output) == (0, ["--> steps[0]", "Running: %s", "\\n-- $(id)", "<-- steps[0] ok"])
