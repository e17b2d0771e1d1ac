"""What a meta-scheduler tells Prometheus. Names and meaning: docs/reference/metrics.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dsq.core.chain.metrics import endpoint_metrics, follower_metrics, sender_metrics
from dsq.core.metascheduler.counted import MetaSchedulerSnapshot

P = "dsq_metascheduler_"

GAUGES = {
    "active": "1 if it places jobs, 0 while it stands by.",
    "hearing": "1 if the chain was heard of in the last 30 seconds.",
    "jobs": "Open jobs by state: waiting, placing, placed, claimed, running.",
    "providers": "Known providers by whether they may get jobs: fit, unfit.",
}
"""Names without the prefix, and what they say."""

COUNTERS = {
    "placed": "Jobs given to a provider since the start.",
    "failed": "Placements that did not take effect.",
    "batches": "Transactions of placements.",
    "taken_back": "Jobs taken from a provider that did not claim them.",
    "refused": "Jobs that a provider handed back.",
    "rebuilds": "How often the whole grid was read.",
}
"""The same for what only grows; Prometheus sees ``_total`` behind the name."""


class MetaSchedulerCollector(Collector):
    """Reads a snapshot when somebody asks.

    Args:
        look: Makes the snapshot.
    """

    def __init__(self, look: Callable[[], MetaSchedulerSnapshot]) -> None:
        self._look = look

    def describe(self) -> Iterator[Metric]:
        """Names are not asked for when it is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All metrics, with what is true now."""
        seen = self._look()
        yield _gauge("active", "", {"": not seen.is_standby})
        yield _gauge("hearing", "", {"": seen.is_hearing})
        jobs = {
            "waiting": seen.waiting - seen.placing,
            "placing": seen.placing,
            "placed": seen.placed,
            "claimed": seen.claimed,
            "running": seen.running,
        }
        yield _gauge("jobs", "state", jobs)
        yield _gauge("providers", "state", {"fit": seen.providers, "unfit": seen.unfit_providers})
        for name, text in COUNTERS.items():
            total = CounterMetricFamily(P + name, text)
            total.add_metric([], seen.counted[name])
            yield total
        yield from sender_metrics(seen.sender)
        yield from endpoint_metrics(seen.endpoints)
        if seen.follower is not None:
            yield from follower_metrics(seen.follower)


def _gauge(name: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(P + name, GAUGES[name], labels=[label] if label else [])
    for value, count in values.items():
        family.add_metric([value] if label else [], count)
    return family


class Exporter:
    """The text of ``/metrics``.

    Args:
        look: Makes the snapshot.
    """

    def __init__(self, look: Callable[[], MetaSchedulerSnapshot]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(MetaSchedulerCollector(look))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self._registry)
