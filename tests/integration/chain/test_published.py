"""Grids of the published contracts: whatever they do not have, the client does without."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from dsq import contracts
from dsq.console.cli import run
from dsq.core.chain import Chain
from dsq.core.chain.operations import WORD_MAX, fees, holdings, parameters
from dsq.core.config import GridConfig
from dsq.core.errors import ContractError, TryAgainError
from dsq.core.grid import Grid
from dsq.core.model import JobDefinition, JobStatus
from dsq.core.units import CREDIT
from tests.support.abi import signature_of
from tests.support.anvil import CHAIN_ID, DevGrid

pytestmark = pytest.mark.anvil

PUBLISHED = json.loads(
    (Path(__file__).parents[2] / "unit/contracts/data/published_abi.json").read_text()
)

BETWEEN_CONTRACTS = {
    "Constants": {"terms"},
    "JobRepository": {"getState", "setState", "getPackedState", "setPackedState", "getDemand"}
    | {"getDefinition"},
}
"""Additions that our contracts need among themselves; clients of the test do not ask for them."""


async def forget_additions(grid: DevGrid, chain: Chain, name: str) -> None:
    """Takes what the published version does not have out of a contract's code on chain."""
    where = chain.addresses.of(name).lower
    code = str(await grid.node.request("eth_getCode", where, "latest"))
    for entry in contracts.load(name).abi:
        if entry["type"] != "function" or entry["name"] in BETWEEN_CONTRACTS.get(name, ()):
            continue
        selector = keccak(text=signature_of(entry))[:4].hex().removeprefix("0x")
        if "0x" + selector not in PUBLISHED[name]["functions"]:
            code = code.replace("63" + selector, "63ffffffff")
    await grid.node.request("anvil_setCode", where, code)


@pytest.fixture
async def published(grid: DevGrid) -> DevGrid:
    """A grid whose contracts answer to nothing but the published functions."""
    chain = await grid.connect()
    for name in ("MetaScheduler", "JobRepository", "Constants", "Credit", "ProviderManager"):
        await forget_additions(grid, chain, name)
    for name, view in (("MetaScheduler", "accruedFees"), ("JobRepository", "jobCount")):
        with pytest.raises(ContractError):
            await chain.view(name, view)
    return grid


def _config(grid: DevGrid) -> GridConfig:
    return GridConfig(
        rpc_url=grid.node.rpc_url, chain_id=CHAIN_ID, metascheduler=str(grid.metascheduler)
    )


async def test_a_customer_does_without(published: DevGrid) -> None:
    """Parameters, lists, money, payment, top-up and cancel work; nothing is released."""
    wallet = await published.account(1000)
    async with await Grid.open(_config(published), wallet) as alice:
        constants = await alice.constants()
        assert (constants.claim_job_timeout, constants.cancel_timeout) == (10, 0)
        assert not await alice.takes_permits()
        for _ in range(3):
            async with alice._paying(100 * CREDIT, approve=True, permits=True) as permit:
                assert permit is None
                call = alice.chain.calls.request_new_job(JobDefinition(1, 1, 100), 100 * CREDIT)
                await alice.send(call)
        assert await alice.job_ids() == [1, 2, 3]
        assert await alice.job_ids(after=2) == [3]
        assert (await alice.cancel(2)).status is JobStatus.CANCELLED
        money = await alice.balance()
        assert (money.locked_wei, money.balance_wei) == (200 * CREDIT, 800 * CREDIT)
        assert (money.claimable_wei, money.faucet_wei, money.allowance_wei) == (0, 0, 0)
        pending = await alice.jobs(status=JobStatus.PENDING)
        assert [job.id for job in pending] == [3, 1]
        assert await alice.expiry(1) is None
        with pytest.raises(TryAgainError, match="Job 1 is PENDING"):
            await alice.release(1)


async def test_an_operator_does_without(
    published: DevGrid, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Rights are listed, parameters have no bounds, and fees that are not kept apart stay."""
    chain = await published.connect()
    found = {parameter.name: parameter for parameter in await parameters(chain)}
    assert set(found) & {"cancel_timeout", "provider_timeout"} == set()
    assert found["deepsquare_cut"].most == WORD_MAX
    assert len(await holdings(chain)) == 10
    with pytest.raises(ContractError, match="does not keep fees apart"):
        await fees(chain)
    monkeypatch.setenv("DSQ_RPC_URL", published.node.rpc_url)
    monkeypatch.setenv("DSQ_CHAIN_ID", str(CHAIN_ID))
    monkeypatch.setenv("DSQ_METASCHEDULER", str(published.metascheduler))
    monkeypatch.setenv("ETH_PRIVATE_KEY", published.operator._account.key.hex())
    capfd.readouterr()
    assert await asyncio.to_thread(run, ["admin", "fees", "withdraw", "--yes"]) == 75
    assert "what it pays out may be theirs" in capfd.readouterr().err
    assert await asyncio.to_thread(run, ["admin", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["fees_wei"] is None
    assert await asyncio.to_thread(run, ["admin", "constants"]) == 0
    assert "cancel_timeout" not in capfd.readouterr().out
