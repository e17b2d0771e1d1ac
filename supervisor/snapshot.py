"""What the supervisor shows of itself: one frozen tree, made anew for each look.

The TUI and the metrics read snapshots only; they never touch the agent's state.
Money is wei, times are Unix seconds, durations seconds.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from dsq.core.model import Address, JobStatus, Label, Provider, ProviderPrices


class Mode(enum.StrEnum):
    """What the agent does about new jobs."""

    CLAIMING = "claiming"
    PAUSED = "paused"
    DRAINING = "draining"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Connection:
    """One service the supervisor depends on.

    Attributes:
        name: ``chain``, ``cluster``, ``accounting`` (where there is one), ``sbatch`` or ``logs``.
        ok: None before the first answer.
        detail: A version, or why it does not answer.
        latency_ms: Of the last answer.
        changed_at: When ``ok`` last changed.
    """

    name: str
    ok: bool | None = None
    detail: str = ""
    latency_ms: float | None = None
    changed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class JobRow:
    """The three truths about one job side by side, and what the agent makes of them.

    Attributes:
        chain: Status on chain, None before it was read.
        slurm_state: Slurm's word (``PENDING``, ``RUNNING``…), ``unknown`` while the cluster
            does not answer, ``gone`` when Slurm knows it no more, empty before submission.
        phase: The journal's word: claimed, planned, sent, seen, ended, final.
        reason: Slurm's reason for waiting.
        left: Seconds until the limit given to Slurm, None before the start.
        earned: The provider's share, final or up to now.
        disagrees: The truths differ and the agent is at work on it.
        attempt: Number of submissions planned for this claim.
    """

    job_id: int
    chain: JobStatus | None
    slurm_state: str
    slurm_id: str
    nodes: str
    reason: str
    customer: Address
    phase: str
    elapsed: int | None
    left: int | None
    limit_minutes: int
    earned: int
    last_event: str
    last_event_at: float
    disagrees: bool = False
    cancel_requested: bool = False
    attempt: int = 0
    exit_code: int | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node of the cluster, and what the grid uses of it."""

    name: str
    state: str
    cpus: int
    mem_mb: int
    gpus: int
    gpu_type: str = ""
    free_cpus: int = 0
    free_mem_mb: int = 0
    free_gpus: int = 0
    grid_jobs: int = 0


@dataclass(frozen=True, slots=True)
class Shares:
    """What the CPUs of the usable nodes do: jobs of the grid, other jobs, nothing."""

    grid: int
    others: int
    idle: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.grid + self.others + self.idle


@dataclass(frozen=True, slots=True)
class TxRow:
    """One transaction: ``state`` is sending, sent, mined, failed or abandoned (at a stop)."""

    at: float
    label: str
    state: str
    tx_hash: str = ""
    block_number: int = 0
    gas_used: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class LogLineRow:
    """One line of the supervisor's own log."""

    at: float
    level: str
    text: str
    job_id: int | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Jobs in this journal, by what became of them.

    ``untold`` ones have left Slurm's queue; its accounting has not told how they ended.
    """

    waiting: int = 0
    running: int = 0
    ended: int = 0
    refused: int = 0
    disagreeing: int = 0
    untold: int = 0


@dataclass(frozen=True, slots=True)
class AgentSnapshot:
    """Everything a screen shows of the supervisor.

    Attributes:
        provider: The approved record on chain, None before it was read.
        proposal: The record that waits for approval, if there is one.
        prices, labels: Of the settings.
        can_raise_limit: Whether top-ups can lengthen running jobs; None before it was tried.
        earned_today, earned_week: The provider's share of jobs that ended in the last day
            and the last seven days, in wei.
        fee_percent: What the grid keeps of a job's cost.
        shares: What the CPUs do; None while that is not known.
        rows: Open jobs first, then the newest ended ones.
    """

    at: float
    name: str
    address: Address
    mode: Mode
    cluster_kind: str
    chain_id: int
    head_number: int = 0
    head_timestamp: int = 0
    provider: Provider | None = None
    proposal: Provider | None = None
    prices: ProviderPrices | None = None
    labels: tuple[Label, ...] = ()
    partition: str = ""
    slurm_version: str = ""
    can_raise_limit: bool | None = None
    native_balance: int | None = None
    credit_balance: int | None = None
    earned_today: int = 0
    earned_week: int = 0
    fee_percent: int = 0
    shares: Shares | None = None
    counts: Counts = Counts()
    connections: tuple[Connection, ...] = ()
    rows: tuple[JobRow, ...] = ()
    nodes: tuple[NodeRow, ...] = ()
    txs: tuple[TxRow, ...] = ()
    log_lines: tuple[LogLineRow, ...] = ()
    registration: str = ""

    def connection(self, name: str) -> Connection:
        """The connection ``name``; one without an answer if it is unknown."""
        return next((c for c in self.connections if c.name == name), Connection(name))
