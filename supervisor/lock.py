"""One supervisor a key: two would run jobs twice."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from dsq.core.errors import TryAgainError
from dsq.core.model import Address


class AnotherSupervisorError(TryAgainError):
    """Another supervisor with the same key, or the same journal, is at work."""

    code = "locked"


@contextlib.contextmanager
def only_supervisor(
    state_dir: Path, chain_id: int, contract: Address, me: Address
) -> Iterator[None]:
    """Holds the place of the one supervisor of a key, for the length of a ``with``.

    Two locks: a file in ``state_dir``, which guards the journal, and on Linux a name made
    of chain, contract and address in the machine's abstract socket space, which guards
    the key wherever its journal lies. Both go with the process, however it ends.

    Raises:
        AnotherSupervisorError: One of them is taken.
    """
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = state_dir / "supervisor.lock"
    with contextlib.ExitStack() as held:
        file = held.enter_context(path.open("a+"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            pid = file.read().strip()
            raise AnotherSupervisorError(
                f"Another supervisor uses {state_dir}" + (f" (process {pid})." if pid else "."),
                hint="Stop it first; two would run jobs twice.",
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        if sys.platform == "linux":
            name = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            try:
                name.bind(f"\0dsq-provider/{chain_id}/{contract.lower}/{me.lower}")
            except OSError:
                raise AnotherSupervisorError(
                    f"Another supervisor on this machine uses the key of {me}.",
                    hint="Stop it first; two would run jobs twice.",
                ) from None
        yield
