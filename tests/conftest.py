"""What every test may use, and the rule that nothing required is skipped in CI."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# CI repeats the same cases, so that a red run is the change's; other runs look for new ones.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

REQUIRED = frozenset(os.environ.get("DSQ_REQUIRE", "").split())
"""Markers whose tests must run: a skip of one is a failure (set by .ci/run)."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        required = REQUIRED & {marker.name for marker in item.iter_markers()}
        if required:
            report.outcome = "failed"
            report.longrepr = f"skipped although required: {', '.join(required)}: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def _folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A new folder each time; pytest's own would be looked up among all before it."""
    root = tmp_path_factory.mktemp("settings")
    return (root / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(_folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the tests away from the settings, state and keys of who runs them."""
    folder = next(_folders)
    folder.mkdir()
    monkeypatch.setenv("DSQ_CONFIG_DIR", str(folder / "config"))
    monkeypatch.setenv("DSQ_STATE_DIR", str(folder / "state"))
    for name in list(os.environ):
        if name == "ETH_PRIVATE_KEY" or (
            name.startswith("DSQ_")
            and name not in ("DSQ_REQUIRE", "DSQ_APT")
            and not name.endswith("_DIR")
        ):
            monkeypatch.delenv(name)
