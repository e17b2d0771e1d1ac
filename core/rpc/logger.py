"""Clients of the log service: providers write, customers read.

A log is named by its job's hex id and belongs to the job's customer. Lines have
numbers from 0, so that both sides can go on where they stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dsq.core.errors import UnreachableError
from dsq.core.model import Address
from dsq.core.rpc.channel import Endpoint, as_dsq_error, open_channel
from dsq.core.rpc.signing import (
    ADDRESS_HEADER,
    SIGNATURE_METADATA,
    TIMESTAMP_HEADER,
    read_text,
    watch_list_text,
    write_text,
)
from dsq.core.wallet import Wallet

SERVICE = "the log service"

MESSAGE_BYTES = 512 << 10
"""How much one message carries of several lines."""

LINE_OVERHEAD = 16
"""What a line costs beside its bytes: its length and its time."""

RECONNECT_ATTEMPTS = 5
"""How often in a row a broken read is taken up again before the reader gives up."""


class LogLine(NamedTuple):
    """One line of a job's output.

    Attributes:
        data: The line without its end.
        timestamp_ns: When it was written, in Unix nanoseconds.
        line: Its number in the log, from 0 (set by readers; writers need not).
        dropped: Not a line of the job: so many lines up to this number are not kept any
            more, and ``data`` says so.
    """

    data: bytes
    timestamp_ns: int = 0
    line: int = -1
    dropped: int = 0

    @property
    def text(self) -> str:
        """The line as text; bytes that are no UTF-8 are replaced."""
        return self.data.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Consecutive lines as one message brought them; iterating gives a :class:`LogLine` each.

    Attributes:
        first: Number of the first line.
        data: The lines without their ends.
        timestamps: Unix nanoseconds of each.
        dropped: As of :class:`LogLine`; ``data`` is then one sentence.
    """

    first: int
    data: Sequence[bytes]
    timestamps: Sequence[int]
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[LogLine]:
        if self.dropped:
            return iter([LogLine(self.data[0], self.timestamps[0], self.first, self.dropped)])
        return map(LogLine, self.data, self.timestamps, range(self.first, self.end))

    @property
    def end(self) -> int:
        """Number of the line after the last one."""
        return self.first + len(self.data)


class _Client:
    def __init__(self, endpoint: str, wallet: Wallet) -> None:
        self._endpoint = Endpoint.parse(endpoint)
        self._wallet = wallet
        self._open: Any = None

    async def close(self) -> None:
        """Closes the connection."""
        if self._open is not None:
            await self._open.close()
            self._open = None

    def _stub(self) -> Any:
        from dsq.core.rpc.gen.logger.v1alpha1 import logger_pb2_grpc

        if self._open is None:
            self._open = open_channel(self._endpoint)
        return logger_pb2_grpc.LoggerAPIStub(self._open)  # type: ignore[no-untyped-call]


class LogWriter(_Client):
    """Writes the logs of a provider's jobs.

    Args:
        endpoint: ``host:port`` or a URL (see :class:`~dsq.core.rpc.channel.Endpoint`).
        wallet: The provider's: it signs each append.
        timeout: Seconds for one append.
    """

    def __init__(self, endpoint: str, wallet: Wallet, *, timeout: float = 30.0) -> None:
        super().__init__(endpoint, wallet)
        self._timeout = timeout
        # None before the first append: a service that does not know of batches loses them.
        self._takes_batches: bool | None = None

    async def append(
        self,
        customer: Address,
        log_name: str,
        lines: Sequence[LogLine],
        *,
        first_index: int,
        end: bool = False,
    ) -> int:
        """Stores lines at the end of a log; returns when the service has stored them.

        A repeat after an error is safe: lines whose number this writer sent before are
        skipped.

        Args:
            customer: The job's customer.
            log_name: The job's hex id.
            lines: At most 1 MiB each.
            first_index: Number of the first line among all that this wallet writes to the log.
            end: The log is complete; readers that follow it end. May come with no lines.

        Returns:
            The number that the service expects next from this writer.

        Raises:
            UnreachableError: The service, or its view of the chain, does not answer.
            WalletError: The job is not this provider's, or not that customer's.
            UsageError: The log's name is malformed, a line is too long, or the log is complete.
        """
        if not lines and not end:
            return first_index
        if len(lines) > 1 and self._takes_batches is None:
            # One line asks whether the service takes several in a message.
            await self._append(customer, log_name, lines[:1], first_index, end=False)
            lines, first_index = lines[1:], first_index + 1
        return await self._append(customer, log_name, lines, first_index, end=end)

    async def _append(
        self,
        customer: Address,
        log_name: str,
        lines: Sequence[LogLine],
        first_index: int,
        *,
        end: bool,
    ) -> int:
        import grpc.aio

        milliseconds = time.time_ns() // 10**6
        signature = self._wallet.sign_text(write_text(customer, log_name, milliseconds))
        metadata = (
            (ADDRESS_HEADER, self._wallet.address.lower),
            (TIMESTAMP_HEADER, str(milliseconds)),
            (SIGNATURE_METADATA, signature),
        )
        make = _batches if self._takes_batches else _write_requests
        requests = make(customer.lower, log_name, lines, first_index, end)
        try:
            reply = await self._stub().Write(requests, metadata=metadata, timeout=self._timeout)
        except grpc.aio.AioRpcError as error:
            raise as_dsq_error(error, SERVICE, self._endpoint.target) from error
        self._takes_batches = reply.takes_batches
        return int(reply.next_index)


def _write_requests(
    user: str, log_name: str, lines: Sequence[LogLine], first_index: int, end: bool
) -> Iterator[Any]:
    from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import WriteRequest

    for offset, line in enumerate(lines):
        yield WriteRequest(
            log_name=log_name,
            user=user,
            data=line.data,
            timestamp=line.timestamp_ns,
            line_index=first_index + offset,
        )
    if end:
        yield WriteRequest(log_name=log_name, user=user, end=True)


def _batches(
    user: str, log_name: str, lines: Sequence[LogLine], first_index: int, end: bool
) -> Iterator[Any]:
    """The same with several lines in a message."""
    from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import WriteRequest

    data, stamps = [line.data for line in lines], [line.timestamp_ns for line in lines]
    for begin, stop in _parts(data):
        yield WriteRequest(
            log_name=log_name,
            user=user,
            lines=data[begin:stop],
            timestamps=stamps[begin:stop],
            line_index=first_index + begin,
            end=end and stop == len(data),
        )
    if end and not lines:
        yield WriteRequest(log_name=log_name, user=user, end=True)


def _parts(data: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Where to cut lines for messages: about :data:`MESSAGE_BYTES` each, four times that at most
    unless one line is longer."""
    total = sum(map(len, data)) + LINE_OVERHEAD * len(data)
    step = max(1, len(data) * MESSAGE_BYTES // max(total, MESSAGE_BYTES))
    for begin in range(0, len(data), step):
        stop = min(begin + step, len(data))
        if sum(map(len, data[begin:stop])) <= 3 * MESSAGE_BYTES:
            yield begin, stop
        else:
            # Lines of very different lengths.
            size, first = 0, begin
            for place in range(begin, stop):
                size += len(data[place]) + LINE_OVERHEAD
                if size >= MESSAGE_BYTES or place == stop - 1:
                    yield first, place + 1
                    size, first = 0, place + 1


class LogReader(_Client):
    """Reads the logs of a customer's jobs.

    Args:
        endpoint: ``host:port`` or a URL (see :class:`~dsq.core.rpc.channel.Endpoint`).
        wallet: The customer's: it signs each read.
    """

    async def read(
        self, log_name: str, *, follow: bool = True, from_line: int = 0
    ) -> AsyncIterator[LogLine]:
        """Yields the lines of a log.

        With ``follow`` new lines come as they are written, and the iteration ends when the
        log is complete, or its job has ended and nothing more came. A connection that
        breaks on the way is taken up again where it broke.

        Args:
            log_name: The job's hex id.
            follow: Wait for more lines; else end with the last one that is there.
            from_line: Number of the first line wanted, from 0.

        Raises:
            UnreachableError: The service does not answer, or not any more.
            WalletError: The log is not this wallet's.
            UsageError: The log's name is malformed.
        """
        async for batch in self.read_batches(log_name, follow=follow, from_line=from_line):
            for line in batch:
                yield line

    async def read_batches(
        self, log_name: str, *, follow: bool = True, from_line: int = 0
    ) -> AsyncIterator[LogBatch]:
        """The same, several lines at a time: as many as one message brings."""
        failures = 0
        while True:
            try:
                async for batch in self._read_once(log_name, follow, from_line):
                    failures, from_line = 0, batch.end
                    yield batch
                return
            except UnreachableError:
                failures += 1
                if failures > RECONNECT_ATTEMPTS or (from_line == 0 and failures > 1):
                    raise
                await asyncio.sleep(min(0.2 * 2**failures, 5.0))

    async def _read_once(
        self, log_name: str, follow: bool, from_line: int
    ) -> AsyncIterator[LogBatch]:
        import grpc.aio

        from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import ReadRequest

        milliseconds = time.time_ns() // 10**6
        address = self._wallet.address
        request = ReadRequest(
            address=address.lower,
            log_name=log_name,
            timestamp=milliseconds,
            signed_hash=self._wallet.sign_text(read_text(address, log_name, milliseconds)),
            from_line=from_line,
            no_follow=not follow,
            batches=True,
        )
        call = self._stub().Read(request)
        try:
            async for reply in call:
                yield _batch_of(reply)
        except grpc.aio.AioRpcError as error:
            raise as_dsq_error(error, SERVICE, self._endpoint.target) from error
        finally:
            call.cancel()

    async def watch_list(self) -> AsyncIterator[tuple[str, ...]]:
        """Yields the names of this wallet's logs: at once, and every few seconds again.

        Raises:
            UnreachableError: The service does not answer, or not any more.
            WalletError: The signature was refused.
        """
        import grpc.aio

        from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import WatchListRequest

        milliseconds = time.time_ns() // 10**6
        address = self._wallet.address
        request = WatchListRequest(
            address=address.lower,
            timestamp=milliseconds,
            signed_hash=self._wallet.sign_text(watch_list_text(address, milliseconds)),
        )
        call = self._stub().WatchList(request)
        try:
            async for reply in call:
                yield tuple(reply.log_names)
        except grpc.aio.AioRpcError as error:
            raise as_dsq_error(error, SERVICE, self._endpoint.target) from error
        finally:
            call.cancel()


def _batch_of(reply: Any) -> LogBatch:
    data = list(reply.lines)
    if not data:
        return LogBatch(reply.line, [reply.data], [reply.timestamp], reply.dropped)
    return LogBatch(reply.line, data, list(reply.timestamps))
