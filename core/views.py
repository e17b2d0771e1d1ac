"""The grid's values as JSON objects: what ``--json`` prints and other programs read.

Stored values only, no ages and no estimates of this machine's clock: wei as strings,
times as RFC 3339 in UTC or null. docs/reference/json.md describes every field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsq.core.model import Address, Job, Provider, WhyNot, utc

if TYPE_CHECKING:
    from dsq.core.grid.history import Movement
    from dsq.core.grid.oracle import WhyReport
    from dsq.core.grid.overview import Overview
    from dsq.core.watching import Transition


def rfc3339(seconds: int) -> str | None:
    """Unix seconds as ``2026-01-31T09:12:01Z``; None for 0 (not yet)."""
    time = utc(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ") if time is not None else None


def job_to_dict(job: Job) -> dict[str, Any]:
    """A job.

    ``exit_code`` is null before the end. ``last_error`` is always a string, "" while
    there was none, as on chain.
    """
    definition = job.definition
    return {
        "id": job.id,
        "hex_id": job.hex_id,
        "name": job.name,
        "status": job.status.name,
        "customer": str(job.customer),
        "provider": None if job.provider.is_zero else str(job.provider),
        "locked_wei": str(job.cost.max_cost),
        "final_cost_wei": str(job.cost.final_cost),
        "pending_top_up_wei": str(job.cost.pending_top_up),
        "exit_code": job.exit_code if job.status.is_final else None,
        "submitted_at": rfc3339(job.time.submit),
        "started_at": rfc3339(job.time.start),
        "ended_at": rfc3339(job.time.end),
        "last_error": job.last_error,
        "has_cancel_request": job.has_cancel_request,
        "ntasks": definition.ntasks,
        "cpus_per_task": definition.cpus_per_task,
        "mem_per_cpu": definition.mem_per_cpu,
        "gpus": definition.gpus,
        "uses": [str(label) for label in definition.uses],
        "affinity": [str(affinity) for affinity in definition.affinity],
        "batch_location_hash": definition.batch_location_hash,
    }


def provider_to_dict(provider: Provider) -> dict[str, Any]:
    """A provider's record; ``labels`` is a list, since keys may repeat."""
    hardware, prices = provider.hardware, provider.prices
    return {
        "address": str(provider.address),
        "name": provider.name,
        "is_approved": provider.is_approved,
        "is_waiting": provider.is_waiting,
        "is_banned": provider.is_banned,
        "is_valid": provider.is_valid,
        "job_count": provider.job_count,
        "nodes": [
            {"cpus": cpus, "mem_mb": mem, "gpus": gpus}
            for cpus, mem, gpus in zip(
                hardware.cpus_per_node, hardware.mem_per_node, hardware.gpus_per_node, strict=False
            )
        ],
        "gpu_wei_per_minute": str(prices.gpu_per_min),
        "cpu_wei_per_minute": str(prices.cpu_per_min),
        "mem_mb_wei_per_minute": str(prices.mem_per_min),
        "labels": [{"key": label.key, "value": label.value} for label in provider.labels],
    }


def why_not_to_dict(answer: WhyNot) -> dict[str, Any]:
    """One provider's answer to one job; ``reason`` is "" when it can take the job."""
    return {
        "provider": str(answer.provider),
        "name": answer.name,
        "reason": answer.reason,
        "minutes": answer.minutes,
        "wei_per_minute": str(answer.wei_per_minute),
    }


def why_to_dict(report: WhyReport) -> dict[str, Any]:
    """Why a job waits or who has it: its place among the waiting ones (0: it does not wait)."""
    return {
        "id": report.job_id,
        "status": report.status.name,
        "place": report.place,
        "of": report.of,
        "provider": None if report.provider.is_zero else str(report.provider),
        "providers": [why_not_to_dict(answer) for answer in report.providers],
    }


def transition_to_dict(step: Transition) -> dict[str, Any]:
    """One step in a job's life, and the block that made it."""
    return {
        "status": step.status.name,
        "at": rfc3339(step.at),
        "block_number": step.block_number,
        "tx_hash": "0x" + step.tx_hash.hex(),
    }


def balance_to_dict(
    address: Address,
    *,
    balance_wei: int,
    allowance_wei: int,
    locked_wei: int,
    native_wei: int,
    claimable_wei: int = 0,
    faucet_wei: int = 0,
) -> dict[str, Any]:
    """Money of an account."""
    return {
        "address": str(address),
        "balance_wei": str(balance_wei),
        "allowance_wei": str(allowance_wei),
        "locked_wei": str(locked_wei),
        "native_wei": str(native_wei),
        "claimable_wei": str(claimable_wei),
        "faucet_wei": str(faucet_wei),
    }


def movement_to_dict(movement: Movement) -> dict[str, Any]:
    """Credits that came or went; ``change_wei`` is negative for those that went."""
    return {
        "at": rfc3339(movement.at),
        "kind": movement.kind.replace(" ", "_"),
        "change_wei": str(movement.change_wei),
        "other": str(movement.other),
        "job_id": movement.job_id or None,
        "block_number": movement.block_number,
        "tx_hash": "0x" + movement.tx_hash.hex(),
    }


def overview_to_dict(overview: Overview) -> dict[str, Any]:
    """The whole grid; ``jobs`` has every status, or is empty where the grid cannot count."""
    nodes, cpus, gpus, mem = overview.hardware()
    of_it = overview.scheduling
    return {
        "chain_id": overview.chain_id,
        "block_number": overview.head.number,
        "block_time": rfc3339(overview.head.timestamp),
        "block_seconds": overview.block_seconds,
        "takes_jobs": overview.takes_jobs,
        "metascheduler": {
            "status": of_it.status,
            "waiting": of_it.waiting,
            "placed": of_it.placed,
            "block_number": of_it.block,
            "error": of_it.error,
        },
        "jobs": {status.name: count for status, count in overview.jobs.items()},
        "total_jobs": overview.total_jobs,
        "providers": len(overview.providers),
        "approved_providers": len(overview.approved()),
        "nodes": nodes,
        "cpus": cpus,
        "gpus": gpus,
        "mem_mb": mem,
        "supply_wei": str(overview.supply_wei),
        "held_wei": str(overview.locked_wei),
        "contracts": {name: str(address) for address, name in overview.contracts.items()},
        "endpoints": [
            {
                "url": one.url,
                "state": one.state.value,
                "is_current": one.is_current,
                "block_number": one.head,
                "lag": one.lag,
                "last_error": one.last_error,
            }
            for one in overview.endpoints
        ],
    }
