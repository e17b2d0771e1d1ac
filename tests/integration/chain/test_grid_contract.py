"""The grid in memory that the console's tests use, and the real one, pass the same checks.

The real one is ``dsq.core.grid.Grid`` on a chain of its own with a real sbatch service; a provider
and an operator do by hand what their programs do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dsq.core.errors import (
    ContractError,
    CreditsError,
    DsqError,
    NotFoundError,
    UsageError,
    WalletError,
)
from dsq.core.model import ZERO_ADDRESS, Address, Job, JobDefinition, JobStatus
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet
from tests.support.anvil import Template
from tests.support.grid_stages import FakeStage, RealStage, Stage

pytestmark = pytest.mark.anvil

WORKFLOW = {
    "resources": {"tasks": 1, "cpusPerTask": 2, "memPerCpu": 100, "gpus": 0},
    "enableLogging": True,
    "steps": [{"name": "hello", "run": {"command": "echo hello"}}],
}
STRANGER = Address(b"\x77" * 20)


@pytest.fixture(params=["fake", "real"])
async def stage(
    request: pytest.FixtureRequest, tmp_path: Path, anvil: Path, grid_template: Template
) -> AsyncIterator[Stage]:
    """Each kind of grid."""
    if request.param == "fake":
        yield FakeStage()
        return
    async with contextlib.AsyncExitStack() as stack:
        world = await stack.enter_async_context(grid_template.grid(tmp_path / "chain", anvil))
        yield await RealStage(world, tmp_path, stack).build()


async def submitted(stage: Stage, credits: int = 100, **options: Any) -> Job:  # noqa: A002
    return await stage.grid.submit(WORKFLOW, credits * CREDIT, **options)


async def eventually(question: Any, seconds: float = 15.0) -> Any:
    """Asks until the answer is one."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        try:
            answer = await question()
        except DsqError:
            answer = None
        if answer:
            return answer
        assert loop.time() < end, "it did not become so"
        await asyncio.sleep(0.05)


async def test_a_submit(stage: Stage) -> None:
    """The job as it was asked for; the money is locked; the feed says so; it is listed."""
    grid = stage.grid
    heard: list[Any] = []

    async def listen() -> None:
        async for batch in grid.changes():
            heard.extend(event.args for event in batch.events)

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.5)
    before = await grid.balance()
    job = await submitted(stage, name="one")
    assert (job.status, job.name, job.customer) == (JobStatus.PENDING, "one", grid.address)
    assert (job.cost.max_cost, job.cost.final_cost) == (100 * CREDIT, 0)
    assert job.provider == ZERO_ADDRESS
    definition = job.definition
    assert (definition.ntasks, definition.cpus_per_task, definition.mem_per_cpu) == (1, 2, 100)
    after = await grid.balance()
    assert before.balance_wei - after.balance_wei == 100 * CREDIT
    assert after.locked_wei - before.locked_wei == 100 * CREDIT
    assert await grid.job(job.id) == job
    assert (await grid.job_ids())[-1] == job.id
    assert await grid.job_ids(after=len(await grid.job_ids())) == []
    assert await grid.jobs_by_id([job.id]) == [job]

    async def told() -> bool:
        mine = [args for args in heard if args.get("job_id") == job.id]
        return any(args.get("customer") == grid.address for args in mine)

    await eventually(told)
    listening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listening


async def test_a_submit_that_is_repeated(stage: Stage) -> None:
    """With the same key there is one job, and it is paid once."""
    first = await submitted(stage, name="one", key="k")
    before = await stage.grid.balance()
    assert (await submitted(stage, name="one", key="k")).id == first.id
    assert await stage.grid.balance() == before
    assert (await submitted(stage, name="one", key="l")).id != first.id


async def test_too_few_credits(stage: Stage) -> None:
    """Below the minimum, or more than there are: nothing is done."""
    before = await stage.grid.balance()
    for credits_ in (99, 2000):
        with pytest.raises(CreditsError):
            await submitted(stage, credits_)
    job = await submitted(stage)
    await stage.place(job.id)
    with pytest.raises(CreditsError):
        await stage.grid.top_up(job.id, 5000 * CREDIT)
    with pytest.raises(CreditsError):
        await stage.grid.transfer(STRANGER, 5000 * CREDIT)
    after = await stage.grid.balance()
    assert before.balance_wei - after.balance_wei == 100 * CREDIT


async def test_cancelling(stage: Stage) -> None:
    """Before it runs it ends at once and all comes back; then its provider is asked; then no more."""
    grid = stage.grid
    before = (await grid.balance()).balance_wei
    job = await submitted(stage)
    assert (await grid.cancel(job.id)).status is JobStatus.CANCELLED
    assert (await grid.balance()).balance_wei == before
    with pytest.raises(ContractError):
        await grid.cancel(job.id)
    job = await submitted(stage)
    await stage.place(job.id)
    await stage.report(job.id, JobStatus.RUNNING)
    for _ in range(2):
        asked = await grid.cancel(job.id)
        assert (asked.status, asked.has_cancel_request) == (JobStatus.RUNNING, True)


async def test_topping_up(stage: Stage) -> None:
    """Only what is claimed or runs takes more; the money is locked at once."""
    grid = stage.grid
    job = await submitted(stage)
    with pytest.raises(ContractError):
        await grid.top_up(job.id, 20 * CREDIT)
    await stage.place(job.id)
    await stage.report(job.id, JobStatus.RUNNING)
    before = await grid.balance()
    after = await grid.top_up(job.id, 20 * CREDIT)
    assert after.cost.max_cost == 120 * CREDIT
    assert after.cost.pending_top_up == 20 * CREDIT
    assert before.balance_wei - (await grid.balance()).balance_wei == 20 * CREDIT


async def test_the_course_of_a_job(stage: Stage) -> None:
    """Every state with a time and a block that do not go back; then it is settled."""
    grid = stage.grid
    job = await submitted(stage)
    await stage.place(job.id)
    await stage.report(job.id, JobStatus.RUNNING)
    running = await grid.job(job.id)
    assert (running.status, running.provider) == (JobStatus.RUNNING, stage.provider)
    assert running.time.start >= running.time.submit > 0
    assert running.time.end == 0
    await stage.report(job.id, JobStatus.FINISHED, 1)
    ended = await grid.job(job.id)
    steps = list(await grid.history(ended))
    path = [step.status for step in steps]
    assert path == [
        JobStatus.PENDING, JobStatus.META_SCHEDULED, JobStatus.SCHEDULED, JobStatus.RUNNING,
        JobStatus.FINISHED,
    ]  # fmt: skip
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    assert [step.block_number for step in steps] == sorted(step.block_number for step in steps)
    assert all(len(step.tx_hash) == 32 for step in steps)
    assert 0 < ended.cost.final_cost < 100 * CREDIT
    assert ended.time.end >= ended.time.start
    balance = await grid.balance()
    assert balance.balance_wei == 1000 * CREDIT - ended.cost.final_cost
    assert balance.locked_wei == 0
    assert [each.id for each in await grid.jobs_at(stage.provider, limit=5)] == [job.id]
    kinds = [(each.kind, each.change_wei, each.job_id) for each in await grid.movements()]
    back = 100 * CREDIT - ended.cost.final_cost
    assert kinds[-2:] == [("locked", -100 * CREDIT, job.id), ("returned", back, job.id)]


async def test_what_is_not_there(stage: Stage) -> None:
    """Jobs, logs, scripts, payments: each is missed with the same kind of error."""
    grid = stage.grid
    for ask in (grid.job, grid.script, grid.why, grid.cancel):
        with pytest.raises(NotFoundError):
            await ask(99)
    with pytest.raises(NotFoundError):
        await grid.jobs_by_id([99])
    with pytest.raises(NotFoundError):
        await grid.top_up(99, CREDIT)
    with pytest.raises(NotFoundError):
        _ = [line async for line in grid.logs(99)]
    with pytest.raises(NotFoundError):
        await grid.withdraw_claimable()
    with pytest.raises(DsqError):
        await grid.claim_faucet()


async def test_output(stage: Stage) -> None:
    """Lines in order, byte for byte; a reader that follows ends with the log."""
    grid = stage.grid
    job = await submitted(stage)
    await stage.place(job.id)
    await stage.report(job.id, JobStatus.RUNNING)
    assert [line.data async for line in grid.logs(job.id)] == []
    await stage.write(job, "one", "\x1b[31mtwo")

    async def follow() -> list[bytes]:
        return [line.data async for line in grid.logs(job.id, follow=True)]

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.3)
    await stage.write(job, "three", end=True)
    await stage.report(job.id, JobStatus.FINISHED, 1)
    async with asyncio.timeout(20):
        lines = await following
    assert [line.rstrip(b"\n") for line in lines] == [b"one", b"\x1b[31mtwo", b"three"]
    times = [line.timestamp_ns async for line in grid.logs(job.id)]
    assert times == sorted(times)


async def test_the_script(stage: Stage) -> None:
    """The customer reads it, before and after the end; others do not."""
    job = await submitted(stage)
    text = await stage.grid.script(job.id)
    assert text.startswith("#!/bin/bash\n")
    assert "echo hello" in text
    await stage.grid.cancel(job.id)
    assert await stage.grid.script(job.id) == text
    for ask in (stage.operator.script(job.id), anext(aiter(stage.operator.logs(job.id)))):
        with pytest.raises(WalletError):
            await ask


async def test_a_locked_wallet(stage: Stage) -> None:
    """Looking goes on, what signs is refused; another account's key is not taken."""
    grid = stage.grid
    job = await submitted(stage)
    await grid.use(None)
    assert (await grid.job(job.id)).id == job.id
    assert (await grid.balance()).balance_wei == 900 * CREDIT
    acts = (grid.cancel(job.id), submitted(stage), grid.script(job.id), grid.transfer(STRANGER, 1))
    for act in acts:
        with pytest.raises(WalletError):
            await act
    with pytest.raises(WalletError):
        _ = [line async for line in grid.logs(job.id)]
    with pytest.raises(WalletError):
        await grid.use(Wallet.generate())
    await grid.use(stage.key)
    assert (await grid.cancel(job.id)).status is JobStatus.CANCELLED


async def test_sending_credits(stage: Stage) -> None:
    """They leave at once and stand in the history; not to oneself, not to a contract."""
    grid = stage.grid
    await grid.transfer(STRANGER, 25 * CREDIT)
    assert (await grid.balance()).balance_wei == 975 * CREDIT
    last = (await grid.movements())[-1]
    assert (last.kind, last.change_wei, last.other) == ("sent", -25 * CREDIT, STRANGER)
    assert last in await grid.movements(from_block=last.block_number)
    assert await grid.movements(from_block=last.block_number + 1) == []
    for wrong in (grid.address, ZERO_ADDRESS, *grid.contracts()):
        with pytest.raises(UsageError):
            await grid.transfer(wrong, CREDIT)


async def test_providers(stage: Stage) -> None:
    """Operators approve exactly what they saw, ban and unban; nobody else does."""
    grid, operator, address = stage.grid, stage.operator, stage.provider
    assert (await grid.may_admit(), await operator.may_admit()) == (False, True)

    async def record() -> Any:
        return next((one for one in await grid.providers() if one.address == address), None)

    first = await record()
    assert (first.is_approved, first.is_valid, first.is_waiting) == (True, True, False)
    with pytest.raises(NotFoundError):
        await grid.proposal(address)
    await stage.propose(3 * CREDIT)
    assert (await record()).is_waiting
    assert (await record()).prices == first.prices
    seen = await operator.proposal(address)
    assert seen.offer.prices.cpu_per_min == 3 * CREDIT
    await stage.propose(4 * CREDIT)
    with pytest.raises(ContractError):
        await operator.approve_provider(address, seen=seen.digest)
    with pytest.raises(ContractError):
        await grid.approve_provider(address)
    await operator.approve_provider(address, seen=(await operator.proposal(address)).digest)
    found = await record()
    assert (found.prices.cpu_per_min, found.is_waiting, found.is_valid) == (4 * CREDIT, False, True)
    with pytest.raises(ContractError):
        await grid.ban(address)
    await operator.ban(address)
    found = await record()
    assert (found.is_banned, found.is_valid) == (True, False)
    with pytest.raises(ContractError):
        await operator.ban(address)
    await operator.unban(address)
    found = await record()
    assert (found.is_banned, found.is_valid) == (False, True)
    with pytest.raises(ContractError):
        await operator.unban(address)
    await operator.remove_provider(address)
    assert await record() is None
    with pytest.raises(ContractError):
        await operator.remove_provider(address)


async def test_an_estimate(stage: Stage) -> None:
    """A row a provider, those who can take it first; a reason for the others."""
    grid = stage.grid
    known = {each.address for each in await grid.providers()}
    rows = await grid.estimate(JobDefinition(1, 2, 100), 100 * CREDIT)
    assert {row.provider for row in rows} == known
    assert rows[0].reason == ""
    assert rows[0].minutes > 0
    assert rows[0].wei_per_minute > 0
    rates = [row.wei_per_minute for row in rows if not row.reason]
    assert rates == sorted(rates)
    rows = await grid.estimate(JobDefinition(1, 2, 100, gpus=1000), 100 * CREDIT)
    assert all("GPUs" in row.reason for row in rows)


async def test_why(stage: Stage) -> None:
    """A waiting job has its place and reasons; one that has ended does not wait."""
    grid = stage.grid
    much = {**WORKFLOW, "resources": {**WORKFLOW["resources"], "gpus": 1000}}  # type: ignore[dict-item]
    job = await grid.submit(much, 100 * CREDIT)
    await stage.explain()

    async def answered() -> Any:
        found = await grid.why(job.id)
        return found if found.providers else None

    report = await eventually(answered)
    assert 1 <= report.place <= report.of
    assert {row.provider for row in report.providers} == {
        each.address for each in await grid.providers()
    }
    assert all(row.reason for row in report.providers)
    await grid.cancel(job.id)

    async def ended() -> bool:
        return (await grid.why(job.id)).place == 0

    await eventually(ended)


async def test_the_grid_itself(stage: Stage) -> None:
    """The head is the newest block and has its hash; totals fit the jobs."""
    grid = stage.grid
    await submitted(stage)
    await grid.cancel((await submitted(stage)).id)
    head = await grid.head()
    assert await grid.block_hash(head.number) == head.hash
    assert await grid.block_hash(head.number + 1000) is None
    constants = await grid.constants()
    assert constants.minimum_amount == 100 * CREDIT
    seen = await grid.overview()
    assert seen.total_jobs == sum(seen.jobs.values()) == 2
    assert (seen.jobs[JobStatus.PENDING], seen.jobs[JobStatus.CANCELLED]) == (1, 1)
    assert stage.provider in {each.address for each in seen.approved()}
    assert seen.head.number >= head.number
    assert seen.endpoints
    assert seen.supply_wei >= seen.locked_wei > 0
    assert set(seen.contracts) == set(grid.contracts())
