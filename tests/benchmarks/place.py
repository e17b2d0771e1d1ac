"""A provider with a past: its key, its folder with the journal, its cluster's queue and books."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dsq.core.chain import Cursor
from dsq.core.model import Job, JobDefinition, JobStatus
from dsq.core.wallet import Wallet
from dsq.supervisor.intake import BEGUN
from dsq.supervisor.journal import Journal
from dsq.supervisor.reconcile import DOUBT
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.run import JournalCursor
from dsq.supervisor.scheduler.port import SlurmJob
from tests.benchmarks.restarted import REASON, Restarted
from tests.support.anvil import CHAIN_ID
from tests.support.crowd import CROWD, Crowd
from tests.support.slurm_books import SlurmBooks

MINUTES = 60
HOUR = 3_600.0
CLOSED_SECONDS = 90 * 24 * HOUR
"""Closed jobs ended within so long, the newest an hour ago."""

CLOSED_TOGETHER = 1_000


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that the provider has claimed.

    Attributes:
        tx_hash: Of the claim.
        at: Unix seconds of its block.
    """

    job: Job
    tx_hash: bytes
    at: int


@dataclass
class Place:
    """A provider: its key, its folder, its cluster."""

    folder: Path
    key: str
    wallet: Wallet
    books: SlurmBooks

    @classmethod
    def made(cls, folder: Path, grid: Crowd) -> Place:
        """A provider that nobody knows yet."""
        key = os.urandom(32).hex()
        folder.mkdir(parents=True)
        books = SlurmBooks(folder / "slurm")
        (folder / "provider.toml").write_text(
            f'''
name = "bench"
state_dir = "state"
shared_account = true
[chain]
rpc_url = "{grid.node.url}"
chain_id = {CHAIN_ID}
metascheduler = "{grid.deployment.addresses.metascheduler}"
[services]
sbatch_grpc = "127.0.0.1:1"
[cluster]
kind = "slurm"
bin_dir = "{books.folder}"
[benchmark]
probe = false
[http]
listen = ""
'''
        )
        return cls(folder, key, Wallet.from_key("0x" + key), books)

    async def restarted(self, profile: str = "") -> Restarted:
        """Starts the supervisor, and ends it when all is reconciled."""
        argv = [sys.executable, "-m", "tests.benchmarks.restarted"]
        argv += [str(self.folder / "provider.toml"), *([profile] if profile else [])]
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe)
        out, _ = await child.communicate(f"0x{self.key}\n".encode())
        assert child.returncode == 0
        return Restarted(**json.loads(out))

    def keep(self, jobs: Sequence[Claimed]) -> None:
        """Has journal and cluster know jobs: all in Slurm, as the chain has them."""
        records = [_open(one) for one in jobs]
        journal = Journal(self._journal)
        journal.save_all([(record, "") for record in records])
        journal.close()
        self.books.show(
            SlurmJob(
                record.slurm_id, record.submit_time, user="bench", state=record.slurm_state,
                reason="" if record.started_at else REASON, start=record.started_at,
                nodes=REASON if record.started_at else "", time_limit_minutes=MINUTES,
            )
            for record in records
        )  # fmt: skip

    def keep_closed(self, job_ids: Sequence[int]) -> None:
        """Has the journal, and nobody else, know jobs that ended in the last weeks."""
        if not job_ids:
            return
        first = ended = time.time() - CLOSED_SECONDS
        every = (CLOSED_SECONDS - HOUR) / len(job_ids)
        journal = Journal(self._journal, now=lambda: ended)
        for start in range(0, len(job_ids), CLOSED_TOGETHER):
            part, ended = job_ids[start : start + CLOSED_TOGETHER], first + start * every
            journal.save_all(
                [(_closed(job_id, int(ended)), "reported FINISHED") for job_id in part]
            )
        journal.close()

    @property
    def _journal(self) -> Path:
        return self.folder / "state" / "journal.db"

    def stand_at(self, cursor: Cursor) -> None:
        """Has the next supervisor begin to read behind a block, as after a long time of peace."""
        journal = Journal(self._journal)
        journal.set_meta(BEGUN, "1")
        journal.set_meta(DOUBT, "")
        JournalCursor(journal).save(cursor)
        journal.close()


def _open(one: Claimed) -> JobRecord:
    """What the journal has of a job in Slurm: running if the chain says so, else waiting."""
    job, runs = one.job, one.job.status is JobStatus.RUNNING
    now = int(time.time())
    return JobRecord(
        job.id, job.customer, job.definition, claim_tx=one.tx_hash, claimed_at=one.at,
        claim_time=one.at, bought_minutes=MINUTES, limit_minutes=MINUTES, limit_bought=MINUTES,
        attempt=1, token=os.urandom(8).hex(), slurm_id=_slurm_id(job.id), submit_time=one.at + 1,
        phase=Phase.SEEN, logging=False, slurm_state="RUNNING" if runs else "PENDING",
        slurm_reason="" if runs else "Priority", nodes="n1" if runs else "",
        started_at=job.time.start, reported=JobStatus.RUNNING if runs else None, proved_at=now,
        last_event_at=now,
    )  # fmt: skip


def _closed(job_id: int, at: int) -> JobRecord:
    """What the journal has of a job that ran for ten minutes and was paid."""
    return JobRecord(
        job_id, CROWD, JobDefinition(1, 1, 100), claim_tx=os.urandom(32), claimed_at=at - 630,
        claim_time=at - 630, bought_minutes=MINUTES, limit_minutes=MINUTES, limit_bought=MINUTES,
        attempt=1, token=os.urandom(8).hex(), slurm_id=_slurm_id(job_id), submit_time=at - 620,
        phase=Phase.FINAL, logging=False, slurm_state="COMPLETED", end_state="COMPLETED",
        nodes="n1", started_at=at - 600, ended_at=at, reported=JobStatus.FINISHED,
        proved_at=at, final_cost=10**18, earned=8 * 10**17, log_done=True,
    )  # fmt: skip


def _slurm_id(job_id: int) -> str:
    return str(100_000 + job_id)
