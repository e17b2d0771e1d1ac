"""Jobs, providers and constants as text, and back: what the read model's file holds.

A list of plain values each, in the order of the fields; :data:`VERSION` changes with them,
and a file of another version is read anew from the chain.
"""

from __future__ import annotations

import json
from typing import Any

from dsq.core.model import (
    Address,
    Affinity,
    Constants,
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

VERSION = 3
"""Of the tables and of the texts in them."""


def _labels(labels: tuple[Label, ...]) -> list[list[str]]:
    return [[label.key, label.value] for label in labels]


def _from_labels(rows: list[list[str]]) -> tuple[Label, ...]:
    return tuple(Label(key, value) for key, value in rows)


def job_to_text(job: Job) -> str:
    """A job; wei are whole numbers of any size, as JSON allows."""
    needs, cost, time = job.definition, job.cost, job.time
    row = [
        job.id, int(job.status), job.customer.hex(), job.provider.hex(),
        [needs.ntasks, needs.cpus_per_task, needs.mem_per_cpu, needs.gpus,
         needs.batch_location_hash, int(needs.storage_type), _labels(needs.uses),
         [[each.key, each.op, each.value] for each in needs.affinity]],
        [cost.max_cost, cost.final_cost, cost.pending_top_up, cost.delegate_spending_authority],
        [time.submit, time.start, time.end, time.cancel_request_timestamp,
         time.block_number_state_change, time.panic_timestamp],
        job.name, job.has_cancel_request, job.last_error, job.exit_status,
    ]  # fmt: skip
    return json.dumps(row, separators=(",", ":"))


def job_from_text(text: str) -> Job:
    """Reads what :func:`job_to_text` wrote."""
    row: list[Any] = json.loads(text)
    job_id, status, customer, provider, needs, cost, time, name, cancel, error, exit_status = row
    ntasks, cpus, mem, gpus, key, storage, uses, affinity = needs
    return Job(
        job_id,
        JobStatus(status),
        Address(bytes.fromhex(customer)),
        Address(bytes.fromhex(provider)),
        JobDefinition(
            ntasks,
            cpus,
            mem,
            gpus,
            key,
            StorageType(storage),
            _from_labels(uses),
            tuple(Affinity(*each) for each in affinity),
        ),
        JobCost(*cost),
        JobTime(*time),
        name,
        cancel,
        error,
        exit_status,
    )


def provider_to_text(provider: Provider) -> str:
    """A provider's record."""
    hardware, prices = provider.hardware, provider.prices
    row = [
        provider.address.hex(),
        [hardware.gpus_per_node, hardware.cpus_per_node, hardware.mem_per_node],
        [prices.gpu_per_min, prices.cpu_per_min, prices.mem_per_min],
        _labels(provider.labels),
        [provider.is_banned, provider.is_approved, provider.is_waiting, provider.is_valid],
        provider.job_count,
    ]
    return json.dumps(row, separators=(",", ":"))


def provider_from_text(text: str) -> Provider:
    """Reads what :func:`provider_to_text` wrote."""
    address, hardware, prices, labels, flags, count = json.loads(text)
    banned, approved, waiting, valid = flags
    return Provider(
        Address(bytes.fromhex(address)),
        ProviderHardware(*(tuple(nodes) for nodes in hardware)),
        ProviderPrices(*prices),
        _from_labels(labels),
        banned,
        approved,
        waiting,
        valid,
        count,
    )


def constants_to_text(constants: Constants) -> str:
    """The grid's parameters by name, so that later ones do no harm."""
    from dataclasses import asdict

    return json.dumps(asdict(constants))


def constants_from_text(text: str) -> Constants | None:
    """Reads what :func:`constants_to_text` wrote; None if it has other fields."""
    try:
        return Constants(**json.loads(text))
    except TypeError:
        return None
