"""The submit view: from a text to a job, and nothing spent before."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from textual.widgets import Input

from dsq.console.dialogs.confirm_submit import ConfirmSubmit
from dsq.console.user.screens.job import JobScreen
from dsq.console.user.screens.submit import SubmitScreen
from dsq.console.user.workflow_check import check_workflow
from dsq.console.widgets.editor import highlight_yaml, problem_span
from dsq.core.errors import CreditsError, TransactionError
from dsq.core.model import Label
from dsq.core.units import CREDIT
from tests.support.console import Robot, jobs_shown
from tests.support.fake_grid import FakeGrid, some_jobs

GOOD = """\
# Train
resources:
  tasks: 1
  cpusPerTask: 8
  memPerCpu: 4000
  gpus: 0
steps:
  - name: train
    run:
      command: echo hello
"""
BAD = GOOD.replace("command", "comand")
MODULE = """\
name: hello
description: Says hello
minimumResources: {tasks: 1, cpusPerTask: 1, memPerCpu: 1, gpus: 0}
steps:
  - run:
      command: echo hello
"""


async def write(robot: Robot, text: str, path: str = "train.yaml") -> SubmitScreen:
    """Goes to the submit view and puts a text into the editor."""
    await robot.press("2")
    screen = robot.app.screen
    assert isinstance(screen, SubmitScreen)
    screen.load(text, path, Path(path))
    word = "valid" if text == GOOD else "problem"
    await robot.sees(f"{'● ' if text == GOOD else ''}{word}")
    return screen


def test_problems_have_their_place() -> None:
    """The check tells line, column and the close match."""
    checked = check_workflow(BAD, "train.yaml")
    assert checked.workflow is None
    assert next((mark.line, mark.column) for mark in checked.problems) == (10, 7)
    assert "did you mean 'command'?" in checked.problems[0].text


@pytest.mark.parametrize(
    "text", ["{", "a: [", "\x00", "- 1", "\ud83d".encode("utf-8", "replace").decode()]
)
def test_anything_that_is_no_workflow_is_explained(text: str) -> None:
    """Every text gives problems, none an exception."""
    assert check_workflow(text, "x").problems


def test_blank_text_is_no_problem() -> None:
    """An empty editor is empty, not wrong."""
    assert check_workflow(" \n", "x").empty


def test_a_sweep_says_how_many_jobs_it_makes() -> None:
    """So that it is seen before the last page."""
    checked = check_workflow(GOOD + "sweep: {parameters: [{name: P, values: [a, b]}]}\n", "x")
    assert (checked.jobs, checked.problems) == (2, ())


def test_a_module_in_a_file_is_checked_with_its_workflow(tmp_path: Path) -> None:
    """It is found beside the workflow's file; what is wrong stands at the line that names it."""
    text = GOOD + "  - use:\n      source: ./hello\n"
    path = tmp_path / "train.yaml"
    (mark,) = check_workflow(text, "train.yaml", path=path).problems
    assert (mark.line, "cannot be read" in mark.text) == (12, True)
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "module.yaml").write_text(MODULE)
    checked = check_workflow(text, "train.yaml", path=path)
    assert checked.workflow is not None
    assert checked.workflow.steps[1].use is not None
    assert checked.workflow.steps[1].use.module is not None
    assert checked.modules == (("./hello", "Says hello"),)


def test_a_module_of_another_host_is_not_fetched_while_typing() -> None:
    """No host is asked for a name that is half typed; the workflow counts as valid so far."""
    text = GOOD + f"  - use:\n      source: github.com/a/b@{'1' * 40}\n"
    checked = check_workflow(text, "x")
    assert checked.workflow is not None
    assert "no host is asked" in checked.away


def test_yaml_is_coloured() -> None:
    """Keys, numbers, strings, comments and block texts are told apart."""
    text = 'a: 1 # c\n- b: "x # y"\nrun: |\n  tasks: 1\nend: true'
    found = highlight_yaml(text.split("\n"))
    assert (0, 1, "key") in found[0]
    assert (3, 4, "number") in found[0]
    assert (5, 8, "comment") in found[0]
    assert [name for *_, name in found[1]] == ["mark", "key", "mark", "string"]
    assert found[3] == [(2, 10, "string")]
    assert (5, 9, "number") in found[4]


def test_a_problem_without_a_word_marks_the_line() -> None:
    """A column past the end marks what the line has."""
    assert problem_span("  key: 1", 3) == (2, 5)
    assert problem_span("  key: 1", 99) == (2, 8)


async def test_problems_show_while_typing() -> None:
    """The sentence stands below the editor, with its line; mending it makes it valid."""
    async with jobs_shown() as robot:
        screen = await write(robot, BAD)
        await robot.sees(
            "× 1 problem", "line 10: unknown field 'comand'", "did you mean 'command'?"
        )
        await robot.sees("a valid workflow is needed")
        screen.editor.load_text(GOOD)
        await robot.sees("● valid", "gaia", "4 h 08 min", "0.40")


async def test_the_estimate_follows_the_credits() -> None:
    """What each provider makes of the credits is shown as they are typed."""
    async with jobs_shown() as robot:
        screen = await write(robot, GOOD)
        await robot.sees("4 h 08 min", "1,284.40 → 1,184.40")
        screen.query_one("#credits").value = "200"
        await robot.sees("8 h 16 min", "1,284.40 → 1,084.40")


BAD_FIELDS = (
    ("credits", "99", "The grid's minimum"),
    ("credits", "5000", "The wallet holds"),
    ("credits", "1e3", "'1e3' is not"),
    ("name", "x" * 33, "33 bytes"),
    ("labels", "fast", "'fast' is no label."),
)


async def test_bad_fields_are_explained_below_them() -> None:
    """Each mistake is a sentence under its field, and nothing is sent."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid) as robot:
        screen = await write(robot, GOOD)
        for field, value, words in BAD_FIELDS:
            entry = screen.query_one(f"#{field}", Input)
            good, entry.value = entry.value, value
            await robot.sees(words)
            # The key is over when it has brought the cursor back from here.
            screen.editor.focus()
            await robot.press("ctrl+s")
            await robot.until(functools.partial(has_focus, entry))
            assert robot.app.screen is screen
            assert not grid.sent
            entry.value = good
            await robot.until(functools.partial(is_gone, robot, words))


def has_focus(entry: Input) -> bool:
    """Whether one would type into a field."""
    return entry.has_focus


def is_gone(robot: Robot, words: str) -> bool:
    """Whether the fields, in the upper right, show some words no more."""
    return words not in "\n".join(line[40:] for line in robot.text.splitlines()[2:8])


async def test_submits_after_the_last_page() -> None:
    """ctrl+s shows what is locked and where it runs; only enter there spends; then the job opens."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid) as robot:
        screen = await write(robot, GOOD)
        screen.query_one("#credits").value = "212.5"
        screen.query_one("#labels").value = "zone=eu"
        await robot.press("ctrl+s")
        await robot.sees("Submit this job?", "212.5 credits", "1,284.40 → 1,071.90")
        await robot.sees(
            "only on      zone=eu", "exactly 212.5, for this job", "up to 8 h 47 min, 0.40 a minute"
        )
        await robot.press("escape")
        assert not grid.sent
        await robot.press("ctrl+s")
        await robot.until(lambda: isinstance(robot.app.screen, ConfirmSubmit))
        await robot.press("enter")
        await robot.until(lambda: isinstance(robot.app.screen, JobScreen))
        [(what, (wire, wei, name, uses, affinity))] = grid.sent
        assert (what, wei, name) == ("submit", 2125 * CREDIT // 10, "train")
        assert wire["steps"][0]["run"]["command"] == "echo hello"
        assert uses == (Label("zone", "eu"),)
        assert affinity == ()
        await robot.sees("42 train", "◷ PENDING")
        await robot.press("escape")
        await robot.sees("11 jobs")


async def test_a_refused_submit_keeps_the_text_and_says_why() -> None:
    """The sentence of the error stays in view, the text too; it can be tried again."""
    grid = FakeGrid().add(*some_jobs())
    grid.fail["submit"] = CreditsError("The wallet holds too little.")
    async with jobs_shown(grid) as robot:
        screen = await write(robot, GOOD)
        await robot.press("ctrl+s")
        await robot.until(lambda: isinstance(robot.app.screen, ConfirmSubmit))
        await robot.press("enter")
        await robot.sees("submit failed", "The wallet holds too little.")
        assert screen.editor.text == GOOD
        del grid.fail["submit"]
        await robot.press("ctrl+s")
        await robot.until(lambda: isinstance(robot.app.screen, ConfirmSubmit))
        await robot.press("enter")
        await robot.until(lambda: bool(grid.sent))


async def test_an_unknown_outcome_is_called_unknown() -> None:
    """After a lost transaction one is told to look at the jobs before trying again."""
    grid = FakeGrid().add(*some_jobs())
    grid.fail["submit"] = TransactionError("It was not mined in time.")
    async with jobs_shown(grid) as robot:
        await write(robot, GOOD)
        await robot.press("ctrl+s")
        await robot.until(lambda: isinstance(robot.app.screen, ConfirmSubmit))
        await robot.press("enter")
        await robot.sees("not known whether")


async def test_without_a_provider_the_last_page_warns() -> None:
    """Credits would be locked while the job waits: that is said before."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid) as robot:
        await write(robot, GOOD)
        screen = robot.app.screen
        assert isinstance(screen, SubmitScreen)
        grid.known_providers = []
        await robot.press("ctrl+s")
        await robot.sees("no provider can take it as it is", "with its credits locked")


async def test_starts_from_a_template() -> None:
    """F2 lists the examples of the documentation; the chosen one is valid."""
    async with jobs_shown() as robot:
        await robot.press("2", "f2")
        await robot.sees("hello-world", "one step on one CPU")
        await robot.press("enter")
        await robot.sees("● valid")


async def test_opens_a_file_by_its_path(tmp_path: Path) -> None:
    """ctrl+o takes a path, completes it with tab, and says when there is no such file."""
    (tmp_path / "train.yaml").write_text(GOOD)
    async with jobs_shown() as robot:
        await robot.press("2", "ctrl+o")
        field = robot.app.screen.query_one("#path")
        field.value = f"{tmp_path}/none.yaml"
        await robot.press("enter")
        await robot.sees("none.yaml does not exist.")
        field.value = f"{tmp_path}/tr"
        field.cursor_position = len(field.value)
        await robot.press("tab", "enter")
        await robot.sees("train.yaml", "● valid")
        assert robot.app.screen.query_one("#name").value == "train"


async def test_typed_text_is_not_replaced_without_a_question() -> None:
    """A template over unsaved text asks first."""
    async with jobs_shown() as robot:
        screen = await write(robot, GOOD)
        screen.editor.load_text(GOOD + "# mine\n")
        await robot.press("f2", "enter")
        await robot.sees("Replace the text?")
        await robot.press("escape")
        assert screen.editor.text.endswith("# mine\n")


async def test_a_missing_editor_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """ctrl+e without a terminal or an editor is a sentence, not a crash."""
    monkeypatch.setenv("VISUAL", "/nonexistent/editor")
    async with jobs_shown() as robot:
        await write(robot, GOOD)
        await robot.press("ctrl+e")
        await robot.sees("editor failed")


async def test_hostile_text_in_a_file_is_made_visible() -> None:
    """Control and bidi characters of a file never reach the terminal."""
    async with jobs_shown() as robot:
        await write(robot, "a: \x1b[31m\u202e\u200b日本\n")
        assert not set(robot.text) & set("\x1b\u202e\u200b")
        assert "\ufffd" in robot.text


async def test_the_keyboard_reaches_every_field() -> None:
    """F6 goes from the editor through the fields and back; enter goes on in the fields."""
    async with jobs_shown() as robot:
        await robot.press("2")
        seen = []
        for key in ("f6", "enter", "enter", "enter", "enter"):
            await robot.press(key)
            assert robot.app.focused is not None
            seen.append(robot.app.focused.id)
        assert seen == ["name", "credits", "time", "labels", "editor"]
        await robot.press("escape")
        await robot.sees("train-llm")
