"""Compares several pictures in one test; those that differ are in the plugin's report."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from pytest_textual_snapshot import (
    PseudoApp,
    PseudoConsole,
    SVGImageExtension,
    node_to_report_path,
)
from rich.console import Console
from syrupy.assertion import SnapshotAssertion
from textual.app import App

from dsq.core import groups


class Pictures:
    """The pictures of one test.

    Attributes:
        differing: The names of those that are not as they were.
    """

    def __init__(self, snapshot: SnapshotAssertion, node: Any) -> None:
        self._snapshot = snapshot.use_extension(SVGImageExtension)
        self._node = node
        self.differing: list[str] = []

    def take(self, app: App[Any], name: str) -> None:
        """Compares what an app shows now with the picture of this name."""
        svg = app.export_screenshot(title=app.title, simplify=True)
        same = self._snapshot(name=name) == svg
        if not same:
            self.differing.append(name)
        result = self._snapshot.executions[self._snapshot.num_executions - 1]
        path, line, test = self._node.reportinfo()
        console = Console(legacy_windows=False, force_terminal=True)
        entry = (
            same, str(result.final_data), svg,
            PseudoApp(PseudoConsole(console.legacy_windows, console.size)),
            path, line or 0, f"{test} {name}", "", "", result.final_data is not None,
        )  # fmt: skip
        place = node_to_report_path(self._node)
        place.with_name(f"{place.name}_{name}").write_bytes(pickle.dumps(entry))


@pytest.fixture
def pictures(snapshot: SnapshotAssertion, request: pytest.FixtureRequest) -> Pictures:
    """Takes pictures, several in a test."""
    return Pictures(snapshot, request.node)


@pytest.fixture(autouse=True)
def _places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings, state and a local grid in places that are called the same each time."""
    monkeypatch.chdir(tmp_path)
    for name in ("CONFIG_DIR", "STATE_DIR", "HOME"):
        monkeypatch.setenv(f"DSQ_{name}", f"my-{name.partition('_')[0].lower()}")


@pytest.fixture(autouse=True)
def _one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture must not depend on the random name of a group."""
    monkeypatch.setattr(groups, "new_group", lambda: "k3x9f2")
