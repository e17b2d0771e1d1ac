"""dsq deploy and dsq metascheduler run as processes, on a real chain."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest

from dsq.core.chain import DevChain
from dsq.core.loopback import free_port
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet

from .conftest import BLOCK_SECONDS, CHAIN_ID, Town

pytestmark = pytest.mark.anvil

KEY = "33" * 32


async def dsq(*args: str, env: Mapping[str, str]) -> tuple[int, str, str]:
    """Runs a command to its end."""
    process = await start(*args, env=env)
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def start(*args: str, env: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dsq.console.cli", *args,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **env},
    )  # fmt: skip


@pytest.fixture
async def node(anvil: Path, tmp_path: Path) -> AsyncIterator[DevChain]:
    """A chain with nothing on it but coins for :data:`KEY`."""
    node = DevChain(tmp_path / "chain", free_port(), anvil, block_time=BLOCK_SECONDS)
    await node.start()
    await node.set_balance(Wallet.from_key(KEY).address, 100 * CREDIT)
    try:
        yield node
    finally:
        await node.stop()


async def test_deploy_prints_addresses_and_gas(node: DevChain, tmp_path: Path) -> None:
    """Run again it deploys nothing; another chain than the one told is refused with 76."""
    record = tmp_path / "record.json"
    env = {"ETH_PRIVATE_KEY": KEY}
    args = ["deploy", "--rpc-url", node.rpc_url, "--record", str(record), "--json"]
    code, _, err = await dsq(*args, "--chain-id", "1", env=env)
    assert (code, record.exists()) == (76, False), err
    code, _, err = await dsq(*args, env=env)
    assert code == 64, "a chain id that it was not told"
    assert "--chain-id" in err
    code, out, err = await dsq(*args, "--chain-id", str(CHAIN_ID), env=env)
    assert code == 0, err
    first = json.loads(out)
    assert set(first["addresses"]) >= {"metascheduler", "credit", "jobs"}
    assert all(gas > 0 for gas in first["gas_used"].values())
    assert record.exists()
    assert KEY not in record.read_text() + out + err
    code, out, err = await dsq(*args, "--chain-id", str(CHAIN_ID), env=env)
    assert json.loads(out) == first


async def test_metascheduler_run_places_jobs_until_sigterm(town: Town) -> None:
    """It needs only the chain's address in the environment; SIGTERM ends it with 0."""
    await town.seller()
    customer = await town.customer()
    job_id = await town.request(customer)
    port = free_port()
    env = {
        "DSQ_RPC_URL": town.node.rpc_url,
        "DSQ_CHAIN_ID": str(CHAIN_ID),
        "DSQ_METASCHEDULER": str(town.chain.addresses.metascheduler),
        "ETH_PRIVATE_KEY": KEY,
    }
    args = ["metascheduler", "run", "--listen", f"127.0.0.1:{port}",
            "--state-dir", str(town.folder / "state")]  # fmt: skip
    code, _, err = await dsq(*args, env=env)
    assert code == 77
    assert "METASCHEDULER_ROLE" in err
    operator = Wallet.from_key(KEY).address
    await town.operator.send(
        town.chain.calls.grant_role("MetaScheduler", "METASCHEDULER_ROLE", operator)
    )
    await town.node.set_balance(operator, 100 * CREDIT)
    process = await start(*args, env=env)
    try:
        await town.until(job_id, JobStatus.META_SCHEDULED)
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/health")
        assert answer.json()["placed"] in (0, 1)
    finally:
        process.send_signal(signal.SIGTERM)
        _, err_bytes = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0, err_bytes.decode()
    assert "Traceback" not in err_bytes.decode()
