"""Time and money of a job as of now."""

from __future__ import annotations

from dataclasses import replace

from dsq.console.user.accounting import account, minutes_bought
from dsq.core.model import JobCost, JobStatus, ProviderPrices
from dsq.core.units import CREDIT, wei_per_minute
from tests.support.fake_grid import GAIA, NOW, job, provider

P = provider(GAIA, "gaia")


def test_a_waiting_job_costs_nothing() -> None:
    """All locked credits would come back."""
    reckoned = account(job(1, JobStatus.PENDING, locked=160), None, NOW)
    assert (reckoned.so_far, reckoned.comes_back, reckoned.left) == (0, 160 * CREDIT, None)
    assert not reckoned.ran


def test_a_running_job_is_billed_by_begun_minutes_as_on_chain() -> None:
    """Cost so far is whole minutes, at least one, times the rate."""
    running = job(1, JobStatus.RUNNING, at=GAIA, start=-30, locked=100)
    rate = wei_per_minute(running.definition, P.prices)
    assert account(running, P, NOW).so_far == rate
    assert account(running, P, NOW + 60).so_far == rate
    assert account(running, P, NOW + 90).so_far == 2 * rate


def test_a_running_job_knows_its_limit() -> None:
    """Left, end and cost at the limit follow from what its credits buy."""
    running = job(1, JobStatus.RUNNING, at=GAIA, start=-60, locked=100)
    rate = wei_per_minute(running.definition, P.prices)
    minutes = 100 * CREDIT // rate
    reckoned = account(running, P, NOW)
    assert reckoned.left == minutes * 60 - 60
    assert reckoned.ends_at == NOW - 60 + minutes * 60
    assert reckoned.at_limit == minutes * rate <= 100 * CREDIT
    assert reckoned.so_far + reckoned.comes_back == reckoned.locked


def test_a_job_past_its_limit_costs_no_more_than_it_bought() -> None:
    """Until its provider reports the end, the screen shows the limit, not more."""
    late = job(1, JobStatus.RUNNING, at=GAIA, start=-(10**7), locked=100)
    reckoned = account(late, P, NOW)
    assert reckoned.left == 0
    assert reckoned.so_far == reckoned.at_limit
    assert reckoned.part == 1.0


def test_a_top_up_counts_once_it_is_time() -> None:
    """Credits that the provider has not claimed yet lengthen nothing."""
    running = job(1, JobStatus.RUNNING, at=GAIA, start=-60, locked=100)
    more = replace(running, cost=JobCost(150 * CREDIT, 0, 50 * CREDIT))
    assert account(more, P, NOW).left == account(running, P, NOW).left
    claimed = replace(running, cost=JobCost(150 * CREDIT))
    assert (account(claimed, P, NOW).left or 0) > (account(running, P, NOW).left or 0)


def test_an_ended_job_shows_its_settlement() -> None:
    """Cost and refund add up to what was locked."""
    ended = job(1, JobStatus.FINISHED, at=GAIA, start=-3600, end=-100, cost=5520, locked=90)
    reckoned = account(ended, P, NOW)
    assert reckoned.elapsed == 3500
    assert reckoned.so_far + reckoned.comes_back == 90 * CREDIT


def test_a_job_cancelled_before_its_start_never_ran() -> None:
    """The contract sets its start to its end; the screen does not call that a run."""
    never = job(1, JobStatus.CANCELLED, start=-50, end=-50)
    assert not account(never, None, NOW).ran


def test_an_unknown_provider_leaves_the_cost_open() -> None:
    """Without prices there is no limit and no cost, but the time is known."""
    reckoned = account(job(1, JobStatus.RUNNING, at=GAIA, start=-60), None, NOW)
    assert (reckoned.elapsed, reckoned.left, reckoned.rate) == (60, None, None)


def test_a_free_provider_has_no_limit() -> None:
    """A rate of nothing buys endless time: no limit is shown."""
    free = replace(P, prices=ProviderPrices(0, 0, 0))
    reckoned = account(job(1, JobStatus.RUNNING, at=GAIA, start=-60), free, NOW)
    assert (reckoned.left, reckoned.so_far) == (None, 0)


def test_a_clock_behind_the_chain_shows_no_negative_time() -> None:
    """A block may be a second ahead of this machine."""
    assert account(job(1, JobStatus.RUNNING, at=GAIA, start=30), P, NOW).elapsed == 0


def test_minutes_of_a_top_up() -> None:
    """What more credits buy is known once the provider is."""
    running = job(1, JobStatus.RUNNING, at=GAIA, start=-60)
    rate = wei_per_minute(running.definition, P.prices)
    assert minutes_bought(running, P, 10 * rate + 1) == 10
    assert minutes_bought(running, None, rate) is None
