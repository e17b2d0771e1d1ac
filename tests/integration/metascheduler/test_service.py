"""The meta-scheduler as a process: oracle over HTTP, role, addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dsq.core.errors import SettingsError, WalletError
from dsq.core.metascheduler.service import MetaSchedulerSettings, run_metascheduler
from dsq.core.model import JobStatus
from dsq.core.wallet import Wallet

from .conftest import CHAIN_ID, Town, free_port

pytestmark = pytest.mark.anvil


def settings_of(town: Town, port: int = 0) -> MetaSchedulerSettings:
    return MetaSchedulerSettings(
        rpc_url=town.node.rpc_url,
        ws_url=town.node.ws_url,
        chain_id=CHAIN_ID,
        metascheduler=str(town.chain.addresses.metascheduler),
        state_dir=town.folder / "state",
        port=port,
    )


@pytest.fixture
async def oracle(town: Town) -> AsyncIterator[str]:
    """A running meta-scheduler with the operator's key; its URL."""
    port = free_port()
    stop = asyncio.Event()
    run = asyncio.create_task(
        run_metascheduler(settings_of(town, port), town.operator.wallet, stop)
    )
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient() as client:

        async def healthy() -> bool:
            assert not run.done(), run.exception()
            try:
                return (await client.get(f"{url}/health")).status_code == 200
            except httpx.TransportError:
                return False

        await town.until_true(healthy)
    yield url
    stop.set()
    await asyncio.wait_for(run, 10)


async def test_the_oracle_answers(town: Town, oracle: str) -> None:
    """The three addresses, in the shape that docs/metascheduler.md promises."""
    at, customer = await town.seller(labels="name=gaia"), await town.customer()
    job_id = await town.request(customer)
    await town.until(job_id, JobStatus.META_SCHEDULED)
    await at.report(await at.claim(), JobStatus.RUNNING)
    async with httpx.AsyncClient(base_url=oracle) as client:

        async def running() -> bool:
            body = (await client.get("/")).json()
            return any(row["status"] == "RUNNING" for row in body.values())

        await town.until_true(running)
        body = (await client.get("/")).json()
        job = (await client.get(f"/jobs/{job_id}")).json()
        assert (await client.get(f"/jobs/0x{job_id:064x}")).json() == job
        missing = await client.get("/jobs/4711")
        wrong = await client.get("/jobs/zero")
        health = (await client.get("/health")).json()
    assert list(body) == [f"0x{job_id:064x}"]
    row = body[f"0x{job_id:064x}"]
    assert row["provider"] == str(at.address)
    assert row["max_end"].endswith("Z")
    assert {key: job[key] for key in ("id", "status", "place", "of", "provider")} == {
        "id": job_id,
        "status": "RUNNING",
        "place": 0,
        "of": 0,
        "provider": str(at.address),
    }
    assert job["providers"][0]["name"] == "gaia"
    assert job["providers"][0]["minutes"] == 100
    assert job["providers"][0]["wei_per_minute"] == str(10**18)
    assert missing.status_code == 404
    assert wrong.status_code == 400
    assert health["status"] == "ok"
    assert (health["placed"], health["waiting"], health["providers"]) == (1, 0, 1)


async def test_a_key_without_the_role_is_told_so(town: Town) -> None:
    """It starts nothing that could not work."""
    with pytest.raises(WalletError, match="METASCHEDULER_ROLE"):
        await run_metascheduler(settings_of(town), Wallet.generate(), asyncio.Event())


async def test_a_taken_port_is_told_so(town: Town, tmp_path: Path) -> None:
    """The oracle's address is refused before anything else happens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(SettingsError, match=str(port)):
            await run_metascheduler(settings_of(town, port), town.operator.wallet, asyncio.Event())
