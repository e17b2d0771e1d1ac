"""A supervisor in memory for tests of dsq-provider's screen."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from dsq.core.errors import DsqError
from dsq.core.model import Address, JobStatus, Label, ProviderPrices
from dsq.core.units import CREDIT
from dsq.supervisor.snapshot import (
    AgentSnapshot,
    Connection,
    Counts,
    JobRow,
    LogLineRow,
    Mode,
    NodeRow,
    Shares,
    TxRow,
)
from tests.support.fake_grid import GAIA, ME, NOW, provider

OTHER = Address(bytes.fromhex("17aa" + "22" * 16 + "90be"))


def job_row(job_id: int, chain: JobStatus | None, slurm: str, **changes: Any) -> JobRow:
    """One row with plausible values."""
    row = JobRow(
        job_id=job_id,
        chain=chain,
        slurm_state=slurm,
        slurm_id=str(90172 + job_id),
        nodes="",
        reason="",
        customer=ME,
        phase="seen",
        elapsed=None,
        left=None,
        limit_minutes=240,
        earned=0,
        last_event="",
        last_event_at=NOW - 60,
        attempt=1,
    )
    return dataclasses.replace(row, **changes)


def some_snapshot(**changes: Any) -> AgentSnapshot:
    """A provider at work: running, waiting, disagreeing and ended jobs."""
    rows = (
        job_row(41, JobStatus.RUNNING, "RUNNING", nodes="n[3-4]", elapsed=11051, left=3349,
                earned=1394 * CREDIT // 10, last_event="reported running"),
        job_row(44, JobStatus.SCHEDULED, "PENDING", reason="Resources", customer=OTHER,
                phase="sent", last_event="submitted, attempt 1"),
        job_row(43, JobStatus.RUNNING, "gone", nodes="n7", elapsed=760, disagrees=True,
                phase="ended", exit_code=0, last_event="seen ended, exit 0; reporting"),
        job_row(39, JobStatus.FAILED, "FAILED", nodes="n1", elapsed=65, phase="final", exit_code=3,
                earned=190 * CREDIT // 100, last_error="step 'check' ended with exit code 3",
                last_event="settled"),
    )  # fmt: skip
    snapshot = AgentSnapshot(
        at=NOW,
        name="gaia",
        address=GAIA,
        mode=Mode.CLAIMING,
        cluster_kind="ssh",
        chain_id=31337,
        head_number=1204,
        head_timestamp=NOW - 1,
        provider=provider(GAIA, "gaia"),
        prices=ProviderPrices(CREDIT // 2, CREDIT // 20, CREDIT // 10**7),
        labels=(Label("name", "gaia"), Label("zone", "eu")),
        partition="main",
        slurm_version="22.05.8",
        can_raise_limit=True,
        native_balance=99 * CREDIT,
        credit_balance=2904 * CREDIT,
        earned_today=4127 * CREDIT // 10,
        earned_week=29041 * CREDIT // 10,
        fee_percent=20,
        shares=Shares(grid=64, others=16, idle=48),
        counts=Counts(waiting=1, running=2, ended=1, refused=1, disagreeing=1),
        connections=(
            Connection("chain", True, "", 4.2, NOW - 900),
            Connection("cluster", True, "22.05.8", 11.0, NOW - 900),
            Connection("sbatch", True, "", 2.0, NOW - 900),
            Connection("logs", True, "", 2.0, NOW - 900),
        ),
        rows=rows,
        nodes=(
            NodeRow("n1", "idle", 32, 128_000, 4, "a100", 32, 128_000, 4),
            NodeRow("n[3-4]", "mixed", 64, 256_000, 8, "a100", 16, 64_000, 0, 1),
            NodeRow("n7", "allocated", 32, 128_000, 0, "", 0, 0, 0, 1),
            NodeRow("n8", "down*", 32, 128_000, 4, "a100"),
        ),
        txs=(
            TxRow(NOW - 300, "claimNextJob()", "mined", "0x" + "81" * 31 + "c2", 1180, 143_201),
            TxRow(
                NOW - 60,
                "providerSetJobStatus(41, RUNNING)",
                "mined",
                "0x" + "82" * 32,
                1201,
                90_442,
            ),
            TxRow(NOW - 2, "providerSetJobStatus(43, FINISHED, 12 min)", "sending"),
        ),
        log_lines=(
            LogLineRow(NOW - 300, "info", "provider=gaia started"),
            LogLineRow(NOW - 61, "info", "slurm=90213 state=RUNNING nodes=n[3-4]", 41),
            LogLineRow(NOW - 12, "warning", "cluster=slow latency_ms=812"),
            LogLineRow(NOW - 3, "info", "seen ended exit=0", 43),
        ),
        registration="approved, unchanged",
    )
    return dataclasses.replace(snapshot, **changes)


class FakeSupervisor:
    """Runs nothing: shows the snapshot it is given, notes what the operator asks.

    Attributes:
        asked: What the operator asked for.
        fail: Raised instead of running, once for each entry.
    """

    def __init__(self, snapshot: AgentSnapshot | None = None) -> None:
        self.snapshot = snapshot or some_snapshot()
        self.asked: list[Any] = []
        self.fail: list[DsqError] = []
        self.stopped = False
        self._show: Callable[[AgentSnapshot], None] | None = None

    async def __call__(
        self,
        *,
        stop: asyncio.Event,
        on_snapshot: Callable[[AgentSnapshot], None],
        on_ready: Callable[[Any], None],
    ) -> None:
        if self.fail:
            raise self.fail.pop(0)
        self._show = on_snapshot
        on_ready(self)
        on_snapshot(self.snapshot)
        await stop.wait()
        self.stopped = True

    def look(self, **changes: Any) -> None:
        """Shows another snapshot."""
        self.snapshot = dataclasses.replace(self.snapshot, **changes)
        assert self._show is not None
        self._show(self.snapshot)

    def pause(self) -> None:
        self.asked.append("pause")
        self.look(mode=Mode.PAUSED)

    def resume(self) -> None:
        self.asked.append("resume")
        self.look(mode=Mode.CLAIMING)

    def drain(self) -> None:
        self.asked.append("drain")
        self.look(mode=Mode.DRAINING)

    def cancel_job(self, job_id: int, reason: str = "") -> None:
        self.asked.append(("cancel", job_id))
