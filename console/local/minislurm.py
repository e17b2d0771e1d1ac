"""A throwaway Slurm in one folder: a controller, some nodes and munge, all on this machine.

Real Slurm of the system's packages with its own configuration, key, ports and sockets; no
database, no cgroups, no root needed. Without root only the account that started it can run
jobs. Everything is found again by pid files, so it may be killed at any moment and started
again with its jobs and job numbers kept.

::

    ROOT/mini-slurm.json   where the cluster lives and its ports
    ROOT/state/            what the controller remembers
    ROOT/munge/, log/      key, pid and log files
    PLACE/etc, run, spool  configuration, sockets, job scripts; PLACE is ROOT, or a short
                           folder beside the system's temporary files where ROOT's path is too
                           long for sockets or closed to the accounts that jobs run as
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

from dsq.console.local.home import write_atomically
from dsq.console.local.slurm_conf import CGROUP_CONF, GPU_DEVICES, SlurmConf
from dsq.console.local.slurm_place import RECORD, Place, place_of, remove_place
from dsq.core.errors import SettingsError, TryAgainError

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
READY_SECONDS = 30.0
DUPLICATE = "Duplicate jobid"
"""Slurm's reason for shutting a node out that was told to begin a job twice."""

_READY = frozenset({"idle", "mixed", "allocated", "completing"})


class MiniSlurm:
    """A throwaway Slurm cluster.

    Args:
        root: Its folder.
        nodes: Number of nodes, ``n1`` and on.
        cpus: CPUs of each node; jobs may use more than the machine has.
        mem_mb: Memory of each node in MB; None shares out the machine's.
        gpus: Pretended GPUs of each node, at most 6.
        base_port: First of its ports; None finds free ones and remembers them.
        min_job_age: Seconds for which ended jobs stay in the queue's list.
    """

    partition = "batch"
    """The partition of all nodes; ``debug`` has the first one only, for 30 minutes."""

    def __init__(
        self,
        root: Path,
        nodes: int = 2,
        cpus: int = 8,
        mem_mb: int | None = None,
        gpus: int = 2,
        base_port: int | None = None,
        min_job_age: int = 300,
    ) -> None:
        if not 0 <= gpus <= len(GPU_DEVICES):
            raise SettingsError(f"A mini-slurm's node has at most {len(GPU_DEVICES)} GPUs.")
        self.root = root.expanduser().absolute()
        self.nodes = nodes
        self.cpus = cpus
        self.mem_mb = mem_mb or max(1024, psutil.virtual_memory().total // (1 << 20) // nodes)
        self.gpus = gpus
        self.min_job_age = min_job_age
        self._base_port = base_port

    @staticmethod
    def missing() -> str:
        """What this machine lacks for a mini-slurm, as words; "" if nothing."""
        path = f"{os.environ.get('PATH', '')}:{SEARCH_PATH}"
        absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
        if not absent:
            return ""
        return f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed"

    def available(self) -> str:
        """See :meth:`missing`."""
        return self.missing()

    def env(self) -> dict[str, str]:
        """What Slurm's commands need in their environment to talk to this cluster."""
        return {"SLURM_CONF": str(self.place() / "etc" / "slurm.conf")}

    # ---- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Starts what does not run yet; returns when every node takes jobs.

        Raises:
            SettingsError: Slurm's programs are missing.
            TryAgainError: A daemon did not start, or a node does not answer.
        """
        if reason := self.missing():
            raise SettingsError(
                f"A mini-slurm cannot be started: {reason}.",
                hint="Install Slurm: apt-get install slurm-wlm munge.",
            )
        self._write_configuration()
        await self._start_munge()
        conf = self.env()["SLURM_CONF"]
        await self._start_daemon("slurmctld", ["slurmctld", "-i", "-f", conf])
        await asyncio.gather(
            *(
                self._start_daemon(f"slurmd.{node}", ["slurmd", "-f", conf, "-N", node])
                for node in self._node_names()
            )
        )
        await self._await_nodes()
        self._open_accounting()

    async def stop(self, *, cancel_jobs: bool = True) -> None:
        """Stops the daemons; returns when all have gone. The cluster's state stays.

        Args:
            cancel_jobs: First cancel all jobs. Without it running jobs go on by themselves,
                and the cluster finds them again when it is started.
        """
        if cancel_jobs and self._process("slurmctld") is not None:
            await self._cancel_all()
        for group in self._daemons():
            await asyncio.gather(*(self._stop_daemon(name) for name in group))

    def is_running(self) -> bool:
        """Whether any of the daemons runs."""
        if not (self.root / RECORD).exists():
            return False
        return any(self._process(name) is not None for group in self._daemons() for name in group)

    def _daemons(self) -> tuple[list[str], ...]:
        """Names of the daemons, in groups in the order of their end."""
        return [f"slurmd.{node}" for node in self._node_names()], ["slurmctld"], ["munged"]

    def remove(self) -> None:
        """Deletes a stopped cluster with all its state, wherever that is."""
        remove_place(self.root)

    async def is_ready(self) -> bool:
        """Whether every node takes jobs or has some."""
        code, text, _ = await self._run(["sinfo", "--noheader", "--Node", "--format=%N %T"])
        states = dict(line.split()[:2] for line in text.splitlines() if line.count(" ") >= 1)
        return code == 0 and all(states.get(node, "") in _READY for node in self._node_names())

    # ---- where things are ------------------------------------------------------------------

    def place(self) -> Path:
        """The folder of configuration and sockets; chosen once and remembered."""
        return self._place().folder

    def _place(self) -> Place:
        return place_of(self.root, self.nodes + 2, self._base_port)

    def _node_names(self) -> list[str]:
        return [f"n{number}" for number in range(1, self.nodes + 1)]

    # ---- configuration ---------------------------------------------------------------------

    def _write_configuration(self) -> None:
        place = self.place()
        for folder, mode in (
            (self.root / "state", 0o700),
            (self.root / "munge", 0o700),
            (self.root / "log", 0o755),
            (place / "etc", 0o755),
            (place / "run", 0o755),
            *((place / f"spool.{node}", 0o755) for node in self._node_names()),
        ):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)
        key = self.root / "munge" / "munge.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(secrets.token_bytes(128))
            key.chmod(0o400)
        base = self._place().port
        files = {
            "slurm.conf": self._slurm_conf(base),
            "gres.conf": self._conf(base).gres_conf(),
            "plugstack.conf": "",
            "cgroup.conf": CGROUP_CONF,
        }
        for name, text in files.items():
            write_atomically(place / "etc" / name, text, 0o644)

    def _conf(self, port: int) -> SlurmConf:
        return SlurmConf(
            root=self.root,
            place=self.place(),
            port=port,
            nodes=tuple(self._node_names()),
            cpus=self.cpus,
            mem_mb=self.mem_mb,
            gpus=self.gpus,
            partition=self.partition,
            min_job_age=self.min_job_age,
        )

    def _slurm_conf(self, port: int) -> str:
        return self._conf(port).slurm_conf()

    def _open_accounting(self) -> None:
        """Lets other accounts read the log of ended jobs: ``sacct -c`` opens it for writing."""
        path = self.place() / "run" / "jobcomp.txt"
        path.touch()
        path.chmod(0o666)

    # ---- daemons ---------------------------------------------------------------------------

    def _pid_file(self, daemon: str) -> Path:
        if daemon == "munged":
            return self.root / "munge" / "munged.pid"
        return self.place() / "run" / f"{daemon}.pid"

    def _process(self, daemon: str) -> psutil.Process | None:
        """The living daemon of a pid file, or None. A reused pid is not mistaken for it."""
        try:
            process = psutil.Process(int(self._pid_file(daemon).read_text()))
            command = process.cmdline()
            dead = process.status() == psutil.STATUS_ZOMBIE
        except (OSError, ValueError, psutil.Error):
            return None
        folders = (str(self.root), str(self.place()))
        mine = any(word.startswith(folder) for word in _values(command) for folder in folders)
        return process if mine and not dead else None

    async def _start_munge(self) -> None:
        munge, run = self.root / "munge", self.place() / "run"
        await self._start_daemon(
            "munged",
            [
                "munged",
                "--force",
                f"--key-file={munge}/munge.key",
                f"--socket={run}/munge.socket",
                f"--pid-file={munge}/munged.pid",
                f"--log-file={munge}/munged.log",
                f"--seed-file={munge}/munged.seed",
                "--num-threads=2",
            ],
        )

    async def _start_daemon(self, daemon: str, argv: Sequence[str]) -> None:
        if self._process(daemon) is not None:
            return
        self._pid_file(daemon).unlink(missing_ok=True)
        code, _, stderr = await self._run(argv)
        if code != 0:
            raise TryAgainError(f"{daemon} did not start: {_last_line(stderr)}")

    async def _stop_daemon(self, daemon: str) -> None:
        process = self._process(daemon)
        if process is None:
            return
        # A daemon removes its pid file some time before it ends, so the process is watched.
        for sign, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(psutil.Error):
                process.send_signal(sign)
            if await _gone(process, patience):
                return

    async def _await_nodes(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        while not await self.is_ready():
            await self._resume_drained()
            if asyncio.get_running_loop().time() > deadline:
                _, text, stderr = await self._run(["sinfo", "--noheader", "--Node", "--long"])
                raise TryAgainError(
                    f"The mini-slurm in {self.root} is not ready: {_last_line(text or stderr)}",
                    hint=f"Look into {self.root}/log.",
                )
            await asyncio.sleep(0.05)

    async def _resume_drained(self) -> None:
        """Takes nodes back that Slurm shut out by itself.

        A controller that was killed may have forgotten that a job began, and begins it again on
        a node that still has it: that node is drained for "Duplicate jobid" until somebody
        says otherwise, and here nobody would.
        """
        _, text, _ = await self._run(["sinfo", "--noheader", "--Node", "--format=%N|%T|%E"])
        for line in text.splitlines():
            node, state, reason = [*line.split("|"), "", ""][:3]
            if state.startswith("drain") and reason == DUPLICATE:
                await self._run(["scontrol", "update", f"NodeName={node}", "State=RESUME"])

    async def _cancel_all(self) -> None:
        """Cancels all jobs and waits until their processes have gone."""
        await self._run(["scancel", "--state=PENDING"])
        await self._run(["scancel", "--state=RUNNING"])
        deadline = asyncio.get_running_loop().time() + 15
        while asyncio.get_running_loop().time() < deadline:
            code, text, _ = await self._run(["squeue", "--noheader", "--format=%A"])
            if code != 0 or not text.strip():
                return
            await asyncio.sleep(0.1)

    async def _run(self, argv: Sequence[str], patience: float = 20.0) -> tuple[int, str, str]:
        """Runs a program with a whitelisted environment: nodes hand theirs on to jobs."""
        env = {"PATH": SEARCH_PATH, "LANG": "C.UTF-8", "HOME": str(Path.home())}
        errors = self.root / "log" / f"{argv[0]}.start"
        # A daemon keeps the descriptors of its start open: a pipe would never end.
        with errors.open("w+b") as stderr, tempfile.TemporaryFile() as stdout:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**env, **self.env()},
                cwd="/",
                start_new_session=True,
            )
            try:
                code = await asyncio.wait_for(process.wait(), patience)
            except TimeoutError:
                process.kill()
                code = await process.wait()
            stdout.seek(0)
            stderr.seek(0)
            return (
                code,
                stdout.read().decode(errors="replace"),
                stderr.read().decode(errors="replace"),
            )


async def _gone(process: psutil.Process, patience: float) -> bool:
    """Waits until a process has ended."""
    deadline = asyncio.get_running_loop().time() + patience
    while process.is_running():
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def _values(command: Sequence[str]) -> list[str]:
    """Arguments, and the values of those written ``--name=value``."""
    return [part for word in command for part in (word, word.partition("=")[2])]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
