"""Tuples of the ABI to values of :mod:`dsq.core.model`, and back.

The field order is that of the structs in the contracts (docs/contracts.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsq.core.errors import UsageError
from dsq.core.model import (
    Address,
    Affinity,
    Job,
    JobCost,
    JobDefinition,
    JobStatus,
    JobTime,
    Label,
    Provider,
    ProviderHardware,
    ProviderPrices,
    StorageType,
)


def job_id_to_bytes(job_id: int) -> bytes:
    """A job's number as the ``bytes32`` of the contracts."""
    try:
        return job_id.to_bytes(32, "big")
    except OverflowError:
        raise UsageError(f"{job_id} is not a job id.", hint="Write its number, as in 41.") from None


def job_id_from_bytes(raw: bytes) -> int:
    """The number of a job."""
    return int.from_bytes(raw, "big")


def label_to_tuple(label: Label) -> tuple[str, str]:
    return label.key, label.value


def affinity_to_tuple(affinity: Affinity) -> tuple[tuple[str, str], bytes]:
    """``op`` is ASCII in ``bytes2``, padded with NUL."""
    op = affinity.op.encode()
    if len(op) > 2:
        raise UsageError(
            f"'{affinity.op}' is not an affinity operator.",
            hint="There are == != < <= > >= and :in:.",
        )
    return (affinity.key, affinity.value), op.ljust(2, b"\0")


def definition_to_tuple(definition: JobDefinition) -> tuple[Any, ...]:
    return (
        definition.gpus,
        definition.mem_per_cpu,
        definition.cpus_per_task,
        definition.ntasks,
        definition.batch_location_hash,
        int(definition.storage_type),
        [label_to_tuple(label) for label in definition.uses],
        [affinity_to_tuple(affinity) for affinity in definition.affinity],
    )


def definition_from_tuple(values: Sequence[Any]) -> JobDefinition:
    gpus, mem_per_cpu, cpus_per_task, ntasks, location, storage, uses, affinity = values
    return JobDefinition(
        ntasks=ntasks,
        cpus_per_task=cpus_per_task,
        mem_per_cpu=mem_per_cpu,
        gpus=gpus,
        batch_location_hash=location,
        storage_type=StorageType(storage),
        uses=tuple(Label(key, value) for key, value in uses),
        affinity=tuple(
            Affinity(key, op.rstrip(b"\0").decode("ascii", "replace"), value)
            for (key, value), op in affinity
        ),
    )


def cost_to_tuple(cost: JobCost) -> tuple[int, int, int, bool]:
    return cost.max_cost, cost.final_cost, cost.pending_top_up, cost.delegate_spending_authority


def time_to_tuple(time: JobTime) -> tuple[int, ...]:
    return (
        time.submit,
        time.start,
        time.end,
        time.cancel_request_timestamp,
        time.block_number_state_change,
        time.panic_timestamp,
    )


def job_to_tuple(job: Job) -> tuple[Any, ...]:
    from dsq.core.model import encode_job_name

    return (
        job_id_to_bytes(job.id),
        int(job.status),
        job.customer,
        job.provider,
        definition_to_tuple(job.definition),
        cost_to_tuple(job.cost),
        time_to_tuple(job.time),
        encode_job_name(job.name),
        job.has_cancel_request,
        job.last_error,
        job.exit_status,
    )


def job_from_tuple(values: Sequence[Any]) -> Job:
    (
        job_id,
        status,
        customer,
        provider,
        definition,
        cost,
        time,
        name,
        has_cancel_request,
        last_error,
        exit_status,
    ) = values
    return Job(
        id=job_id_from_bytes(job_id),
        status=JobStatus(status),
        customer=customer,
        provider=provider,
        definition=definition_from_tuple(definition),
        cost=JobCost(*cost),
        time=JobTime(*time),
        name=name.rstrip(b"\0").decode("utf-8", "replace"),
        has_cancel_request=has_cancel_request,
        last_error=last_error,
        exit_status=exit_status,
    )


def hardware_to_tuple(hardware: ProviderHardware) -> tuple[Any, ...]:
    return (
        hardware.nodes,
        list(hardware.gpus_per_node),
        list(hardware.cpus_per_node),
        list(hardware.mem_per_node),
    )


def hardware_from_tuple(values: Sequence[Any]) -> ProviderHardware:
    _, gpus, cpus, mem = values
    return ProviderHardware(tuple(gpus), tuple(cpus), tuple(mem))


def prices_to_tuple(prices: ProviderPrices) -> tuple[int, int, int]:
    return prices.gpu_per_min, prices.cpu_per_min, prices.mem_per_min


def provider_from_tuple(
    address: Address,
    values: Sequence[Any],
    *,
    is_waiting: bool = False,
    is_valid: bool = False,
    is_banned: bool = False,
    is_approved: bool = False,
    job_count: int = 0,
) -> Provider:
    """A provider's record (approved or proposed) with the flags that the contract keeps apart."""
    _, hardware, prices, labels, banned = values
    return Provider(
        address=address,
        hardware=hardware_from_tuple(hardware),
        prices=ProviderPrices(*prices),
        labels=tuple(Label(key, value) for key, value in labels),
        is_banned=is_banned or banned,
        is_approved=is_approved,
        is_waiting=is_waiting,
        is_valid=is_valid,
        job_count=job_count,
    )
