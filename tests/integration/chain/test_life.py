"""A job's life by direct calls to the contracts, through the client."""

from __future__ import annotations

import json

import pytest

from dsq.core.chain import Receipt
from dsq.core.config import GridConfig
from dsq.core.errors import ContractError
from dsq.core.grid import Grid
from dsq.core.model import (
    ZERO_ADDRESS,
    Affinity,
    JobDefinition,
    JobStatus,
    Label,
    ProviderHardware,
    StorageType,
    wait_status_of,
)
from dsq.core.units import CREDIT, minutes_for, wei_per_minute
from dsq.core.views import overview_to_dict
from tests.support.anvil import CHAIN_ID, HARDWARE, PRICES, DevGrid

pytestmark = pytest.mark.anvil

DEFINITION = JobDefinition(
    ntasks=2,
    cpus_per_task=2,
    mem_per_cpu=1_000,
    gpus=1,
    batch_location_hash="a3f1",
    storage_type=StorageType.NONE,
    uses=(Label("os", "linux"), Label("müsli", "ja")),
    affinity=(Affinity("mem", ">=", "64000"), Affinity("zone", "in", "eu-west")),
)


async def test_job_from_request_to_settlement(grid: DevGrid) -> None:
    """A job that ends is billed by the minute, and every credit is accounted for."""
    customer = await grid.account(1_000, allowance=True)
    provider = await grid.provider(Label("name", "alpha"))
    chain = await grid.connect()
    calls = chain.calls
    user, host = await grid.sender(customer), await grid.sender(provider)
    operator = await grid.sender(grid.operator)

    requested = await user.send(calls.request_new_job(DEFINITION, 200 * CREDIT, "first"))
    event = requested.event("NewJobRequestEvent")
    assert event is not None
    assert event.args == {"job_id": 1, "customer": customer.address}
    job = await chain.job(1)
    assert (job.status, job.name, job.definition) == (JobStatus.PENDING, "first", DEFINITION)
    assert (job.customer, job.provider) == (customer.address, ZERO_ADDRESS)
    assert await chain.job_ids_of(customer.address) == [1]
    assert await chain.job_count() == 1

    await operator.send(calls.meta_schedule(1, provider.address))
    assert await chain.queues(provider.address) == (True, False, False)
    claimed = (await host.send(calls.claim_next_job())).event("ClaimJobEvent")
    assert claimed is not None
    assert claimed.args == {
        "job_id": 1,
        "customer": customer.address,
        "provider": provider.address,
        "max_duration_minute": minutes_for(DEFINITION, PRICES, 200 * CREDIT),
        "definition": DEFINITION,
    }
    await host.send(calls.provider_set_job_status(1, JobStatus.RUNNING))
    await user.send(calls.top_up_job(1, 50 * CREDIT))
    assert await chain.has_top_up(provider.address)
    topped = (await host.send(calls.claim_next_top_up_job())).event("ClaimNextTopUpJobEvent")
    assert topped is not None
    assert topped.args["max_duration_minute"] == minutes_for(DEFINITION, PRICES, 50 * CREDIT)

    failed = wait_status_of(3)
    done = await host.send(
        calls.provider_set_job_status(1, JobStatus.FAILED, 1, "exit code 3", failed)
    )
    published = [e.name for e in done.events if e.name in ("Transfer", "JobTransitionEvent")]
    assert published == ["Transfer", "Transfer", "JobTransitionEvent"]
    job = await chain.job(1)
    assert (job.status, job.exit_code, job.last_error) == (JobStatus.FAILED, 3, "exit code 3")
    cost = wei_per_minute(DEFINITION, PRICES)
    assert job.cost.final_cost == cost
    fee = cost * 20 // 100
    assert await chain.balance(provider.address) == cost - fee
    assert await chain.balance(customer.address) == 1_000 * CREDIT - cost
    assert await chain.balance(grid.metascheduler) == fee
    assert await chain.total_supply() == 1_000_000 * CREDIT
    assert (await chain.provider(provider.address)).job_count == 1


async def test_cancel_of_a_running_job(grid: DevGrid) -> None:
    """A cancel request waits in the provider's queue until the provider ends the job."""
    customer = await grid.account(500, allowance=True)
    provider = await grid.provider()
    chain = await grid.connect()
    calls = chain.calls
    user, host = await grid.sender(customer), await grid.sender(provider)
    operator = await grid.sender(grid.operator)
    await user.send(calls.request_new_job(DEFINITION, 200 * CREDIT))
    await operator.send(calls.meta_schedule(1, provider.address))
    await host.send(calls.claim_next_job())
    await host.send(calls.provider_set_job_status(1, JobStatus.RUNNING))

    await user.send(calls.cancel_job(1))
    assert await chain.has_cancelling(provider.address)
    assert (await chain.job(1)).has_cancel_request
    cancelling = await host.send(calls.claim_next_cancelling_job())
    event = cancelling.event("ClaimNextCancellingJobEvent")
    assert event is not None
    assert event.args["job_id"] == 1
    await host.send(calls.provider_set_job_status(1, JobStatus.CANCELLED, 1))
    assert (await chain.job(1)).status is JobStatus.CANCELLED
    with pytest.raises(ContractError, match=r"has ended already: it is CANCELLED"):
        await user.send(calls.cancel_job(1))


async def test_refused_job_goes_to_another_provider(grid: DevGrid) -> None:
    """A provider hands a job back; another one claims it; the first one cannot."""
    customer = await grid.account(500, allowance=True)
    first, second = await grid.provider(), await grid.provider()
    chain = await grid.connect()
    calls = chain.calls
    user, operator = await grid.sender(customer), await grid.sender(grid.operator)
    one, two = await grid.sender(first), await grid.sender(second)
    await user.send(calls.request_new_job(DEFINITION, 200 * CREDIT))
    await operator.send(calls.meta_schedule(1, first.address))
    refused = (await one.send(calls.refuse_job(1))).event("JobRefusedEvent")
    assert refused is not None
    assert refused.args["provider"] == first.address
    await operator.send(calls.meta_schedule(1, second.address))
    assert not await chain.has_claimable(first.address)
    with pytest.raises(ContractError, match="no job in the queue"):
        await one.send(calls.claim_next_job())
    await two.send(calls.claim_next_job())
    assert (await chain.job(1)).provider == second.address


async def test_providers_register_and_are_approved(grid: DevGrid) -> None:
    """A proposal is seen before its approval; an approved record outlives new proposals."""
    wallet = await grid.account()
    chain = await grid.connect()
    calls = chain.calls
    host, operator = await grid.sender(wallet), await grid.sender(grid.operator)
    unknown = await chain.provider(wallet.address)
    assert (unknown.is_approved, unknown.is_waiting, unknown.hardware.nodes) == (False, False, 0)
    assert await chain.providers() == []

    await host.send(calls.register(HARDWARE, PRICES, [Label("name", "beta")]))
    (waiting,) = await chain.providers()
    assert waiting == await chain.proposal(wallet.address)
    assert (waiting.name, waiting.hardware, waiting.prices) == ("beta", HARDWARE, PRICES)
    assert (waiting.is_waiting, waiting.is_approved, waiting.is_valid) == (True, False, False)

    await operator.send(calls.approve_provider(wallet.address))
    (approved,) = await chain.providers()
    assert (approved.is_approved, approved.is_waiting, approved.is_valid) == (True, False, True)
    await host.send(calls.register(ProviderHardware((0,), (4,), (8_000,)), PRICES, []))
    (both,) = await chain.providers()
    assert both.hardware == HARDWARE
    assert (both.is_approved, both.is_waiting) == (True, True)

    await operator.send(calls.ban(wallet.address))
    banned = await chain.provider(wallet.address)
    assert (banned.is_banned, banned.is_valid) == (True, False)
    with pytest.raises(ContractError, match="provider is banned"):
        await host.send(calls.register(HARDWARE, PRICES, []))
    await operator.send(calls.unban(wallet.address))
    await operator.send(calls.remove_provider(wallet.address))
    assert not (await chain.provider(wallet.address)).is_approved


async def test_operator_calls(grid: DevGrid) -> None:
    """The operator sets parameters, roles and the switch for new jobs; others may not."""
    chain = await grid.connect()
    calls = chain.calls
    other = await grid.account()
    operator = await grid.sender(grid.operator)
    before = await chain.constants()
    await operator.send(calls.set_constant("claim_job_timeout", 7))
    assert (await chain.constants()).claim_job_timeout == 7
    (back,) = calls.set_constants(before, await chain.constants())
    await operator.send(back)
    assert await chain.constants() == before

    role = "METASCHEDULER_ROLE"
    assert not await chain.has_role("MetaScheduler", role, other.address)
    await operator.send(calls.grant_role("MetaScheduler", role, other.address))
    assert await chain.has_role("MetaScheduler", role, other.address)
    await operator.send(calls.revoke_role("MetaScheduler", role, other.address))
    assert not await chain.has_role("MetaScheduler", role, other.address)

    await operator.send(calls.set_enable_request_new_job(False))
    assert not await chain.new_jobs_enabled()
    stranger = await grid.sender(other)
    with pytest.raises(ContractError, match=f"{other.address} lacks the role DEFAULT_ADMIN_ROLE"):
        await stranger.send(calls.set_enable_request_new_job(True))
    with pytest.raises(ContractError, match="takes no new jobs"):
        await stranger.send(calls.request_new_job(DEFINITION, 200 * CREDIT))


async def test_hundreds_of_jobs_in_order(grid: DevGrid) -> None:
    """Many jobs are asked for at once and listed in the order of their ids."""
    customer = await grid.account(30_000, allowance=True)
    user = await grid.sender(customer)
    chain = user.chain
    count = 120
    call = chain.calls.request_new_job(JobDefinition(1, 1, 1), 100 * CREDIT)
    hashes = [await user.submit(call) for _ in range(count)]
    receipts = [await user.wait(tx_hash) for tx_hash in hashes]
    assert [_job_id(receipt) for receipt in receipts] == list(range(1, count + 1))
    assert await chain.job_ids_of(customer.address) == list(range(1, count + 1))
    order = [*range(count, 0, -1), *range(1, count + 1)]
    assert [job.id for job in await chain.jobs(order)] == order


def _job_id(receipt: Receipt) -> int:
    event = receipt.event("NewJobRequestEvent")
    assert event is not None
    return int(event.args["job_id"])


async def test_the_history_of_an_account_adds_up(grid: DevGrid) -> None:
    """Every movement of credits is told with its job, and together they are the balance."""
    customer = await grid.account(1_000, allowance=True)
    provider = await grid.provider(Label("name", "alpha"))
    chain = await grid.connect()
    calls = chain.calls
    user, host = await grid.sender(customer), await grid.sender(provider)
    operator = await grid.sender(grid.operator)
    for name in ("first", "second"):
        await user.send(calls.request_new_job(DEFINITION, 200 * CREDIT, name))
    await operator.send(calls.meta_schedule(1, provider.address))
    await host.send(calls.claim_next_job())
    await host.send(calls.provider_set_job_status(1, JobStatus.RUNNING))
    await user.send(calls.top_up_job(1, 50 * CREDIT))
    await host.send(calls.provider_set_job_status(1, JobStatus.FINISHED, 1))
    await user.send(calls.cancel_job(2))
    await user.send(calls.transfer(provider.address, 7 * CREDIT))

    config = GridConfig(
        rpc_url=grid.node.rpc_url,
        chain_id=CHAIN_ID,
        metascheduler=str(grid.metascheduler),
    )
    api = Grid(config, chain, None)
    mine = await api.movements(customer.address)
    assert [(each.kind, each.job_id) for each in mine] == [
        ("minted" if mine[0].other == ZERO_ADDRESS else "received", 0),
        ("locked", 1),
        ("locked", 2),
        ("topped up", 1),
        ("returned", 1),
        ("returned", 2),
        ("sent", 0),
    ]
    assert mine[-1].other == provider.address
    assert sum(each.change_wei for each in mine) == await chain.balance(customer.address)
    theirs = await api.movements(provider.address)
    assert [(each.kind, each.job_id) for each in theirs] == [("earned", 1), ("received", 0)]
    assert sum(each.change_wei for each in theirs) == await chain.balance(provider.address)
    seen = await api.overview()
    assert {status.name: count for status, count in seen.jobs.items() if count} == {
        "FINISHED": 1,
        "CANCELLED": 1,
    }
    assert (seen.total_jobs, seen.takes_jobs, len(seen.approved())) == (2, True, 1)
    assert seen.supply_wei == await chain.total_supply()
    assert seen.locked_wei == await chain.balance(grid.metascheduler)
    assert seen.hardware()[0] == HARDWARE.nodes
    assert seen.scheduling.status == "silent"
    assert [one.is_current for one in seen.endpoints] == [True]
    assert json.dumps(overview_to_dict(seen))
    later = await api.movements(customer.address, from_block=mine[-1].block_number)
    assert later == mine[-1:]
