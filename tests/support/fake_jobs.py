"""Jobs, providers and movements as tests of the console want them."""

from __future__ import annotations

import dataclasses
from typing import Any

from dsq.core.grid.history import Movement
from dsq.core.model import (
    ZERO_ADDRESS,
    Address,
    Job,
    JobCost,
    JobDefinition,
    JobStatus,
    JobTime,
    Label,
    Provider,
    ProviderHardware,
    ProviderPrices,
)
from dsq.core.units import CREDIT

NOW = 1_795_000_000
"""Where frozen clocks stand: 2026-11-18 11:06:40 UTC."""

ME = Address(bytes.fromhex("9fd3" + "11" * 16 + "41ac"))
GAIA = Address(b"\x9a" * 20)
IRIS = Address(b"\x5b" * 20)
OPERATOR = Address(b"\x0e" * 20)
CONTRACT = Address(b"\x0d" * 20)
"""The MetaScheduler."""


def provider(
    address: Address,
    name: str,
    *,
    nodes: int = 2,
    gpus: int = 4,
    cpu_price: int = CREDIT // 20,
    **changes: Any,
) -> Provider:
    """A provider with plausible hardware and prices."""
    return dataclasses.replace(
        Provider(
            address,
            ProviderHardware((gpus,) * nodes, (32,) * nodes, (128_000,) * nodes),
            ProviderPrices(CREDIT // 2, cpu_price, CREDIT // 10**7),
            (Label("name", name), Label("zone", "eu"), Label("gpu", "a100" if gpus else "none")),
            is_approved=True,
            is_valid=True,
            job_count=12,
        ),
        **changes,
    )


def job(
    job_id: int,
    status: JobStatus,
    name: str = "",
    *,
    at: Address = ZERO_ADDRESS,
    locked: int = 212,
    cost: int = 0,
    submit: int = -7200,
    start: int = 0,
    end: int = 0,
    error: str = "",
    exit_status: int = 0,
    gpus: int = 0,
    **changes: Any,
) -> Job:
    """A job; times are seconds relative to :data:`NOW`, money is in hundredths of a credit."""

    def moment(offset: int) -> int:
        return NOW + offset if offset else 0

    return dataclasses.replace(
        Job(
            job_id,
            status,
            ME,
            at,
            JobDefinition(1, 8, 4000, gpus),
            JobCost(locked * CREDIT, cost * CREDIT // 100),
            JobTime(moment(submit), moment(start), moment(end), 0, 1000 + job_id),
            name,
            last_error=error,
            exit_status=exit_status,
        ),
        **changes,
    )


def some_jobs() -> list[Job]:
    """One job of every kind, newest first."""
    status = JobStatus
    return [
        job(
            41, status.RUNNING, "train-llm", at=GAIA, submit=-4200, start=-4180, gpus=4, locked=400
        ),
        job(40, status.RUNNING, "sweep-lr", at=IRIS, submit=-1000, start=-980, locked=160),
        job(39, status.PENDING, "render-07", submit=-300, locked=160),
        job(38, status.SCHEDULED, "mesh-fine", at=GAIA, submit=-500),
        job(37, status.META_SCHEDULED, "mesh-coarse", at=IRIS, submit=-510),
        job(
            36,
            status.FINISHED,
            "cfd-wing",
            at=IRIS,
            submit=-9000,
            start=-8900,
            end=-5410,
            cost=5520,
        ),
        job(
            35,
            status.FAILED,
            "mpi-check",
            at=GAIA,
            submit=-9100,
            start=-9050,
            end=-9046,
            cost=190,
            error="step 'check' ended with exit code 3",
            exit_status=768,
        ),
        job(34, status.CANCELLED, "typo", submit=-9900, start=-9800, end=-9800),
        job(
            33,
            status.OUT_OF_CREDITS,
            "long-one",
            at=GAIA,
            submit=-99000,
            start=-98000,
            end=-80000,
            cost=21200,
        ),
        job(
            32,
            status.PANICKED,
            "lost",
            at=IRIS,
            submit=-99900,
            start=-99000,
            end=-98000,
            error="the provider does not answer",
        ),
    ]


def some_movements() -> list[Movement]:
    """A movement of every kind that a user has."""
    other = Address(bytes.fromhex("17aa" + "22" * 16 + "90be"))
    kinds = [
        ("minted", 2000, ZERO_ADDRESS, 0),
        ("locked", 400, other, 41),
        ("locked", 160, other, 40),
        ("topped up", 50, other, 41),
        ("returned", 157, other, 36),
        ("sent", 25, other, 0),
        ("received", 60, other, 0),
    ]
    return [
        Movement(
            NOW - 90_000 + 9_000 * n, kind, wei * CREDIT, who, job_id, 1000 + n, n, bytes([n]) * 32
        )
        for n, (kind, wei, who, job_id) in enumerate(kinds)
    ]
