"""What the service counts, for Prometheus (docs/reference/metrics.md)."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

PREFIX = "dsq_sbatch_"

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of one service; each service of a process has its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        counter, gauge, timer = self._counter, self._gauge, self._timer
        self.http_requests = counter("http_requests", "HTTP requests answered.", "route", "status")
        self.http_seconds = timer("http_seconds", "Time of HTTP requests.", "route")
        self.submits = counter("submits", "Workflows submitted, by what became of them.", "result")
        self.submit_seconds = timer("submit_seconds", "Time to check, render and keep.")
        self.scripts = gauge("scripts", "Scripts kept, at the last clean-up.")
        self.scripts_deleted = counter("scripts_deleted", "Scripts whose time was over.")
        self.grpc_calls = counter("grpc_calls", "gRPC calls ended.", "method", "status")
        self.grpc_seconds = timer("grpc_seconds", "Time of calls with one answer.", "method")
        self.streams = gauge("streams", "Streams that are open.", "method")
        self.refused = counter("refused", "Calls refused by a limit on addresses.", "limit")
        self.log_lines = counter("log_lines", "Lines of logs stored or sent.", "direction")
        self.log_bytes = counter("log_bytes", "Bytes of logs stored or sent.", "direction")
        self.log_dropped = counter("log_dropped_lines", "Lines that went for a quota or by age.")
        self.chain_up = gauge("chain_up", "1 if the chain answered when last asked.")
        self.store_up = gauge("store_up", "1 if the store answered when last asked.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(PREFIX + name, text, labels, registry=self.registry)

    def _timer(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(PREFIX + name, text, labels, registry=self.registry, buckets=BUCKETS)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)

    def names(self) -> set[str]:
        """The names of all metrics, as Prometheus shows them."""
        found = set()
        for family in self.registry.collect():
            suffix = "_total" if family.type == "counter" else ""
            found.add(family.name + suffix)
        return found
