"""How users write a workflow before they submit it, as they would tell it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dsq.core.units import CREDIT
from tests.screens.states import WORKFLOW
from tests.screens.stories.submits import SMALL, grid, submits, to_last_page
from tests.support.console import jobs_shown


async def test_opens_a_file_gives_it_a_name_and_more_credits(tmp_path: Path) -> None:
    """The file's name is offered; the user's own replaces it."""
    (tmp_path / "wing.yaml").write_text(SMALL)
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.press("2", "ctrl+o")
        await robot.fill("path", str(tmp_path / "wing.yaml"))
        await robot.press("enter")
        await robot.sees("wing.yaml", "● valid")
        assert robot.app.screen.query_one("#name").value == "wing"  # type: ignore[attr-defined]
        await robot.fill("name", "wing-7")
        await robot.fill("credits", "250")
        await robot.sees("1,284.40 → 1,034.40")
        await to_last_page(robot)
        await robot.sees("wing-7", "250 credits")
        await robot.press("enter")
        await robot.until(lambda: bool(submits(on)))
        await robot.press("1")
        await robot.sees("wing-7", "1,034.40 cr")
    assert submits(on)[0][1:3] == (250 * CREDIT, "wing-7")


async def test_mends_a_mistake_before_it_submits() -> None:
    """The sentence names the line and the close match; nothing goes out before it is mended."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.write(SMALL.replace("command", "comand"))
        await robot.sees("× 1 problem", "did you mean 'command'?")
        await robot.press("ctrl+s")
        await robot.sees("The workflow is not valid yet.")
        assert not submits(on)
        await robot.write(SMALL)
        await to_last_page(robot)
        await robot.press("enter")
        await robot.until(lambda: len(submits(on)) == 1)


async def test_an_empty_editor_submits_nothing() -> None:
    """ctrl+s says what is missing."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.press("2", "ctrl+s")
        await robot.sees("The workflow is empty.")
        assert not submits(on)


async def test_keeps_the_text_while_looking_elsewhere() -> None:
    """A draft survives a look at the providers and at the jobs."""
    async with jobs_shown() as robot:
        await robot.write(SMALL)
        await robot.sees("● valid")
        await robot.press("escape")
        await robot.sees("train-llm")
        await robot.press("3")
        await robot.sees("CPU/MIN")
        await robot.press("2")
        await robot.sees("echo hello", "● valid")


async def test_does_not_lose_a_draft_to_a_template() -> None:
    """Only after yes is what was typed replaced."""
    async with jobs_shown() as robot:
        await robot.write(SMALL)
        await robot.press("f2", "enter")
        await robot.sees("Replace the text?")
        await robot.press("n")
        await robot.sees("echo hello")
        await robot.press("f2")
        await robot.sees("hello-world")
        await robot.press("enter", "y")
        await robot.misses("echo hello\n")
        await robot.sees("● valid")


async def test_reads_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The dialog says so and stays open, for another path."""
    (tmp_path / "b.yaml").write_text(SMALL)
    async with jobs_shown() as robot:
        await robot.press("2", "ctrl+o")
        await robot.fill("path", str(tmp_path / "a.yaml"))
        await robot.press("enter")
        await robot.sees("a.yaml does not exist.")
        await robot.fill("path", str(tmp_path / "b.yaml"))
        await robot.press("enter")
        await robot.sees("● valid")


async def test_opens_a_file_that_is_no_text(tmp_path: Path) -> None:
    """A picture is no workflow: one sentence, and the editor is as it was."""
    (tmp_path / "cat.yaml").write_bytes(b"\x89PNG\xff\xfe\x00")
    async with jobs_shown(size=(120, 40)) as robot:
        await robot.write(SMALL)
        await robot.press("ctrl+o")
        await robot.fill("path", str(tmp_path / "cat.yaml"))
        await robot.press("enter")
        await robot.press("y")
        await robot.sees("open cat.yaml failed", "echo hello")


async def test_has_no_editor_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """ctrl+e says which editor could not be started, and the text stays."""
    monkeypatch.setenv("VISUAL", f"{sys.executable}-none")
    async with jobs_shown() as robot:
        await robot.write(SMALL)
        await robot.press("ctrl+e")
        await robot.sees("editor failed", "echo hello")


async def test_completes_a_key() -> None:
    """Fields are offered with their meaning as one types; tab takes one and goes on."""
    async with jobs_shown(size=(120, 40)) as robot:
        await robot.press("2", *"re")
        await robot.sees("resources", "required: What the job gets")
        await robot.press("tab")
        assert robot.app.screen.editor.text == "resources:\n  "  # type: ignore[attr-defined]
        await robot.press("ctrl+@")
        await robot.sees("tasks", "cpusPerTask", "memPerCpu", "enter, tab take it")
        await robot.press("down", "enter", "1")
        assert robot.app.screen.editor.text.endswith("  cpusPerTask: 1")  # type: ignore[attr-defined]


async def test_completes_a_value_and_leaves_the_list() -> None:
    """Where there is a choice it is offered; escape closes the list, not the view."""
    async with jobs_shown(size=(120, 40)) as robot:
        await robot.write(SMALL + "      mpi:")
        editor = robot.app.screen.editor  # type: ignore[attr-defined]
        editor.move_cursor(editor.document.end)
        await robot.press("space")
        await robot.sees("pmix_v4", "pmi2")
        await robot.press("escape")
        await robot.misses("pmix_v4")
        await robot.press("f4", "down", "enter")
        assert editor.text.endswith("mpi: pmix_v4")


async def test_completes_a_label_from_what_providers_have() -> None:
    """First the key, then the values, with how many providers have them."""
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.write(SMALL)
        await robot.sees("● valid")
        robot.app.screen.query_one("#labels").focus()
        await robot.press("g")
        await robot.sees("gpu", "a100, none")
        await robot.press("tab")
        await robot.sees("a100", "1 provider")
        await robot.press("tab")
        assert robot.app.screen.query_one("#labels").value == "gpu=a100 "  # type: ignore[attr-defined]


async def test_reads_what_a_field_means() -> None:
    """The field around the cursor is explained below the editor."""
    async with jobs_shown(size=(120, 40)) as robot:
        await robot.write(WORKFLOW)
        await robot.sees("● valid")
        robot.app.screen.editor.move_cursor((4, 5))  # type: ignore[attr-defined]
        await robot.sees("cpusPerTask  ", "(number, required")


async def test_opens_a_file_again(tmp_path: Path) -> None:
    """What was opened before is the first thing that the picker offers."""
    (tmp_path / "wing.yaml").write_text(SMALL)
    async with jobs_shown(size=(120, 40)) as robot:
        await robot.press("2", "ctrl+o")
        await robot.fill("path", str(tmp_path / "wing.yaml"))
        await robot.press("enter")
        await robot.sees("● valid")
        await robot.press("ctrl+o", "tab", "enter")
        await robot.misses("Open a workflow")
        await robot.sees("wing.yaml", "● valid")


async def test_saves_what_was_typed(tmp_path: Path) -> None:
    """F3 writes the text to a file, whose name it then has."""
    async with jobs_shown(size=(120, 40)) as robot:
        await robot.write(SMALL)
        await robot.sees("new workflow *")
        await robot.press("f3")
        await robot.fill("path", str(tmp_path / "mine.yaml"))
        await robot.press("enter")
        await robot.sees("mine.yaml  ● valid", "mine.yaml is saved.")
    assert (tmp_path / "mine.yaml").read_text() == SMALL


async def test_edits_the_file_in_another_program(tmp_path: Path) -> None:
    """What is saved there shows here; what was typed here meanwhile is never lost."""
    file = tmp_path / "wing.yaml"
    file.write_text(SMALL)
    async with jobs_shown(size=(120, 40)) as robot:
        await robot.press("2", "ctrl+o")
        await robot.fill("path", str(file))
        await robot.press("enter")
        await robot.sees("● valid")
        file.write_text(SMALL.replace("hello", "edited elsewhere"))
        robot.app.screen.look_at_file()  # type: ignore[attr-defined]
        await robot.sees("echo edited elsewhere", "wing.yaml has changed and was read again.")
        robot.app.screen.editor.insert("# mine\n", (0, 0))  # type: ignore[attr-defined]
        file.write_text(SMALL)
        robot.app.screen.look_at_file()  # type: ignore[attr-defined]
        await robot.sees("# mine", "edited elsewhere", "and so has the text here")
