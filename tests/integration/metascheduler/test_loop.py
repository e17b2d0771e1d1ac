"""The meta-scheduler on a real chain with the real contracts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from dsq.core.metascheduler.oracle import explain, placed_jobs
from dsq.core.model import Address, JobDefinition, JobStatus, Label

from .conftest import Seller, Town

pytestmark = pytest.mark.anvil

PENDING, META = JobStatus.PENDING, JobStatus.META_SCHEDULED


async def test_a_job_goes_to_the_cheapest_at_once(town: Town) -> None:
    """A new request is placed within a block or two after it was mined."""
    await town.seller(price=3)
    cheap, customer = await town.seller(price=1), await town.customer()
    await town.scheduler()
    job_id = await town.request(customer)
    job = await town.until(job_id, META, timeout=5)
    assert job.provider == cheap.address
    assert job.time.block_number_state_change - await _requested_in(town, job_id) <= 2


async def _requested_in(town: Town, job_id: int) -> int:
    head = await town.chain.head()
    events = await town.chain.events(0, head.number, ["NewJobRequestEvent"])
    return next(e.block_number for e in events if e.args["job_id"] == job_id)


async def test_jobs_from_before_the_start_are_found(town: Town) -> None:
    """What was requested while no meta-scheduler ran is placed when one starts."""
    await town.seller()
    customer = await town.customer()
    job_id = await town.request(customer)
    await town.scheduler()
    await town.until(job_id, META)


async def test_a_refused_job_goes_to_the_next(town: Town) -> None:
    """The refuser is not asked again for this job, but for others."""
    cheap, dear = await town.seller(price=1), await town.seller(price=2)
    customer = await town.customer()
    service = await town.scheduler()
    job_id = await town.request(customer)
    await town.until(job_id, META)
    assert await cheap.claim() == job_id
    await cheap.send(town.chain.calls.refuse_job(job_id))
    job = await town.until(job_id, META)
    assert job.provider == dear.address
    reason = service.state.backoff.reason(job_id, cheap.address, service.now())
    assert reason.startswith("refused this job")
    other = await town.until(await town.request(customer), META)
    assert other.provider == cheap.address


async def test_a_full_grid_keeps_jobs_pending_and_says_why(town: Town) -> None:
    """Late binding: the second job waits until the first has ended, then is placed."""
    seller, customer = await town.seller(cpus=2, labels="name=gaia"), await town.customer()
    service = await town.scheduler()
    needs = JobDefinition(1, 2, 100)
    first = await town.request(customer, needs)
    await town.until(first, META)
    second, third = await town.request(customer, needs), await town.request(customer, needs)
    await _settled(town, service)
    answer = explain(service, await town.chain.job(third))
    assert (answer["status"], answer["place"], answer["of"]) == ("PENDING", 2, 2)
    assert [(row["name"], row["reason"]) for row in answer["providers"]] == [
        ("gaia", "busy: 2 of 2 CPUs in use")
    ]
    assert set(placed_jobs(service)) == {f"0x{first:064x}"}
    await seller.run(await seller.claim())
    assert (await town.until(second, META)).id == second
    assert (await town.chain.job(third)).status is PENDING


async def _settled(town: Town, service: object) -> None:
    """Two more blocks, heard."""
    target = (await town.chain.head()).number + 2

    async def heard() -> bool:
        return service.head.number >= target  # type: ignore[attr-defined, no-any-return]

    await town.until_true(heard)


async def test_labels_keep_a_job_waiting_until_a_provider_has_them(town: Town) -> None:
    """An approval wakes the jobs that waited for such a provider."""
    await town.seller()
    customer = await town.customer()
    await town.scheduler()
    needs = JobDefinition(1, 1, 100, uses=(Label("gpu", "h100"),))
    job_id = await town.request(customer, needs)
    late = await town.seller(labels="gpu=h100")
    job = await town.until(job_id, META)
    assert job.provider == late.address


async def test_an_unclaimed_job_is_taken_back(town: Town) -> None:
    """After claim_job_timeout minutes the job goes elsewhere and the provider is shunned."""
    sleeper, awake = await town.seller(price=1), await town.seller(price=2)
    customer = await town.customer()
    service = await town.scheduler()
    job_id = await town.request(customer)
    assert (await town.until(job_id, META)).provider == sleeper.address
    await town.node.request("evm_increaseTime", "0x259")  # 601 s; the timeout is 10 minutes

    async def moved() -> bool:
        return (await town.chain.job(job_id)).provider == awake.address

    await town.until_true(moved)
    other = await town.until(await town.request(customer), META)
    assert other.provider == awake.address
    assert service.state.backoff.reason(other.id, sleeper.address, service.now())


async def test_a_banned_provider_loses_what_it_has_not_claimed(town: Town) -> None:
    """It cannot claim any more, so its jobs do not wait for the timeout."""
    cheap, dear = await town.seller(price=1), await town.seller(price=2)
    customer = await town.customer()
    await town.scheduler()
    job_id = await town.request(customer)
    assert (await town.until(job_id, META)).provider == cheap.address
    await town.operator.send(town.chain.calls.ban(cheap.address))

    async def moved() -> bool:
        return (await town.chain.job(job_id)).provider == dear.address

    await town.until_true(moved)


async def test_a_job_cancelled_under_its_placement_is_no_trouble(town: Town) -> None:
    """Cancels and placements race; whoever loses, the loop goes on."""
    await town.seller(cpus=64)
    customer = await town.customer()
    service = await town.scheduler()
    for _ in range(5):
        job_id = await town.request(customer)
        await customer.send(town.chain.calls.cancel_job(job_id))
    last = await town.until(await town.request(customer), META)
    await _settled(town, service)
    assert service.state.hot_ids() == [last.id]
    assert service.state.occupations[last.provider].free.cpus == 63


async def test_many_jobs_fill_the_grid_and_never_more(town: Town) -> None:
    """40 jobs, 12 CPUs: at no time are more placed than fit, and all of them end."""
    sellers = [await town.seller(cpus=8), await town.seller(cpus=4, price=2)]
    room = {sellers[0].address: 8, sellers[1].address: 4}
    customer = await town.customer()
    await town.scheduler()
    ids = await asyncio.gather(*(town.request(customer) for _ in range(40)))
    stop = asyncio.Event()

    async def work(seller: Seller) -> None:
        while not stop.is_set():
            if await town.chain.has_claimable(seller.address):
                job_id = await seller.claim()
                task = asyncio.create_task(seller.run(job_id))
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.sleep(0.05)

    running: set[asyncio.Task[None]] = set()
    workers = [asyncio.create_task(work(seller)) for seller in sellers]

    async def all_ended() -> bool:
        jobs = await town.chain.jobs(ids)
        held: dict[Address, int] = {}
        for job in jobs:
            if job.status.is_hot and not job.provider.is_zero:
                held[job.provider] = held.get(job.provider, 0) + 1
        assert all(count <= room[address] for address, count in held.items())
        return all(job.status is JobStatus.FINISHED for job in jobs)

    await town.until_true(all_ended, timeout=60)
    stop.set()
    await asyncio.gather(*workers, *running)


async def test_jobs_of_a_block_are_placed_in_one_transaction(town: Town) -> None:
    """30 jobs that wait together cost one transaction, not thirty."""
    await town.seller(cpus=64)
    customer = await town.customer()
    ids = await asyncio.gather(*(town.request(customer) for _ in range(30)))
    service = await town.scheduler()
    for job_id in ids:
        await town.until(job_id, META)
    await _settled(town, service)
    assert len(await _placements(town, ids)) == 1
    await town.stop_schedulers()


async def _placements(town: Town, ids: Sequence[int]) -> set[bytes]:
    """Transactions that placed these jobs."""
    head = await town.chain.head()
    events = await town.chain.events(0, head.number, ["JobTransitionEvent"])
    return {
        event.tx_hash
        for event in events
        if event.args["to_status"] is META and event.args["job_id"] in ids
    }


async def test_a_placement_that_fails_spoils_no_other(town: Town) -> None:
    """A job is cancelled and a provider banned while the batch is on its way."""
    cheap, dear = await town.seller(price=1, cpus=2), await town.seller(price=2, cpus=64)
    customer = await town.customer()
    ids = await asyncio.gather(*(town.request(customer) for _ in range(8)))
    placer, calls = await town.placer(), town.chain.calls
    await town.node.request("evm_setIntervalMining", 0)
    # They come first, and so they do in the block.
    await customer.sender.submit(calls.cancel_job(ids[3]))
    await town.operator.sender.submit(calls.ban(cheap.address))
    service = await town.scheduler(party=placer)

    async def sent() -> bool:
        return len(service.state.placing) == 8

    await town.until_true(sent)
    await town.node.mine()
    await town.node.request("evm_setIntervalMining", 1)
    for job_id in ids:
        if job_id == ids[3]:
            assert (await town.chain.job(job_id)).status is JobStatus.CANCELLED
        else:
            assert (await town.until(job_id, META)).provider == dear.address
    head = await town.chain.head()
    skipped = await town.chain.events(0, head.number, ["PlacementSkipped"])
    assert {(e.args["job_id"], e.args["provider"]) for e in skipped} >= {(ids[3], dear.address)}
    assert sum(event.args["provider"] == cheap.address for event in skipped) == 2
    await _settled(town, service)
    assert not service.state.placing
    await town.stop_schedulers()


async def test_two_schedulers_do_each_other_no_harm(town: Town) -> None:
    """Both place what they see; the contract takes one, the other tolerates it."""
    await town.seller(cpus=64)
    customer = await town.customer()
    services = [await town.scheduler(), await town.scheduler()]
    ids = await asyncio.gather(*(town.request(customer) for _ in range(6)))
    for job_id in ids:
        await town.until(job_id, META)
    for service in services:
        await _settled(town, service)
        assert sorted(service.state.tracked) == sorted(ids)
        assert not service.state.placing
    await town.stop_schedulers()


async def test_a_restart_reads_open_jobs_only_and_remembers_refusals(town: Town) -> None:
    """With its snapshot a new process knows who refused; ended jobs beyond it are not read."""
    seller, customer = await town.seller(), await town.customer()
    await town.scheduler(remember=True)
    done = await town.request(customer)
    await town.until(done, META)
    await seller.run(await seller.claim())
    refused = await town.request(customer)
    await town.until(refused, META)
    await seller.send(town.chain.calls.refuse_job(refused))
    await town.until(refused, PENDING)
    await asyncio.sleep(1.5)  # The refusal is heard.
    await town.stop_schedulers()
    snapshot = json.loads((town.folder / "snapshot.json").read_text())
    assert snapshot["seen"] == refused
    assert refused in snapshot["hot"]
    missed = await town.request(customer)
    again = await town.scheduler(remember=True)
    assert again.state.backoff.reason(refused, seller.address, again.now())
    await town.until(missed, META)
    assert (await town.chain.job(refused)).status is PENDING


async def test_a_chain_that_went_back_is_read_anew(town: Town) -> None:
    """After a restart of the chain from an older state, views decide, not memories."""
    await town.seller(cpus=2)
    customer = await town.customer()
    service = await town.scheduler()
    blocker = await town.until(await town.request(customer, JobDefinition(1, 2, 100)), META)
    snapshot = await town.node.request("evm_snapshot")
    lost = await town.request(customer, JobDefinition(1, 2, 100))
    await _settled(town, service)
    assert set(service.state.hot_ids()) == {blocker.id, lost}
    await town.node.request("evm_revert", snapshot)
    await customer.sender.close()

    async def forgotten() -> bool:
        return service.state.hot_ids() == [blocker.id]

    await town.until_true(forgotten)
    assert service.state.tracked[blocker.id].status is META
    await town.stop_schedulers()


async def test_the_chain_may_be_away(town: Town) -> None:
    """A node that is killed and started again costs no job and no process."""
    await town.seller()
    customer = await town.customer()
    await town.scheduler()
    await town.until(await town.request(customer), META)
    await asyncio.sleep(2.5)  # The state is written.
    town.node.kill()
    await asyncio.sleep(1.0)
    await town.node.start()
    later = await town.request(await town.customer())
    await town.until(later, META, timeout=30)
    await town.stop_schedulers()
