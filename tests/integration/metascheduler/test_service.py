"""The meta-scheduler as a process: oracle over HTTP, role, addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dsq.core.chain import Chain
from dsq.core.config import GridConfig
from dsq.core.errors import ReorgError, SettingsError, UnreachableError, WalletError
from dsq.core.grid.oracle import Oracle
from dsq.core.loopback import free_port
from dsq.core.metascheduler.lease import AnotherMetaSchedulerError
from dsq.core.metascheduler.loop import MetaScheduler
from dsq.core.metascheduler.oracle import create_app
from dsq.core.metascheduler.service import MetaSchedulerSettings, run_metascheduler
from dsq.core.model import JobStatus
from dsq.core.wallet import Wallet

from .conftest import CHAIN_ID, Town

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


async def test_metrics_and_readiness(town: Town, oracle: str) -> None:
    """What Prometheus reads fits the chain; readiness is that of placing jobs."""
    await town.seller()
    job_id = await town.request(await town.customer())
    await town.until(job_id, JobStatus.META_SCHEDULED)
    async with httpx.AsyncClient(base_url=oracle) as client:
        samples: dict[tuple[str, ...], float] = {}

        async def told() -> bool:
            text = (await client.get("/metrics")).text
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    samples[sample.name, *sample.labels.values()] = sample.value
            return (
                samples.get(("dsq_metascheduler_jobs", "placed")) == 1
                and samples.get(("dsq_chain_transactions_total", "mined")) == 1
            )

        await town.until_true(told)
        ready = await client.get("/ready")
        health = (await client.get("/health")).json()
    assert samples["dsq_metascheduler_batches_total",] == 1
    assert samples["dsq_chain_endpoint_state", "healthy", town.node.rpc_url] == 1
    assert samples["dsq_chain_head",] > 0
    assert (ready.status_code, ready.json()) == (200, {"status": "ok"})
    (node,) = health["nodes"]
    assert (node["url"], node["state"], node["current"]) == (town.node.rpc_url, "healthy", True)


async def test_a_second_one_is_refused(town: Town, oracle: str) -> None:
    """With the same state folder or the same key only one places jobs."""
    with pytest.raises(AnotherMetaSchedulerError, match="Another meta-scheduler"):
        await run_metascheduler(settings_of(town), town.operator.wallet, asyncio.Event())
    elsewhere = replace(settings_of(town), state_dir=town.folder / "other")
    with pytest.raises(AnotherMetaSchedulerError, match="uses the key of"):
        await run_metascheduler(elsewhere, town.operator.wallet, asyncio.Event())


async def test_too_deep_a_reorganisation_ends_it(town: Town) -> None:
    """It places nothing on a history that it does not trust: exit code 74."""
    await town.node.mine(30)
    settings = replace(settings_of(town, free_port()), reorg_depth=3, ws_url=None)
    run = asyncio.create_task(run_metascheduler(settings, town.operator.wallet, asyncio.Event()))
    await asyncio.sleep(1.5)
    assert not run.done()
    await town.node.mine(20)
    await asyncio.sleep(1.0)
    await town.node.request("anvil_reorg", 15, [])
    with pytest.raises(ReorgError, match="3 are allowed") as caught:
        await asyncio.wait_for(run, 20)
    assert caught.value.exit_code == 74


class Asking(Oracle):
    """The part of a grid that asks the oracle at a port."""

    def __init__(self, chain: Chain, port: int) -> None:
        self.chain = chain
        self.config = cast("GridConfig", SimpleNamespace(oracle_url=f"http://127.0.0.1:{port}"))


async def test_a_standby_takes_over(town: Town) -> None:
    """It says that it stands by, and places jobs once the first one has ended."""
    await town.seller(cpus=64)
    customer = await town.customer()
    stops, ports = [asyncio.Event(), asyncio.Event()], [free_port(), free_port()]
    runs = []
    async with httpx.AsyncClient() as client:

        async def status(port: int, path: str = "/health") -> tuple[int, str]:
            try:
                answer = await client.get(f"http://127.0.0.1:{port}{path}")
            except httpx.TransportError:
                return 0, ""
            return answer.status_code, answer.json().get("status", answer.json().get("code"))

        async def until(port: int, wanted: tuple[int, str]) -> None:
            async def so() -> bool:
                return await status(port) == wanted

            await town.until_true(so)

        for stop, port, wanted in zip(stops, ports, ("ok", "standby"), strict=True):
            settings = replace(settings_of(town, port), standby=True)
            run = run_metascheduler(settings, town.operator.wallet, stop)
            runs.append(asyncio.create_task(run))
            await until(port, (200, wanted))
        assert await status(ports[1], "/ready") == (503, "standby")
        assert await status(ports[1], "/jobs/1") == (503, "standby")
        job_id = await town.request(customer)
        await town.until(job_id, JobStatus.META_SCHEDULED)
        with pytest.raises(UnreachableError, match="stands by; another one is at work"):
            await Asking(town.chain, ports[1]).why(job_id)
        stops[0].set()
        await until(ports[1], (200, "ok"))
        await town.until(await town.request(customer), JobStatus.META_SCHEDULED)
        stops[1].set()
        await asyncio.wait_for(asyncio.gather(*runs), 10)


async def test_it_says_that_it_has_read_nothing_yet(town: Town) -> None:
    """No answer looks like an empty grid before the chain was read."""
    service = MetaScheduler(town.chain, (await town.placer()).sender)
    transport = httpx.ASGITransport(app=create_app(service, town.chain))
    async with httpx.AsyncClient(transport=transport, base_url="http://oracle") as client:
        for path in ("/", "/jobs/1"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "starting")


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
