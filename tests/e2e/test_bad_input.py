"""Bad input: one clear sentence, the exit code of the table, and nothing touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.grid import GridHome

pytestmark = [pytest.mark.e2e, pytest.mark.anvil]

GOOD = """\
resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 100, gpus: 0}
steps:
- name: it
  run: {command: "true"}
"""

BAD_WORKFLOWS = {
    "unknown field": (GOOD.replace("command", "comand"), "4:", "did you mean 'command'"),
    "wrong type": (GOOD.replace("tasks: 1", "tasks: many"), "1:", "tasks"),
    "negative count": (GOOD.replace("gpus: 0", "gpus: -1"), "1:", "gpus"),
    "YAML that does not parse": (GOOD.replace("- name: it", "- name: [it"), "", "line"),
}


@pytest.fixture(scope="module")
def grid(anvil_here: None, tmp_path_factory: pytest.TempPathFactory) -> object:
    """A local grid with the embedded cluster."""
    path = tmp_path_factory.mktemp("grid")
    home = GridHome(path)
    home.up("--cluster", "local")
    yield home
    home.down()


def one_sentence(text: str) -> None:
    """No traceback, and a few lines at the most."""
    assert "Traceback" not in text
    assert text.strip()
    assert len(text.strip().splitlines()) <= 4, text


def test_a_bad_workflow_touches_nothing(grid: GridHome, tmp_path: Path) -> None:
    """validate and submit exit 65 with line, column and close match; no credits move."""
    path = tmp_path / "bad.yaml"
    before = grid.json("credits", "balance"), grid.json("jobs")
    for case, (text, place, words) in BAD_WORKFLOWS.items():
        path.write_text(text)
        for command in (["validate", str(path)], ["submit", str(path), "--credits", "100"]):
            result = grid.dsq(*command, check=False, home=command[0] == "submit")
            assert result.returncode == 65, (case, result.stderr)
            one_sentence(result.stderr)
            assert place in result.stderr, case
            assert words in result.stderr, case
    assert (grid.json("credits", "balance"), grid.json("jobs")) == before


@pytest.fixture
def workflow(tmp_path: Path) -> str:
    """A good workflow's file."""
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return str(path)


def refused(grid: GridHome, code: int, words: str, *args: str, env: dict[str, str] | None = None,
            home: bool = True) -> None:  # fmt: skip
    """Runs a command that must be refused with ``code`` and ``words``."""
    result = grid.dsq(*args, check=False, env=env, home=home)
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    one_sentence(result.stderr)
    assert words in result.stderr


def test_money(grid: GridHome, workflow: str) -> None:
    """Too few credits, below the minimum, no allowance: 79, and no allowance is left over."""
    refused(grid, 79, "minimum", "submit", workflow, "--credits", "40")
    refused(grid, 79, "holds", "submit", workflow, "--credits", "1000000")
    refused(grid, 79, "--no-approve", "submit", workflow, "--credits", "100", "--no-approve")
    assert grid.json("credits", "balance")["allowance_wei"] == "0"
    assert grid.json("jobs") == []


def test_usage(grid: GridHome, workflow: str) -> None:
    """Words that make no sense: 64, with the close match."""
    refused(grid, 64, "submit", "sumbit", workflow)
    refused(grid, 64, "1,5", "submit", workflow, "--credits", "1,5")
    refused(grid, 64, "no-operator", "submit", workflow, "--credits", "100", "--affinity",
            "no-operator")  # fmt: skip
    refused(grid, 64, "RUNNING", "jobs", "--status", "RUNING")


def test_not_there(grid: GridHome) -> None:
    """No such file, job or provider: 66."""
    refused(grid, 66, "no-such.yaml", "validate", "no-such.yaml", home=False)
    refused(grid, 66, "4711", "job", "show", "4711")
    refused(grid, 66, "provider", "providers", "show", "0x" + "12" * 20)


def grid_env(grid: GridHome, **changes: str) -> dict[str, str]:
    """The grid by environment variables, with changes."""
    known = json.loads((grid.path / "grid.json").read_text())
    return {
        "DSQ_RPC_URL": known["rpc_url"],
        "DSQ_CHAIN_ID": str(known["chain_id"]),
        "DSQ_METASCHEDULER": known["metascheduler"],
        "ETH_PRIVATE_KEY": "11" * 32,
        **changes,
    }


def test_chain(grid: GridHome) -> None:
    """An RPC that is down: 69; another chain: 76; no contract there: 78."""
    down = grid_env(grid, DSQ_RPC_URL="http://127.0.0.1:9")
    refused(grid, 69, "127.0.0.1:9", "jobs", env=down, home=False)
    refused(grid, 76, "31337", "jobs", env=grid_env(grid, DSQ_CHAIN_ID="1"), home=False)
    nobody = grid_env(grid, DSQ_METASCHEDULER="0x" + "12" * 20)
    refused(grid, 78, "0x1212", "jobs", env=nobody, home=False)


def test_wallet(grid: GridHome, tmp_path: Path) -> None:
    """A wrong passphrase, no passphrase, no key: 77, and no secret is shown."""
    wrong = tmp_path / "wrong"
    wrong.write_text("not the passphrase\n")
    env = {"DSQ_PASSPHRASE_FILE": str(wrong)}
    refused(grid, 77, "passphrase", "credits", "transfer", "0x" + "12" * 20, "1", env=env)
    env = grid_env(grid, ETH_PRIVATE_KEY="zz" * 32)
    refused(grid, 77, "private key", "credits", "transfer", "0x" + "12" * 20, "1", env=env,
            home=False)  # fmt: skip


def test_settings(tmp_path: Path, grid: GridHome) -> None:
    """An unknown grid or home: 78, with the close match."""
    config = tmp_path / "config"
    config.mkdir()
    (config / "config.toml").write_text('[grids.lab]\nhome = "/nowhere"\n')
    env = {"DSQ_CONFIG_DIR": str(config)}
    refused(grid, 78, "'lab'", "jobs", "--grid", "labb", env=env, home=False)
    refused(grid, 78, "grid.json", "jobs", "--home", str(tmp_path), home=False)
