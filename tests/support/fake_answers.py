"""What a grid in memory answers: the shapes of ``dsq.console.user.port``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsq.core.chain import Head
from dsq.core.chain.health import EndpointSnapshot, EndpointState
from dsq.core.grid.overview import Overview, Scheduling
from dsq.core.model import Address, JobStatus, Provider, WhyNot
from dsq.core.units import CREDIT
from tests.support.fake_jobs import NOW


@dataclass(frozen=True)
class FakeHead:
    number: int
    timestamp: int
    era: int = 0

    @property
    def hash(self) -> bytes:
        return self.number.to_bytes(16) + self.era.to_bytes(16)


@dataclass(frozen=True)
class FakeEvent:
    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True)
class FakeBatch:
    events: tuple[FakeEvent, ...]
    head: FakeHead
    reset: bool = False


@dataclass(frozen=True)
class FakeBalance:
    balance_wei: int
    allowance_wei: int
    native_wei: int
    locked_wei: int = 0
    claimable_wei: int = 0
    faucet_wei: int = 0


@dataclass(frozen=True)
class FakeWhy:
    place: int
    of: int
    providers: tuple[WhyNot, ...]


@dataclass(frozen=True)
class FakeStep:
    status: JobStatus
    at: int
    block_number: int
    tx_hash: bytes = b"\x12" * 32


@dataclass(frozen=True)
class FakeLine:
    data: bytes
    timestamp_ns: int


def fake_overview(
    block: int,
    jobs: Mapping[JobStatus, int],
    newest: int,
    contracts: Mapping[Address, str],
    providers: tuple[Provider, ...],
) -> Overview:
    """A healthy grid with a node that lags."""
    nodes = (
        EndpointSnapshot(
            "http://node:8545", EndpointState.HEALTHY, True, block, 0, 0.004, "", 0, 0.0
        ),
        EndpointSnapshot(
            "https://far.example",
            EndpointState.LAGGING,
            False,
            block - 40,
            40,
            0.31,
            "it is 40 blocks behind",
            1,
            12.0,
        ),
    )
    return Overview(
        chain_id=31337,
        head=Head(block, b"\x01" * 32, NOW - 1),
        endpoints=nodes,
        block_seconds=1.0,
        scheduling=Scheduling("ok", 1, 5, block - 1),
        takes_jobs=True,
        jobs=dict(jobs),
        total_jobs=newest,
        supply_wei=1_000_000 * CREDIT,
        locked_wei=1144 * CREDIT,
        contracts=dict(contracts),
        providers=providers,
    )
