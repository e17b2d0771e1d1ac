"""The line to another machine: one SSH connection, many sessions on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncssh

from dsq.core.clock import Clock, SystemClock
from dsq.core.errors import UnreachableError
from dsq.core.quoting import join
from dsq.supervisor.scheduler.port import Completed
from dsq.supervisor.scheduler.transport import read_by_command

log = logging.getLogger("dsq.supervisor.ssh")
asyncssh.set_log_level(logging.WARNING)  # it tells of each command otherwise

SESSIONS = 9
"""Commands at the same time. OpenSSH allows 10 sessions a connection; one is kept for files."""

FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
READ_TIMEOUT = 20.0
GRACE = 5.0
"""Seconds that the remote ``timeout`` gets to report before the line's own time is up."""


class SshTransport:
    """Runs commands and reads files over one multiplexed SSH connection.

    The connection is made when it is first needed and again after it was lost, with growing
    waits between failed attempts; in between each call fails at once with the last reason.
    The host key is always verified.

    Args:
        host: The machine's name or address, or a name in the ssh_config if that is used.
        user: The account there; "" is this account's name, or what the ssh_config says.
        port: Its SSH port; 0 is 22, or what the ssh_config says.
        identity_file: Private key without a passphrase; None asks the agent, then the usual keys.
        known_hosts: File with the machine's host key; None is this account's own file.
        use_ssh_config: Read ~/.ssh/config, for jump hosts and the like.
        connect_timeout: Seconds for the connection and for the login.
        keepalive: Seconds of silence after which the other side is asked for a sign of life.
        clock: Time, for the waits.
    """

    def __init__(
        self,
        host: str,
        *,
        user: str = "",
        port: int = 0,
        identity_file: Path | None = None,
        known_hosts: Path | None = None,
        use_ssh_config: bool = False,
        connect_timeout: float = 15.0,
        keepalive: float = 15.0,
        clock: Clock | None = None,
    ) -> None:
        self._options: dict[str, Any] = {
            "host": host,
            "preferred_auth": "publickey",
            "connect_timeout": connect_timeout,
            "login_timeout": connect_timeout,
            "keepalive_interval": keepalive,
            "keepalive_count_max": 3,
            "config": () if use_ssh_config else None,
            "known_hosts": str(known_hosts) if known_hosts else (),
        }
        if user:
            self._options["username"] = user
        if port:
            self._options["port"] = port
        if identity_file is not None:
            self._options["client_keys"] = [str(identity_file)]
            self._options["agent_path"] = None
        self.where = f"{user}@{host}".removeprefix("@") + (f":{port}" if port else "")
        self._clock = clock or SystemClock()
        self._sessions = asyncio.Semaphore(SESSIONS)
        self._lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._has_sftp = True
        self._wait = FIRST_WAIT
        self._retry_at = 0.0
        self._reason = ""

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 30.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """See :meth:`~dsq.supervisor.scheduler.port.Transport.run`.

        The command also stops at the other end when its time is up (``timeout``): closing a
        session does not end what runs in it.
        """
        words = ["timeout", "-k", "2", str(max(1, math.ceil(timeout)))]
        if env:
            words += ["env", *(f"{key}={value}" for key, value in env.items())]
        command = join([*words, *argv])
        async with self._sessions:
            try:
                async with asyncio.timeout(timeout + GRACE):
                    done = await self._execute(command, stdin)
            except TimeoutError:
                raise UnreachableError(
                    f"{argv[0]} on {self.where} gave no answer in {timeout:g} s."
                ) from None
        if done.returncode == 124:
            raise UnreachableError(f"{argv[0]} on {self.where} did not end within {timeout:g} s.")
        return done

    async def _execute(self, command: str, stdin: bytes) -> Completed:
        process = await self._start(command)
        try:
            stdout, stderr = await process.communicate(stdin)
        except (OSError, asyncssh.Error) as error:
            raise UnreachableError(f"The line to {self.where} broke: {error}.") from error
        finally:
            process.close()
        code = process.returncode
        if code is None:  # neither an exit code nor a signal came
            raise UnreachableError(f"The line to {self.where} broke during a command.")
        return Completed(code, _bytes(stdout), _bytes(stderr))

    async def _start(self, command: str) -> asyncssh.SSHClientProcess[bytes]:
        """Opens a session for a command.

        Only a session that the living server refused is tried again: there the command has
        certainly not begun. After a broken line nobody knows.
        """
        wait = 0.05
        while True:
            connection = await self._connect()
            try:
                return await connection.create_process(command, encoding=None)
            except asyncssh.ChannelOpenError as error:
                if connection.is_closed():
                    raise UnreachableError(f"The line to {self.where} broke: {error}.") from error
            except (OSError, asyncssh.Error) as error:
                raise UnreachableError(f"The line to {self.where} broke: {error}.") from error
            await self._clock.sleep(wait)
            wait = min(wait * 2, 1.0)

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        """See :meth:`~dsq.supervisor.scheduler.port.Transport.read`.

        Through SFTP where the server has it, else through ``dd``.
        """
        if not self._has_sftp:
            return await read_by_command(self, path, offset, limit)
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                sftp = await self._files()
                if sftp is not None:
                    return await _read(sftp, path, offset, limit)
        except TimeoutError:
            self._drop_files()
            raise UnreachableError(
                f"Reading {path} on {self.where} took longer than {READ_TIMEOUT:g} s."
            ) from None
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, OSError) as error:
            self._drop_files()
            raise UnreachableError(f"The line to {self.where} broke: {error}.") from error
        except asyncssh.SFTPError as error:
            log.debug("read path=%s reason=%s", path, error)
            return b""
        except asyncssh.Error as error:
            self._drop_files()
            raise UnreachableError(f"The line to {self.where} broke: {error}.") from error
        return await read_by_command(self, path, offset, limit)

    async def _files(self) -> asyncssh.SFTPClient | None:
        """The session for files; None where the server has none."""
        connection = await self._connect()
        async with self._lock:
            if self._sftp is None:
                try:
                    self._sftp = await connection.start_sftp_client()
                except asyncssh.ChannelOpenError:
                    if connection.is_closed():
                        raise
                    log.info("sftp host=%s available=no", self.where)
                    self._has_sftp = False
            return self._sftp

    def _drop_files(self) -> None:
        sftp, self._sftp = self._sftp, None
        if sftp is not None:
            sftp.exit()

    async def _connect(self) -> asyncssh.SSHClientConnection:
        async with self._lock:
            connection = self._connection
            if connection is not None and not connection.is_closed():
                return connection
            self._connection = self._sftp = None
            if self._clock.monotonic() < self._retry_at:
                raise UnreachableError(self._reason)
            try:
                connection = await asyncssh.connect(**self._options)
            except (OSError, asyncssh.Error, TimeoutError, ValueError) as error:
                raise self._failed(error) from error
            log.info("connected host=%s", self.where)
            self._wait, self._retry_at = FIRST_WAIT, 0.0
            self._connection = connection
            return connection

    def _failed(self, error: Exception) -> UnreachableError:
        hint = ""
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            hint = "Its host key is not in the known_hosts file, or it has changed."
        elif isinstance(error, asyncssh.PermissionDenied):
            hint = "It takes none of the keys."
        reason = str(error).rstrip(".") or type(error).__name__
        self._reason = f"No SSH connection to {self.where}: {reason}. {hint}".strip()
        self._retry_at = self._clock.monotonic() + self._wait
        log.warning("unreachable host=%s wait=%.0f reason=%s", self.where, self._wait, reason)
        self._wait = min(self._wait * 2, LONGEST_WAIT)
        return UnreachableError(self._reason)

    async def close(self) -> None:
        """Closes the connection."""
        async with self._lock:
            connection, self._connection, self._sftp = self._connection, None, None
        if connection is not None:
            connection.close()
            with contextlib.suppress(TimeoutError, OSError, asyncssh.Error):
                await asyncio.wait_for(connection.wait_closed(), 5)


async def _read(sftp: asyncssh.SFTPClient, path: str, offset: int, limit: int) -> bytes:
    """Reads part of a regular file; a pipe or a link put in its place is not opened."""
    try:
        info = await sftp.lstat(path)
    except asyncssh.SFTPNoSuchFile:
        return b""
    if not stat.S_ISREG(info.permissions or stat.S_IFREG) or (info.size or 0) <= offset:
        return b""
    async with sftp.open(path, "rb") as file:
        return _bytes(await file.read(limit, offset))


def _bytes(data: object) -> bytes:
    if isinstance(data, str):
        return data.encode()
    return bytes(data) if isinstance(data, (bytes, bytearray)) else b""
