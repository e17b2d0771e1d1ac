"""The local development chain: anvil with a memory that survives kill -9.

anvil writes its state over the same file again and again; killed while it writes, it
leaves half a file. Copies of finished states are therefore kept beside it, and the node
is started on the newest file that parses. What the last moments held is gone then, and
senders and followers bring it back (docs/chain.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from dsq.core.chain.published import DEV_CHAIN_ID
from dsq.core.chain.rpc import Rpc, RpcError, hexed, number
from dsq.core.errors import SettingsError, TryAgainError, UnreachableError
from dsq.core.model import Address

log = logging.getLogger("dsq.core.chain.devchain")

BLOCK_GAS = 200_000_000

READY_SECONDS = 30.0

STOP_SECONDS = 30.0
"""Writing a large state takes its time."""

PORT_SECONDS = 3.0
"""So long may another program, or the node before this one, still have the port."""
COPY_SECONDS = 1.0
"""Least time between two copies of the state."""

AT_ONCE_SECONDS = 0.02
"""Between looks whether a transaction waits, while blocks are made at once."""

BYTES_PER_INTERVAL_SECOND = 16 << 20
"""A larger state is written less often: anvil writes the whole of it each time."""


class DevChain:
    """anvil on a loopback port, its state in a folder.

    The node runs in a session of its own and outlives this process unless it is stopped.

    Args:
        home: Folder of the state, the log and the pid file. One chain a folder.
        port: Port for HTTP and WebSocket.
        anvil: The program (:func:`~dsq.core.chain.fetch_anvil.find_anvil`).
        block_time: Seconds between blocks.
    """

    def __init__(self, home: Path, port: int, anvil: Path, *, block_time: float = 1) -> None:
        self.home = home
        self.port = port
        self.rpc_url = f"http://127.0.0.1:{port}"
        self.ws_url = f"ws://127.0.0.1:{port}"
        self._anvil = anvil
        self._block_time = block_time
        self._child: subprocess.Popen[bytes] | None = None
        self._copies: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"DevChain({str(self.home)!r}, {self.port})"

    def is_running(self) -> bool:
        """Whether the node of this folder runs."""
        if self._child is not None and self._child.poll() is not None:
            return False
        return _running(self.home) is not None

    async def start(self) -> str:
        """Starts the node, or finds it running, and waits until it answers.

        Returns:
            Its HTTP endpoint; ``ws_url`` is the WebSocket's.

        Raises:
            TryAgainError: It does not start, with the last words of its log.
            SettingsError: No state in the folder can be read.
        """
        if not self.is_running():
            self.home.mkdir(parents=True, exist_ok=True)
            await self._until_port_is_free()
            await asyncio.to_thread(_prepare_state, self.home)
            self._launch()
        await self._until_ready()
        await self._stop_copies()
        self._copies = asyncio.create_task(_keep_copies(self.home), name="chain-state-copies")
        return self.rpc_url

    async def stop(self) -> None:
        """Stops the node; its state is written. Nothing happens if it does not run."""
        await self._stop_copies()
        await self.stop_leftover(self.home)
        if self._child is not None:
            self._child.poll()
            self._child = None

    @staticmethod
    async def stop_leftover(home: Path) -> None:
        """Stops the node of a folder, whoever started it."""
        pid = _running(home)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            if not await _gone(home, STOP_SECONDS):
                log.warning("node=killed pid=%d reason=%r", pid, "it did not stop in time")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                await _gone(home, 5.0)
        _pid_file(home).unlink(missing_ok=True)

    def kill(self) -> None:
        """Kills the node at once (SIGKILL), as a crash would."""
        pid = _running(self.home)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        if self._child is not None:
            self._child.wait()

    async def close(self) -> None:
        """Leaves the node running and stops looking after it."""
        await self._stop_copies()

    async def set_balance(self, address: Address, wei: int) -> None:
        """Gives an account so many native coins, in wei."""
        await self.request("anvil_setBalance", address.lower, hexed(wei))

    async def native_balance(self, address: Address) -> int:
        """Native coins of an account, in wei."""
        return number(await self.request("eth_getBalance", address.lower, "latest"))

    async def mine(self, blocks: int = 1) -> None:
        """Makes blocks at once."""
        await self.request("anvil_mine", hexed(blocks))

    @contextlib.asynccontextmanager
    async def at_once(self) -> AsyncIterator[None]:
        """Makes a block as soon as a transaction waits for one, beside those of every interval.

        For a chain that is being set up. Such blocks bear the time of the clock, so that several
        may have the same second and none lies in the future.
        """
        task = asyncio.create_task(self._mine_at_once(), name="chain-at-once")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _mine_at_once(self) -> None:
        rpc = Rpc(self.rpc_url, timeout=5.0)
        try:
            while True:
                with contextlib.suppress(UnreachableError, RpcError):
                    pool = await rpc.request("txpool_status")
                    if number(pool["pending"]):
                        await rpc.request("anvil_mine", ["0x1"])
                await asyncio.sleep(AT_ONCE_SECONDS)
        finally:
            await rpc.close()

    async def request(self, method: str, *params: Any) -> Any:
        """One JSON-RPC request, for what only a development chain can do."""
        rpc = Rpc(self.rpc_url, timeout=10.0)
        try:
            return await rpc.request(method, params)
        finally:
            await rpc.close()

    async def _until_port_is_free(self) -> None:
        """A node that has just ended lets go of its port a moment later than of its process."""
        end = time.monotonic() + PORT_SECONDS
        while True:
            try:
                return self._check_port()
            except TryAgainError:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(0.02)

    def _check_port(self) -> None:
        """Another program on the port would answer while ours gives up."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                raise TryAgainError(
                    f"The local chain cannot listen on port {self.port}: {error.strerror}.",
                    hint="Another program may have it; choose another port.",
                ) from error

    def _launch(self) -> None:
        state = self.home / "state.json"
        size = state.stat().st_size if state.exists() else 0
        argv = [
            str(self._anvil),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--accounts", "0", "--no-cors", "--chain-id", str(DEV_CHAIN_ID)),
            *("--gas-limit", str(BLOCK_GAS), "--block-time", f"{self._block_time:g}"),
            *("--state", str(state)),
            *("--state-interval", str(1 + size // BYTES_PER_INTERVAL_SECOND)),
            "--quiet",
        ]
        with (self.home / "anvil.log").open("ab") as output:
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.home,
                env=_node_environment(),
                start_new_session=True,
                close_fds=True,
            )
        _remember(self.home, self._child.pid)
        log.info("node=started pid=%d port=%d", self._child.pid, self.port)

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        rpc = Rpc(self.rpc_url, timeout=5.0)
        try:
            while self.is_running() and time.monotonic() < deadline:
                with contextlib.suppress(UnreachableError):
                    served = number(await rpc.request("eth_chainId"))
                    if served == DEV_CHAIN_ID and self.is_running():
                        return
                await asyncio.sleep(0.03)
        finally:
            await rpc.close()
        words = _last_words(self.home / "anvil.log")
        await self.stop()
        raise TryAgainError(
            f"The local chain does not start on port {self.port}: {words}",
            hint=f"Its log is {self.home / 'anvil.log'}.",
        )

    async def _stop_copies(self) -> None:
        if self._copies is not None:
            self._copies.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._copies
            self._copies = None


def _node_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name != "ETH_PRIVATE_KEY" and not name.startswith("DSQ_")
    }


# The state file and its copies.


def _state_files(home: Path) -> list[Path]:
    return [home / "state.json", home / "state.1.json", home / "state.2.json"]


def _parses(path: Path) -> bool:
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and "accounts" in state and "block" in state


def _prepare_state(home: Path) -> None:
    """Makes ``state.json`` a copy of the newest state that parses; removes it if none exists.

    Raises:
        SettingsError: There are states, but none can be read.
    """
    live = home / "state.json"
    present = [path for path in _state_files(home) if path.exists() and path.stat().st_size]
    for path in present:
        if _parses(path):
            fresh = home / ".state.fresh"
            shutil.copyfile(path, fresh)
            fresh.replace(live)
            if path != live:
                log.warning("state=restored from=%s", path.name)
            return
    if [path for path in present if path != live]:
        raise SettingsError(
            f"No state of the local chain in {home} can be read.",
            hint="Restore one from a backup, or start with a new home.",
        )
    # Killed while it wrote its very first state: there was nothing yet.
    live.unlink(missing_ok=True)


def copy_state(home: Path) -> bool:
    """Keeps a copy of the state if it is a finished one; two generations are kept."""
    live, newer, older = _state_files(home)
    fresh = home / ".state.copy"
    try:
        before = live.stat()
        shutil.copyfile(live, fresh)
        after = live.stat()
        with fresh.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            whole = file.read(1) == b"}"
    except OSError:
        return False
    same = (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
    if not (same and whole and fresh.stat().st_size == after.st_size):
        return False
    if newer.exists():
        newer.replace(older)
    fresh.replace(newer)
    return True


async def _keep_copies(home: Path) -> None:
    copied = 0
    pause = COPY_SECONDS
    while True:
        await asyncio.sleep(pause)
        with contextlib.suppress(OSError):
            changed = (home / "state.json").stat().st_mtime_ns
            if changed == copied:
                continue
            begun = time.monotonic()
            if await asyncio.to_thread(copy_state, home):
                copied = changed
            pause = max(COPY_SECONDS, 20 * (time.monotonic() - begun))


# The process.


def _pid_file(home: Path) -> Path:
    return home / "anvil.pid"


def _remember(home: Path, pid: int) -> None:
    fresh = home / ".anvil.pid"
    fresh.write_text(json.dumps({"pid": pid, "started": _started(pid)}) + "\n")
    fresh.replace(_pid_file(home))


def _running(home: Path) -> int | None:
    """The node's process if it lives; a reused pid is told by its start time."""
    try:
        record = json.loads(_pid_file(home).read_text())
        pid = int(record["pid"])
        started = _started(pid)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if started and started == record["started"] else None


def _started(pid: int) -> str:
    """When a process started, in the words of the system; "" if it is not there."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] == "Z" else fields[19]
    done = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, check=False
    )
    state, _, started = done.stdout.decode().strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


async def _gone(home: Path, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while _running(home) is not None:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def _last_words(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "its log is empty."
