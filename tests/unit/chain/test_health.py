"""Which of several nodes is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.chain.health import (
    FIRST_PAUSE,
    LAG_BLOCKS,
    LONGEST_PAUSE,
    STEADY_SECONDS,
    EndpointState,
    Health,
    is_overloaded,
    order,
    pause_after,
)


def _node(name: str = "a", state: EndpointState = EndpointState.HEALTHY) -> Health:
    node = Health(f"http://{name}")
    node.state = state
    return node


def test_pauses_double_to_a_minute() -> None:
    """A node that stays away is asked ever more rarely, but at least every minute."""
    pauses = [pause_after(count) for count in range(1, 200)]
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert max(pauses) == pauses[-1] == LONGEST_PAUSE


def test_faults_and_recovery() -> None:
    """Down after a fault, healthy after an answer; the faults are forgotten once it is steady."""
    node = _node(state=EndpointState.UNKNOWN)
    node.failed(100.0, "connection refused")
    assert (node.state, node.retry_at, node.is_verified) == (EndpointState.DOWN, 101.0, False)
    node.answered(102.0, 0.01)
    assert (node.state, node.failures, node.last_error) == (
        EndpointState.HEALTHY,
        1,
        "connection refused",
    )
    node.failed(103.0, "again")
    assert node.retry_at == 105.0
    node.answered(106.0, 0.01)
    node.answered(106.0 + STEADY_SECONDS, 0.01)
    assert node.failures == 0


@pytest.mark.parametrize(
    ("behind", "state"),
    [
        (0, EndpointState.HEALTHY),
        (LAG_BLOCKS, EndpointState.HEALTHY),
        (LAG_BLOCKS + 1, EndpointState.LAGGING),
    ],
)
def test_a_node_that_stays_behind_lags(behind: int, state: EndpointState) -> None:
    """Lag is counted against the best head of the same check, and ends with it."""
    node = _node()
    node.saw(100 - behind)
    node.compared(100)
    assert (node.state, node.lag) == (state, behind)
    node.saw(101)
    node.compared(101)
    assert (node.state, node.lag) == (EndpointState.HEALTHY, 0)


def test_order() -> None:
    """Healthy before lagging before down; the settings decide among equals."""
    one, two, lagging, more, down, later, wrong = (
        _node("one"),
        _node("two", EndpointState.UNKNOWN),
        _node("lagging", EndpointState.LAGGING),
        _node("more", EndpointState.LAGGING),
        _node("down"),
        _node("later"),
        _node("wrong"),
    )
    lagging.lag, more.lag = 7, 9
    down.failed(10.0, "")
    later.failed(10.0, "")
    later.failed(10.0, "")
    wrong.is_wrong(10.0, "")
    nodes = [wrong, later, down, more, lagging, one, two]
    assert [nodes[place] for place in order(nodes, 10.5)] == [
        one,
        two,
        lagging,
        more,
        down,
        later,
    ]
    assert [nodes[place] for place in order(nodes, 11.5)][-1] is wrong
    assert order([wrong], 10.5) == [0]


@given(st.lists(st.sampled_from(list(EndpointState)), min_size=1, max_size=6))
def test_somebody_is_always_asked_and_nobody_twice(states: list[EndpointState]) -> None:
    """Whatever the states, there is a first node to ask."""
    nodes = []
    for state in states:
        node = _node()
        if state is EndpointState.DOWN:
            node.failed(0.0, "")
        elif state is EndpointState.WRONG_CHAIN:
            node.is_wrong(0.0, "")
        else:
            node.state = state
        nodes.append(node)
    places = order(nodes, 0.5)
    assert places
    assert len(places) == len(set(places))
    if EndpointState.HEALTHY in states:
        assert nodes[places[0]].state in (EndpointState.HEALTHY, EndpointState.UNKNOWN)


@pytest.mark.parametrize(
    ("code", "words", "load"),
    [
        (-32005, "daily request count exceeded, request rate limited: rate limit", True),
        (429, "", True),
        (-32000, "Your app has exceeded its compute units per second capacity", True),
        (-32005, "query returned more than 10000 results", False),
        (3, "execution reverted", False),
    ],
)
def test_faults_of_load(code: int, words: str, load: bool) -> None:
    """A node that has too much to do is told from a request that asks too much."""
    assert is_overloaded(code, words) is load


def test_snapshot() -> None:
    """What screens show."""
    node = _node()
    node.saw(7)
    node.failed(10.0, "no answer")
    shown = node.snapshot(10.25, is_current=True)
    assert (shown.url, shown.state, shown.head, shown.retry_seconds) == (
        "http://a",
        "down",
        7,
        0.75,
    )
