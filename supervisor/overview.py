"""Making snapshots: what an agent knows, as one frozen tree."""

from __future__ import annotations

from dataclasses import replace

from dsq.core.model import ProviderPrices, exit_code_of
from dsq.core.units import billed_minutes, cost_of
from dsq.supervisor.agent import Agent
from dsq.supervisor.logcontext import RecentLines
from dsq.supervisor.observe import ALIVE_STATES, WAITING_STATES, ChainView
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.scheduler.port import Free
from dsq.supervisor.snapshot import AgentSnapshot, Counts, JobRow, NodeRow, Shares
from dsq.supervisor.states import BodyState, ChainState, body_state, chain_state

DAY = 24 * 3600
CLOSED_ROWS = 100
"""Ended jobs that are shown."""

_AGREEING = {
    ChainState.SCHEDULED: {BodyState.NOTHING, BodyState.UNSURE, BodyState.WAITING},
    ChainState.RUNNING: {BodyState.ALIVE},
    ChainState.OVER: {BodyState.ENDED, BodyState.UNRUN, BodyState.NOTHING, BodyState.CLOSED},
    ChainState.NOT_MINE: {BodyState.CLOSED},
}
"""Pairs in which nothing has to be mended; in others the row is marked."""


def snapshot(
    agent: Agent, *, lines: RecentLines | None = None, free: Free | None = None
) -> AgentSnapshot:
    """Everything a screen shows, as it is now.

    Args:
        agent: The agent.
        lines: Its recent log lines, where they are kept.
        free: What the cluster could start now, if that was asked.
    """
    s, registrar, info = agent.services, agent.registrar, agent.poller.info
    now = s.clock.now()
    open_records = s.journal.open_records()
    closed = [record for record in s.journal.recent(CLOSED_ROWS) if not record.is_open]
    rows = [_row(agent, record, now) for record in (*open_records, *closed)]
    return AgentSnapshot(
        at=now,
        name=agent.settings.name or str(s.me.short),
        address=s.me,
        mode=agent.mode,
        cluster_kind=agent.settings.cluster.kind,
        chain_id=s.chain.chain_id,
        head_number=agent.hearing.head_number,
        head_timestamp=agent.hearing.head_timestamp,
        provider=registrar.provider,
        proposal=registrar.proposal,
        prices=agent.settings.prices.wei,
        labels=agent.settings.operator_labels,
        partition=info.partition if info else "",
        slurm_version=info.version if info else "",
        can_raise_limit=registrar.can_raise_limit,
        native_balance=registrar.native_balance,
        credit_balance=registrar.credit_balance,
        earned_today=s.journal.earned_since(now - DAY),
        earned_week=s.journal.earned_since(now - 7 * DAY),
        counts=replace(_counts(open_records, closed, rows), untold=agent.poller.untold),
        connections=s.health.all(),
        rows=tuple(rows),
        fee_percent=agent.hearing.fee_percent,
        shares=_shares(agent, open_records, free),
        nodes=_nodes(agent, open_records, free),
        txs=s.txs.rows(),
        log_lines=lines.rows() if lines else (),
        registration=registrar.state,
    )


def _row(agent: Agent, record: JobRecord, now: float) -> JobRow:
    view = agent.services.views.peek(record.job_id)
    slurm = agent.poller.view(record)
    body = body_state(slurm, record, now, agent.services.policy)
    chain = view.job.status if view else record.reported
    ended = record.ended_at if record.phase in (Phase.ENDED, Phase.FINAL) else 0
    elapsed = int((ended or now) - record.started_at) if record.started_at else None
    is_running = elapsed is not None and not ended
    left = record.limit_minutes * 60 - elapsed if is_running and elapsed is not None else None
    return JobRow(
        job_id=record.job_id,
        chain=chain,
        slurm_state=_slurm_words(record, body),
        slurm_id=record.slurm_id,
        nodes=record.nodes,
        reason=record.slurm_reason if record.slurm_state in WAITING_STATES else "",
        customer=record.customer,
        phase=record.phase,
        elapsed=elapsed,
        left=max(0, left) if left is not None else None,
        limit_minutes=record.limit_minutes,
        earned=_earned(agent, record, view, elapsed),
        last_event=record.last_event,
        last_event_at=record.last_event_at,
        disagrees=record.is_open and _disagrees(view, body),
        cancel_requested=record.cancel_requested,
        attempt=record.attempt,
        exit_code=exit_code_of(record.exit_status) if record.end_state else None,
        last_error=record.last_error,
    )


def _disagrees(view: ChainView | None, body: BodyState) -> bool:
    return view is not None and body not in _AGREEING.get(chain_state(view), set())


_GONE = {
    BodyState.MISSING,
    BodyState.MISLAID,
    BodyState.LOST,
    BodyState.VANISHED,
    BodyState.LOST_UNSEEN,
}


def _slurm_words(record: JobRecord, body: BodyState) -> str:
    if body is BodyState.DARK:
        return "unknown"
    if body in _GONE:
        return "gone"
    return record.end_state or record.slurm_state


def _earned(agent: Agent, record: JobRecord, view: ChainView | None, elapsed: int | None) -> int:
    """Settled earnings, or the provider's share if the job ended now."""
    if record.earned or not record.is_open or elapsed is None:
        return record.earned
    prices: ProviderPrices = agent.settings.prices.wei
    if agent.registrar.provider is not None and agent.registrar.provider.is_approved:
        prices = agent.registrar.provider.prices
    cost = cost_of(record.definition, prices, billed_minutes(elapsed))
    if view is not None:
        cost = min(cost, view.job.cost.max_cost)
    return cost - cost * agent.hearing.fee_percent // 100


def _counts(open_records: list[JobRecord], closed: list[JobRecord], rows: list[JobRow]) -> Counts:
    running = sum(
        record.slurm_state in ALIVE_STATES and not record.end_state for record in open_records
    )
    return Counts(
        waiting=len(open_records) - running,
        running=running,
        ended=sum(not record.handed_back for record in closed),
        refused=sum(record.handed_back for record in closed),
        disagreeing=sum(row.disagrees for row in rows),
    )


def _shares(agent: Agent, records: list[JobRecord], free: Free | None) -> Shares | None:
    info = agent.poller.info
    if info is None or free is None or free.closed:
        return None
    left = {node.name: node.cpus for node in free.nodes}
    total = sum(node.cpus for node in info.nodes if node.name in left)
    idle = min(total, sum(left[node.name] for node in info.nodes if node.name in left))
    alive = (record for record in records if record.slurm_state in ALIVE_STATES)
    grid = min(total - idle, sum(record.definition.cpus for record in alive))
    return Shares(grid=grid, others=total - idle - grid, idle=idle)


def _nodes(agent: Agent, records: list[JobRecord], free: Free | None) -> tuple[NodeRow, ...]:
    info = agent.poller.info
    if info is None:
        return ()
    left = {node.name: node for node in free.nodes} if free else {}
    return tuple(
        NodeRow(
            name=node.name,
            state=node.state,
            cpus=node.cpus,
            mem_mb=node.mem_mb,
            gpus=node.gpus,
            gpu_type=node.gpu_type,
            free_cpus=left[node.name].cpus if node.name in left else 0,
            free_mem_mb=left[node.name].mem_mb if node.name in left else 0,
            free_gpus=left[node.name].gpus if node.name in left else 0,
            grid_jobs=sum(
                record.nodes == node.name and record.slurm_state in ALIVE_STATES
                for record in records
            ),
        )
        for node in info.nodes
    )
