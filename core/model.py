"""The words of the grid as frozen values: jobs, providers, labels.

Field names follow the contracts (docs/contracts.md); units are stated where a
number has one. Nothing here does I/O.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dsq.core.address import ZERO_ADDRESS as ZERO_ADDRESS
from dsq.core.address import Address as Address
from dsq.core.errors import UsageError, close_matches

JOB_NAME_BYTES = 32
"""A job's name is a ``bytes32`` on chain."""


class JobStatus(enum.IntEnum):
    """States of a job, with the numbers of the contract."""

    PENDING = 0
    META_SCHEDULED = 1
    SCHEDULED = 2
    RUNNING = 3
    CANCELLED = 4
    FINISHED = 5
    FAILED = 6
    OUT_OF_CREDITS = 7
    PANICKED = 8

    @property
    def is_hot(self) -> bool:
        """True while the job can still change (contract: ``isJobHot``)."""
        return self <= JobStatus.RUNNING

    @property
    def is_final(self) -> bool:
        """True once the job has ended (contract: ``isJobCold``)."""
        return not self.is_hot

    @classmethod
    def parse(cls, text: str) -> JobStatus:
        """Reads a status name in any case.

        Raises:
            UsageError: No such status; names the close match.
        """
        try:
            return cls[text.strip().upper().replace("-", "_")]
        except KeyError:
            raise UsageError(
                f"There is no job status '{text}'.{close_matches(text, cls.__members__)}"
            ) from None


class StorageType(enum.IntEnum):
    """Where a job's files are kept; informative on chain."""

    TRANSFER = 0
    HTTP = 1
    S3 = 2
    RESERVED = 3
    NONE = 4


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """A fact about a provider, or a demand of a job."""

    key: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Label:
        """Reads ``key=value``.

        Raises:
            UsageError: There is no ``=`` or no key.
        """
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"'{text}' is not a label.", hint="Write key=value, as in gpu=a100.")
        return cls(key.strip(), value.strip())

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


AFFINITY_OPERATORS = ("<=", ">=", "==", "!=", "=", "<", ">", ":in:")
"""Operators as users write them, longest first so that a scan finds the right one."""

_OPERATOR = re.compile("|".join(map(re.escape, AFFINITY_OPERATORS)))


@dataclass(frozen=True, slots=True)
class Affinity:
    """A demand on a label: the provider's label ``key`` must stand in ``op`` to ``value``.

    ``op`` is one of ``== != < <= > >= in`` (``=`` is read as ``==``, ``:in:`` as ``in``).
    """

    key: str
    op: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Affinity:
        """Reads ``key<op>value`` with an operator of :data:`AFFINITY_OPERATORS`.

        Raises:
            UsageError: There is no operator, or no key.
        """
        found = _OPERATOR.search(text)
        if found is not None and text[: found.start()].strip():
            op = {"=": "==", ":in:": "in"}.get(found[0], found[0])
            return cls(text[: found.start()].strip(), op, text[found.end() :].strip())
        raise UsageError(
            f"'{text}' is not an affinity.",
            hint="Write key, operator (== != < <= > >= :in:) and value, as in mem>=64000.",
        )

    def __str__(self) -> str:
        op = ":in:" if self.op == "in" else self.op
        return f"{self.key}{op}{self.value}"


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """What a job needs.

    Attributes:
        ntasks: Number of tasks.
        cpus_per_task: Hardware threads a task.
        mem_per_cpu: MB a hardware thread.
        gpus: GPUs of the whole job.
        batch_location_hash: Key of the script in the sbatch service.
        uses: Labels the provider must have.
        affinity: Demands on labels.
    """

    ntasks: int
    cpus_per_task: int
    mem_per_cpu: int
    gpus: int = 0
    batch_location_hash: str = ""
    storage_type: StorageType = StorageType.NONE
    uses: tuple[Label, ...] = ()
    affinity: tuple[Affinity, ...] = ()

    @property
    def cpus(self) -> int:
        """Hardware threads of the whole job."""
        return self.ntasks * self.cpus_per_task

    @property
    def mem(self) -> int:
        """MB of the whole job."""
        return self.cpus * self.mem_per_cpu


@dataclass(frozen=True, slots=True)
class JobCost:
    """Money of a job, in wei (1e-18 credit).

    Attributes:
        max_cost: What is locked, top-ups included.
        final_cost: What the job did cost; 0 before its end.
        pending_top_up: The part of ``max_cost`` the provider has not yet turned into time.
    """

    max_cost: int
    final_cost: int = 0
    pending_top_up: int = 0
    delegate_spending_authority: bool = False


@dataclass(frozen=True, slots=True)
class JobTime:
    """Times of a job in Unix seconds (0: not yet), and one block number."""

    submit: int = 0
    start: int = 0
    end: int = 0
    cancel_request_timestamp: int = 0
    block_number_state_change: int = 0
    panic_timestamp: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the chain knows it.

    Attributes:
        id: Number of the job, from 1.
        provider: The provider it was given to; the zero address while there is none.
        exit_status: Wait status (exit code 3 is 768), as on chain.
    """

    id: int
    status: JobStatus
    customer: Address
    provider: Address
    definition: JobDefinition
    cost: JobCost
    time: JobTime
    name: str = ""
    has_cancel_request: bool = False
    last_error: str = ""
    exit_status: int = 0

    @property
    def hex_id(self) -> str:
        return job_hex_id(self.id)

    @property
    def exit_code(self) -> int:
        """The process's exit code, 128 + n when signal n ended it."""
        return exit_code_of(self.exit_status)


def job_hex_id(job_id: int) -> str:
    """``0x`` and 64 hexadecimal digits: a job's id in names, logs and wire formats."""
    return f"0x{job_id:064x}"


def parse_job_id(text: str) -> int:
    """Reads a job id, decimal or ``0x`` and hexadecimal.

    Raises:
        UsageError: The text is neither.
    """
    try:
        number = int(text, 16) if text[:2].lower() == "0x" else int(text)
    except ValueError:
        number = 0
    if not 0 < number < 1 << 256:
        raise UsageError(f"'{text}' is not a job id.", hint="Write its number, as in 41.")
    return number


def exit_code_of(wait_status: int) -> int:
    """Turns a wait status into an exit code: 768 into 3, signal 9 into 137."""
    signal = wait_status & 0x7F
    return 128 + signal if signal else (wait_status >> 8) & 0xFF


def wait_status_of(exit_code: int, signal: int = 0) -> int:
    """Turns an exit code and a signal (Slurm's ``3:0`` or ``0:9``) into a wait status."""
    return (exit_code & 0xFF) << 8 | (signal & 0x7F)


def encode_job_name(name: str) -> bytes:
    """A job's name as the ``bytes32`` of the contract.

    Raises:
        UsageError: The name is longer than 32 bytes, or holds a NUL.
    """
    raw = name.encode()
    if len(raw) > JOB_NAME_BYTES or b"\0" in raw:
        raise UsageError(
            f"The job name '{name}' has {len(raw)} bytes; {JOB_NAME_BYTES} fit, NUL does not.",
            hint="Choose a shorter one with --name.",
        )
    return raw.ljust(JOB_NAME_BYTES, b"\0")


def utc(seconds: int) -> datetime | None:
    """Unix seconds as a UTC time, None for 0 (not yet)."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


@dataclass(frozen=True, slots=True)
class ProviderHardware:
    """Nodes of a provider; the three tuples have one entry a node (memory in MB)."""

    gpus_per_node: tuple[int, ...] = ()
    cpus_per_node: tuple[int, ...] = ()
    mem_per_node: tuple[int, ...] = ()

    @property
    def nodes(self) -> int:
        return len(self.cpus_per_node)


@dataclass(frozen=True, slots=True)
class ProviderPrices:
    """Wei a minute for a GPU, a hardware thread, and a MB of memory."""

    gpu_per_min: int
    cpu_per_min: int
    mem_per_min: int


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider as the chain knows it (an approved record, or a proposal).

    Attributes:
        is_approved: It has an approved record.
        is_waiting: It has a proposal that waits for approval.
        is_valid: It may be given jobs (approved and not banned).
        job_count: Jobs it has ever started.
    """

    address: Address
    hardware: ProviderHardware
    prices: ProviderPrices
    labels: tuple[Label, ...] = ()
    is_banned: bool = False
    is_approved: bool = False
    is_waiting: bool = False
    is_valid: bool = False
    job_count: int = 0

    @property
    def name(self) -> str:
        """Its ``name`` label, or the short address: names are not unique, addresses are."""
        for label in self.labels:
            if label.key == "name" and label.value:
                return label.value
        return self.address.short


@dataclass(frozen=True, slots=True)
class Constants:
    """The grid's parameters, as the Constants contract holds them.

    Attributes:
        minimum_amount: Least wei that a new job locks.
        deepsquare_cut: The operator's share of a job's cost, in percent.
        bill_duration_delta_minute: Kept for old clients; nothing reads it.
        top_up_slice_duration_min: Minutes that a delegated top-up buys, and at which it is due.
        cancellation_fee_minute: Kept for old clients; nothing is charged.
        claim_job_timeout: Minutes until an unclaimed job may be taken back.
        cancel_timeout: Minutes until a job whose cancel is not answered may be ended; 0 where
            the contract has no such limit.
        provider_timeout: Minutes that a silent, removed or banned provider has; 0 likewise.
    """

    minimum_amount: int
    deepsquare_cut: int
    bill_duration_delta_minute: int
    top_up_slice_duration_min: int
    cancellation_fee_minute: int
    claim_job_timeout: int
    cancel_timeout: int = 0
    provider_timeout: int = 0


@dataclass(frozen=True, slots=True)
class WhyNot:
    """One provider's answer to one job: ``reason`` is "" when it can take the job."""

    provider: Address
    name: str
    reason: str
    minutes: int = 0
    wei_per_minute: int = 0
    details: dict[str, object] = field(default_factory=dict)
