"""What a meta-scheduler tells Prometheus."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dsq.core.chain.sent import SenderSnapshot
from dsq.core.metascheduler.counted import Counted, MetaSchedulerSnapshot
from dsq.core.metascheduler.metrics import COUNTERS, GAUGES, Exporter, P
from dsq.core.model import Address

PAGE = (Path(__file__).resolve().parents[3] / "docs/reference/metrics.md").read_text()


def _snapshot() -> MetaSchedulerSnapshot:
    return MetaSchedulerSnapshot(
        is_standby=False,
        is_hearing=True,
        waiting=9,
        placing=4,
        placed=3,
        claimed=2,
        running=1,
        providers=6,
        unfit_providers=1,
        counted=asdict(Counted(placed=11, batches=2)),
        follower=None,
        sender=SenderSnapshot(Address(bytes(20)), 1, 5, 0.0, *[0] * 9),
        endpoints=(),
    )


def _samples() -> dict[tuple[str, ...], float]:
    text = Exporter(_snapshot).text().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("name", [*GAUGES, *(f"{name}_total" for name in COUNTERS)])
def test_every_metric_is_there_and_documented(name: str) -> None:
    """docs/reference/metrics.md has a row for each."""
    assert f"| `{P}{name}` |" in PAGE
    assert P + name in {key[0] for key in _samples()}


def test_values() -> None:
    """Jobs are counted once each, by where they stand."""
    samples = _samples()
    states = ("waiting", "placing", "placed", "claimed", "running")
    assert [samples[P + "jobs", state] for state in states] == [5, 4, 3, 2, 1]
    assert samples[P + "placed_total",] == 11
    assert samples[P + "active",] == 1
    assert samples["dsq_chain_next_nonce",] == 5


def test_every_count_is_shown() -> None:
    """What the loop counts is what is shown."""
    assert set(COUNTERS) == set(asdict(Counted()))
