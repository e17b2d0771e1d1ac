"""What a supervisor tells Prometheus. Names and meaning: docs/reference/metrics.md.

Counts are read from the agent when somebody asks; only the two latencies and the ends of
jobs are noted as they happen (:meth:`Metrics.changed`, called by the journal).
"""

from __future__ import annotations

import logging
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dsq.core.units import CREDIT
from dsq.supervisor.scheduler.stats import LineStats

if TYPE_CHECKING:
    from dsq.supervisor.agent import Agent
    from dsq.supervisor.records import JobRecord

log = logging.getLogger("dsq.supervisor.metrics")

P = "dsq_provider_"

SUBMIT_BUCKETS = (0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 300, 900)
REPORT_BUCKETS = (0.5, 1, 2, 3, 5, 8, 15, 30, 60, 300, 3600)

GAUGES = {
    "info": "Always 1; the labels say which provider, grid and cluster this is.",
    "mode": "1 for what the supervisor does about new jobs: claiming, paused, draining, stopping.",
    "jobs": "Open jobs of the journal by phase.",
    "slurm_jobs": "Open jobs by their state in Slurm.",
    "untold_jobs": "Jobs that left Slurm's queue and wait for its accounting to tell their ends.",
    "offered_jobs": "Jobs that the grid placed here and that are not claimed yet.",
    "recent_transactions": "The last 200 transactions by state.",
    "up": "1 if a service answered the last time: chain, cluster, accounting, sbatch, logs.",
    "latency_seconds": "Duration of a service's last answer.",
    "approved": "1 if the grid's operator has approved this provider.",
    "can_raise_limit": "1 if top-ups can lengthen running jobs.",
    "native_coins": "Coins for gas of the provider's account.",
    "credits": "Credits of the provider's account.",
    "earned_day_credits": "Credits earned by jobs that ended in the last day.",
    "nodes": "Usable nodes of the partition.",
    "cpus": "CPUs of these nodes.",
    "gpus": "GPUs of these nodes.",
    "ssh_sessions": "Sessions open on the SSH connection.",
    "benchmark_age_seconds": "Age of each benchmark's result.",
}
"""Names without the prefix, and what they say; all are read when asked."""

COUNTERS = {
    "jobs_passed_on": "Jobs that went back unclaimed since the start.",
    "cluster_commands": "Commands run on the cluster by program.",
    "cluster_command_failures": "Commands without an answer by program.",
    "cluster_command_seconds": "Seconds that commands took by program.",
    "ssh_connects": "SSH connections made.",
    "ssh_connect_failures": "SSH connections that could not be made.",
    "earned_credits": "Credits earned by all jobs of the journal.",
}
"""The same for what only grows; Prometheus sees ``_total`` behind the name."""

EVENTS = {
    "jobs_ended": "Jobs that ended on chain by status.",
    "jobs_handed_back": "Claimed jobs that were handed back.",
    "submissions": "Jobs that Slurm took.",
    "claim_to_submit_seconds": "From the claim of a job to its submission to Slurm.",
    "end_to_report_seconds": "From a job's end in Slurm to its report confirmed on chain.",
}
"""What is noted as it happens, since the start of the process."""


class Metrics:
    """The metrics of one supervisor.

    Args:
        now: Unix time.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.registry = CollectorRegistry()
        self._ended = Counter(
            P + "jobs_ended", EVENTS["jobs_ended"], ["status"], registry=self.registry
        )
        self._handed_back = Counter(
            P + "jobs_handed_back", EVENTS["jobs_handed_back"], registry=self.registry
        )
        self._submissions = Counter(
            P + "submissions", EVENTS["submissions"], registry=self.registry
        )
        self._to_submit = Histogram(
            P + "claim_to_submit_seconds",
            EVENTS["claim_to_submit_seconds"],
            buckets=SUBMIT_BUCKETS,
            registry=self.registry,
        )
        self._to_report = Histogram(
            P + "end_to_report_seconds",
            EVENTS["end_to_report_seconds"],
            buckets=REPORT_BUCKETS,
            registry=self.registry,
        )
        self._claimed_at: dict[int, float] = {}

    def watch(self, agent: Agent) -> None:
        """Shows an agent's counts, and hears of its journal's changes."""
        self.registry.register(AgentCollector(agent))
        agent.services.journal.watchers.append(self.changed)

    def changed(self, old: JobRecord | None, new: JobRecord) -> None:
        """A record of the journal changed; ``old`` is None for a job not known as open."""
        now = self._now()
        if old is None or not old.is_open:
            if new.is_open:
                self._claimed_at[new.job_id] = now
            return
        if not old.slurm_id and new.slurm_id:
            self._submissions.inc()
            claimed = self._claimed_at.get(new.job_id, float(new.claimed_at))
            self._to_submit.observe(max(0.0, now - claimed))
        if new.is_open:
            return
        self._claimed_at.pop(new.job_id, None)
        if new.handed_back:
            self._handed_back.inc()
            return
        if new.reported is not None and new.reported.is_final:
            self._ended.labels(new.reported.name).inc()
            if old.ended_at and new.end_state:
                self._to_report.observe(max(0.0, now - old.ended_at))

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)


class AgentCollector(Collector):
    """Reads an agent's counts when asked."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def describe(self) -> Iterator[Metric]:
        """Names only, so that registering reads nothing."""
        for name, words in GAUGES.items():
            yield GaugeMetricFamily(P + name, words)
        for name, words in COUNTERS.items():
            yield CounterMetricFamily(P + name, words)

    def collect(self) -> Iterator[Metric]:
        """Everything that is known now; what is not known is left out."""
        yield from self._of_jobs()
        yield from self._of_services()
        yield from self._of_chain()
        yield from self._of_account()
        yield from self._of_cluster()

    def _of_jobs(self) -> Iterator[Metric]:
        agent = self._agent
        records = agent.services.journal.open_records()
        phases = Tally(str(record.phase) for record in records)
        states = Tally(record.slurm_state.lower() for record in records if record.slurm_state)
        yield _gauge("jobs", ["phase"], {(phase,): count for phase, count in phases.items()})
        yield _gauge("slurm_jobs", ["state"], {(state,): count for state, count in states.items()})
        yield _gauge("untold_jobs", [], {(): agent.poller.untold})
        yield _gauge("mode", ["mode"], {(str(agent.mode),): 1})
        yield _gauge("offered_jobs", [], {(): agent.claims.offered})
        yield _counter("jobs_passed_on", [], {(): agent.claims.offers.passed_on})
        txs = Tally(row.state for row in agent.services.txs.rows())
        yield _gauge("recent_transactions", ["state"], {(name,): n for name, n in txs.items()})

    def _of_services(self) -> Iterator[Metric]:
        agent = self._agent
        known = [one for one in agent.services.health.all() if one.ok is not None]
        yield _gauge("up", ["service"], {(one.name,): int(bool(one.ok)) for one in known})
        taken = {(one.name,): one.latency_ms / 1000 for one in known if one.latency_ms is not None}
        yield _gauge("latency_seconds", ["service"], taken)

    def _of_chain(self) -> Iterator[Metric]:
        """Those of every program that uses the chain (docs/reference/metrics.md, The chain)."""
        from dsq.core.chain import Chain, Follower, Sender
        from dsq.core.chain.metrics import endpoint_metrics, follower_metrics, sender_metrics

        services, feed = self._agent.services, self._agent.hearing.feed
        if isinstance(services.sender, Sender):
            yield from sender_metrics(services.sender.snapshot())
        if isinstance(services.chain, Chain):
            yield from endpoint_metrics(services.chain.rpc.endpoints())
        if isinstance(feed, Follower):
            yield from follower_metrics(feed.snapshot(), services.clock.now())

    def _of_account(self) -> Iterator[Metric]:
        agent, registrar = self._agent, self._agent.registrar
        settings, journal, clock = agent.settings, agent.services.journal, agent.services.clock
        about = (
            str(agent.services.me),
            settings.name,
            str(settings.chain.chain_id),
            settings.cluster.kind,
        )
        yield _gauge("info", ["address", "name", "chain_id", "cluster"], {about: 1})
        provider = registrar.provider
        if provider is not None:
            yield _gauge("approved", [], {(): int(provider.is_valid)})
        if registrar.can_raise_limit is not None:
            yield _gauge("can_raise_limit", [], {(): int(registrar.can_raise_limit)})
        if registrar.native_balance is not None:
            yield _gauge("native_coins", [], {(): registrar.native_balance / CREDIT})
        if registrar.credit_balance is not None:
            yield _gauge("credits", [], {(): registrar.credit_balance / CREDIT})
        yield _counter("earned_credits", [], {(): journal.earned_since(0) / CREDIT})
        day = journal.earned_since(clock.now() - 86_400) / CREDIT
        yield _gauge("earned_day_credits", [], {(): day})
        now = clock.now()
        ages = {(kind,): now - one.at for kind, one in registrar.results.all().items()}
        yield _gauge("benchmark_age_seconds", ["benchmark"], ages)

    def _of_cluster(self) -> Iterator[Metric]:
        info = self._agent.poller.info
        if info is not None:
            yield _gauge("nodes", [], {(): len(info.nodes)})
            yield _gauge("cpus", [], {(): sum(node.cpus for node in info.nodes)})
            yield _gauge("gpus", [], {(): sum(node.gpus for node in info.nodes)})
        read = getattr(self._agent.services.scheduler, "line_stats", None)
        if read is None:
            return
        stats: LineStats = read()
        for name, counts in (
            ("cluster_commands", stats.commands),
            ("cluster_command_failures", stats.failures),
            ("cluster_command_seconds", stats.seconds),
        ):
            yield _counter(name, ["program"], {(key,): value for key, value in counts.items()})
        yield _counter("ssh_connects", [], {(): stats.connects})
        yield _counter("ssh_connect_failures", [], {(): stats.connect_failures})
        yield _gauge("ssh_sessions", [], {(): stats.sessions})


_Values = Mapping[Any, float]
"""Values by the words of their labels, in the labels' order."""


def _gauge(name: str, labels: Sequence[str], values: _Values) -> GaugeMetricFamily:
    family = GaugeMetricFamily(P + name, GAUGES[name], labels=labels)
    _fill(family, values)
    return family


def _counter(name: str, labels: Sequence[str], values: _Values) -> CounterMetricFamily:
    family = CounterMetricFamily(P + name, COUNTERS[name], labels=labels)
    _fill(family, values)
    return family


def _fill(family: GaugeMetricFamily | CounterMetricFamily, values: _Values) -> None:
    for labels, value in values.items():
        family.add_metric([str(word) for word in labels], float(value))
