"""The grid as the library's users see it, on a real chain: paying, listing, getting out."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from dsq import contracts
from dsq.core.chain import Sender, deploy
from dsq.core.config import GridConfig
from dsq.core.errors import (
    AllowanceError,
    ContractError,
    CreditsError,
    NotFoundError,
    SettingsError,
    TryAgainError,
    UsageError,
)
from dsq.core.grid import Grid
from dsq.core.model import Address, Job, JobStatus
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet
from tests.support.abi import signature_of
from tests.support.anvil import CHAIN_ID, SUPPLY, DevGrid

pytestmark = pytest.mark.anvil

WORKFLOW = {"resources": {"tasks": 1, "cpusPerTask": 2, "memPerCpu": 100, "gpus": 0}, "steps": []}

Opened = Callable[[Wallet], Awaitable[Grid]]


@pytest.fixture
async def opened(grid: DevGrid, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opened]:
    """Opens the grid for a wallet. Scripts are not stored: there is no sbatch service here."""

    async def store(self: Grid, *args: object) -> str:
        return "key"

    monkeypatch.setattr(Grid, "_store_script", store)
    async with contextlib.AsyncExitStack() as stack:

        async def open_it(wallet: Wallet) -> Grid:
            config = GridConfig(
                rpc_url=grid.node.rpc_url,
                chain_id=CHAIN_ID,
                metascheduler=str(grid.metascheduler),
            )
            return await stack.enter_async_context(await Grid.open(config, wallet))

        yield open_it


async def _nonce(grid: Grid) -> int:
    answer = await grid.chain.rpc.request("eth_getTransactionCount", [grid.address.lower, "latest"])
    return int(answer, 16)


async def _forget_permits(grid: DevGrid, where: Address, *selectors: str) -> None:
    """Makes a contract one of the published version: these functions are gone from its code."""
    code = str(await grid.node.request("eth_getCode", where.lower, "latest"))
    for selector in selectors:
        raw = keccak(text=selector)[:4].hex().removeprefix("0x")
        assert raw in code
        code = code.replace(raw, "deadbeef")
    await grid.node.request("anvil_setCode", where.lower, code)


class TestPaying:
    async def test_a_submit_is_one_transaction_without_an_allowance(
        self, grid: DevGrid, opened: Opened
    ) -> None:
        """The permit travels in the request; nothing stands before or after."""
        alice = await opened(await grid.account(1000))
        job = await alice.submit(WORKFLOW, 200 * CREDIT, name="one")
        assert (job.customer, job.cost.max_cost) == (alice.address, 200 * CREDIT)
        assert await _nonce(alice) == 1
        assert await alice.chain.allowance(alice.address) == 0

    async def test_submits_at_once_each_have_their_permit(
        self, grid: DevGrid, opened: Opened
    ) -> None:
        """Permits are numbered; requests of one wallet never take each other's number."""
        alice = await opened(await grid.account(1000))
        jobs = await asyncio.gather(*(alice.submit(WORKFLOW, 100 * CREDIT) for _ in range(4)))
        assert len({job.id for job in jobs}) == 4
        assert await _nonce(alice) == 4
        assert await alice.chain.allowance(alice.address) == 0

    async def test_a_standing_allowance_is_used_first(self, grid: DevGrid, opened: Opened) -> None:
        """What covers the request is used; of one that does not, nothing is left either."""
        alice = await opened(await grid.account(1000))
        await alice.set_allowance(150 * CREDIT)
        await alice.submit(WORKFLOW, 100 * CREDIT)
        assert await alice.chain.allowance(alice.address) == 50 * CREDIT
        await alice.submit(WORKFLOW, 100 * CREDIT)
        assert await alice.chain.allowance(alice.address) == 0
        assert await _nonce(alice) == 3

    async def test_no_approve_signs_nothing(self, grid: DevGrid, opened: Opened) -> None:
        """Without leave to approve, only the allowance that stands is used."""
        alice = await opened(await grid.account(1000))
        with pytest.raises(AllowanceError, match="may take 0 credits of the wallet"):
            await alice.submit(WORKFLOW, 100 * CREDIT, approve=False)
        await alice.set_allowance(100 * CREDIT)
        await alice.submit(WORKFLOW, 100 * CREDIT, approve=False)
        assert await _nonce(alice) == 2

    async def test_a_refused_submit_leaves_nothing(self, grid: DevGrid, opened: Opened) -> None:
        """Neither a transaction nor an allowance, with a permit and without."""
        alice = await opened(await grid.account(1000))
        operator = await grid.sender(grid.operator)
        await operator.send(operator.chain.calls.set_enable_request_new_job(False))
        assert not await alice.takes_jobs()
        with pytest.raises(ContractError, match="takes no new jobs"):
            await alice.submit(WORKFLOW, 100 * CREDIT)
        assert (await _nonce(alice), await alice.chain.allowance(alice.address)) == (0, 0)

    @pytest.mark.parametrize("which", ["token", "metascheduler"])
    async def test_contracts_without_permits(
        self, grid: DevGrid, opened: Opened, which: str
    ) -> None:
        """On published contracts the request is approved first, and nothing is left over."""
        alice = await opened(await grid.account(1000))
        where = alice.chain.addresses
        if which == "token":
            await _forget_permits(grid, where.credit, "eip712Domain()")
        else:
            entry = next(
                entry
                for entry in contracts.load("MetaScheduler").abi
                if entry.get("name") == "requestNewJobWithPermit"
            )
            await _forget_permits(grid, where.metascheduler, signature_of(entry))
        job = await alice.submit(WORKFLOW, 200 * CREDIT)
        assert job.cost.max_cost == 200 * CREDIT
        assert (await _nonce(alice), await alice.chain.allowance(alice.address)) == (2, 0)

    async def test_top_up(self, grid: DevGrid, opened: Opened) -> None:
        """A top-up leaves no allowance either."""
        alice, provider = await opened(await grid.account(1000)), await grid.provider()
        job = await _claimed(grid, await alice.submit(WORKFLOW, 100 * CREDIT), provider)
        topped = await alice.top_up(job.id, 50 * CREDIT)
        assert topped.cost.max_cost == 150 * CREDIT
        assert await alice.chain.allowance(alice.address) == 0


async def _claimed(grid: DevGrid, job: Job, provider: Wallet, *, run: bool = False) -> Job:
    """Places a job with a provider, which claims it and perhaps starts it."""
    operator, sender = await grid.sender(grid.operator), await grid.sender(provider)
    await operator.send(operator.chain.calls.meta_schedule(job.id, provider.address))
    await sender.send(sender.chain.calls.claim_next_job())
    if run:
        await sender.send(sender.chain.calls.provider_set_job_status(job.id, JobStatus.RUNNING))
    await operator.close()
    await sender.close()
    return await operator.chain.job(job.id)


class TestListing:
    async def test_balance_counts_open_jobs_only(
        self, grid: DevGrid, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is locked is what open jobs hold; no job that has ended is read."""
        alice = await opened(await grid.account(2000, allowance=True))
        bob = await opened(await grid.account(1000, allowance=True))
        jobs = [await alice.submit(WORKFLOW, 100 * CREDIT) for _ in range(5)]
        await bob.submit(WORKFLOW, 300 * CREDIT)
        for job in jobs[:3]:
            await alice.cancel(job.id)
        read: list[str] = []
        views = alice.chain.views

        async def watched(calls: Any) -> list[Any]:
            read.extend(function for _, function, _ in calls)
            return await views(calls)

        monkeypatch.setattr(alice.chain, "views", watched)
        money = await alice.balance()
        assert (money.locked_wei, money.balance_wei) == (200 * CREDIT, 1800 * CREDIT)
        assert (read.count("getState"), read.count("get")) == (2, 0)
        assert (await alice.balance(bob.address)).locked_wei == 300 * CREDIT
        assert (await alice.balance(grid.operator.address)).locked_wei == 0

    async def test_jobs_by_number_status_and_provider(self, grid: DevGrid, opened: Opened) -> None:
        """Numbers keep their order; a status, a limit and a provider choose."""
        alice, provider = await opened(await grid.account(2000)), await grid.provider()
        one, two, three = [await alice.submit(WORKFLOW, 100 * CREDIT) for _ in range(3)]
        await alice.cancel(two.id)
        await _claimed(grid, one, provider)
        await _claimed(grid, three, provider)
        assert [job.id for job in await alice.jobs()] == [three.id, two.id, one.id]
        found = await alice.jobs(ids=[two.id, one.id])
        assert [job.id for job in found] == [two.id, one.id]
        found = await alice.jobs(status=JobStatus.SCHEDULED, limit=1)
        assert [job.id for job in found] == [three.id]
        found = await alice.jobs(status=JobStatus.CANCELLED)
        assert [job.id for job in found] == [two.id]
        found = await alice.jobs_at(provider.address)
        assert [job.id for job in found] == [three.id, one.id]
        assert await alice.job_ids(after=1) == [two.id, three.id]
        with pytest.raises(NotFoundError, match="There is no job 99"):
            await alice.jobs(ids=[99])

    async def test_pages_are_put_together(
        self, grid: DevGrid, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A list longer than a page, and than the pages of one question, is whole."""
        monkeypatch.setattr("dsq.core.chain.listing.PAGE", 2)
        monkeypatch.setattr("dsq.core.chain.listing.TOGETHER", 2)
        alice = await opened(await grid.account(2000, allowance=True))
        jobs = await asyncio.gather(*(alice.submit(WORKFLOW, 100 * CREDIT) for _ in range(7)))
        assert await alice.job_ids() == sorted(job.id for job in jobs)
        assert (await alice.balance()).locked_wei == 700 * CREDIT


class TestExits:
    async def test_unclaimed_job_goes_back_to_the_queue(
        self, grid: DevGrid, opened: Opened
    ) -> None:
        """Anyone may release it ten minutes after it was placed, not before."""
        alice, bob = await opened(await grid.account(1000)), await opened(await grid.account())
        provider = await grid.provider()
        job = await alice.submit(WORKFLOW, 100 * CREDIT)
        with pytest.raises(TryAgainError, match=f"Job {job.id} is PENDING: no provider has it"):
            await bob.release(job.id)
        operator = await grid.sender(grid.operator)
        await operator.send(operator.chain.calls.meta_schedule(job.id, provider.address))
        due = await bob.expiry(job.id)
        assert due is not None
        with pytest.raises(TryAgainError, match=r"may be released at 20\d\d-.* UTC, in \d+ min"):
            await bob.release(job.id)
        await grid.node.request("evm_setNextBlockTimestamp", due + 1)
        await grid.node.mine()
        assert (await bob.release(job.id)).status is JobStatus.PENDING

    async def test_unanswered_cancel(self, grid: DevGrid, opened: Opened) -> None:
        """A second cancel costs nothing; after an hour it releases the job, which is settled."""
        alice, provider = await opened(await grid.account(1000)), await grid.provider()
        job = await _claimed(grid, await alice.submit(WORKFLOW, 100 * CREDIT), provider, run=True)
        asked = await alice.cancel(job.id)
        assert (asked.status, asked.has_cancel_request) == (JobStatus.RUNNING, True)
        before = await _nonce(alice)
        assert await alice.cancel(job.id) == asked
        assert await _nonce(alice) == before
        due = await alice.expiry(job.id)
        assert due == asked.time.cancel_request_timestamp + 3600
        await grid.node.request("evm_setNextBlockTimestamp", due + 1)
        await grid.node.mine()
        ended = await alice.cancel(job.id)
        assert ended.status is JobStatus.CANCELLED
        assert 0 < ended.cost.final_cost < 100 * CREDIT
        balance = await alice.balance()
        assert balance.balance_wei == 1000 * CREDIT - ended.cost.final_cost
        assert await alice.expiry(job.id) is None
        with pytest.raises(ContractError, match="has ended already: it is CANCELLED"):
            await alice.release(job.id)

    async def test_claimed_job_of_a_provider_that_is_there(
        self, grid: DevGrid, opened: Opened
    ) -> None:
        """It has no time limit; its customer can cancel it at once."""
        alice, provider = await opened(await grid.account(1000)), await grid.provider()
        job = await _claimed(grid, await alice.submit(WORKFLOW, 100 * CREDIT), provider)
        with pytest.raises(TryAgainError, match="has no time limit now") as error:
            await alice.release(job.id)
        assert f"'dsq cancel {job.id}'" in error.value.hint
        assert (await alice.cancel(job.id)).status is JobStatus.CANCELLED

    async def test_deferred_payment_is_withdrawn(self, grid: DevGrid, opened: Opened) -> None:
        """What could not be paid waits, shows in the balance, and goes where its owner says."""
        alice = await opened(await grid.account(1000, allowance=True))
        with pytest.raises(NotFoundError, match="No payment waits"):
            await alice.withdraw_claimable()
        await _defer(grid, alice, 40 * CREDIT)
        assert (await alice.balance()).claimable_wei == 40 * CREDIT
        with pytest.raises(UsageError, match="credits sent there are lost"):
            await alice.withdraw_claimable(alice.chain.addresses.credit)
        other = Address(b"\x77" * 20)
        assert await alice.withdraw_claimable(other) == 40 * CREDIT
        assert await alice.chain.balance(other) == 40 * CREDIT
        assert (await alice.balance()).claimable_wei == 0


async def _defer(grid: DevGrid, of: Grid, wei: int) -> None:
    """Writes a deferred payment into the MetaScheduler, as one that a token refused leaves it."""
    artifact = Path(contracts.__file__).parent / "artifacts" / "MetaScheduler.json"
    storage = json.loads(artifact.read_text())["storage"]
    (slot,) = (part["slot"] for part in storage if part["label"] == "claimable")
    key = keccak(bytes(12) + bytes(of.address) + slot.to_bytes(32))
    where = of.chain.addresses.metascheduler
    await grid.node.request(
        "anvil_setStorageAt", where.lower, "0x" + bytes(key).hex(), f"0x{wei:064x}"
    )
    operator = await grid.sender(grid.operator)
    await operator.send(operator.chain.calls.transfer(where, wei))


class TestFaucet:
    async def test_promised_credits_are_claimed(self, grid: DevGrid, opened: Opened) -> None:
        """The settings name the faucet; what it promised shows, and is collected once."""
        with_faucet = await deploy(
            grid.node.rpc_url,
            CHAIN_ID,
            grid.operator,
            initial_supply_wei=SUPPLY,
            record=grid.node.home / "deployment.json",
            faucet=True,
        )
        faucet = with_faucet.addresses.faucet
        assert faucet is not None
        wallet = await grid.account()
        config = GridConfig(
            rpc_url=grid.node.rpc_url,
            chain_id=CHAIN_ID,
            metascheduler=str(grid.metascheduler),
            faucet=str(faucet),
        )
        async with await Grid.open(config, grid.operator) as operator:
            await operator.send(operator.chain.calls.transfer(faucet, 100 * CREDIT))
            await operator.send(operator.chain.calls.credit_user(wallet.address, 30 * CREDIT))
            with pytest.raises(UsageError, match="FaucetCredit contract"):
                await operator.transfer(faucet, CREDIT)
        async with await Grid.open(config, wallet) as alice:
            assert (await alice.balance()).faucet_wei == 30 * CREDIT
            assert await alice.claim_faucet() == 30 * CREDIT
            money = await alice.balance()
            assert (money.balance_wei, money.faucet_wei) == (30 * CREDIT, 0)
            with pytest.raises(NotFoundError, match="has promised nothing"):
                await alice.claim_faucet()

    async def test_grid_without_a_faucet(self, grid: DevGrid, opened: Opened) -> None:
        """Nothing is promised, and claiming says that there is none."""
        alice = await opened(await grid.account())
        assert await alice.faucet_entitlement() == 0
        with pytest.raises(SettingsError, match="has no faucet"):
            await alice.claim_faucet()


async def test_too_little_is_said_before_anything_is_sent(grid: DevGrid, opened: Opened) -> None:
    """Below the minimum, above the balance, without coins: no transaction."""
    alice = await opened(await grid.account(150))
    with pytest.raises(CreditsError, match="the grid's minimum is 100"):
        await alice.submit(WORKFLOW, 99 * CREDIT)
    with pytest.raises(CreditsError, match="the wallet holds 150"):
        await alice.submit(WORKFLOW, 151 * CREDIT)
    await grid.node.set_balance(alice.address, 0)
    with pytest.raises(CreditsError, match="no coins to pay"):
        await alice.submit(WORKFLOW, 100 * CREDIT)
    assert await _nonce(alice) == 0
    assert isinstance(alice._sender, Sender | None)
