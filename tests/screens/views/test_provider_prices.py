"""Prices, shares and filters of dsq-provider, as pure functions."""

from __future__ import annotations

import dataclasses

import pytest

from dsq.console.provider.prices import (
    SAMPLES,
    ShareHistory,
    earned_a_node_hour,
    percents,
    price_rows,
    price_state,
)
from dsq.console.provider.view import node_columns
from dsq.console.widgets.row_filter import parse_row_filter
from dsq.core.errors import UsageError
from dsq.core.model import ProviderPrices
from dsq.core.units import CREDIT
from dsq.supervisor.snapshot import NodeRow, Shares
from tests.support.fake_supervisor import some_snapshot

PRICES = ProviderPrices(
    gpu_per_min=8 * CREDIT, cpu_per_min=CREDIT // 2, mem_per_min=CREDIT // 10_000
)
NODES = tuple(NodeRow(f"n{n}", "idle", 32, 128_000, 4) for n in (1, 2))


def test_a_node_costs_what_a_job_that_fills_it_would() -> None:
    """CPUs, GPUs and memory together, exactly; of an hour the grid keeps its part."""
    snapshot = some_snapshot(prices=PRICES, nodes=NODES, fee_percent=20)
    rows = {row.what: row for row in price_rows(snapshot)}
    assert rows["CPU"].minute == CREDIT // 2
    assert rows["GB of memory"].minute == CREDIT // 10
    node = rows["node: 32 CPUs, 4 GPUs, 128 GB ×2"]
    assert node.minute == (16 + 32) * CREDIT + 128_000 * CREDIT // 10_000
    assert (node.hour, node.share) == (60 * node.minute, 48 * node.minute)
    assert rows["all 2 nodes"].hour == 2 * node.hour
    assert price_rows(some_snapshot(prices=None)) == []


def test_the_prices_on_chain_are_those_that_hold() -> None:
    """Without an approved record none do; changed ones stand beside them."""
    snapshot = some_snapshot(prices=PRICES)
    assert snapshot.provider is not None
    approved = dataclasses.replace(snapshot.provider, prices=PRICES)
    for provider, mark, same in ((None, "○", False), (snapshot.provider, "◷", False),
                                 (approved, "●", True)):  # fmt: skip
        shown = dataclasses.replace(snapshot, provider=provider)
        assert price_state(shown)[0].startswith(mark)
        assert all((row.chain == row.minute) is same for row in price_rows(shown))


def test_a_node_hour_is_of_all_nodes_and_the_whole_day() -> None:
    """Unknown without nodes."""
    assert earned_a_node_hour(some_snapshot(earned_today=96 * CREDIT, nodes=NODES)) == 2 * CREDIT
    assert earned_a_node_hour(some_snapshot(nodes=())) is None


@pytest.mark.parametrize("parts", [(1, 1, 1), (0, 0, 7), (5, 0, 0), (199, 1, 0), (0, 0, 0)])
def test_percents_make_a_hundred(parts: tuple[int, int, int]) -> None:
    """Whatever is rounded; no part is negative."""
    shown = percents(Shares(*parts))
    assert sum(shown) == 100 or not any(parts)
    assert min(shown) >= 0


def test_the_history_has_a_bar_for_five_minutes() -> None:
    """The mean of each; the oldest go, and a clock that was set back begins another."""
    history = ShareHistory()
    history.take(0, None)
    assert history.line == ""
    for at, grid in ((0, 0), (200, 8), (300, 8), (600, 0)):
        history.take(at, Shares(grid, 0, 8 - grid))
    assert history.line == "▄█▁"
    history.take(10, Shares(8, 0, 0))
    assert history.line == "▄█▁█"
    for number in range(20):
        history.take(1000 + 300 * number, Shares(8, 0, 0))
    assert history.line == "█" * SAMPLES


def kept(text: str) -> list[str]:
    nodes = some_snapshot().nodes
    columns = node_columns()
    keep = parse_row_filter(text, [column.key for column in columns]).keep(nodes, columns)
    return [row.name for row in keep]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["n1", "n[3-4]", "n7", "n8"]),
        ("A100", ["n1", "n[3-4]", "n8"]),
        ("a100 !down", ["n1", "n[3-4]"]),
        ("state:idle|mixed", ["n1", "n[3-4]"]),
        ("!state:idle", ["n[3-4]", "n7", "n8"]),
        ("name:~^n[78]$", ["n7", "n8"]),
        ("~allocated.*0/32", ["n7"]),
        ('"free cpus"', []),
    ],
)
def test_what_a_filter_keeps(text: str, names: list[str]) -> None:
    """Words by and, columns, either, not, regular expressions; small and large letters alike."""
    assert kept(text) == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stat:down", "Did you mean 'state'"),
        ("~(", "cannot be read"),
        ('"open', "not closed"),
    ],
)
def test_a_wrong_filter_is_one_sentence(text: str, words: str) -> None:
    """It names what is wrong, and the close match."""
    with pytest.raises(UsageError, match=words):
        kept(text)


def test_times_and_hashes_are_words() -> None:
    """Only a name before a colon is a column's."""
    assert kept("12:03") == []
    assert kept("0x81:c2") == []
