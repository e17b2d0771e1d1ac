"""From settings to a running provider: flags, accounts, control file, snapshots, log lines."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsq.console.provider_command import run
from dsq.console.provider_config import find_config
from dsq.core.errors import SettingsError, UsageError
from dsq.core.model import JobStatus
from dsq.supervisor.control import CONTROL_FILE, ControlFile
from dsq.supervisor.logcontext import RecentLines, configure_logging, job_context
from dsq.supervisor.overview import snapshot
from dsq.supervisor.run import check_account
from dsq.supervisor.scheduler.build import build_scheduler
from dsq.supervisor.scheduler.local.scheduler import LocalScheduler
from dsq.supervisor.scheduler.port import Free, NodeFree
from dsq.supervisor.scheduler.slurm import SlurmScheduler
from dsq.supervisor.snapshot import AgentSnapshot, Mode, Shares
from tests.support.fakes import CUSTOMER, ME
from tests.support.provider import Provider, provider, settings
from tests.support.virtual import run_virtual


def scenario(tmp_path: Path, story: Any, **options: Any) -> None:
    async def main() -> None:
        async with provider(tmp_path, **options) as made:
            await story(made)

    run_virtual(main())


# --- which settings ------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A local grid's folder with two providers."""
    for name in ("iris", "gaia"):
        folder = tmp_path / "providers" / name
        folder.mkdir(parents=True)
        (folder / "provider.toml").touch()
    return tmp_path


def test_a_home_has_its_providers(home: Path) -> None:
    """The first by name, or the one that is named; a wrong name gets the close match."""
    assert find_config(None, home, None) == home / "providers" / "gaia" / "provider.toml"
    assert find_config(None, home, "iris") == home / "providers" / "iris" / "provider.toml"
    with pytest.raises(SettingsError, match="Did you mean 'gaia'"):
        find_config(None, home, "gaja")


def test_flags_that_exclude_each_other(home: Path, tmp_path: Path) -> None:
    """Two ways to name the file are one too many; a name needs a home."""
    with pytest.raises(UsageError):
        find_config(tmp_path / "x.toml", home, None)
    with pytest.raises(UsageError):
        find_config(None, None, "p1")
    with pytest.raises(SettingsError, match="dsq up"):
        find_config(None, tmp_path / "nowhere", None)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--nonsense"], 64, "No such option"),
        (["--config", "/nowhere/provider.toml"], 78, "cannot be read"),
        (["--name", "x"], 64, "--home"),
    ],
)
def test_errors_are_one_sentence_and_a_code(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback reaches a person without --debug."""
    assert run([*arguments, "--headless"]) == code
    shown = capsys.readouterr().err
    assert words in shown
    assert "Traceback" not in shown


def write_config(tmp_path: Path, **top: Any) -> Path:
    lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
    path = tmp_path / "provider.toml"
    path.write_text(
        "\n".join(lines)
        + '\nstate_dir = "state"\n[chain]\nrpc_url = "http://127.0.0.1:1"\nchain_id = 1\n'
        + f'metascheduler = "0x{"11" * 20}"\n[services]\nsbatch_grpc = "127.0.0.1:1"\n'
        + '[cluster]\nkind = "local"\n'
    )
    return path


def test_jobs_must_not_share_the_wallets_account(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused with what it exposes; the flag or the setting accepts it."""
    monkeypatch.setenv("ETH_PRIVATE_KEY", "11" * 32)
    config = write_config(tmp_path)
    assert run(["--check", "--config", str(config)]) == 78
    shown = capsys.readouterr().err
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert f"Jobs would run as '{me}'" in shown
    assert "--shared-account" in shown
    assert run(["--check", "--shared-account", "--config", str(config)]) == 0
    assert run(["--check", "--config", str(write_config(tmp_path, shared_account=True))]) == 0


def test_a_missing_key_and_a_silent_chain_have_their_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """77 for the wallet, 69 for the chain."""
    monkeypatch.delenv("ETH_PRIVATE_KEY", raising=False)
    config = write_config(tmp_path, shared_account=True)
    assert run(["--headless", "--config", str(config)]) == 77
    monkeypatch.setenv("ETH_PRIVATE_KEY", "11" * 32)
    assert run(["--headless", "--config", str(config)]) == 69
    assert "Traceback" not in capsys.readouterr().err


def test_help_needs_nothing_heavy() -> None:
    """``--help`` and a wrong flag import neither Textual nor the chain's client."""
    code = (
        "import sys\n"
        "from dsq.console.provider_command import run\n"
        "run(['--help'])\n"
        "heavy = {'textual', 'web3', 'grpc', 'asyncssh', 'eth_account'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_each_kind_of_cluster_is_built(tmp_path: Path) -> None:
    """Nothing is contacted before it is used."""
    local = build_scheduler(settings(tmp_path, kind="local", cpus=3, mem_mb=1000, max_minutes=9))
    assert isinstance(local, LocalScheduler)
    assert (local.node.cpus, local.node.mem_mb, local.max_minutes) == (3, 1000, 9)
    slurm = build_scheduler(settings(tmp_path, partition="main", workdir="/scratch/dsq"))
    assert isinstance(slurm, SlurmScheduler)
    assert (slurm.settings.partition, slurm.settings.workdir) == ("main", "/scratch/dsq")
    remote = build_scheduler(settings(tmp_path, kind="ssh", host="login.example.org"))
    assert isinstance(remote, SlurmScheduler)
    check_account(settings(tmp_path, kind="ssh", host="login.example.org"))


# --- the control file ----------------------------------------------------------------------


def test_the_control_file_counts_when_it_changes(tmp_path: Path) -> None:
    """Each mode once; what the operator does on the screen is not undone by an old file."""

    async def story(p: Provider) -> None:
        agent = p.agent
        assert agent is not None
        control = ControlFile(tmp_path)
        control.apply(agent)
        assert agent.mode is Mode.CLAIMING
        for mode, expected in (
            ("pause", Mode.PAUSED),
            ("drain", Mode.DRAINING),
            ("run", Mode.CLAIMING),
            ("evict", Mode.DRAINING),
        ):
            fresh = tmp_path / "fresh"
            fresh.write_text(json.dumps({"mode": mode}))
            fresh.replace(tmp_path / CONTROL_FILE)
            control.apply(agent)
            assert agent.mode is expected
        agent.resume()
        control.apply(agent)
        assert agent.mode is Mode.CLAIMING

    scenario(tmp_path, story)


@pytest.mark.parametrize("text", ["", "[]", '{"mode": "dance"}', '{"mood": "run"}'])
def test_a_control_file_that_makes_no_sense_changes_nothing(tmp_path: Path, text: str) -> None:
    """It is logged, and the provider goes on."""

    async def story(p: Provider) -> None:
        assert p.agent is not None
        (tmp_path / CONTROL_FILE).write_text(text)
        ControlFile(tmp_path).apply(p.agent)
        assert p.agent.mode is Mode.CLAIMING

    scenario(tmp_path, story)


# --- snapshots -----------------------------------------------------------------------------


def test_a_snapshot_shows_the_three_truths(tmp_path: Path) -> None:
    """One row a job: chain, Slurm, journal, money; open ones first."""

    async def story(p: Provider) -> None:
        done = p.chain.request(script="seconds=5 exit=3")
        p.chain.offer(done)
        await p.until_over(done)
        running = p.chain.request(script="seconds=5000")
        p.chain.offer(running)
        await p.until(lambda: p.job(running).status is JobStatus.RUNNING, 30)
        await asyncio.sleep(119)
        assert p.agent is not None
        shown = snapshot(p.agent)
        assert isinstance(shown, AgentSnapshot)
        first, second = shown.rows
        assert (first.job_id, first.chain, first.slurm_state) == (2, JobStatus.RUNNING, "RUNNING")
        assert (first.customer, first.nodes, first.phase) == (CUSTOMER, "n1", "seen")
        assert not first.disagrees
        assert first.elapsed is not None
        assert first.left == first.limit_minutes * 60 - first.elapsed
        # Two minutes (or one) of 1 CPU and 1000 MB, less the grid's 20 percent.
        assert first.earned in {m * 11 * 10**17 * 80 // 100 for m in (1, 2)}
        assert (second.chain, second.exit_code, second.phase) == (JobStatus.FAILED, 3, "final")
        assert second.earned == shown.earned_today == p.chain.balances[ME]
        assert (shown.counts.running, shown.counts.ended) == (1, 1)
        assert shown.connection("chain").ok
        assert shown.connection("cluster").detail == "slurm 22.05"
        assert [tx.state for tx in shown.txs] == ["mined"] * len(shown.txs)
        assert shown.nodes[0].name == "n1"

    scenario(tmp_path, story)


def test_a_row_whose_truths_differ_is_marked(tmp_path: Path) -> None:
    """RUNNING on chain, gone in Slurm: marked until it is mended; the cluster's silence shows."""

    async def story(p: Provider) -> None:
        p.slurm.min_job_age = 0
        job_id = p.chain.request(script="seconds=60")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 30)
        p.slurm.is_down = True
        await asyncio.sleep(70)
        assert p.agent is not None
        row = snapshot(p.agent).rows[0]
        assert (row.slurm_state, row.disagrees) == ("unknown", True)
        assert snapshot(p.agent).connection("cluster").ok is False
        p.slurm.is_down = False
        await asyncio.sleep(10)
        row = snapshot(p.agent).rows[0]
        assert (row.slurm_state, row.disagrees) == ("gone", True)

    scenario(tmp_path, story)


def test_the_cpus_are_the_grids_others_and_idle(tmp_path: Path) -> None:
    """Of the nodes of which it is known what is free; nothing while that is not known."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=5000")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 30)
        assert p.agent is not None
        assert snapshot(p.agent).shares is None
        info = p.agent.poller.info
        assert info is not None
        nodes = info.nodes
        total = sum(node.cpus for node in nodes)
        cpus = p.job(job_id).definition.cpus
        free = Free(tuple(NodeFree(node.name, node.cpus, 0, 0) for node in nodes))
        # Who asked a moment too early saw all of them free.
        shown = snapshot(p.agent, free=free).shares
        assert shown == Shares(grid=0, others=0, idle=total)
        free = Free(tuple(NodeFree(node.name, 0, 0, 0) for node in nodes))
        shown = snapshot(p.agent, free=free).shares
        assert shown == Shares(grid=cpus, others=total - cpus, idle=0)
        assert snapshot(p.agent, free=Free(closed="the partition is DOWN")).shares is None
        assert snapshot(p.agent).fee_percent == 20

    scenario(tmp_path, story)


# --- log lines -----------------------------------------------------------------------------


def test_log_lines_carry_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time, level, logger, job, words; one line each, whatever the words hold."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    own = logging.getLogger("dsq").level
    stream = io.StringIO()
    recent = RecentLines()
    logging.getLogger("dsq").addHandler(recent)
    try:
        configure_logging(stream=stream)
        with job_context(41):
            logging.getLogger("dsq.supervisor.x").info("two\nlines")
        logging.getLogger("dsq.supervisor.x").debug("not shown")
    finally:
        logging.getLogger("dsq").removeHandler(recent)
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.getLogger("dsq").setLevel(own)
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("Z level=info logger=dsq.supervisor.x job=41 two\\nlines")
    (row,) = recent.rows()
    assert (row.job_id, row.level, row.text) == (41, "info", "two\nlines")
