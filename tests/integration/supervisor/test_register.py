"""``dsq-provider register`` on a real chain: shown first, sent once, and only when it changed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import pytest

from tests.integration.supervisor.conftest import Site

pytestmark = pytest.mark.anvil


async def register(site: Site, *words: str) -> tuple[int, dict[str, Any], str]:
    """Runs it as a process; returns its code, what it printed, and what it said."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("ETH_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dsq.console.provider_command"),
        *("register", "--json", "--config", str(site.config), *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
    )
    out, err = await process.communicate()
    return process.returncode or 0, json.loads(out or b"{}"), err.decode()


@pytest.mark.slurm
@pytest.mark.parametrize("cluster", ["slurm"], indirect=True)
async def test_what_changed_is_shown_and_sent_once(site: Site) -> None:
    """Dry, then for real, then there is nothing left; a price is a change of its own."""
    code, dry, said = await register(site, "--dry-run")
    assert code == 0, said
    assert (dry["state"], dry["registered"]) == ("unregistered", False)
    assert dry["changes"]
    assert not (await site.chain.proposal(site.me)).is_waiting
    code, sent, said = await register(site)
    assert (code, sent["registered"]) == (0, True), said
    proposal = await site.chain.proposal(site.me)
    labels = {label.key: label.value for label in proposal.labels}
    assert labels == sent["labels"]
    assert labels["max-minutes"] == str(7 * 24 * 60)
    assert labels["cpu.microarch"]
    assert (site.folder / "state" / "benchmarks.json").exists()
    code, again, _ = await register(site)
    assert (code, again["registered"], again["changes"]) == (0, False, [])
    assert again["state"] == "waiting"
    text = site.config.read_text().replace("[chain]", '[prices]\ncpu_per_min = "2"\n\n[chain]', 1)
    site.config.write_text(text)
    code, changed, _ = await register(site, "--dry-run")
    assert [one["what"] for one in changed["changes"]] == ["price of a CPU"]


@pytest.mark.parametrize("cluster", ["local"], indirect=True)
async def test_beside_a_supervisor_nothing_is_sent(site: Site) -> None:
    """One writer a key: it may look, and the other registers by itself."""
    await site.start()
    code, found, said = await register(site, "--dry-run")
    assert (code, found["changes"]) == (0, []), said
    text = site.config.read_text().replace("[chain]", '[labels]\nzone = "x"\n\n[chain]', 1)
    site.config.write_text(text)
    code, _, said = await register(site)
    assert code == 75
    assert "Another supervisor" in said
