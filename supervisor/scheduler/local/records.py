"""The jobs of a local cluster on disk: one folder a job, one writer a file.

::

    ROOT/last_id           number of the newest job
    ROOT/lock              held while jobs are taken in, started or cancelled
    ROOT/jobs/<id>/        spec.json, limit, launch.json (it was started), cancel, and what
                           :mod:`runner` writes
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsq.supervisor.scheduler.local import runner
from dsq.supervisor.scheduler.port import SlurmJob, SlurmJobId

KEEP_SECONDS = 30 * 86400
"""How long the records of ended jobs are kept."""

LAUNCH_SECONDS = 30.0
"""How long a runner may take to say that it is there."""


@dataclass(slots=True)
class LocalJob:
    """A job of the local cluster, as its folder says.

    Attributes:
        folder: Its folder of records.
        spec: Its ``spec.json``, which never changes.
        launch: Its ``launch.json``, None while it waits.
        done: Its last state, once it has ended.
    """

    folder: Path
    spec: dict[str, Any]
    launch: dict[str, Any] | None = None
    done: SlurmJob | None = None

    @property
    def id(self) -> str:
        """Its number."""
        return self.folder.name

    @property
    def job_id(self) -> SlurmJobId:
        """Its identity."""
        return SlurmJobId(self.id, int(self.spec["submit_time"]))

    @property
    def waits(self) -> bool:
        """Whether it has not been started."""
        return self.launch is None and self.done is None

    @property
    def holds(self) -> bool:
        """Whether it has CPUs and memory."""
        return self.launch is not None and self.done is None

    @property
    def cpus(self) -> int:
        """CPUs of the whole job."""
        return int(self.spec["ntasks"] * self.spec["cpus_per_task"])

    @property
    def mem_mb(self) -> int:
        """Memory of the whole job in MB."""
        return int(self.cpus * self.spec["mem_per_cpu"])

    @property
    def gpus(self) -> int:
        """GPUs of the whole job."""
        return int(self.spec["gpus"])

    def limit_seconds(self) -> float:
        """Its time limit as it stands now."""
        return float((self.folder / "limit").read_text())

    def set_limit(self, seconds: float) -> None:
        """Replaces its time limit; a running job's runner sees it within a second."""
        scratch = self.folder / f".limit.{os.getpid()}"
        scratch.write_text(f"{seconds}\n")
        scratch.replace(self.folder / "limit")

    def cancel(self) -> None:
        """Asks its runner to end it; a job that waits ends here."""
        (self.folder / "cancel").touch()
        if self.waits:
            end = {"time": time.time(), "state": "CANCELLED", "exit_code": 0, "signal": 0}
            runner.write_once(self.folder / "end.json", end)
            self.refresh()
            return
        record = runner.read_record(self.folder / "runner.json")
        if record is not None and runner.is_alive(record):
            runner.send([int(record["pid"])], signal.SIGUSR1)

    def refresh(self) -> None:
        """Reads what has changed. A runner that is gone without a word ends the job."""
        if self.done is not None:
            return
        self.launch = self.launch or runner.read_record(self.folder / "launch.json")
        lost = self._lost_at()
        end = runner.read_record(self.folder / "end.json")
        if end is None and lost:
            end = {"time": lost, "state": "NODE_FAIL", "exit_code": 0, "signal": 0}
            if not runner.write_once(self.folder / "end.json", end):
                end = runner.read_record(self.folder / "end.json")
            self._kill_left()
        if end is not None:
            self.done = self._view(end)

    def _lost_at(self) -> float:
        """When a runner that has gone was last seen, 0.0 if it lives or is yet to come.

        Whoever calls reads ``end.json`` only afterwards: a runner writes it before it goes.
        """
        if self.launch is None:
            return 0.0
        record = runner.read_record(self.folder / "runner.json")
        if record is None:
            started = (self.folder / "launch.json").stat().st_mtime
            return started if time.time() - started > LAUNCH_SECONDS else 0.0
        if runner.is_alive(record):
            return 0.0
        return (self.folder / "runner.json").stat().st_mtime

    def _kill_left(self) -> None:
        """Ends what a lost runner's script left running in its session."""
        record = runner.read_record(self.folder / "runner.json")
        if record is not None and record.get("boot") == runner.boot_id():
            session = int(record["pid"])
            if runner.start_ticks(session) == 0:  # else the number is another process's now
                runner.send(runner.session_members(session), signal.SIGKILL)

    def view(self) -> SlurmJob:
        """The job as the port shows it."""
        return self.done or self._view(None)

    def _view(self, end: dict[str, Any] | None) -> SlurmJob:
        start = runner.read_record(self.folder / "start.json")
        state = "PENDING" if start is None else "RUNNING"
        return SlurmJob(
            id=self.id,
            submit_time=int(self.spec["submit_time"]),
            name=self.spec["name"],
            user=self.spec["account"]["name"],
            state=end["state"] if end else state,
            reason="Resources" if self.waits and end is None else "",
            start=int(start["time"]) if start else 0,
            end=int(end["time"]) if end else 0,
            exit_code=int(end["exit_code"]) if end else 0,
            signal=int(end["signal"]) if end else 0,
            nodes=self.spec["node"] if start else "",
            time_limit_minutes=round(self.limit_seconds() / self.spec["minute"]),
            output=f"{self.spec['folder']}/out.log",
        )


class Records:
    """All jobs of a local cluster.

    Args:
        root: Folder of the cluster, private to the supervisor's account.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "jobs").mkdir(parents=True, exist_ok=True, mode=0o700)
        self._jobs: dict[str, LocalJob] = {}
        self._loaded_id = 0
        self._forget_old()
        self.load()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes from starting the same jobs; held for moments only."""
        with (self.root / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def load(self) -> None:
        """Takes in jobs that another process has added."""
        for folder in (self.root / "jobs").iterdir():
            if folder.name.isdigit() and folder.name not in self._jobs:
                spec = runner.read_record(folder / "spec.json")
                if spec is not None:
                    job = LocalJob(folder, spec)
                    job.refresh()
                    self._jobs[job.id] = job

    def add(self, spec: dict[str, Any], limit: float) -> LocalJob:
        """Takes in a job; it is there wholly or not at all. Called with the lock held."""
        number = self._last_id() + 1
        scratch = self.root / "jobs" / f".new.{number}"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        (scratch / "limit").write_text(f"{limit}\n")
        runner.write_record(scratch / "spec.json", spec)
        runner.write_record(self.root / "last_id", {"id": number})
        folder = scratch.rename(self.root / "jobs" / str(number))
        job = LocalJob(folder, spec)
        self._jobs[job.id] = job
        return job

    def _last_id(self) -> int:
        record = runner.read_record(self.root / "last_id") or {}
        here = [int(f.name) for f in (self.root / "jobs").iterdir() if f.name.isdigit()]
        return max([int(record.get("id", 0)), *here])

    def __getitem__(self, job_id: str) -> LocalJob:
        return self._jobs[job_id]

    def get(self, job_id: SlurmJobId) -> LocalJob | None:
        """The job with this id and submit time."""
        job = self._jobs.get(job_id.id)
        if job is None or (job_id.submit_time and job.job_id != job_id):
            return None
        return job

    def by_token(self, name: str, token: str) -> LocalJob | None:
        """The job of an attempt."""
        for job in self._jobs.values():
            if job.spec["token"] == token and job.spec["name"] == name:
                return job
        return None

    def open(self) -> list[LocalJob]:
        """Jobs that have not ended, oldest first."""
        return [job for _, job in sorted(self._jobs.items(), key=_number) if job.done is None]

    def _forget_old(self) -> None:
        for folder in (self.root / "jobs").iterdir():
            with contextlib.suppress(OSError):
                if time.time() - (folder / "end.json").stat().st_mtime > KEEP_SECONDS:
                    shutil.rmtree(folder)


def _number(item: tuple[str, LocalJob]) -> int:
    return int(item[0])
