"""The line to this machine: commands as processes, files as files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from dsq.core.errors import SettingsError, UnreachableError
from dsq.supervisor.scheduler.accounts import SAFE_PATH, Account
from dsq.supervisor.scheduler.line import Completed, Transport

KEPT_VARIABLES = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "SLURM_CONF", "SLURM_CONF_SERVER")
"""What a command inherits from this process besides PATH: no key, no ``DSQ_*``, no ``ETH_*``."""


def clean_environment(account: Account) -> dict[str, str]:
    """The environment in which commands run: the account's own and :data:`KEPT_VARIABLES`."""
    kept = {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
    path = os.environ.get("PATH", SAFE_PATH) if account.is_current else SAFE_PATH
    return {"PATH": path, **account.environment(), **kept}


class LocalTransport:
    """Runs commands on this machine.

    Args:
        user: Another account that commands run as and files are read as; needs root.
        env: Variables for every command (``SLURM_CONF``).

    Raises:
        SettingsError: No such account, or this process may not become it.
    """

    def __init__(self, user: str | None = None, *, env: Mapping[str, str] | None = None) -> None:
        self.account = Account.named(user) if user else Account.current()
        if not self.account.is_current and os.geteuid() != 0:
            raise SettingsError(
                f"Only root can run jobs as '{user}'.", hint="Leave job_user out, or be root."
            )
        self._env = {**clean_environment(self.account), **(env or {})}

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 30.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """See :meth:`~dsq.supervisor.scheduler.port.Transport.run`.

        A program that does not exist ends with 127, as from a shell.
        """
        other = not self.account.is_current
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**self._env, **(env or {})},
                cwd="/",
                start_new_session=True,
                user=self.account.uid if other else None,
                group=self.account.gid if other else None,
                extra_groups=self.account.groups if other else None,
            )
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            return Completed(127, b"", f"{argv[0]}: {error.strerror}".encode())
        except OSError as error:
            raise UnreachableError(f"{argv[0]} cannot be started: {error}.") from error
        try:
            stdout, stderr = await asyncio.wait_for(process.communicate(stdin), timeout)
        except TimeoutError:
            raise UnreachableError(f"{argv[0]} gave no answer in {timeout:g} s.") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return Completed(process.returncode or 0, stdout, stderr)

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        """See :meth:`~dsq.supervisor.scheduler.port.Transport.read`.

        Files of another account are read by that account, so that no link it leaves can make
        root read for it.
        """
        if not self.account.is_current:
            return await read_by_command(self, path, offset, limit)
        return read_regular(Path(path), offset, limit)

    async def close(self) -> None:
        """Nothing is held open."""


def read_regular(path: Path, offset: int, limit: int, *, owner: int | None = None) -> bytes:
    """Reads part of a regular file; nothing for anything else, or for another owner's file.

    Opened without waiting and without following a link: a job may have put a pipe or a link
    in the place of its output.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode) or (owner is not None and info.st_uid != owner):
            return b""
        return os.pread(handle, limit, offset)
    finally:
        os.close(handle)


async def read_by_command(line: Transport, path: str, offset: int, limit: int) -> bytes:
    """Reads part of a file through ``dd``, as the account at the other end of the line."""
    done = await line.run(
        [
            "dd",
            f"if={path}",
            f"skip={offset}",
            f"count={limit}",
            "bs=64K",
            "iflag=skip_bytes,count_bytes,nonblock,nofollow",
            "status=none",
        ],
        timeout=15.0,
    )
    return done.stdout if done.returncode == 0 else b""
