"""The line to another machine: one SSH connection, many sessions on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import asyncssh

from dsq.core.clock import Clock, SystemClock
from dsq.core.errors import UnreachableError
from dsq.core.quoting import join
from dsq.supervisor.scheduler.gate import Gate
from dsq.supervisor.scheduler.line import Completed
from dsq.supervisor.scheduler.port import LoginRefused
from dsq.supervisor.scheduler.ssh_settings import SshSettings
from dsq.supervisor.scheduler.stats import LineStats
from dsq.supervisor.scheduler.transport import read_by_command

log = logging.getLogger("dsq.supervisor.ssh")
asyncssh.set_log_level(logging.WARNING)  # it tells of each command otherwise

SESSIONS = 9
"""Commands at the same time. OpenSSH allows 10 sessions a connection; one is kept for files.
A server that allows fewer is found out, and gets fewer."""

FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
READ_TIMEOUT = 20.0
GRACE = 5.0
"""Seconds that the remote ``timeout`` gets to report before the line's own time is up."""

ALIVE_SECONDS = 5.0
"""A connection on which a command got no answer has so long to answer a question."""

REFUSAL_SECONDS = 5.0
"""A server that opens no session at all for so long is given up."""


class SshTransport:
    """Runs commands and reads files over one multiplexed SSH connection.

    The connection is made when it is first needed and again after it was lost, with growing
    waits between failed attempts; in between each call fails at once with the last reason.
    The host key is always verified. A connection on which a command got no answer is asked
    for a sign of life, and given up without one.

    Args:
        host: See :class:`SshSettings`, as all that is not named here.
        clock: Time, for the waits.
    """

    def __init__(self, host: str, *, clock: Clock | None = None, **settings: Any) -> None:
        self.settings = SshSettings(host, **settings)
        self.where = self.settings.where
        self.stats = LineStats()
        self._clock = clock or SystemClock()
        self._gate = Gate(SESSIONS)
        self._open = self._opening = 0
        self._opened_at = float("-inf")
        self._closed = asyncio.Event()
        self._lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._has_sftp = True
        self._doubt: asyncio.Task[None] | None = None
        self._wait = FIRST_WAIT
        self._retry_at = 0.0
        self._reason: tuple[type[UnreachableError], str] = (UnreachableError, "")

    def sibling(self, user: str) -> SshTransport:
        """A line of its own to another account of the same machine."""
        made = SshTransport(self.settings.host, clock=self._clock)
        made.settings = replace(self.settings, user=user)
        made.where = made.settings.where
        return made

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs on it now."""
        return self._gate.inside == 0

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
        async with self._gate:
            connection = self._connection
            self.stats.sessions += 1
            try:
                async with asyncio.timeout(timeout + GRACE):
                    done = await self._execute(command, stdin)
            except TimeoutError:
                self._ask_for_life(connection)
                raise UnreachableError(
                    f"{argv[0]} on {self.where} gave no answer in {timeout:g} s."
                ) from None
            finally:
                self.stats.sessions -= 1
        if done.returncode == 124:
            raise UnreachableError(f"{argv[0]} on {self.where} did not end within {timeout:g} s.")
        return done

    async def _execute(self, command: str, stdin: bytes) -> Completed:
        process = await self._start(command)
        self._open += 1
        try:
            stdout, stderr = await process.communicate(stdin)
        except (OSError, asyncssh.Error) as error:
            raise UnreachableError(f"The line to {self.where} broke: {error}.") from error
        finally:
            process.close()
            self._open -= 1
            self._closed.set()
        code = process.returncode
        if code is None:  # neither an exit code nor a signal came
            raise UnreachableError(f"The line to {self.where} broke during a command.")
        return Completed(code, _bytes(stdout), _bytes(stderr))

    async def _start(self, command: str) -> asyncssh.SSHClientProcess[bytes]:
        """Opens a session for a command.

        Only a session that the living server refused is tried again: there the command has
        certainly not begun. After a broken line nobody knows.
        """
        wait, began = 0.05, self._clock.monotonic()
        while True:
            connection = await self._connect()
            self._opening += 1
            try:
                process = await connection.create_process(command, encoding=None)
                self._opened_at = self._clock.monotonic()
                return process
            except asyncssh.ChannelOpenError as error:
                if connection.is_closed():
                    raise UnreachableError(f"The line to {self.where} broke: {error}.") from error
                self._make_room()
                since = max(began, self._opened_at)
                if self._open == 0 and self._clock.monotonic() - since > REFUSAL_SECONDS:
                    raise UnreachableError(
                        f"{self.where} opens no session for commands: {error}."
                    ) from error
            except (OSError, asyncssh.Error) as error:
                raise UnreachableError(f"The line to {self.where} broke: {error}.") from error
            finally:
                self._opening -= 1
            self._closed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._closed.wait()
            wait = min(wait * 2, 0.5)

    def _make_room(self) -> None:
        """The server opens no more sessions than are open: take fewer from now on."""
        mine = self._open + self._opening - 1
        if mine > 0:
            if mine < self._gate.limit:
                log.info("sessions host=%s limit=%d", self.where, mine)
                self._gate.set_limit(mine)
        elif self._sftp is not None:  # the only session there is must not be the one for files
            log.info("sftp host=%s given_up=one_session", self.where)
            self._has_sftp = False
            self._drop_files()

    def _ask_for_life(self, connection: asyncssh.SSHClientConnection | None) -> None:
        """Gives a connection up that answers nothing; others that wait on it need not."""
        if connection is None or (self._doubt is not None and not self._doubt.done()):
            return
        self._doubt = asyncio.create_task(self._give_up_if_dead(connection), name="dsq-ssh-doubt")

    async def _give_up_if_dead(self, connection: asyncssh.SSHClientConnection) -> None:
        try:
            async with asyncio.timeout(ALIVE_SECONDS):
                process = await connection.create_process("true", encoding=None)
                await process.wait()
        except asyncssh.ChannelOpenError:
            return  # a refusal is an answer
        except (TimeoutError, OSError, asyncssh.Error):
            log.warning("stalled host=%s", self.where)
            connection.abort()

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
                kind, words = self._reason
                raise kind(words)
            try:
                options = await asyncio.to_thread(self.settings.options)
                connection = await asyncssh.connect(**options)
            except (OSError, asyncssh.Error, TimeoutError, ValueError) as error:
                raise self._failed(error) from error
            log.info("connected host=%s", self.where)
            self._wait, self._retry_at = FIRST_WAIT, 0.0
            self.stats.connects += 1
            self._gate.set_limit(SESSIONS)
            self._connection = connection
            return connection

    def _failed(self, error: Exception) -> UnreachableError:
        hint, kind = "", UnreachableError
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            hint = "Its host key is not in the known_hosts file, or it has changed."
            if self.settings.host_key:
                hint = "Its host key is not the one in cluster.host_key."
        elif isinstance(error, asyncssh.PermissionDenied):
            hint, kind = "It takes none of the keys.", LoginRefused
        elif isinstance(error, asyncssh.KeyImportError | asyncssh.KeyEncryptionError):
            hint = (
                "If the key has a passphrase, name identity_passphrase_file, or load it into an "
                "agent."
            )
        reason = str(error).rstrip(".") or type(error).__name__
        if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
            # asyncio's own words repeat the address.
            about = f"{error.filename}: " if error.filename else ""
            reason = about + os.strerror(error.errno).lower()
        words = f"No SSH connection to {self.where}: {reason}. {hint}".strip()
        self._reason = kind, words
        self.stats.connect_failures += 1
        self._retry_at = self._clock.monotonic() + self._wait
        log.warning("unreachable host=%s wait=%.0f reason=%s", self.where, self._wait, reason)
        self._wait = min(self._wait * 2, LONGEST_WAIT)
        return kind(words)

    async def close(self) -> None:
        """Closes the connection."""
        if self._doubt is not None:
            self._doubt.cancel()
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
