"""The formulas of the contracts and those of core/units.py are the same."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsq.core.model import JobDefinition, ProviderPrices
from dsq.core.units import cost_of, minutes_for, wei_per_minute
from tests.support.evm import GENESIS, Contract, definition_tuple, prices_tuple

UINT256 = 2**256 - 1
UINT64 = 2**64 - 1

QUICK = settings(
    max_examples=2_000,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def numbers(largest: int) -> st.SearchStrategy[int]:
    """Numbers of every size up to the largest, small ones as often as large ones."""
    bits = largest.bit_length()
    return st.integers(0, bits).flatmap(lambda n: st.integers(0, min(2**n, largest)))


definitions = st.builds(
    JobDefinition,
    ntasks=numbers(UINT64),
    cpus_per_task=numbers(UINT64),
    mem_per_cpu=numbers(UINT64),
    gpus=numbers(UINT64),
)
prices = st.builds(
    ProviderPrices,
    gpu_per_min=numbers(UINT256),
    cpu_per_min=numbers(UINT256),
    mem_per_min=numbers(UINT256),
)


def saturated(definition: JobDefinition, price: ProviderPrices) -> int:
    """The rate as far as the contract can count."""
    return min(wei_per_minute(definition, price), UINT256)


def compare(
    tools: Contract, definition: JobDefinition, price: ProviderPrices, minutes: int, wei: int
) -> None:
    """Asserts that contract and client compute the same."""
    job, rates = definition_tuple(definition), prices_tuple(price)
    cost = tools.call("convertDurationToCredit", job, rates, minutes)
    assert cost == min(cost_of(definition, price, minutes), UINT256)
    bought = tools.call("convertCreditToDuration", job, rates, wei)
    if wei_per_minute(definition, price) <= UINT256:
        assert bought == minutes_for(definition, price, wei)
    else:
        assert bought == wei // saturated(definition, price)


CASES = given(definition=definitions, price=prices, minutes=numbers(UINT64), wei=numbers(UINT256))


@QUICK
@CASES
def test_cost_and_minutes(
    tools: Contract, definition: JobDefinition, price: ProviderPrices, minutes: int, wei: int
) -> None:
    """Cost of a time and time for a cost agree for all inputs; what does not fit saturates."""
    compare(tools, definition, price, minutes, wei)


@settings(QUICK, max_examples=300)
@given(
    definition=definitions,
    price=prices,
    wei=numbers(UINT256),
    start=st.integers(GENESIS - 10**8, GENESIS + 10**8),
)
def test_remaining_time(
    tools: Contract, definition: JobDefinition, price: ProviderPrices, wei: int, start: int
) -> None:
    """What is bought less the whole minutes that have passed, never below zero."""
    job = job_tuple(definition, wei, start)
    left = tools.call("getRemainingTime", job, prices_tuple(price))
    rate = saturated(definition, price)
    bought = min(wei // rate, UINT64) if rate else UINT64
    assert left == max(0, bought - max(0, tools.chain.time - start) // 60)


@settings(QUICK, max_examples=200)
@given(definition=definitions)
def test_valid_definitions(tools: Contract, definition: JobDefinition) -> None:
    """A job needs a task, a hardware thread and a MB; GPUs may be 0."""
    valid = min(definition.ntasks, definition.cpus_per_task, definition.mem_per_cpu) > 0
    assert tools.call("isJobDefinitionValid", definition_tuple(definition)) is valid


def job_tuple(definition: JobDefinition, wei: int, start: int) -> tuple[Any, ...]:
    """A job with what the remaining time depends on."""
    nobody = "0x" + "00" * 20
    cost = (wei, 0, 0, False)
    times = (0, start, 0, 0, 0, 0)
    job = definition_tuple(definition)
    return (bytes(32), 3, nobody, nobody, job, cost, times, bytes(32), False, "", 0)


def test_free_job_lasts(tools: Contract) -> None:
    """At a rate of 0 any amount buys the most minutes there are."""
    job = definition_tuple(JobDefinition(ntasks=1, cpus_per_task=1, mem_per_cpu=1))
    assert tools.call("convertCreditToDuration", job, (0, 0, 0), 0) == UINT64


def test_published_prices(tools: Contract) -> None:
    """The published prices give the published rate: 8.5 a GPU, 0.95 a thread, 8e-5 a MB."""
    definition = JobDefinition(ntasks=4, cpus_per_task=8, mem_per_cpu=2_000, gpus=2)
    price = ProviderPrices(8_500_000_000_000_000_000, 950_000_000_000_000_000, 80_000_000_000_000)
    rate = tools.call(
        "convertDurationToCredit", definition_tuple(definition), prices_tuple(price), 1
    )
    assert rate == 52_520_000_000_000_000_000
