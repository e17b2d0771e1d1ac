"""What programs that use the chain tell Prometheus about it: senders, nodes, followers.

Everything is read from frozen snapshots when somebody asks. Names and meaning are in
docs/reference/metrics.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from dsq.core.chain.followed import FollowerSnapshot
from dsq.core.chain.health import EndpointSnapshot, EndpointState
from dsq.core.chain.sent import SenderSnapshot

P = "dsq_chain_"

GAUGES = {
    "transactions_in_flight": "Transactions that are not mined yet.",
    "next_nonce": "The nonce of the next transaction, as far as is known.",
    "oldest_transaction_seconds": "Since the newest attempt of the oldest one under way.",
    "endpoint_state": "1 for the state of each node: " + ", ".join(EndpointState) + ".",
    "endpoint_current": "1 for the node that is asked now.",
    "endpoint_head": "The newest block that a node told of.",
    "endpoint_lag_blocks": "Blocks behind the best node.",
    "endpoint_latency_seconds": "Duration of a node's last answer.",
    "endpoint_failures": "Faults of a node since it was last steady.",
    "head": "The newest block that the follower heard of.",
    "head_age_seconds": "Age of that block by this machine's clock.",
    "cursor": "The last block whose events were handled.",
    "lag_blocks": "Blocks whose events are not handled yet.",
    "quiet_seconds": "Since the chain last answered the follower.",
}
"""Names without the prefix, and what they say."""

COUNTERS = {
    "transactions": "What became of transactions since the start, by outcome.",
    "reorgs": "How often the chain went back since the start.",
    "follow_failures": "Looks of the follower at the chain that failed since the start.",
}
"""The same for what only grows; Prometheus sees ``_total`` behind the name."""

OUTCOMES = (
    "sent",
    "mined",
    "failed",
    "replaced",
    "resent",
    "displaced",
    "lost",
    "gaps_filled",
    "refused",
)


def gauge(name: str, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    """One of :data:`GAUGES`, without values yet."""
    return GaugeMetricFamily(P + name, GAUGES[name], labels=labels)


def counter(name: str, labels: Sequence[str] = ()) -> CounterMetricFamily:
    """One of :data:`COUNTERS`, without values yet."""
    return CounterMetricFamily(P + name, COUNTERS[name], labels=labels)


def sender_metrics(sender: SenderSnapshot) -> Iterator[Metric]:
    """A sender's."""
    values = {
        "transactions_in_flight": sender.in_flight,
        "next_nonce": sender.next_nonce,
        "oldest_transaction_seconds": sender.oldest_seconds,
    }
    for name, value in values.items():
        family = gauge(name)
        family.add_metric([], value)
        yield family
    outcomes = counter("transactions", ["outcome"])
    for outcome in OUTCOMES:
        outcomes.add_metric([outcome], getattr(sender, outcome))
    yield outcomes


def endpoint_metrics(endpoints: Iterable[EndpointSnapshot]) -> Iterator[Metric]:
    """The nodes'; what is not known yet is left out."""
    states = gauge("endpoint_state", ["url", "state"])
    families = {
        name: gauge(f"endpoint_{name}", ["url"])
        for name in ("current", "head", "lag_blocks", "latency_seconds", "failures")
    }
    for one in endpoints:
        for state in EndpointState:
            states.add_metric([one.url, state.value], one.state is state)
        values = {
            "current": one.is_current,
            "head": one.head,
            "lag_blocks": one.lag,
            "latency_seconds": one.latency_seconds,
            "failures": one.failures,
        }
        for name, value in values.items():
            if value is not None:
                families[name].add_metric([one.url], value)
    yield states
    yield from families.values()


def follower_metrics(follower: FollowerSnapshot, now: float | None = None) -> Iterator[Metric]:
    """A follower's; what is not known yet is left out.

    Args:
        follower: Where it stands.
        now: Unix seconds; None asks this machine's clock.
    """
    now = time.time() if now is None else now
    born = follower.head_timestamp
    values = {
        "head": follower.head,
        "head_age_seconds": None if born is None else max(0.0, now - born),
        "cursor": follower.committed,
        "lag_blocks": follower.lag,
        "quiet_seconds": follower.quiet_seconds,
    }
    for name, value in values.items():
        if value is not None:
            family = gauge(name)
            family.add_metric([], value)
            yield family
    for name, count in (("reorgs", follower.reorgs), ("follow_failures", follower.failures)):
        total = counter(name)
        total.add_metric([], count)
        yield total
