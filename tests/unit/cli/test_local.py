"""up, down, demo: what their options become."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsq.console.local.home import Options

from .conftest import Dsq


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Calls that would start and stop grids."""
    seen: list[tuple[Any, ...]] = []

    def up(
        path: Path, asked: dict[str, Any], *, detach: bool, on_ready: Callable[[str], None]
    ) -> None:
        seen.append(("up", path, asked, detach))
        on_ready('{"version": 1}\n')

    def down(path: Path, *, wait: bool = False) -> None:
        seen.append(("down", path, wait))

    def demo(*, tui: bool, home: Path | None, cluster: str | None) -> int:
        seen.append(("demo", tui, home, cluster))
        return 3

    monkeypatch.setattr("dsq.console.local.up.up", up)
    monkeypatch.setattr("dsq.console.local.down.down", down)
    monkeypatch.setattr("dsq.console.local.demo.demo", demo)
    return seen


def test_every_option_of_a_home_can_be_given(
    dsq: Dsq, calls: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    """What is not given is None: the home remembers it."""
    result = dsq("up", "--home", str(tmp_path), "--detach", "--json")
    assert result.json == {"version": 1}
    assert calls == [("up", tmp_path, dict.fromkeys(Options.__dataclass_fields__), True)]
    given = {
        "chain": "http://127.0.0.1:8545", "chain_id": 7, "cluster": "me@host", "providers": 2,
        "job_user": "nobody", "ssh_identity": "/id", "ssh_known_hosts": "/known",
        "operator_key": "/key", "operator_passphrase": "/pass",
    }  # fmt: skip
    options = [
        word
        for name, value in given.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    assert dsq("up", *options, "--home", str(tmp_path)).code == 0
    assert calls[1][2] == given


def test_the_home_comes_from_option_or_environment(
    dsq: Dsq, calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """At either place of the line, then DSQ_HOME, then the state folder."""
    state = Path(dsq_state())
    dsq("--home", "/a", "down", "--wait")
    dsq("down")
    monkeypatch.setenv("DSQ_HOME", "/b")
    dsq("down")
    assert calls == [
        ("down", Path("/a"), True),
        ("down", state / "local", False),
        ("down", Path("/b"), False),
    ]


def dsq_state() -> str:
    import os

    return os.environ["DSQ_STATE_DIR"]


def test_demo_exits_as_its_job(dsq: Dsq, calls: list[tuple[Any, ...]]) -> None:
    """Without a home it uses a temporary one, also where DSQ_HOME names yours."""
    assert dsq("demo", "--cluster", "local").code == 3
    assert calls == [("demo", False, None, "local")]
