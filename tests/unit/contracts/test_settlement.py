"""Who gets what at the end of a job, to the wei."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsq.core.model import JobStatus, ProviderPrices
from dsq.core.units import cost_of
from tests.support.evm import (
    CREDIT,
    DEFINITION,
    PRICES,
    RATE,
    Event,
    RevertedError,
    World,
    names,
    raw_id,
)

WEI = 200 * CREDIT
BILLED_ENDS = [
    JobStatus.CANCELLED,
    JobStatus.FINISHED,
    JobStatus.FAILED,
    JobStatus.OUT_OF_CREDITS,
]


def run(world: World, seconds: int, end: JobStatus, minutes: int, wei: int = WEI) -> list[Event]:
    """A job of Alice's at ``p1`` that ends ``seconds`` after its claim."""
    job_id = world.request(wei)
    world.place(job_id)
    world.claim()
    world.report(job_id, JobStatus.RUNNING)
    world.warp(seconds - 1)
    return world.report(job_id, end, minutes)


@pytest.mark.parametrize("end", BILLED_ENDS)
def test_shares(world: World, end: JobStatus) -> None:
    """Cost to provider and fees, the rest to the customer; the three add up to what was locked."""
    events = run(world, 600, end, 10)
    cost = 10 * RATE
    fee = cost * 20 // 100
    assert names(events) == ["Transfer", "Transfer", "JobTransitionEvent"]
    assert [(e.values["to"], e.values["value"]) for e in events[:2]] == [
        (world.p1.lower, cost - fee),
        (world.alice.lower, WEI - cost),
    ]
    assert world.job(1).final_cost == cost
    assert world.balance(world.p1) == cost - fee
    assert world.balance(world.alice) == 10_000 * CREDIT - cost
    assert world.balance(world.scheduler) == world.scheduler.call("accruedFees") == fee
    assert world.terms(1)[0] == 0


def test_at_least_a_minute(world: World) -> None:
    """A job that ran and reports no whole minute is billed one."""
    run(world, 2, JobStatus.FINISHED, 0)
    assert world.job(1).final_cost == RATE


def test_never_more_than_locked(world: World) -> None:
    """A job that outlived its credits costs what was locked; the refund of 0 is still sent."""
    events = run(world, 3 * 86_400, JobStatus.OUT_OF_CREDITS, 4_000)
    assert world.job(1).final_cost == WEI
    assert events[1].values["value"] == 0
    assert world.balance(world.p1) == WEI - WEI * 20 // 100


@pytest.mark.parametrize(
    ("seconds", "reported", "billed"),
    [
        (59, 1, 1),
        (59, 2, 1),
        (60, 2, 2),
        (60, 3, 2),
        (119, 2, 2),
        (119, 3, 2),
        (6_000, 101, 101),
        (6_000, 102, 101),
        (6_000, 2**64 - 1, 101),
    ],
)
def test_bound(world: World, seconds: int, reported: int, billed: int) -> None:
    """At most the minutes begun since the claim are billed; more is told with what was reported."""
    events = run(world, seconds, JobStatus.FINISHED, reported, wei=1_000 * CREDIT)
    assert world.job(1).final_cost == billed * RATE
    excess = [event.values for event in events if event.name == "BilledTooMuchEvent"]
    if reported > billed:
        assert events[0].name == "BilledTooMuchEvent"
        assert excess == [
            {"_jobId": raw_id(1), "_providerAddr": world.p1.lower, "_billingAmount": reported}
        ]
    else:
        assert excess == []


def test_late_report_of_the_start(world: World) -> None:
    """A job that ran while its supervisor was down bills its true time: the claim counts."""
    job_id = world.request()
    world.place(job_id)
    world.claim()
    world.warp(45 * 60)
    world.report(job_id, JobStatus.RUNNING)
    events = world.report(job_id, JobStatus.FINISHED, 44)
    assert names(events) == ["Transfer", "Transfer", "JobTransitionEvent"]
    assert world.job(job_id).final_cost == 44 * RATE


def test_second_claim_counts_anew(world: World) -> None:
    """The time that an earlier provider held the job is not billed."""
    job_id = world.job_at(JobStatus.SCHEDULED)
    world.warp(3_600)
    world.refuse(job_id)
    world.place(job_id, world.p2)
    world.claim(world.p2)
    world.report(job_id, JobStatus.RUNNING, provider=world.p2)
    events = world.report(job_id, JobStatus.FINISHED, 60, provider=world.p2)
    assert events[0].name == "BilledTooMuchEvent"
    assert world.job(job_id).final_cost == RATE


def test_provider_panic_is_free(world: World) -> None:
    """A job that its provider reports as panicked costs nothing, whatever the minutes say."""
    events = run(world, 600, JobStatus.PANICKED, 10)
    assert names(events) == ["Transfer", "JobTransitionEvent"]
    assert world.job(1).final_cost == 0
    assert world.balance(world.alice) == 10_000 * CREDIT


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (JobStatus.META_SCHEDULED, JobStatus.CANCELLED),
        (JobStatus.META_SCHEDULED, JobStatus.PANICKED),
        (JobStatus.SCHEDULED, JobStatus.CANCELLED),
        (JobStatus.SCHEDULED, JobStatus.FAILED),
        (JobStatus.SCHEDULED, JobStatus.PANICKED),
    ],
)
def test_never_ran_is_free(world: World, status: JobStatus, end: JobStatus) -> None:
    """A job that ends before it runs costs nothing; one payment, then the transition."""
    job_id = world.job_at(status)
    world.warp(3_600)
    assert names(world.report(job_id, end, 60)) == ["Transfer", "JobTransitionEvent"]
    assert world.job(job_id).final_cost == 0
    assert world.balance(world.alice) == 10_000 * CREDIT
    assert world.balance(world.p1) == 0


def test_free_provider(world: World) -> None:
    """Prices of 0 buy the most time there is, cost nothing and pay nobody."""
    world.join(world.p1, ProviderPrices(0, 0, 0))
    job_id = world.request()
    world.place(job_id)
    assert world.claim()[0].values["maxDurationMinute"] == 2**64 - 1
    world.report(job_id, JobStatus.RUNNING)
    world.warp(6_000)
    assert names(world.report(job_id, JobStatus.FINISHED, 100)) == [
        "Transfer",
        "JobTransitionEvent",
    ]
    assert world.balance(world.alice) == 10_000 * CREDIT


def test_boundless_prices(world: World) -> None:
    """Prices that do not fit buy no minute and cost all that is locked; nothing gets stuck."""
    world.join(world.p1, ProviderPrices(2**256 - 1, 2**256 - 1, 2**256 - 1))
    job_id = world.request()
    world.place(job_id)
    assert world.claim()[0].values["maxDurationMinute"] == 0
    world.report(job_id, JobStatus.RUNNING)
    world.report(job_id, JobStatus.FINISHED, 1)
    assert world.job(job_id).final_cost == WEI


class TestTermsAreFixed:
    """Once a job is placed, nothing changes its price or the fee."""

    DEARER = ProviderPrices(2 * PRICES.gpu_per_min, 2 * PRICES.cpu_per_min, 2 * PRICES.mem_per_min)

    @pytest.mark.parametrize(
        "status", [JobStatus.META_SCHEDULED, JobStatus.SCHEDULED, JobStatus.RUNNING]
    )
    def test_new_prices(self, world: World, status: JobStatus) -> None:
        """New prices count for jobs placed after their approval."""
        job_id = world.job_at(status)
        world.join(world.p1, self.DEARER)
        if status == JobStatus.META_SCHEDULED:
            assert world.claim()[0].values["maxDurationMinute"] == WEI // RATE
        if status != JobStatus.RUNNING:
            world.report(job_id, JobStatus.RUNNING)
        world.top_up(job_id, 10 * RATE)
        assert world.claim_top_up()[0].values["maxDurationMinute"] == 10
        world.warp(600)
        world.report(job_id, JobStatus.FINISHED, 10)
        assert world.job(job_id).final_cost == 10 * RATE

    def test_placed_again_at_new_prices(self, world: World) -> None:
        """A job that was handed back gets the prices of its next placement."""
        job_id = world.job_at(JobStatus.SCHEDULED)
        world.refuse(job_id)
        world.join(world.p1, self.DEARER)
        world.place(job_id)
        assert world.claim()[0].values["maxDurationMinute"] == WEI // (2 * RATE)

    def test_new_fee(self, world: World) -> None:
        """A new fee counts for jobs placed after it was set."""
        job_id = world.job_at(JobStatus.META_SCHEDULED)
        world.constants.send("setDeepsquareCut", 100)
        world.claim()
        world.report(job_id, JobStatus.RUNNING)
        world.report(job_id, JobStatus.FINISHED, 1)
        assert world.scheduler.call("accruedFees") == RATE * 20 // 100

    def test_removed_provider(self, world: World) -> None:
        """A provider that was removed and let in again finishes its job at the old price."""
        job_id = world.job_at(JobStatus.RUNNING)
        world.providers.send("remove", world.p1)
        world.join(world.p1, self.DEARER)
        world.report(job_id, JobStatus.FINISHED, 1)
        assert world.job(job_id).final_cost == RATE


@pytest.mark.parametrize("percent", [0, 1, 100])
def test_fees_of_every_size(world: World, percent: int) -> None:
    """No fee, a fee, and everything as fee settle alike."""
    world.constants.send("setDeepsquareCut", percent)
    run(world, 600, JobStatus.FINISHED, 10)
    assert world.balance(world.p1) == 10 * RATE - 10 * RATE * percent // 100


class TestFees:
    def test_only_fees_can_be_withdrawn(self, world: World) -> None:
        """The credits of open jobs are out of the administrator's reach."""
        run(world, 600, JobStatus.FINISHED, 10)
        open_job = world.request(500 * CREDIT, customer=world.bob)
        fees = 2 * RATE
        held = world.balance(world.scheduler)
        assert held == 500 * CREDIT + fees
        with pytest.raises(RevertedError) as error:
            world.scheduler.send("withdrawAdmin", fees + 1)
        assert (error.value.name, error.value.values) == ("InsufficientFunds", (fees, fees + 1))
        before = world.balance(world.admin)
        world.scheduler.send("withdrawAdmin", fees - 1)
        world.scheduler.send("withdrawAdmin", 1)
        assert world.balance(world.admin) == before + fees
        assert world.scheduler.call("accruedFees") == 0
        world.cancel(open_job, world.bob)
        assert world.balance(world.bob) == 10_000 * CREDIT

    def test_gifts_are_no_fees(self, world: World) -> None:
        """Credits sent to the contract by mistake are not the administrator's."""
        world.credit.send("transfer", world.scheduler, CREDIT, sender=world.bob)
        with pytest.raises(RevertedError) as error:
            world.scheduler.send("withdrawAdmin", 1)
        assert error.value.values == (0, 1)

    def test_only_administrators(self, world: World) -> None:
        """Nobody else withdraws or flips the switch, not even the meta-scheduler."""
        for function, value in (("withdrawAdmin", 0), ("setEnableRequestNewJob", False)):
            with pytest.raises(RevertedError) as error:
                world.scheduler.send(function, value, sender=world.service)
            assert error.value.name == "Error"
            assert "is missing role 0x" + "00" * 32 in error.value.values[0]


def test_escrow_of_one_job_never_pays_another(world: World) -> None:
    """A job that was written to the repository without credits is worth nothing."""
    world.request(1_000 * CREDIT, customer=world.bob)
    world.jobs.send("grantRole", world.jobs.call("METASCHEDULER_ROLE"), world.admin)
    raw = list(world.jobs.call("get", raw_id(1)))
    raw[2] = world.alice
    world.jobs.send("create", tuple(raw))
    world.place(2)
    world.claim()
    world.report(2, JobStatus.RUNNING)
    world.warp(6_000)
    world.report(2, JobStatus.FINISHED, 100)
    assert world.balance(world.p1) == 0
    assert world.balance(world.scheduler) == 1_000 * CREDIT


@settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    wei=st.integers(100 * CREDIT, 9_000 * CREDIT),
    top_up=st.integers(0, 900 * CREDIT),
    prices=st.builds(
        ProviderPrices, st.integers(0, 10**21), st.integers(0, 10**20), st.integers(0, 10**17)
    ),
    percent=st.integers(0, 100),
    seconds=st.integers(3, 10**7),
    minutes=st.integers(0, 10**6),
    end=st.sampled_from([*BILLED_ENDS, JobStatus.PANICKED]),
)
def test_nothing_is_lost(
    wei: int,
    top_up: int,
    prices: ProviderPrices,
    percent: int,
    seconds: int,
    minutes: int,
    end: JobStatus,
) -> None:
    """Provider, fees and refund add up to what was locked, and the cost is the formula's."""
    world = World()
    world.constants.send("setDeepsquareCut", percent)
    world.join(world.p1, prices)
    job_id = world.request(wei)
    world.place(job_id)
    world.claim()
    claimed = world.time
    world.report(job_id, JobStatus.RUNNING)
    if top_up:
        world.top_up(job_id, top_up)
    world.warp(seconds)
    world.report(job_id, end, minutes)
    billed = min(max(1, minutes), (world.time - claimed) // 60 + 1)
    cost = min(cost_of(DEFINITION, prices, billed), wei + top_up)
    if end == JobStatus.PANICKED:
        cost = 0
    fee = cost * percent // 100
    assert world.job(job_id).final_cost == cost
    assert world.balance(world.p1) == cost - fee
    assert world.balance(world.scheduler) == world.scheduler.call("accruedFees") == fee
    assert world.balance(world.alice) == 10_000 * CREDIT - cost
