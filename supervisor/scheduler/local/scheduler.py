"""The cluster that is this machine, with the same port as Slurm."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import posixpath
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dsq.core.clock import Clock, SystemClock
from dsq.core.errors import NotFoundError, SettingsError, UnreachableError
from dsq.supervisor.scheduler.accounts import SAFE_PATH
from dsq.supervisor.scheduler.local import runner
from dsq.supervisor.scheduler.local.records import LocalJob, Records
from dsq.supervisor.scheduler.port import (
    OUTPUT_FILE,
    ClusterInfo,
    Free,
    JobSpec,
    Node,
    NodeFree,
    SchedulerError,
    SlurmJob,
    SlurmJobId,
    SubmitRefused,
)
from dsq.supervisor.scheduler.script import RAN, compose
from dsq.supervisor.scheduler.transport import LocalTransport

log = logging.getLogger("dsq.supervisor.local")

PARTITION = "local"
STAND_INS = ("srun", "scontrol")

_STORE = (
    'umask 077; mkdir -p -- "$1" && cat >"$1/.$2.$$" && '
    'chmod "$3" -- "$1/.$2.$$" && mv -f -- "$1/.$2.$$" "$1/$2"'
)
"""Puts stdin into a file of a folder, by rename: a job may be reading the file that was there."""


class LocalScheduler:
    """Runs batch scripts as processes on this machine, as many as its resources allow.

    Each job has a runner of its own that goes on when the supervisor ends. CPUs, memory and
    GPUs are counted, not enforced; jobs wait in line for them, first come, first served.

    Args:
        root: Folder of the cluster's records, private to this account.
        workdir: Folder of the jobs' output; None is ``work`` in ``root``. With ``user`` it must
            be one where that account may write.
        cpus: CPUs that jobs can have; None is all of the machine's.
        mem_mb: Memory in MB that jobs can have; None is all of the machine's.
        gpus: GPUs that jobs can have; None is those of NVIDIA's driver.
        gpu_type: Their type, for the cluster's description.
        user: Another account that jobs run as; needs root.
        job_path: PATH of jobs after the stand-ins for Slurm's commands.
        max_minutes: Longest time limit; None for none.
        kill_wait: Seconds between SIGTERM and SIGKILL.
        minute: Seconds of a minute of time limit; less than 60 only makes sense in tests.
        clock: Time, for waits.
    """

    def __init__(
        self,
        root: Path,
        *,
        workdir: Path | None = None,
        cpus: int | None = None,
        mem_mb: int | None = None,
        gpus: int | None = None,
        gpu_type: str = "",
        user: str | None = None,
        job_path: str | None = None,
        max_minutes: int | None = None,
        kill_wait: float = 5.0,
        minute: float = 60.0,
        clock: Clock | None = None,
    ) -> None:
        self.root = root.expanduser().absolute()
        self.workdir = (workdir or self.root / "work").expanduser().absolute()
        self.node = Node(
            name=socket.gethostname().split(".")[0] or "localhost",
            cpus=cpus or os.cpu_count() or 1,
            mem_mb=mem_mb or _memory_mb(),
            gpus=_gpu_count() if gpus is None else gpus,
            gpu_type=gpu_type,
            state="IDLE",
        )
        self.max_minutes = max_minutes
        self._job_path = job_path
        self._kill_wait = kill_wait
        self._minute = minute
        self._clock = clock or SystemClock()
        self._line = LocalTransport(user)
        self._records = Records(self.root)
        self._runners: list[subprocess.Popen[bytes]] = []
        self._lock = asyncio.Lock()
        self._ready = False

    # ---- the port --------------------------------------------------------------------------

    async def check(self) -> str:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.check`.

        Raises:
            SettingsError: The jobs' account cannot use the folder for output.
        """
        await self._prepare()
        return "local"

    async def discover(self) -> ClusterInfo:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.discover`."""
        return ClusterInfo(
            (self.node,), PARTITION, self.max_minutes, "local", configured=(self.node,)
        )

    async def free(self) -> Free:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.free`."""
        async with self._lock:
            self._advance()
            return Free((self._free(),))

    async def submit(self, spec: JobSpec, script: str) -> SlurmJobId:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.submit`."""
        spec.check()
        self._check_size(spec)
        await self._prepare()
        folder = posixpath.join(str(self.workdir), spec.name, spec.token)
        once = posixpath.join(str(self.workdir), spec.name, RAN + spec.once) if spec.once else ""
        text = compose(spec, script, env={"PATH": self._path(spec)}, once=once)
        await self._store(folder, "script", text, "700")
        record = {
            "name": spec.name,
            "token": spec.token,
            "folder": folder,
            "ntasks": spec.ntasks,
            "cpus_per_task": spec.cpus_per_task,
            "mem_per_cpu": spec.mem_per_cpu,
            "gpus": spec.gpus,
            "submit_time": int(self._clock.now()),
            "minute": self._minute,
            "kill_wait": self._kill_wait,
            "node": self.node.name,
            "account": {
                "name": self._line.account.name,
                "uid": self._line.account.uid,
                "gid": self._line.account.gid,
                "groups": list(self._line.account.groups),
            },
        }
        async with self._lock:
            with self._records.lock():
                job = self._records.add(record, spec.minutes * self._minute)
            self._advance()
        log.info("submitted name=%s token=%s job=%s", spec.name, spec.token, job.id)
        return job.job_id

    async def find(self, name: str, token: str, since: int) -> SlurmJob | None:  # noqa: ARG002
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.find`.

        A job is taken in at one moment, in this process, so there is nothing to come later.
        """
        async with self._lock:
            self._records.load()
            self._advance()
            job = self._records.by_token(name, token)
            return job.view() if job else None

    async def poll(self, jobs: Sequence[SlurmJobId]) -> dict[str, SlurmJob]:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.poll`. Also starts jobs that wait."""
        async with self._lock:
            self._advance()
            found = (self._records.get(job) for job in jobs)
            return {job.id: job.view() for job in found if job is not None}

    async def cancel(self, job: SlurmJobId) -> None:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.cancel`."""
        async with self._lock:
            known = self._records.get(job)
            if known is None:
                return
            with self._records.lock():
                known.refresh()
                if known.done is None:
                    known.cancel()
        deadline = self._clock.monotonic() + self._kill_wait + 20
        while known.done is None:
            if self._clock.monotonic() > deadline:
                raise UnreachableError(f"Job {job.id} does not end.")
            await self._clock.sleep(0.02)
            async with self._lock:
                known.refresh()
        async with self._lock:
            self._advance()

    async def set_time_limit(self, job: SlurmJobId, minutes: int) -> None:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.set_time_limit`."""
        if minutes < 1:
            raise SchedulerError(f"A time limit of {minutes} minutes cannot be set.")
        async with self._lock:
            known = self._records.get(job)
            if known is not None:
                known.refresh()
            if known is None or known.done is not None:
                raise NotFoundError(f"Job {job.id} has ended.")
            known.set_limit(minutes * self._minute)

    async def can_raise_limit(self) -> bool:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.can_raise_limit`: always."""
        return True

    async def read_output(
        self, spec_name: str, token: str, offset: int, limit: int = 65536
    ) -> bytes:
        """See :meth:`~dsq.supervisor.scheduler.port.Scheduler.read_output`."""
        path = posixpath.join(str(self.workdir), spec_name, token, OUTPUT_FILE)
        return await self._line.read(path, offset, limit)

    async def close(self) -> None:
        """Jobs run on; the next scheduler with this root finds them."""
        self._reap()
        self._runners.clear()

    # ---- the queue -------------------------------------------------------------------------

    def _advance(self) -> None:
        """Sees which jobs have ended, and starts those at the head of the line that fit."""
        self._reap()
        waiting = False
        for job in self._records.open():
            job.refresh()
            waiting = waiting or job.waits
        if not waiting:
            return
        with self._records.lock():
            for job in self._records.open():
                job.refresh()
            for job in self._records.open():
                if not job.waits:
                    continue
                if not self._fits(job):
                    break
                self._launch(job)

    def _launch(self, job: LocalJob) -> None:
        devices = self._devices()[: job.gpus]
        launch = {"gpus": devices, "env": self._environment(job, devices)}
        runner.write_record(job.folder / "launch.json", launch)
        job.launch = launch
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", runner.__file__, str(job.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": SAFE_PATH, "LANG": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
        )
        self._runners.append(process)
        log.info("started job=%s name=%s", job.id, job.spec["name"])

    def _reap(self) -> None:
        self._runners = [process for process in self._runners if process.poll() is None]

    def _holding(self) -> Iterator[LocalJob]:
        return (job for job in self._records.open() if job.holds)

    def _free(self) -> NodeFree:
        holding = list(self._holding())
        return NodeFree(
            name=self.node.name,
            cpus=max(0, self.node.cpus - sum(job.cpus for job in holding)),
            mem_mb=max(0, self.node.mem_mb - sum(job.mem_mb for job in holding)),
            gpus=max(0, self.node.gpus - sum(job.gpus for job in holding)),
        )

    def _fits(self, job: LocalJob) -> bool:
        free = self._free()
        return job.cpus <= free.cpus and job.mem_mb <= free.mem_mb and job.gpus <= free.gpus

    def _devices(self) -> list[int]:
        """Numbers of the GPUs that no job has."""
        used = {number for job in self._holding() for number in (job.launch or {})["gpus"]}
        return [number for number in range(self.node.gpus) if number not in used]

    def _check_size(self, spec: JobSpec) -> None:
        """Refuses what this machine can never run.

        Raises:
            SubmitRefused: With the number that is too high.
        """
        cpus = spec.ntasks * spec.cpus_per_task
        asked = {
            "CPUs": (cpus, self.node.cpus),
            "MB of memory": (cpus * spec.mem_per_cpu, self.node.mem_mb),
            "GPUs": (spec.gpus, self.node.gpus),
            "nodes": (spec.nodes, 1),
            "minutes": (spec.minutes, self.max_minutes or spec.minutes),
        }
        for unit, (wanted, most) in asked.items():
            if wanted > most:
                raise SubmitRefused(f"The job wants {wanted} {unit}; here it can have {most}.")

    # ---- what a job finds ------------------------------------------------------------------

    @property
    def _bin(self) -> str:
        return posixpath.join(str(self.workdir), ".bin")

    def _path(self, spec: JobSpec) -> str:
        """The stand-ins first: where Slurm is installed, its srun would look for a cluster."""
        mine = os.environ.get("PATH", SAFE_PATH) if self._line.account.is_current else SAFE_PATH
        return f"{self._bin}:{spec.job_path or self._job_path or mine}"

    async def _prepare(self) -> None:
        """Puts the stand-ins for Slurm's commands where jobs find them."""
        if self._ready:
            return
        account = self._line.account
        if not self.workdir.exists():
            self.workdir.mkdir(parents=True, mode=0o700)
            if not account.is_current:
                os.chown(self.workdir, account.uid, account.gid)
        for name in STAND_INS:
            text = Path(__file__).with_name(f"{name}.sh").read_text()
            try:
                await self._store(self._bin, name, text, "755")
            except SubmitRefused as error:
                raise SettingsError(
                    f"The account '{account.name}' cannot use {self.workdir}: {error}",
                    hint="Set workdir to a folder where it may write.",
                ) from error
        self._ready = True

    async def _store(self, folder: str, name: str, text: str, mode: str) -> None:
        done = await self._line.run(
            ["sh", "-c", _STORE, "sh", folder, name, mode], stdin=text.encode()
        )
        if done.returncode != 0:
            reason = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
            raise SubmitRefused(f"{posixpath.join(folder, name)}: {reason[-1]}.")

    def _environment(self, job: LocalJob, devices: Sequence[int]) -> dict[str, str]:
        """The variables of a job: a login's, and those of Slurm that scripts use."""
        spec, account = job.spec, self._line.account
        node, uid = self.node.name, str(account.uid)
        env = {
            **{key: os.environ[key] for key in ("LANG", "LC_ALL", "TZ") if key in os.environ},
            **account.environment(),
            "PATH": f"{self._bin}:{SAFE_PATH}",
            "TMPDIR": "/tmp",  # noqa: S108 - what Slurm sets too
            "SLURM_CLUSTER_NAME": PARTITION,
            "SLURM_JOB_ID": job.id,
            "SLURM_JOBID": job.id,
            "SLURM_JOB_NAME": spec["name"],
            "SLURM_JOB_PARTITION": PARTITION,
            "SLURM_JOB_USER": account.name,
            "SLURM_JOB_UID": uid,
            "SLURM_JOB_GID": str(account.gid),
            "SLURM_JOB_NODELIST": node,
            "SLURM_NODELIST": node,
            "SLURMD_NODENAME": node,
            "SLURM_JOB_NUM_NODES": "1",
            "SLURM_NNODES": "1",
            "SLURM_NODEID": "0",
            "SLURM_PROCID": "0",
            "SLURM_LOCALID": "0",
            "SLURM_NTASKS": str(spec["ntasks"]),
            "SLURM_NPROCS": str(spec["ntasks"]),
            "SLURM_TASKS_PER_NODE": str(spec["ntasks"]),
            "SLURM_CPUS_PER_TASK": str(spec["cpus_per_task"]),
            "SLURM_CPUS_ON_NODE": str(job.cpus),
            "SLURM_JOB_CPUS_PER_NODE": str(job.cpus),
            "SLURM_MEM_PER_CPU": str(spec["mem_per_cpu"]),
            "SLURM_SUBMIT_DIR": spec["folder"],
            "SLURM_SUBMIT_HOST": node,
            "SLURM_EXPORT_ENV": "ALL",
        }
        if devices:
            numbers = ",".join(str(number) for number in devices)
            env |= {"SLURM_GPUS": str(len(devices)), "SLURM_JOB_GPUS": numbers}
            env |= {"CUDA_VISIBLE_DEVICES": numbers}
        return env


def _memory_mb() -> int:
    with contextlib.suppress(ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)
    return 1024


def _gpu_count() -> int:
    with contextlib.suppress(OSError):
        return sum(
            entry.name.startswith("nvidia") and entry.name[6:].isdigit()
            for entry in os.scandir("/dev")
        )
    return 0
