"""What is asked of a line to a machine: it runs commands and moves bytes.

:class:`Transport` has two adapters, ``transport.LocalTransport`` for accounts of this machine
and ``ssh.SshTransport``; both pass the same contract tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that has ended. ``returncode`` is negative for a signal."""

    returncode: int
    stdout: bytes
    stderr: bytes


class Transport(Protocol):
    """A line to a machine on which commands run as one account."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 30.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Runs a command to its end.

        Args:
            argv: Program and arguments; no shell interprets them.
            stdin: What the program reads.
            timeout: Seconds after which the program is killed.
            env: Variables added to the account's own. They can be seen in the list of
                processes: no secrets here.

        Raises:
            UnreachableError: No line, the line broke, or the time was up: whether the command
                did its work is not known.
        """
        ...

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        """Returns at most ``limit`` bytes of a file from ``offset`` on, none if it is not there.

        Only regular files are read, and no link is followed at the end of ``path``.

        Raises:
            UnreachableError: No line, or the line broke.
        """
        ...

    async def close(self) -> None:
        """Closes the line."""
        ...
