"""Runs one batch script to its end, and records how it ended. Outlives the supervisor.

Started as a program of its own (``python -I runner.py FOLDER``) in a session of its own, with
the standard library alone. It reads ``spec.json`` and ``launch.json`` in FOLDER and writes

::

    runner.json   who the runner is; made once, so that a script is never run twice.
                  Its time of change is a sign of life.
    start.json    when the script started
    end.json      when and how it ended; written last, by rename, synced

``limit`` (seconds) is read again whenever it changes; a file ``cancel`` ends the job. All
processes that come from the script are its to end, also those that left its process group: as
"child subreaper" it becomes the parent of orphans.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
HEARTBEAT_SECONDS = 2.0
LEFTOVER_SECONDS = 2.0
"""How long processes that outlive the script get after SIGTERM."""

_LAUNCH = 'cd -- "$1" && exec >>out.log 2>&1 </dev/null && exec /bin/bash ./script'
"""Runs as the job's account, which alone opens files in the job's folder."""


# ---- records, also used by the scheduler ------------------------------------------------------


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Writes a JSON file by rename, synced: after a crash it is whole or not there."""
    scratch = _scratch(path, record)
    scratch.replace(path)
    _sync(path.parent)


def write_once(path: Path, record: dict[str, Any]) -> bool:
    """Writes a JSON file unless it is there already; tells whether it did."""
    scratch = _scratch(path, record)
    try:
        os.link(scratch, path)
    except FileExistsError:
        return False
    finally:
        scratch.unlink()
    _sync(path.parent)
    return True


def read_record(path: Path) -> dict[str, Any] | None:
    """Reads a JSON file; None if it is not there."""
    try:
        record = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return record if isinstance(record, dict) else None


def _scratch(path: Path, record: dict[str, Any]) -> Path:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("w") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    return scratch


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# ---- processes --------------------------------------------------------------------------------


def boot_id() -> str:
    """A word that changes with each start of the machine."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _stat(pid: int | str) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on; None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def start_ticks(pid: int) -> int:
    """When a living process started, in ticks since the machine did; 0 if it does not live.

    Together with :func:`boot_id` this tells a process from a later one with its number.
    """
    fields = _stat(pid)
    return 0 if fields is None or fields[0] in "ZX" else int(fields[19])


def is_alive(record: dict[str, Any]) -> bool:
    """Whether the runner that wrote this ``runner.json`` lives."""
    return record.get("boot") == boot_id() and start_ticks(int(record["pid"])) == record["ticks"]


def _processes() -> dict[int, list[str]]:
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (fields := _stat(entry.name)) is not None:
            found[int(entry.name)] = fields
    return found


def descendants(root: int) -> list[int]:
    """All living processes that come from ``root``."""
    processes = _processes()
    children: dict[int, list[int]] = {}
    for pid, fields in processes.items():
        children.setdefault(int(fields[1]), []).append(pid)
    found, waiting = [], [root]
    while waiting:
        for pid in children.get(waiting.pop(), []):
            waiting.append(pid)
            if processes[pid][0] not in "ZX":
                found.append(pid)
    return found


def session_members(session: int) -> list[int]:
    """All living processes of a session except its leader."""
    return [
        pid
        for pid, fields in _processes().items()
        if int(fields[3]) == session and pid != session and fields[0] not in "ZX"
    ]


def send(pids: list[int], number: int) -> None:
    """Signals processes, those that have gone aside."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


# ---- the runner -------------------------------------------------------------------------------


class Runner:
    """The life of one job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec: dict[str, Any] = read_record(folder / "spec.json") or {}
        self.launch: dict[str, Any] = read_record(folder / "launch.json") or {}
        self.limit = 0.0
        self.child = 0
        self.status: int | None = None
        self.ended = 0.0

    def run(self) -> None:
        """Runs the script, unless somebody else has it or it was cancelled before."""
        signals = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        me = {"pid": os.getpid(), "ticks": start_ticks(os.getpid()), "boot": boot_id()}
        if not write_once(self.folder / "runner.json", me):
            return
        if (self.folder / "end.json").exists():
            return
        if self._is_cancelled():
            self._record("CANCELLED")
            return
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        began = time.monotonic()
        write_record(self.folder / "start.json", {"time": time.time()})
        # Kept: a Popen that is thrown away collects its child, whose status is wanted here.
        process = self._start()
        self.child = process.pid
        state = self._watch(began, signals)
        if state is not None:
            self._end_all(float(self.spec["kill_wait"]), signals)
        self._end_all(LEFTOVER_SECONDS, signals)
        self._remove_script()
        self._record(state)

    def _start(self) -> subprocess.Popen[bytes]:
        account = self.spec["account"]
        switch: dict[str, Any] = {}
        if account["uid"] != os.geteuid():
            switch = {
                "user": account["uid"],
                "group": account["gid"],
                "extra_groups": account["groups"],
            }
        return subprocess.Popen(
            ["/bin/bash", "-c", _LAUNCH, "bash", self.spec["folder"]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.launch["env"],
            cwd="/",
            process_group=0,
            preexec_fn=_unblock,  # this process has one thread
            **switch,
        )

    def _watch(self, began: float, signals: set[signal.Signals]) -> str | None:
        """Waits for the script's end, or for a reason to end it: that state is returned."""
        beat = 0.0
        while not self._reap():
            if self._is_cancelled():
                return "CANCELLED"
            left = began + self._limit() - time.monotonic()
            if left <= 0:
                return "TIMEOUT"
            if time.monotonic() - beat > HEARTBEAT_SECONDS:
                beat = time.monotonic()
                os.utime(self.folder / "runner.json")
            signal.sigtimedwait(signals, min(left, 1.0))
        return None

    def _reap(self) -> bool:
        """Collects ended children; tells whether the script's own process is among them."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self.child:
                    self.status, self.ended = status, time.time()
        return self.status is not None

    def _end_all(self, patience: float, signals: set[signal.Signals]) -> None:
        """Ends every process of the job: SIGTERM, after ``patience`` seconds SIGKILL."""
        deadline = time.monotonic() + patience
        number = signal.SIGTERM
        told: set[int] = set()
        while living := descendants(os.getpid()):
            if time.monotonic() > deadline:
                number = signal.SIGKILL
                told.clear()
            fresh = [pid for pid in living if pid not in told]
            send(fresh, number)
            send(fresh, signal.SIGCONT)
            told.update(fresh)
            signal.sigtimedwait(signals, 0.05)
            self._reap()
        self._reap()

    def _limit(self) -> float:
        """The limit as it stands now, or as it was when it could last be read."""
        with contextlib.suppress(OSError, ValueError):
            self.limit = float((self.folder / "limit").read_text())
        return self.limit

    def _is_cancelled(self) -> bool:
        return (self.folder / "cancel").exists()

    def _remove_script(self) -> None:
        """Takes the script away, in which secrets may be; as the job's account, whose it is."""
        account = self.spec["account"]
        switch: dict[str, Any] = {}
        if account["uid"] != os.geteuid():
            switch = {"user": account["uid"], "group": account["gid"], "extra_groups": []}
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                ["rm", "-f", "--", f"{self.spec['folder']}/script"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=10,
                check=False,
                cwd="/",
                env={"PATH": "/usr/bin:/bin"},
                **switch,
            )

    def _record(self, state: str | None) -> None:
        status = self.status or 0
        if state is None:
            state = "COMPLETED" if status == 0 else "FAILED"
        end = {
            "time": self.ended or time.time(),
            "state": state,
            "exit_code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        }
        write_once(self.folder / "end.json", end)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


if __name__ == "__main__":
    Runner(Path(sys.argv[1])).run()
