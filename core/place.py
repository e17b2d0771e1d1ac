"""The place of the one process that may use a key, and a state folder, for a task.

Two locks: a file in the state folder, which guards what is kept there, and on Linux a name
made of chain, contract and account in the machine's abstract socket space, which guards the
key wherever its folder lies. Both go with the process, however it ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import sys
from hashlib import sha256
from pathlib import Path

from dsq.core.errors import SettingsError
from dsq.core.model import Address


class Place:
    """A place that one process has.

    Args:
        task: What it is for: ``metascheduler``, ``provider``.
        path: The file of the lock, in the state folder.
        chain_id: The chain.
        contract: The grid's MetaScheduler.
        me: The account whose key is used.
    """

    def __init__(
        self, task: str, path: Path, chain_id: int, contract: Address, me: Address
    ) -> None:
        self._path = path
        # A digest, for a name has at most 107 bytes.
        grid = f"{chain_id}/{contract.lower}/{me.lower}"
        self._name = f"\0dsq-{task}/{sha256(grid.encode()).hexdigest()}"
        self._me = me
        self._held: contextlib.ExitStack | None = None

    def take(self) -> str:
        """Takes the place if it is free.

        Returns:
            "" when it is ours now, else who has it, in words.

        Raises:
            SettingsError: The state folder cannot be used.
        """
        if self._held is not None:
            return ""
        with contextlib.ExitStack() as stack:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                file = stack.enter_context(self._path.open("a+"))
            except OSError as error:
                raise SettingsError(f"{self._path} cannot be used: {error.strerror}.") from error
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                pid = file.read().strip()
                return f"uses {self._path.parent}" + (f" (process {pid})" if pid else "")
            if sys.platform == "linux":
                name = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                try:
                    name.bind(self._name)
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise
                    return f"on this machine uses the key of {self._me}"
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            self._held = stack.pop_all()
        return ""

    def release(self) -> None:
        """Leaves the place to others."""
        if self._held is not None:
            self._held.close()
            self._held = None
