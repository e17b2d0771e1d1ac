"""Recording a session, and showing it again without a grid."""

from __future__ import annotations

import dataclasses
import json
import stat
from pathlib import Path
from typing import Any, cast

import pytest

from dsq.console.console_command import command
from dsq.console.entry import run_command
from dsq.console.user.app import ConsoleApp
from dsq.console.user.recording import Recorder, Tape, recording
from dsq.console.user.replay import Recording, Replay
from dsq.console.user.tape_codec import decode, decode_error, encode, encode_error
from dsq.core.errors import CreditsError, DsqError, NotFoundError, UsageError
from dsq.core.model import Affinity, JobDefinition, JobStatus, Label
from dsq.core.units import CREDIT
from tests.support.console import Clock, console, using
from tests.support.fake_grid import GAIA, ME, NOW, FakeGrid, job, provider, some_jobs

SECRET_WORKFLOW = {
    "resources": {"tasks": 1, "cpusPerTask": 1, "memPerCpu": 100, "gpus": 0},
    "env": "hunter2",
}


async def record(path: Path, clock: Clock) -> FakeGrid:
    """A session: opened, a log read, a job that ends, a submit, a job looked at."""
    grid = FakeGrid().add(*some_jobs())
    grid.write(41, "epoch 1", "epoch 2")
    tape = Tape(path, clock)

    async def connect() -> FakeGrid:
        return grid

    app = console(grid, now=clock)
    app = ConsoleApp(
        recording(connect, tape, "lab"), grid_name="lab", now=clock, zone=app.zone
    )  # fmt: skip
    async with using(app, (120, 40)) as robot:
        await robot.sees("train-llm", "● live")
        clock.now += 10
        await robot.press("enter")
        await robot.sees("epoch 2", "TIMELINE")
        clock.now += 10
        grid.write(41, "epoch 3")
        await robot.sees("epoch 3")
        clock.now += 10
        grid.change(40, status=JobStatus.FINISHED)
        await robot.until(lambda: app.state.jobs.get(40).status is JobStatus.FINISHED)  # type: ignore[union-attr]
        clock.now += 10
        await robot.press("escape", "5")
        await robot.sees("far.example")
        await robot.press("4")
        await robot.until(lambda: bool(app.state.movements))
        await app.feed.require_grid().submit(
            SECRET_WORKFLOW, 100 * CREDIT, name="new", secrets={"TOKEN": "hunter2"}
        )
        await robot.until(lambda: app.state.jobs.get(42) is not None)
    tape.close()
    return grid


async def test_a_session_is_shown_again(tmp_path: Path) -> None:
    """The replay shows the same at the same times, with nothing behind it."""
    path, clock = tmp_path / "tape.jsonl", Clock()
    await record(path, clock)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "hunter2" not in path.read_text()

    played, hand = Recording.read(path), Clock(0)
    replay = Replay(played, hand)
    assert (played.account, played.grid_name) == (ME, "lab")

    async def connect() -> Replay:
        return replay

    app = ConsoleApp(connect, grid_name="lab", read_only=True, now=replay.now)
    async with using(app, (120, 40)) as robot:
        await robot.sees("train-llm", "● live", "read-only")
        assert app.state.jobs.get(40).status is JobStatus.RUNNING  # type: ignore[union-attr]
        await robot.press("enter")
        await robot.sees("epoch 2", "TIMELINE", "block 1,000")
        assert "epoch 3" not in robot.text
        hand.now = 25
        await robot.sees("epoch 3")
        await robot.press("escape")
        hand.now = 31
        await robot.until(lambda: app.state.jobs.get(40).status is JobStatus.FINISHED)  # type: ignore[union-attr]
        assert app.now() == pytest.approx(NOW + 31)
        hand.now = 41
        await robot.sees("new")
        await robot.press("4", "tab")
        await robot.sees("minted")
        await robot.press("5")
        await robot.sees("far.example")


async def test_a_replay_sends_nothing_and_says_what_it_lacks(tmp_path: Path) -> None:
    """What changes something is refused; what was not looked at is not there."""
    clock = Clock()
    await record(tmp_path / "tape", clock)
    replay = Replay(Recording.read(tmp_path / "tape"), lambda: 0.0)
    with pytest.raises(UsageError, match="nothing can be sent"):
        await replay.cancel(41)
    with pytest.raises(UsageError, match="nothing can be sent"):
        await replay.submit_many([], CREDIT, secrets={})
    with pytest.raises(NotFoundError, match="output of job 36"):
        async for _ in replay.logs(36):
            pass
    with pytest.raises(NotFoundError, match="no job 42"):
        await replay.job(42)
    with pytest.raises(DsqError, match="does not have this"):
        await replay.why(36)
    assert await replay.block_hash(1) is None


async def test_errors_are_recorded_too(tmp_path: Path) -> None:
    """A refusal is the same error again, with its hint."""
    grid = FakeGrid()
    grid.fail["why"] = CreditsError("Too few.", hint="Get more.")
    tape = Tape(tmp_path / "tape")
    tape.head(grid, "x")
    recorder = cast("Any", Recorder(grid, tape))
    with pytest.raises(CreditsError):
        await recorder.why(3)
    replay = Replay(Recording.read(tmp_path / "tape"))
    with pytest.raises(CreditsError, match="Too few. Get more."):
        await replay.why(3)


@pytest.mark.parametrize(
    "value",
    [
        some_jobs()[0],
        dataclasses.replace(job(1, JobStatus.PENDING, "\x1b[31m\u202e"), cost=some_jobs()[0].cost),
        provider(GAIA, "gaia"),
        {GAIA: (1, 2**200, b"\x00", None, [True, 0.5])},
        JobDefinition(1, 2, 3, 0, uses=(Label("a", "b"),), affinity=(Affinity("m", ">=", "1"),)),
    ],
)
def test_values_come_back_as_they_were(value: object) -> None:
    """Through JSON and back nothing is lost."""
    assert decode(json.loads(json.dumps(encode(value)))) == value


def test_what_cannot_be_recorded_is_refused() -> None:
    """No value is written by its repr; no value is made of what nobody wrote."""
    with pytest.raises(TypeError):
        encode(object())
    with pytest.raises(ValueError, match="does not hold"):
        decode({"!": "shell"})
    assert str(decode_error(encode_error(ZeroDivisionError("x")))) == "x"
    assert type(decode_error({"type": "os", "text": "x", "hint": ""})) is DsqError


def test_a_damaged_file_is_explained(tmp_path: Path) -> None:
    """The line is named; only a last line that was cut off is left out."""
    head = '{"t":0,"dsq_console":1,"at":5.0,"grid":"x","account":{"!":"address","hex":"' + (
        "11" * 20 + '"},"contracts":{"!":"map","of":[]}}'
    )
    path = tmp_path / "tape"
    for text, words in (
        ("", "is no recording"),
        ("hello", "line 1"),
        (f'{head}\n{{"t":1}}\n{head}', "line 2"),
        (head.replace('"dsq_console":1', '"dsq_console":2'), "is no recording"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=words):
            Recording.read(path)
    path.write_text(f'{head}\n{{"t":1,"ca')
    assert Recording.read(path).at == 5.0
    with pytest.raises(UsageError, match="cannot be read"):
        Recording.read(tmp_path / "none")


def test_the_options_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They exclude each other and what makes no sense with them; an old file is never lost."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    path = tmp_path / "tape"
    path.write_text("kept")
    for arguments, words in (
        (["--record", "a", "--replay", "b"], "--record is for"),
        (["--record", "a", "--web"], "--record is for"),
        (["--replay", "a", "--grid", "x"], "takes no grid"),
        (["--replay", str(path)], "line 1: this is no recording"),
    ):
        assert run_command(command, "dsq-console", arguments) == 64
        assert words in capsys.readouterr().err
    with pytest.raises(UsageError, match="there already"):
        Tape(path)
    assert path.read_text() == "kept"
