"""What explains a script: which lines come from which field."""

from __future__ import annotations

import itertools

import pytest

from dsq.sbatch.explain import Origin, explained
from dsq.sbatch.render import render
from dsq.sbatch.render.templating import marking
from dsq.sbatch.workflow import load_workflow, parse_workflow
from tests.unit.sbatch.builders import env, job, run
from tests.unit.sbatch.test_render import big

TEXT = """\
resources: {tasks: 1, cpusPerTask: 2, memPerCpu: 3, gpus: 0}
env:
  - key: A
    value: one
steps:
  - name: first
    run:
      command: |
        echo "one"
        echo two
  - if: 1 == 1
    steps:
      - run:
          command: echo inner
          env: [{key: B, value: two}]
"""


def lines_of(origins: list[Origin], script: str) -> dict[str, list[str]]:
    """The text of the lines by field."""
    lines = script.split("\n")
    return {
        each.field: list(itertools.chain(*(lines[first - 1 : last] for first, last in each.ranges)))
        for each in origins
    }


def test_fields_are_told_with_their_lines_and_their_place() -> None:
    """A command with all of its lines, a variable, a condition, a default of all steps."""
    workflow = load_workflow(TEXT)
    origins = explained(workflow)
    found = lines_of(origins, render(workflow))
    assert found["env[0].value"] == ["export A=one"]
    (first, second, last) = found["steps[0].run.command"]
    assert first.endswith("""/bin/sh -c 'echo "one\"""")
    assert (second, last) == ("echo two", "' </dev/null")
    assert found["steps[1].steps[0].run.env[0].key"] == ["export B=two"]
    assert found["steps[1].if"] == ["if _dsq_if '1 == 1' 'steps[1]'; then"]
    assert [line.split()[0] for line in found["resources.cpusPerTask"]] == [
        *("export", "export", "export", "exec", "exec")
    ]
    places = {each.field: each.position for each in origins}
    assert places["steps[1].steps[0].run.command"] == (14, 20)
    assert [each.ranges for each in origins] == sorted(each.ranges for each in origins)


def test_steps_are_told_apart() -> None:
    """Each step has its own lines, also where all have the same fields and texts."""
    workflow = parse_workflow(job(*(run("true", env=env(A="1")) for _ in range(3))))
    found = {each.field: each.ranges for each in explained(workflow)}
    ranges = [found[f"steps[{index}].run.command"] for index in range(3)]
    assert ranges == sorted(set(ranges))


def test_fields_that_make_nothing_are_left_out() -> None:
    """Name servers without a network of its own have no effect."""
    workflow = parse_workflow(job(run("true", dns=["1.1.1.1"])))
    assert not any("dns" in each.field for each in explained(workflow))


def test_marks_change_nothing_but_themselves() -> None:
    """A marked script without its marks is the script."""
    workflow = parse_workflow(big(8))
    with marking():
        marked = render(workflow)
    kept = [line for line in marked.split("\n") if not line.startswith("\0")]
    assert "\n".join(kept) == render(workflow)
    assert len(kept) < len(marked.split("\n"))


def test_long_workflows_take_no_more_renderings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of the same kind are explained together."""
    from dsq.sbatch import explain

    counts = []
    for size in (2, 40):
        calls = 0

        def counted(*args: object) -> str:
            nonlocal calls
            calls += 1
            return render(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(explain, "render", counted)
        explained(parse_workflow(job(*(run(f"echo {n}", env=env(A="1")) for n in range(size)))))
        counts.append(calls)
    assert counts[0] == counts[1]


def test_many_places_are_cut_in_words() -> None:
    """The table stays readable; programs get them all."""
    origin = Origin(("a",), tuple((n, n + n % 2) for n in range(1, 30, 3)), None)
    assert origin.lines == "1-2, 4, 7-8, 10, 13-14, 16, 19-20, 22 and 2 more"
    assert len(origin.to_dict()["lines"]) == 10
