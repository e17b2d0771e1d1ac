"""Submits beside a real chain and service: repeated, many at once, with secrets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dsq.core.chain.wire import Wire
from dsq.core.config import GridConfig
from dsq.core.errors import DsqError, SettingsError, UnreachableError, UsageError, WorkflowError
from dsq.core.grid import Grid, Submission, repeats
from dsq.core.model import Job
from dsq.core.rpc.sbatch import SBatchClient
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet
from dsq.sbatch.service.serve import Service, serve
from dsq.sbatch.service.settings import ServiceSettings
from tests.support.anvil import CHAIN_ID, DevGrid
from tests.unit.sbatch.builders import job, run

pytestmark = pytest.mark.anvil

CREDITS = 100 * CREDIT
SECRET = "hunter2 'and\nmore'"


class Machinery:
    """A service, and grids of one customer."""

    def __init__(self, dev: DevGrid, service: Service, customer: Wallet, folder: Path) -> None:
        self.dev = dev
        self.service = service
        self.customer = customer
        self.folder = folder

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Grid]:
        """A new process of the customer's, as far as the grid can see."""
        config = GridConfig(
            name="test",
            rpc_url=self.dev.node.rpc_url,
            chain_id=CHAIN_ID,
            metascheduler=str(self.dev.metascheduler),
            sbatch_url=f"http://127.0.0.1:{self.service.http_port}/graphql",
            sbatch_grpc=f"127.0.0.1:{self.service.grpc_port}",
            logger_grpc=f"127.0.0.1:{self.service.grpc_port}",
        )
        async with await Grid.open(config, self.customer) as grid:
            yield grid


@pytest.fixture
async def machinery(grid: DevGrid, tmp_path: Path) -> AsyncIterator[Machinery]:
    """A running service and a customer with 1,000 credits."""
    settings = ServiceSettings(
        data_dir=tmp_path / "data",
        http_port=0,
        grpc_port=0,
        rpc_url=grid.node.rpc_url,
        chain_id=CHAIN_ID,
        metascheduler=str(grid.metascheduler),
    )
    stop = asyncio.Event()
    ready: asyncio.Future[Service] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, stop, on_ready=ready.set_result))
    awaited: set[asyncio.Future[Any]] = {task, ready}
    await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    yield Machinery(grid, await ready, await grid.account(1_000), tmp_path)
    stop.set()
    await task


class Died(BaseException):
    """The process ends here."""


async def balances(client: Grid) -> tuple[int, int, int]:
    """Credits of the customer: free, locked, allowed; in whole credits."""
    account = client.address
    return (
        await client.chain.balance(account) // CREDIT,
        await client.chain.locked_of(account) // CREDIT,
        await client.chain.allowance(account) // CREDIT,
    )


async def test_a_named_submit_makes_one_job(machinery: Machinery) -> None:
    """Repeated by the same client and by another process; another name makes another job."""
    workflow = job(run("true"))
    async with machinery.client() as client:
        first = await client.submit(workflow, CREDITS, name="a", key="one")
        assert (await client.submit(workflow, CREDITS, name="a", key="one")).id == first.id
    async with machinery.client() as client:
        assert (await client.submit(workflow, CREDITS, name="a", key="one")).id == first.id
        assert (await client.submit(workflow, CREDITS, name="a", key="two")).id != first.id
        with pytest.raises(UsageError):
            await client.submit(job(run("false")), CREDITS, name="a", key="one")
        assert await balances(client) == (800, 200, 0)


async def test_a_client_that_dies_before_the_transaction_repeats_it(
    machinery: Machinery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service has the script, the chain has no job: the repeat makes it, once."""
    workflow = job(run("true"))
    async with machinery.client() as client:

        async def die(*_: object) -> Job:
            raise Died

        monkeypatch.setattr(client, "_ask_for", die)
        with pytest.raises(Died):
            await client.submit(workflow, CREDITS, key="one")
        assert await balances(client) == (1000, 0, 0)
    async with machinery.client() as client:
        made = await client.submit(workflow, CREDITS, key="one")
        assert (await client.submit(workflow, CREDITS, key="one")).id == made.id
        assert await balances(client) == (900, 100, 0)


async def test_a_client_that_dies_after_the_transaction_repeats_nothing(
    machinery: Machinery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is under way is waited for; then the job is found by its script."""
    monkeypatch.setattr(repeats, "POLL_SECONDS", 0.02)
    workflow = job(run("true"))
    async with machinery.client() as client:
        wire = Wire(client.chain.rpc, client.address)
        await client.submit(workflow, CREDITS, key="before")
        before = await wire.pending()
        task = asyncio.create_task(client.submit(workflow, CREDITS, key="one"))
        while await wire.pending() == before:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with machinery.client() as client:
        made = await client.submit(workflow, CREDITS, key="one")
        assert len(await client.chain.job_ids_of(client.address)) == 2
        assert (await client.submit(workflow, CREDITS, key="one")).id == made.id


def submissions(count: int) -> list[Submission]:
    """Jobs that differ."""
    return [
        Submission(job(run(f"echo {index}")), f"t#222222.{index}/{count}", f"key {index}")
        for index in range(1, count + 1)
    ]


async def test_many_jobs_share_one_allowance(machinery: Machinery) -> None:
    """In the order of their submissions; nothing of the allowance stays."""
    told: list[str] = []
    async with machinery.client() as client:
        jobs = await client.submit_many(
            submissions(5), CREDITS, on_job=lambda each, _: told.append(each.key)
        )
        assert [each.name for each in jobs] == [f"t#222222.{index}/5" for index in range(1, 6)]
        assert sorted(told) == [f"key {index}" for index in range(1, 6)]
        assert await balances(client) == (500, 500, 0)


async def test_many_jobs_that_fail_half_way_are_made_up_for(
    machinery: Machinery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made is told, the allowance for the rest goes; a repeat makes only the rest."""
    made: set[int] = set()
    async with machinery.client() as client:
        real, count = client._ask_for, 0

        async def fail_later(*args: Any) -> Job:
            nonlocal count
            count += 1
            if count > 3:
                raise UnreachableError("gone") if count == 4 else WorkflowError("gone")
            return await real(*args)

        monkeypatch.setattr(client, "_ask_for", fail_later)
        with pytest.raises(DsqError, match="gone"):
            await client.submit_many(
                submissions(6), CREDITS, on_job=lambda _, one: made.add(one.id)
            )
        assert len(made) == 3
    async with machinery.client() as client:
        jobs = await client.submit_many(submissions(6), CREDITS)
        assert made < {each.id for each in jobs}
        assert len(await client.chain.job_ids_of(client.address)) == 6
        free, locked, _ = await balances(client)
        assert (free, locked) == (400, 600)


async def test_credits_for_all_jobs_are_asked_before_the_first(machinery: Machinery) -> None:
    """Too few for all of them make none."""
    async with machinery.client() as client:
        with pytest.raises(DsqError, match="1,?100 credits are asked for these 11 jobs"):
            await client.submit_many(submissions(11), CREDITS)
        assert await balances(client) == (1000, 0, 0)


async def test_secrets_go_from_the_customer_to_the_provider_alone(
    machinery: Machinery, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside the script, byte for byte; not on chain, on disk, or in a log."""
    caplog.set_level(logging.DEBUG)
    dev = machinery.dev
    host = await dev.provider()
    operator, claimer = await dev.sender(dev.operator), await dev.sender(host)
    workflow = job(run('printf %s "$TOKEN"'), secrets=[{"name": "TOKEN"}])
    async with machinery.client() as client:
        with pytest.raises(WorkflowError, match="TOKEN has no value"):
            await client.submit(workflow, CREDITS)
        made = await client.submit(workflow, CREDITS, secrets={"TOKEN": SECRET})
        await operator.send(operator.chain.calls.meta_schedule(made.id, host.address))
        await claimer.send(claimer.chain.calls.claim_next_job())
        async with SBatchClient(client.config.sbatch_grpc, host) as provider:
            script = await provider.fetch(made)
        assert script.secrets == {"TOKEN": SECRET}
        assert "hunter2" not in script.text
        assert "hunter2" not in repr(script)
        assert "hunter2" not in repr(await client.chain.job(made.id))
    assert "hunter2" not in caplog.text
    for path in machinery.folder.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()


async def test_secrets_do_not_travel_in_plain_text(machinery: Machinery) -> None:
    """A service that is not on this machine needs TLS."""
    async with machinery.client() as client:
        client.config = client.config.model_copy(
            update={"sbatch_url": "http://sbatch.example.org/graphql"}
        )
        workflow = job(run("true"), secrets=[{"name": "TOKEN"}])
        with pytest.raises(SettingsError, match="not sent in plain text"):
            await client.submit(workflow, CREDITS, secrets={"TOKEN": SECRET})
