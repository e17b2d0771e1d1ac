"""Small grids for the meta-scheduler's tests."""

from __future__ import annotations

from dsq.core.metascheduler.state import GridState
from dsq.core.model import (
    ZERO_ADDRESS,
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
)
from dsq.core.units import CREDIT

CUSTOMER = Address(b"\x11" * 20)


def address(number: int) -> Address:
    """A provider's address."""
    return Address(number.to_bytes(20, "big"))


def hardware(*nodes: tuple[int, int, int]) -> ProviderHardware:
    """Nodes as (CPUs, MB, GPUs)."""
    cpus, mem, gpus = zip(*nodes, strict=True) if nodes else ((), (), ())
    return ProviderHardware(tuple(gpus), tuple(cpus), tuple(mem))


def provider(
    number: int = 1,
    nodes: tuple[tuple[int, int, int], ...] = ((8, 16_000, 0),),
    *,
    price: int = CREDIT,
    labels: str = "",
    banned: bool = False,
    approved: bool = True,
) -> Provider:
    """A provider that takes ``price`` wei a CPU minute; ``labels`` as ``"a=b c=d"``."""
    return Provider(
        address(number),
        hardware(*nodes),
        ProviderPrices(gpu_per_min=10 * price, cpu_per_min=price, mem_per_min=0),
        tuple(Label.parse(text) for text in labels.split()),
        is_banned=banned,
        is_approved=approved,
        is_valid=approved and not banned,
    )


def definition(
    ntasks: int = 1,
    cpus: int = 1,
    mem: int = 100,
    gpus: int = 0,
    *,
    uses: str = "",
    affinity: str = "",
) -> JobDefinition:
    """A job's needs: ``cpus`` a task, ``mem`` MB a CPU."""
    return JobDefinition(
        ntasks,
        cpus,
        mem,
        gpus,
        uses=tuple(Label.parse(text) for text in uses.split()),
        affinity=tuple(Affinity.parse(text) for text in affinity.split()),
    )


def job(
    number: int,
    needs: JobDefinition | None = None,
    *,
    status: JobStatus = JobStatus.PENDING,
    at: int | None = None,
    credits: int = 100,  # noqa: A002
    on: Address = ZERO_ADDRESS,
    start: int = 0,
) -> Job:
    """A job of :data:`CUSTOMER`, requested at ``at`` (by default in the order of numbers)."""
    return Job(
        number,
        status,
        CUSTOMER,
        on,
        needs or definition(),
        JobCost(credits * CREDIT),
        JobTime(submit=1000 + number if at is None else at, start=start),
    )


def grid(*providers: Provider, jobs: tuple[Job, ...] = ()) -> GridState:
    """A state with these providers and jobs."""
    state = GridState()
    for one in providers:
        state.set_provider(one)
    for one in jobs:
        state.observe(one, 1000.0)
    return state
