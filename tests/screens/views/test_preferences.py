"""What users may set: the settings file, their keys, their themes, what is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from textual.app import App

from dsq.console.keymap import binding_ids, load_keymap
from dsq.console.preferences import (
    JobsTable,
    Notify,
    Preferences,
    load_preferences,
    read_preferences,
    save_preferences,
)
from dsq.console.user.columns import USUAL, all_columns
from dsq.console.user.notify import tell_outside, terminal_sequences
from dsq.console.user.state import ConsoleState
from dsq.console.widgets.words import Moment
from dsq.core.errors import SettingsError
from dsq.core.model import JobStatus
from dsq.themes.loader import builtin_themes
from tests.support.console import Robot, console, jobs_shown
from tests.support.fake_grid import NOW, FakeGrid, job, some_jobs

ROOT = Path(__file__).resolve().parents[3]


def test_preferences_survive(tmp_path: Path) -> None:
    """What is saved is read again; only what differs from the usual is in the file."""
    assert load_preferences(tmp_path) == Preferences()
    wanted = Preferences(
        theme="dsq-paper",
        jobs=JobsTable(columns=("id", "name:24"), sort="-cost", fold=True),
        notify=Notify(bell=False),
    )
    save_preferences(tmp_path / "new", wanted)
    assert load_preferences(tmp_path / "new") == wanted
    assert "terminal" not in (tmp_path / "new" / "console.toml").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("them = 'x'", "Did you mean 'theme'"),
        ("[notify]\nbel = true", "Did you mean 'bell'"),
        ("[notify]\nbell = 'yes'", "notify.bell"),
        ("[jobs]\ncolumns = ['id:x']", "no column"),
        ("[jobs", "cannot be read"),
    ],
)
def test_mistakes_in_preferences_are_explained(tmp_path: Path, text: str, words: str) -> None:
    """One sentence that names the field."""
    (tmp_path / "console.toml").write_text(text)
    with pytest.raises(SettingsError, match=".") as caught:
        load_preferences(tmp_path)
    assert words in str(caught.value)


def test_the_pages_name_every_field_column_and_theme() -> None:
    """docs describe what users may write."""
    settings = (ROOT / "docs/reference/settings.md").read_text()
    page = (ROOT / "docs/console.md").read_text()
    fields = ["theme", "lock_minutes", *(f"jobs.{name}" for name in JobsTable.model_fields)]
    fields += [f"notify.{name}" for name in Notify.model_fields]
    assert [name for name in fields if f"`{name}`" not in settings] == []
    columns = all_columns(ConsoleState("x"), lambda: Moment(NOW, None))
    assert [name for name in columns if f"`{name}`" not in page] == []
    assert [theme.name for theme in builtin_themes() if f"`{theme.name}`" not in page] == []
    assert set(USUAL) <= set(columns)


def test_keys_can_be_changed(tmp_path: Path) -> None:
    """Both ways of writing a name are read; a wrong one is told with the close match."""
    (tmp_path / "keys.toml").write_text(
        '"jobs.submit" = "n"\n[jobs]\nlogs = "L, ctrl+l"\nsubmitt = "x"\nsort = 3\n'
    )
    keys, problems = load_keymap(tmp_path)
    assert keys == {"jobs.submit": "n", "jobs.logs": "L,ctrl+l"}
    assert "Did you mean 'jobs.submit'" in str(problems[0])
    assert "'jobs.sort' must be keys" in str(problems[1])
    assert load_keymap(tmp_path / "none") == ({}, [])
    page = (ROOT / "docs/keys.md").read_text()
    assert [name for name in sorted(binding_ids()) if f"`{name}`" not in page] == []


async def test_a_changed_key_works_and_the_old_one_does_not(tmp_path: Path) -> None:
    """The user's key acts, and the line of keys shows it."""
    (tmp_path / "keys.toml").write_text('"jobs.submit" = "n"\n')
    async with jobs_shown(folder=tmp_path) as robot:
        await robot.press("s")
        assert "n submit" in robot.text
        await robot.press("n")
        await robot.sees("credits", "workflow")


async def test_a_theme_changes_while_it_is_edited(tmp_path: Path) -> None:
    """The colours of a user's theme are read again; a mistake is told and changes nothing."""
    folder = tmp_path / "themes"
    folder.mkdir()
    text = (ROOT / "themes/dsq-ocean.toml").read_text().replace('"dsq-ocean"', '"mine"')
    (folder / "mine.toml").write_text(text)
    async with jobs_shown(folder=tmp_path) as robot:
        app = robot.app
        app._themes_seen = {}  # type: ignore[attr-defined]
        app._reload_themes()  # type: ignore[attr-defined]
        app.theme = "mine"
        await robot.settle()
        (folder / "mine.toml").write_text(text.replace("#0b1622", "#123456"))
        app._themes_seen = {}  # type: ignore[attr-defined]
        app._reload_themes()  # type: ignore[attr-defined]
        await robot.until(lambda: ground(app) == "#123456")
        (folder / "mine.toml").write_text("name = 3")
        app._themes_seen = {}  # type: ignore[attr-defined]
        app._reload_themes()  # type: ignore[attr-defined]
        await robot.sees("theme failed")
        assert ground(app) == "#123456"


def ground(app: App[None]) -> str:
    return app.theme_variables["background"].lower()


async def test_choices_are_kept_for_the_next_start(tmp_path: Path) -> None:
    """Sorting and folding chosen with keys are in the file."""
    async with jobs_shown(folder=tmp_path) as robot:
        await robot.press("o")
        await robot.sees("Sort by")
        await robot.press("down", "enter")
        await robot.sees("by name ↑")
        assert first_names(robot)[0] < first_names(robot)[1]
        await robot.press("f")
        await robot.until(lambda: load_preferences(tmp_path).jobs.fold)
    kept = load_preferences(tmp_path)
    assert (kept.jobs.sort, kept.jobs.fold) == ("name", True)
    async with jobs_shown(folder=tmp_path, preferences=kept) as robot:
        await robot.sees("by name ↑")


def first_names(robot: Robot) -> list[str]:
    store = robot.app.state.jobs  # type: ignore[attr-defined]
    return [store.row(index).name for index in range(2)]


async def test_columns_are_chosen_ordered_and_sized(tmp_path: Path) -> None:
    """space hides, J moves, > widens; the table follows and the file keeps it."""
    async with jobs_shown(folder=tmp_path) as robot:
        await robot.press("C")
        await robot.sees("Columns")
        await robot.press("down", "down", "space", "up", "J", "greater_than_sign", "enter")
        await robot.until(lambda: "STATUS" not in robot.text.splitlines()[2])
    kept = load_preferences(tmp_path).jobs.columns
    assert "status" not in kept
    assert kept[:3] == ("id", "name:11", "provider")


async def test_an_unknown_theme_and_order_are_told() -> None:
    """The console starts all the same."""
    wanted = Preferences(theme="dsq-darc", jobs=JobsTable(sort="cots"))
    async with jobs_shown(preferences=wanted) as robot:
        await robot.press("6")
        await robot.sees("There is no theme 'dsq-darc'", "Did you mean 'cost'")


async def test_telling_outside_does_what_is_wanted() -> None:
    """Each way can be switched off."""
    done: list[str] = []
    bell, write = (lambda: done.append("bell")), done.append
    await tell_outside("dsq", "Job 1 ended", Notify(desktop=False), bell=bell, write=write)
    assert done == ["bell", terminal_sequences("dsq", "Job 1 ended")]
    done.clear()
    nothing = Notify(bell=False, terminal=False, desktop=False)
    await tell_outside("dsq", "x", nothing, bell=bell, write=write)
    assert done == []


def test_a_job_name_cannot_write_to_the_terminal() -> None:
    """What ends a sequence, or parts its fields, is taken out of the texts."""
    text = terminal_sequences("dsq", "a\x07b\x1b]52;c;evil\x1b\\;d\n")
    assert text.count("\x07") == 2
    assert text.count("\x1b") == 2
    assert text.split("\x1b]777;")[1].count(";") == 2


async def test_a_sweep_folds_into_one_row() -> None:
    """Folded, a group is its newest job's row with how many are in which state."""
    sweep = [
        job(60 + n, JobStatus.RUNNING if n < 3 else JobStatus.FINISHED, f"lr#k3x9f2.{n}/5")
        for n in range(1, 6)
    ]
    async with jobs_shown(FakeGrid().add(*some_jobs(), *sweep)) as robot:
        await robot.sees("lr [5/5]", "lr [1/5]")
        await robot.press("f")
        await robot.sees("lr ×5", "▶2 ✓3")
        assert "lr [1/5]" not in robot.text
        await robot.press("f")
        await robot.sees("lr [1/5]")


async def test_marked_jobs_are_cancelled_with_one_question() -> None:
    """space marks, c asks once for all of them and names what comes back."""
    grid = FakeGrid().add(*some_jobs())
    async with jobs_shown(grid) as robot:
        await robot.press("space", "space", "space")
        await robot.sees("3 marked of 10 jobs")
        await robot.press("c")
        await robot.sees("Cancel 3 jobs?", "41 train-llm", "come back")
        await robot.press("y")
        await robot.until(lambda: len([each for each in grid.sent if each[0] == "cancel"]) == 3)
        assert {each[1] for each in grid.sent if each[0] == "cancel"} == {41, 40, 39}


async def test_marks_and_then_the_filter_are_dropped() -> None:
    """* marks all that are shown; escape drops the marks, then the filter."""
    async with jobs_shown() as robot:
        await robot.press("slash")
        await robot.type("status:ended")
        await robot.press("enter", "asterisk")
        await robot.sees("5 marked of 5 of 10")
        await robot.press("escape")
        await robot.sees("/status:ended  5 of 10")
        await robot.press("escape")
        await robot.sees("10 jobs")


async def test_jobs_are_exported(tmp_path: Path) -> None:
    """e writes what is marked or shown; an existing file is not overwritten."""
    async with jobs_shown() as robot:
        for name in ("a.json", "b.csv"):
            await robot.press("e", "ctrl+u")
            await robot.type(str(tmp_path / name))
            await robot.press("enter")
            await robot.until((tmp_path / name).exists)
        assert (tmp_path / "a.json").read_text().count('"hex_id"') == 10
        assert len((tmp_path / "b.csv").read_text().splitlines()) == 11
        await robot.press("e", "ctrl+u")
        await robot.type(str(tmp_path / "a.json"))
        await robot.press("enter")
        await robot.told("export failed", "Choose another name")


def test_spreadsheets_take_no_formula(tmp_path: Path) -> None:
    """A job's name cannot become a formula in the CSV file."""
    from dsq.console.export import JobFile

    evil = dataclasses.replace(job(1, JobStatus.PENDING), name="=cmd()")
    with JobFile(tmp_path / "x.csv") as file:
        file.write([evil])
    assert "'=cmd()" in (tmp_path / "x.csv").read_text()


def test_the_console_can_be_made_without_a_folder() -> None:
    """Tests and guests keep nothing."""
    assert console().preferences == Preferences()


def test_a_mistake_costs_its_field_only(tmp_path: Path) -> None:
    """What else the file says holds; the mistake is told with the field's name."""
    text = "them = 'x'\nlock_minutes = 3\n[notify]\nbell = 'no'\nterminal = false\n"
    (tmp_path / "console.toml").write_text(text)
    preferences, problem = read_preferences(tmp_path)
    assert preferences == Preferences(lock_minutes=3, notify=Notify(terminal=False))
    assert problem is not None
    assert "field 'notify.bell'" in str(problem)
    assert "The rest of the file is used." in str(problem)
    (tmp_path / "console.toml").write_text("jobs = 3\ntheme = 'dsq-paper'")
    assert read_preferences(tmp_path)[0] == Preferences(theme="dsq-paper")


async def test_every_setting_is_on_the_screen(tmp_path: Path) -> None:
    """The page has each field of the file, and enter changes it there and in the file."""
    async with jobs_shown(folder=tmp_path, size=(120, 40)) as robot:
        app: Any = robot.app
        await robot.press("comma")
        await robot.sees("Settings", "after 15 minutes", "try it", "console.toml")
        keys = [row.key for row in app.screen.settings() if row.key]
        fields = [*Preferences.model_fields, *(f"jobs.{name}" for name in JobsTable.model_fields)]
        fields += [f"notify.{name}" for name in Notify.model_fields]
        assert sorted(keys) == sorted(set(fields) - {"jobs", "notify"})
        await robot.press("down", "enter", "ctrl+u")
        await robot.type("0")
        await robot.press("enter")
        await robot.sees("never")
        for key in keys[4:]:
            await choose(robot, keys.index(key))
        await robot.press("escape")
        wanted = load_preferences(tmp_path)
        assert wanted.lock_minutes == 0
        assert wanted.jobs.fold
        assert wanted.notify == Notify(bell=False, terminal=False, desktop=False)


async def choose(robot: Robot, index: int) -> None:
    """Presses enter on a line of the page."""
    await robot.press("home", *["down"] * index, "enter")


async def test_what_opens_from_the_settings_comes_back_there(tmp_path: Path) -> None:
    """Theme, columns and order are chosen in their own boxes; the jobs show them at once."""
    async with jobs_shown(folder=tmp_path, size=(120, 40)) as robot:
        app: Any = robot.app
        await robot.press("comma", "enter")
        await robot.sees("Theme")
        await robot.press("home", "enter")
        await robot.sees("Settings", app.theme)
        await choose(robot, 3)
        await robot.sees("Sort by")
        await robot.press("down", "enter")
        await robot.sees("Settings", "name ↑")
        await choose(robot, 2)
        await robot.sees("Columns")
        await robot.press("down", "space", "enter")
        await robot.sees("columns")
        await robot.press("escape")
        await robot.until(lambda: robot.rows == sorted(robot.rows))
        assert "NAME" not in robot.text
        assert load_preferences(tmp_path).jobs.sort == "name"


async def test_a_number_that_will_not_do_changes_nothing(tmp_path: Path) -> None:
    """Words where minutes belong are told, and the setting stays."""
    async with jobs_shown(folder=tmp_path, size=(120, 40)) as robot:
        app: Any = robot.app
        await robot.press("comma", "down", "enter", "ctrl+u")
        await robot.type("soon")
        await robot.press("enter")
        await robot.sees("'soon' is no number of minutes", "after 15 minutes")
        assert app.preferences.lock_minutes == 15


async def test_files_that_change_are_read_again(tmp_path: Path) -> None:
    """Settings, keys and contacts count while the console runs; a mistake is told once."""
    async with jobs_shown(folder=tmp_path, size=(120, 40)) as robot:
        app: Any = robot.app
        (tmp_path / "console.toml").write_text("theme = 'dsq-paper'\n[jobs]\nsort = 'name'\n")
        (tmp_path / "keys.toml").write_text('"jobs.submit" = "n"\n')
        (tmp_path / "contacts.toml").write_text(f"ann = '0x{'ab' * 20}'\n")
        app.look_at_files()
        await robot.sees("n submit")
        assert app.theme == "dsq-paper"
        assert list(app.state.contacts) == ["ann"]
        await robot.until(lambda: robot.rows == sorted(robot.rows))
        (tmp_path / "console.toml").write_text("theme = 'dsq-paper'\nlock = 3\n")
        app.look_at_files()
        await robot.sees("unknown field 'lock'")
        app.prefer(lock_minutes=5)
        await robot.sees("has a mistake: this is")
        assert "lock = 3" in (tmp_path / "console.toml").read_text()
        await robot.press("comma")
        await robot.sees("has a mistake", "after 5 minutes")


async def test_a_mistake_in_the_file_keeps_nothing_else_away(tmp_path: Path) -> None:
    """With a wrong console.toml keys and contacts are there, and nothing is written over it."""
    (tmp_path / "keys.toml").write_text('"jobs.submit" = "n"\n')
    async with jobs_shown(folder=tmp_path, keeps=False) as robot:
        await robot.sees("n submit")
        await robot.press("ctrl+t", "home", "enter")
        await robot.sees("has a mistake: this is")
        assert not (tmp_path / "console.toml").exists()
