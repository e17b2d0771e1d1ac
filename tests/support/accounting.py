"""A real Slurm with a real accounting data base, in a temporary folder; skipped where it lacks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dsq.console.local.minislurm import SEARCH_PATH, MiniSlurm
from dsq.core.loopback import free_port
from tests.support.slurm import open_folder, run

PROGRAMS = ("slurmdbd", "sacctmgr", "sacct", "mariadbd", "mariadb-install-db", "my_print_defaults")
HOW_TO_GET = "apt-get install slurmdbd mariadb-server-core mariadb-client-core"
READY_SECONDS = 60.0
TIME_ZONE = "Asia/Kathmandu"
"""Of the cluster: no whole hours from UTC, so that a time read as local shows at once."""


class BookedSlurm(MiniSlurm):
    """A :class:`MiniSlurm` whose jobs are in slurmdbd's data base; it keeps no completion log.

    The data base is a process of its own with a socket in a private folder and no network.
    """

    low = "low"
    """A partition whose jobs give way to those of the others."""

    @staticmethod
    def missing() -> str:
        """What this machine lacks; "" if nothing."""
        path = f"{os.environ.get('PATH', '')}:{SEARCH_PATH}"
        absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
        return MiniSlurm.missing() or (f"no {', '.join(absent)}" if absent else "")

    def __init__(self, root: Path, **options: Any) -> None:
        super().__init__(root, **options)
        self._port = free_port()
        self.database: subprocess.Popen[bytes] | None = None
        self.books: subprocess.Popen[bytes] | None = None

    def env(self) -> dict[str, str]:
        """See :meth:`MiniSlurm.env`; daemons and commands share a time zone far from UTC."""
        return {**super().env(), "TZ": TIME_ZONE}

    # ---- life ------------------------------------------------------------------------------

    async def _start_munge(self) -> None:
        await super()._start_munge()
        self._start_database()
        self.start_books()
        await self.sacctmgr("add", "cluster", "dsq")

    def _start_database(self) -> None:
        if self.database is not None and self.database.poll() is None:
            return
        folder = self.root / "database"
        me = pwd.getpwuid(os.geteuid()).pw_name
        if not folder.exists():
            folder.mkdir(mode=0o700)
            self._plain(
                [
                    "mariadb-install-db",
                    "--no-defaults",
                    f"--user={me}",
                    f"--datadir={folder}/data",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    "--skip-name-resolve",
                ]
            )
        self.database = self._daemon(
            [
                "mariadbd",
                "--no-defaults",
                f"--user={me}",
                f"--datadir={folder}/data",
                f"--socket={self._socket()}",
                f"--pid-file={folder}/mariadbd.pid",
                "--skip-networking",
                "--innodb-buffer-pool-size=64M",
                "--innodb-flush-log-at-trx-commit=0",
            ],
            "mariadbd",
        )
        deadline = time.monotonic() + READY_SECONDS
        while not self._socket().exists():
            assert self.database.poll() is None, (self.root / "log" / "mariadbd.start").read_text()
            assert time.monotonic() < deadline, "mariadbd does not listen"
            time.sleep(0.05)

    def start_books(self) -> None:
        """Starts slurmdbd if it does not run."""
        if self.books is None or self.books.poll() is not None:
            self.books = self._daemon(["slurmdbd", "-D"], "slurmdbd")

    def stop_books(self) -> None:
        """Stops slurmdbd; Slurm goes on without."""
        _stop(self.books)

    async def stop(self, *, cancel_jobs: bool = True) -> None:
        """See :meth:`MiniSlurm.stop`; data base and slurmdbd stop too."""
        await super().stop(cancel_jobs=cancel_jobs)
        _stop(self.books)
        _stop(self.database)

    async def kill(self, daemon: str) -> None:
        """Kills ``slurmctld`` or ``slurmd.n1``: it saves nothing."""
        process = self._process(daemon)
        assert process is not None, f"{daemon} does not run"
        process.kill()
        while self._process(daemon) is not None:
            await asyncio.sleep(0.02)

    async def forget(self) -> None:
        """Kills the controller and takes all it remembers; it gives job ids from 1 on again."""
        await self.kill("slurmctld")
        shutil.rmtree(self.root / "state")
        await self.start()

    # ---- programs --------------------------------------------------------------------------

    async def sacctmgr(self, *words: str) -> str:
        """Changes the accounting as its administrator, as soon as it answers."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            code, text, error = await self._run(["sacctmgr", "--immediate", *words])
            if code == 0 or "already" in text + error:
                return text
            assert self.books is not None
            assert self.books.poll() is None, (self.root / "log" / "slurmdbd.start").read_text()
            assert time.monotonic() < deadline, error
            await asyncio.sleep(0.1)

    async def told(self, *argv: str) -> str:
        """What one of Slurm's programs prints to the administrator."""
        code, text, error = await self._run(argv)
        assert code == 0, error
        return text

    async def forgot(self, *job_ids: str, patience: float = 30) -> None:
        """Waits until the queue shows none of some jobs any more."""
        deadline = time.monotonic() + patience
        while True:
            shown = (await self.told("squeue", "-h", "-t", "all", "-o", "%A")).split()
            if not set(job_ids) & set(shown):
                return
            assert time.monotonic() < deadline, f"squeue still shows {set(job_ids) & set(shown)}"
            await asyncio.sleep(0.3)

    def _plain(self, argv: Sequence[str]) -> None:
        done = subprocess.run(argv, env=self._environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def _daemon(self, argv: Sequence[str], name: str) -> subprocess.Popen[bytes]:
        with (self.root / "log" / f"{name}.start").open("ab") as log:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        env = {"PATH": SEARCH_PATH, "LANG": "C.UTF-8", "HOME": str(self.root)}
        return {**env, **self.env(), "MYSQL_UNIX_PORT": str(self._socket())}

    def _socket(self) -> Path:
        return self.root / "database" / "socket"

    # ---- configuration ---------------------------------------------------------------------

    def _write_configuration(self) -> None:
        super()._write_configuration()
        conf = self.place() / "etc" / "slurmdbd.conf"
        me = pwd.getpwuid(os.geteuid()).pw_name
        lines = [
            "AuthType=auth/munge",
            f"AuthInfo=socket={self.place()}/run/munge.socket",
            "DbdHost=localhost",
            f"DbdPort={self._port}",
            f"SlurmUser={me}",
            "StorageType=accounting_storage/mysql",
            "StorageHost=localhost",
            "StorageUser=root",
            "StorageLoc=slurm_acct_db",
            f"LogFile={self.root}/log/slurmdbd.log",
            f"PidFile={self.place()}/run/slurmdbd.pid",
        ]
        conf.touch(mode=0o600)
        conf.chmod(0o600)
        conf.write_text("\n".join(lines) + "\n")

    def _slurm_conf(self, port: int) -> str:
        text = super()._slurm_conf(port)
        for old, new in (
            (
                "AccountingStorageType=accounting_storage/none",
                "AccountingStorageType=accounting_storage/slurmdbd\n"
                "AccountingStorageHost=localhost\n"
                f"AccountingStoragePort={self._port}\n"
                f"AccountingStoragePass={self.place()}/run/munge.socket\n"
                "PreemptType=preempt/partition_prio\nPreemptMode=CANCEL",
            ),
            ("JobCompType=jobcomp/filetxt", "JobCompType=jobcomp/none"),
            (f"JobCompLoc={self.place()}/run/jobcomp.txt\n", ""),
            ("SlurmdTimeout=60", "SlurmdTimeout=10"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        nodes = ",".join(self._node_names())
        low = f"PartitionName={self.low} Nodes={nodes} PriorityTier=0 MaxTime=60 State=UP"
        return f"{text}{low}\n"


def _stop(process: subprocess.Popen[bytes] | None) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGCONT)  # it may have been stopped by a test
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def booked_slurm(**options: Any) -> Iterator[BookedSlurm]:
    """A Slurm with accounting, up while the block runs; then it is removed.

    Args:
        options: Arguments of :class:`MiniSlurm`.
    """
    if reason := BookedSlurm.missing():
        pytest.skip(f"no Slurm with accounting: {reason}; {HOW_TO_GET}")
    folder = open_folder("dsq-books-")
    cluster = BookedSlurm(folder / "s", **options)
    try:
        run(cluster.start())
        yield cluster
    finally:
        run(cluster.stop())
        cluster.remove()
        shutil.rmtree(folder, ignore_errors=True)
