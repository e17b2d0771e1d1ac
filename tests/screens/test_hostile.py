"""Text of strangers in every field that they control: shown as text, and nothing more."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len

from dsq.console.user.app import ConsoleApp
from dsq.core.errors import ContractError, UnreachableError
from dsq.core.model import JobStatus, Label, WhyNot
from tests.support.console import Robot, console, provider_screen, using
from tests.support.fake_grid import GAIA, IRIS, FakeGrid, FakeWhy, job, provider, some_jobs
from tests.support.fake_supervisor import FakeSupervisor, job_row, some_snapshot

TEXTS = {
    "ansi": "\x1b[31mred\x1b[0m\x1b]0;owned\x07\x1b[2J\x1b[H\x9b31mX",
    "markup": "[red]a[/red] [@click=app.quit]b[/] [link=http://x]c[/link] \\[d]",
    "bidi": "\u202eevil\u2066txt\u2069\u200f\u061c",
    "long": "L" * 20_000,
    "hidden": "a\u200bb\u2060c\ufeffd\u00ade\u3164f",
    "nul": "a\x00b\x7fc\x85d\te\nf\r\ng\x0bh",
    "wide": "日本語👩‍👩‍👧‍👦🏳️‍🌈é\u0301\u0301\u0301\u0301\u0301" * 12,
    "combining": "Z" + "\u0335" * 500,
}
BAD = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def full() -> FakeGrid:
    return FakeGrid().add(*some_jobs())


def named(text: str) -> FakeGrid:
    return full().add(job(42, JobStatus.RUNNING, text, at=GAIA, start=-60))


def failed(text: str) -> FakeGrid:
    ended = job(42, JobStatus.FAILED, "x", at=GAIA, start=-60, end=-1, error=text)
    return full().add(ended)


def provider_called(text: str) -> FakeGrid:
    grid = full()
    grid.known_providers = [provider(GAIA, text), provider(IRIS, "iris")]
    return grid


def labelled(text: str) -> FakeGrid:
    grid = full()
    labels = (Label("name", "gaia"), Label(text, text), Label("zone", text), Label("", ""))
    grid.known_providers = [provider(GAIA, "x", labels=labels)]
    return grid


def asked(text: str) -> FakeGrid:
    definition = dataclasses.replace(some_jobs()[0].definition, uses=(Label(text, text),))
    return full().add(job(42, JobStatus.RUNNING, at=GAIA, start=-60, definition=definition))


def logged(text: str) -> FakeGrid:
    grid = full()
    grid.write(41, text, "plain", text)
    return grid


def reasoned(text: str) -> FakeGrid:
    grid = full().add(job(42, JobStatus.PENDING, "waits"))

    async def why(_job_id: int) -> FakeWhy:
        return FakeWhy(2, 3, (WhyNot(GAIA, text, text), WhyNot(IRIS, "iris", text)))

    grid.why = why  # type: ignore[method-assign]
    return grid


def refused(text: str) -> FakeGrid:
    grid = full()
    grid.fail["cancel"] = ContractError(text, hint=text)
    return grid


def lagging(text: str) -> FakeGrid:
    grid = full()
    answer = grid.overview

    async def overview() -> Any:
        seen = await answer()
        nodes = tuple(
            dataclasses.replace(node, last_error=text, url=f"http://{text}")
            for node in seen.endpoints
        )
        return dataclasses.replace(seen, endpoints=nodes)

    grid.overview = overview  # type: ignore[method-assign]
    return grid


FIELDS: dict[str, tuple[Callable[[str], FakeGrid], tuple[str, ...]]] = {
    "job name": (named, ("enter", "l", "escape", "escape", "c", "escape", "t", "escape", "4")),
    "last_error": (failed, ("j", "k", "enter", "l", "escape", "escape")),
    "provider name": (provider_called, ("enter", "escape", "3", "4", "tab", "tab", "5")),
    "labels": (labelled, ("3", "tab", "1")),
    "job's labels": (asked, ("enter", "tab", "escape")),
    "log": (logged, ("l", "T", "w", "w", "escape", "enter", "escape")),
    "oracle's reasons": (reasoned, ("j", "k", "enter", "escape")),
    "error and hint": (refused, ("c", "y", "6", "j")),
    "node": (lagging, ("5",)),
}


def check(robot: Robot) -> None:
    """Nothing raw on the screen, and every line as wide as the screen."""
    width = robot.app.size.width
    for strip in robot.app.screen._compositor.render_strips():
        text = strip.text
        raw = {character for character in text if unicodedata.category(character) in BAD}
        assert not raw, f"{raw} in {text!r}"
        assert "\u3164" not in text
        assert cell_len(text) == width, f"{cell_len(text)} cells: {text!r}"
        for segment in strip:
            meta = segment.style.meta if segment.style is not None else {}
            assert "quit" not in str(meta.get("@click", ""))
            assert segment.style is None or segment.style.link is None


def check_columns(robot: Robot) -> None:
    """The status of every row stands below its head."""
    lines = robot.app.screen._compositor.render_strips()
    texts = [strip.text for strip in lines]
    head = next((text for text in texts if "STATUS" in text and "LEFT" in text), "")
    if not head:
        return
    column = cell_len(head[: head.index("STATUS")])
    for text in texts:
        for sign in ("▶ RUNNING", "◷ PENDING", "× FAILED", "✓ FINISHED"):
            # Only rows of the table begin with the place of the cursor and the mark.
            at = text.find(f" {sign}")
            if at >= 0 and text[2:5].strip() == "" and text[5:7].isdigit():
                assert cell_len(text[: at + 1]) == column, text


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("field", FIELDS)
async def test_is_only_text(field: str, kind: str) -> None:
    """No control, no markup, no reordering; what is beside it stays in its place."""
    make, keys = FIELDS[field]
    grid = make(TEXTS[kind])
    app = console(grid)
    async with using(app) as robot:
        await robot.until(lambda: app.state.loaded and app.state.link.online)
        check(robot)
        for key in keys:
            await robot.press(key)
            check(robot)
            check_columns(robot)
        if field == "log":
            await robot.press("l")
            await robot.sees("plain")
            check(robot)
        assert isinstance(robot.app, ConsoleApp)
        assert robot.app.is_running


@pytest.mark.parametrize("kind", TEXTS)
async def test_the_reason_of_a_lost_connection_is_only_text(kind: str) -> None:
    """What an endpoint answers goes into the banner and the notices."""
    app = console(full())
    async with using(app) as robot:
        await robot.until(lambda: app.state.loaded and app.state.link.online)
        app.feed._offline(UnreachableError(TEXTS[kind]), 2)
        await robot.sees("× offline")
        check(robot)
        await robot.press("6")
        await robot.sees("WHAT")
        check(robot)


@pytest.mark.parametrize("kind", TEXTS)
async def test_the_name_of_a_grid_is_only_text(kind: str) -> None:
    """Address books come from others."""
    app = console(full(), grid_name=TEXTS[kind])
    async with using(app) as robot:
        await robot.sees("train-llm")
        check(robot)


@pytest.mark.parametrize("kind", TEXTS)
async def test_the_providers_screen_shows_only_text(kind: str) -> None:
    """What Slurm, the chain and the log say on dsq-provider."""
    text = TEXTS[kind]
    row = job_row(50, JobStatus.FAILED, text, nodes=text, reason=text, last_error=text)
    seen = some_snapshot()
    logs = (dataclasses.replace(seen.log_lines[0], text=text), *seen.log_lines[1:])
    supervisor = FakeSupervisor(some_snapshot(rows=(row, *seen.rows), name=text, log_lines=logs))
    async with using(provider_screen(supervisor)) as robot:
        await robot.sees("UNARMED")
        for key in ("j", "k", "2", "3", "4", "5", "1"):
            await robot.press(key)
            check(robot)
