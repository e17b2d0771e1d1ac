"""Runs commands in this process, on a grid in memory where a test wants one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dsq.console.cli import run

from .double import GridDouble

GOOD = """\
enableLogging: true
resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 100, gpus: 0}
steps:
- name: it
  run: {command: "true"}
"""


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Dsq = Callable[..., Result]


@pytest.fixture
def dsq(capfd: pytest.CaptureFixture[str]) -> Dsq:
    """Runs ``dsq ARGS``."""

    def call(*args: str) -> Result:
        capfd.readouterr()
        code = run(args)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Result(code, out, err)

    return call


@pytest.fixture
def workflow(tmp_path: Path) -> str:
    """A good workflow's file."""
    path = tmp_path / "train.yaml"
    path.write_text(GOOD)
    return str(path)


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> GridDouble:
    """The grid in memory, in the place of the one that the settings name."""
    double = GridDouble()

    async def open_double(config: Any, wallet: Any = None) -> GridDouble:
        double.config, double.wallet = config, wallet
        return double

    monkeypatch.setattr("dsq.core.grid.Grid.open", open_double)
    for name, value in {
        "DSQ_RPC_URL": "http://127.0.0.1:9",
        "DSQ_CHAIN_ID": "31337",
        "DSQ_METASCHEDULER": "0x" + "12" * 20,
        "ETH_PRIVATE_KEY": "11" * 32,
    }.items():
        monkeypatch.setenv(name, value)
    return double
