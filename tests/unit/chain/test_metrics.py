"""What senders, nodes and followers tell Prometheus."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from dsq.core.chain.followed import FollowerSnapshot
from dsq.core.chain.health import EndpointSnapshot, EndpointState
from dsq.core.chain.metrics import (
    COUNTERS,
    GAUGES,
    OUTCOMES,
    P,
    endpoint_metrics,
    follower_metrics,
    sender_metrics,
)
from dsq.core.chain.sent import SenderSnapshot
from dsq.core.model import Address

PAGE = (Path(__file__).resolve().parents[3] / "docs/reference/metrics.md").read_text()

SENDER = SenderSnapshot(Address(bytes(20)), 3, 8, 1.5, *range(1, 10))
NODE = EndpointSnapshot(
    "https://node.example", EndpointState.LAGGING, True, 40, 7, 0.2, "late", 2, 0.0
)
FOLLOWER = FollowerSnapshot(50, 1_000, 48, 45, 2, 3, 0.1)


def _all() -> list[Metric]:
    return [*sender_metrics(SENDER), *endpoint_metrics([NODE]), *follower_metrics(FOLLOWER, 1_004)]


def _values(metrics: list[Metric]) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix(P), *sample.labels.values()): sample.value
        for metric in metrics
        for sample in metric.samples
    }


@pytest.mark.parametrize("name", [*GAUGES, *(f"{name}_total" for name in COUNTERS)])
def test_every_metric_is_there_and_documented(name: str) -> None:
    """docs/reference/metrics.md has a row for each, and each has a value."""
    assert f"| `{P}{name}` |" in PAGE
    assert name in {key[0] for key in _values(_all())}


def test_values() -> None:
    """What the snapshots say."""
    values = _values(_all())
    assert values["transactions_in_flight",] == 3
    assert values["next_nonce",] == 8
    assert values["transactions_total", "sent"] == 1
    assert values["endpoint_state", NODE.url, "lagging"] == 1
    assert values["endpoint_state", NODE.url, "healthy"] == 0
    assert values["endpoint_lag_blocks", NODE.url] == 7
    assert values["head_age_seconds",] == 4
    assert values["lag_blocks",] == 5
    assert values["reorgs_total",] == 2


def test_every_outcome_is_counted() -> None:
    """Each count of a sender's snapshot is an outcome."""
    fields = {field.name for field in dataclasses.fields(SenderSnapshot)}
    assert set(OUTCOMES) == fields - {"account", "in_flight", "next_nonce", "oldest_seconds"}


def test_what_is_not_known_is_left_out() -> None:
    """Nothing is shown as 0 that nobody has asked for yet."""
    fresh = EndpointSnapshot("u", EndpointState.UNKNOWN, False, None, 0, None, "", 0, 0.0)
    nothing = FollowerSnapshot(None, None, -1, -1, 0, 0, None)
    names = {key[0] for key in _values([*endpoint_metrics([fresh]), *follower_metrics(nothing)])}
    assert not {"endpoint_head", "endpoint_latency_seconds", "head", "quiet_seconds"} & names
