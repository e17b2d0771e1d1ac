"""How the supervisor's snapshot reads on a screen. Pure functions, no state."""

from __future__ import annotations

from collections.abc import Callable

from dsq.console.provider.node_map import node_state
from dsq.console.provider.prices import ShareHistory, earned_a_node_hour, share_spans
from dsq.console.widgets.bars import Part
from dsq.console.widgets.columns import Cell, Column
from dsq.console.widgets.lines import Line
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import (
    NONE,
    STATUS_WORDS,
    Moment,
    age_text,
    credits_text,
    duration_text,
    plural,
)
from dsq.core.units import format_minutes
from dsq.supervisor.snapshot import (
    AgentSnapshot,
    Connection,
    JobRow,
    LogLineRow,
    Mode,
    NodeRow,
    TxRow,
)

SLURM_SHORT = {
    "PENDING": "PD",
    "RUNNING": "R",
    "COMPLETING": "CG",
    "COMPLETED": "CD",
    "SUSPENDED": "S",
    "CONFIGURING": "CF",
    "FAILED": "F",
    "CANCELLED": "CA",
    "TIMEOUT": "TO",
    "NODE_FAIL": "NF",
    "OUT_OF_MEMORY": "OOM",
    "PREEMPTED": "PR",
}
"""Slurm's own short words, as ``squeue`` prints them."""

MODE_WORDS = {
    Mode.CLAIMING: ("▶ claiming", "success"),
    Mode.PAUSED: ("‖ paused", "warning"),
    Mode.DRAINING: ("▼ draining", "warning"),
    Mode.STOPPING: ("■ stopping", "error"),
}

LEVELS = {"warning": "warning", "error": "error", "critical": "error", "debug": "muted"}


def connection_spans(
    connection: Connection, detail: str = "", *, short: bool = False
) -> tuple[tuple[str, str], ...]:
    """A service with a mark and a word: ``chain ● 4ms``, ``logs × down``; short ``chain ●``."""
    if connection.ok is None:
        mark, colour = "○" if short else "○ …", "$muted"
    elif connection.ok:
        latency = connection.latency_ms
        words = detail or (f"{latency:.0f}ms" if latency is not None else "ok")
        mark, colour = "●" if short else f"● {words}", "$success"
    else:
        mark, colour = "×" if short else "× down", "bold $error"
    return ((f"{connection.name} ", "$muted"), (mark, colour))


def approval_text(snapshot: AgentSnapshot) -> tuple[str, str]:
    """Whether the grid may give this provider jobs."""
    provider = snapshot.provider
    if provider is not None and provider.is_banned:
        return "∅ banned", "error"
    if provider is not None and provider.is_approved:
        return "● approved", "success"
    if snapshot.proposal is not None and snapshot.proposal.is_waiting:
        return "◷ waits for approval", "warning"
    return "○ not registered", "muted"


def money_parts(snapshot: AgentSnapshot, history: ShareHistory) -> list[Part]:
    """What was earned, what the jobs do, what the wallet holds."""
    counts = snapshot.counts

    def amount(words: str, wei: int, colour: str, rank: int) -> Part:
        return Part(((f"{words} ", "$muted"), (credits_text(wei), colour)), rank=rank)

    states = ((f"▶ {counts.running:,}", "$status-running"), (f"  ◷ {counts.waiting:,}", "$muted"))
    parts = [
        amount("today", snapshot.earned_today, "bold $accent", 0),
        amount("week", snapshot.earned_week, "$foreground", 2),
        Part(states, rank=1),
    ]
    rate = earned_a_node_hour(snapshot)
    if rate is not None:
        parts.append(amount("per node-hour", rate, "$foreground", 3))
    if snapshot.shares is not None:
        spans = share_spans(snapshot.shares, history)
        parts.append(Part(tuple((text, f"${colour}") for text, colour in spans), rank=4))
    if counts.disagreeing:
        words = f"! {plural(counts.disagreeing, 'job')} being mended"
        parts.append(Part(((words, "bold $warning"),), rank=1))
    if snapshot.native_balance is not None:
        colour = "$foreground" if snapshot.native_balance else "bold $error"
        rank = 5 if snapshot.native_balance else 0
        parts.append(amount("fees", snapshot.native_balance, colour, rank))
    if snapshot.credit_balance is not None:
        parts.append(amount("wallet", snapshot.credit_balance, "$foreground", 6))
    parts.append(Part(((f"ended {counts.ended:,}", "$muted"),), rank=7))
    if counts.refused:
        parts.append(Part(((f"handed back {counts.refused:,}", "$muted"),), rank=8))
    return parts


def slurm_text(row: JobRow) -> str:
    """Slurm's truth in a few cells: ``R 90213``, ``PD 90219``, ``– gone``."""
    if not row.slurm_state:
        return NONE
    if row.slurm_state == "gone":
        return "– gone"
    short = SLURM_SHORT.get(row.slurm_state, row.slurm_state)
    return f"{one_line(short, 12)} {one_line(row.slurm_id, 20)}".strip()


def job_columns() -> list[Column[JobRow]]:
    """The three truths side by side: chain, Slurm, the journal's last event."""

    def number(row: JobRow, _width: int) -> Cell:
        mark = ("! ", "bold warning") if row.disagrees else ("  ", "muted")
        return [mark, (str(row.job_id), "muted")]

    def chain(row: JobRow, _width: int) -> Cell:
        if row.chain is None:
            return [("not read yet", "muted")]
        shown = STATUS_WORDS[row.chain]
        code = f" {row.exit_code}" if row.exit_code else ""
        return [(f"{shown.glyph} {shown.word}{code}", shown.colour)]

    def slurm(row: JobRow, _width: int) -> Cell:
        quiet = row.slurm_state in ("", "gone", "unknown")
        return [(slurm_text(row), "muted" if quiet else "foreground")]

    def nodes(row: JobRow, _width: int) -> Cell:
        text = row.nodes or (f"({row.reason})" if row.reason else NONE)
        return [(one_line(text, 60), "foreground" if row.nodes else "muted")]

    def seconds(value: int | None, row: JobRow) -> Cell:
        colour = "foreground" if row.chain is None or row.chain.is_hot else "muted"
        return [(NONE, "faint")] if value is None else [(duration_text(value), colour)]

    def earned(row: JobRow, _width: int) -> Cell:
        return [(credits_text(row.earned), "foreground")] if row.earned else [(NONE, "faint")]

    def event(row: JobRow, _width: int) -> Cell:
        return [(one_line(row.last_event, 200), "warning" if row.disagrees else "muted")]

    def elapsed(row: JobRow, _width: int) -> Cell:
        return seconds(row.elapsed, row)

    def left(row: JobRow, _width: int) -> Cell:
        return seconds(row.left, row)

    return [
        Column("id", "  ID", 6, number),
        Column("chain", "CHAIN", 16, chain),
        Column("slurm", "SLURM", 10, slurm, grow=6, eager=1),
        Column("nodes", "NODES", 9, nodes, grow=12, rank=5, eager=1),
        Column("customer", "CUSTOMER", 11, lambda row, _: [(row.customer.short, "muted")], rank=6),
        Column("elapsed", "ELAPSED", 8, elapsed, right=True, gap=1),
        Column("left", "LEFT", 8, left, right=True, gap=1, rank=2),
        Column("earned", "EARNED", 8, earned, right=True, gap=1, rank=3),
        Column("event", "LAST EVENT", 14, event, grow=200, rank=1),
    ]


def job_lines(row: JobRow, moment: Moment) -> list[Line]:
    """The selected job: the three truths in words."""
    chain = STATUS_WORDS[row.chain] if row.chain is not None else None
    word = f"{chain.glyph} {chain.word}" if chain else "not read yet"
    state = one_line(row.slurm_state, 30) or "not submitted"
    lines: list[Line] = [
        [
            (f"{row.job_id}  ", "bold foreground"),
            ("chain ", "muted"),
            (word, f"bold {chain.colour}" if chain else "muted"),
            ("   slurm ", "muted"),
            (f"{state} {one_line(row.slurm_id, 20)}", "foreground"),
            ("   journal ", "muted"),
            (one_line(row.phase, 20), "foreground"),
        ]
    ]
    if row.disagrees:
        lines.append([("! These differ; the supervisor is at work on it.", "bold warning")])
    limit = format_minutes(row.limit_minutes) if row.limit_minutes else NONE
    facts = [("limit ", "muted"), (limit, "foreground"), ("   attempt ", "muted")]
    facts.append((str(row.attempt), "foreground"))
    facts += [("   customer ", "muted"), (row.customer.short, "muted")]
    lines.append(facts)
    when = moment.at(row.last_event_at)
    lines.append([(f"{when} ", "muted"), (one_line(row.last_event, 300), "foreground")])
    if row.cancel_requested:
        lines.append([("A cancel was asked for.", "warning")])
    if row.last_error:
        lines.append([(one_line(row.last_error, 400), "error")])
    return lines


def node_columns() -> list[Column[NodeRow]]:
    """The nodes of the cluster, with what the grid uses."""

    def of(free: int, total: int) -> Cell:
        if not total:
            return [(NONE, "faint")]
        return [(f"{free:,}/{total:,}", "foreground" if free else "muted")]

    def state(row: NodeRow, _width: int) -> Cell:
        shown = node_state(row)
        return [(f"{shown.glyph} {one_line(row.state, 30).lower()}", shown.colour)]

    def gpus(row: NodeRow, _width: int) -> Cell:
        kind = f" {one_line(row.gpu_type, 20)}" if row.gpu_type else ""
        return [*of(row.free_gpus, row.gpus), (kind, "muted")]

    def memory(row: NodeRow, _width: int) -> Cell:
        return [(f"{row.free_mem_mb / 1000:,.0f}/{row.mem_mb / 1000:,.0f} GB", "foreground")]

    def jobs(row: NodeRow, _width: int) -> Cell:
        return [(str(row.grid_jobs) if row.grid_jobs else NONE, "foreground")]

    return [
        Column(
            "name", "NODE", 12, lambda row, _: [(one_line(row.name, 60), "foreground")], grow=20
        ),
        Column("state", "STATE", 12, state, grow=10),
        Column("cpus", "FREE CPUS", 10, lambda row, _: of(row.free_cpus, row.cpus), right=True),
        Column("mem", "FREE MEMORY", 14, memory, right=True),
        Column("gpus", "FREE GPUS", 14, gpus, rank=1),
        Column("jobs", "GRID JOBS", 9, jobs, right=True),
    ]


def tx_columns(moment: Callable[[], Moment]) -> list[Column[TxRow]]:
    """Transactions: when, what became of them, the call."""
    states = {"mined": ("✓ mined", "success"), "failed": ("× failed", "error")}

    def call(row: TxRow, _width: int) -> Cell:
        error = f"  {one_line(row.error, 200)}" if row.error else ""
        return [(one_line(row.label, 120), "foreground"), (error, "error")]

    def block(row: TxRow, _width: int) -> Cell:
        return [(f"{row.block_number:,}" if row.block_number else NONE, "muted")]

    return [
        Column("when", "WHEN", 8, lambda row, _: [(moment().at(row.at), "muted")], grow=4),
        Column(
            "state", "STATE", 9, lambda row, _: [states.get(row.state, ("◷ sending", "warning"))]
        ),
        Column("call", "CALL", 30, call, grow=120, eager=1),
        Column("block", "BLOCK", 9, block, right=True, rank=1),
        Column(
            "gas",
            "GAS",
            9,
            lambda row, _: [(f"{row.gas_used:,}" if row.gas_used else NONE, "muted")],
            right=True,
            rank=2,
        ),
        Column("hash", "HASH", 13, lambda row, _: [(short_hash(row.tx_hash), "muted")], rank=3),
    ]


def short_hash(text: str) -> str:
    """The ends of a transaction's hash."""
    clean = one_line(text, 80)
    return f"{clean[:6]}…{clean[-4:]}" if len(clean) > 12 else clean


def log_columns(moment: Callable[[], Moment]) -> list[Column[LogLineRow]]:
    """The supervisor's own log."""

    def level(row: LogLineRow, _width: int) -> Cell:
        return [(one_line(row.level, 8), LEVELS.get(row.level, "muted"))]

    def job(row: LogLineRow, _width: int) -> Cell:
        return [("" if row.job_id is None else str(row.job_id), "muted")]

    def text(row: LogLineRow, _width: int) -> Cell:
        return [(one_line(row.text, 1000), LEVELS.get(row.level, "foreground"))]

    return [
        Column("when", "WHEN", 8, lambda row, _: [(moment().at(row.at), "muted")], grow=4),
        Column("level", "LEVEL", 7, level),
        Column("job", "JOB", 5, job, right=True),
        Column("text", "WHAT", 20, text, grow=1000, eager=1),
    ]


def head_text(snapshot: AgentSnapshot, moment: Moment) -> str:
    """The chain's head with its age, for the chain's dot."""
    if not snapshot.head_number:
        return ""
    return f"#{snapshot.head_number:,} {age_text(moment.now - snapshot.head_timestamp)}"
