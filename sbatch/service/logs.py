"""gRPC: the log service. Providers write the logs of their jobs, customers read theirs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc

from dsq.core.clock import Clock
from dsq.core.errors import DsqError, NotFoundError, UsageError, WalletError
from dsq.core.model import Address, Job
from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import (
    ReadRequest,
    ReadResponse,
    WatchListRequest,
    WatchListResponse,
    WriteRequest,
    WriteResponse,
)
from dsq.core.rpc.signing import (
    ADDRESS_HEADER,
    SIGNATURE_METADATA,
    TIMESTAMP_HEADER,
    is_fresh,
    read_text,
    watch_list_text,
    write_text,
)
from dsq.core.wallet import recover_signer
from dsq.sbatch.service.ledger import JobSource
from dsq.sbatch.service.logbatch import Batch
from dsq.sbatch.service.logframes import DamagedLogError, Frame, LogId
from dsq.sbatch.service.logstore import LogCompleteError, LogStore
from dsq.sbatch.service.metrics import Metrics
from dsq.sbatch.service.refusal import (
    Refused,
    asking_the_chain,
    end_call,
    forbidden,
    malformed,
    not_found,
    unauthenticated,
)
from dsq.sbatch.service.scripts import parse_hex_id

log = logging.getLogger("dsq.sbatch.service.logs")

MAX_LINE_NUMBER = 1 << 62
"""What SQLite can count, with room for a stream's lines."""

LIST_SECONDS = 10.0
"""How often a watched list is sent."""

UNSIGNED = b"unsigned"
"""Stands for the writer where none signs."""


class LoggerService:
    """``logger.v1alpha1.LoggerAPI``.

    Args:
        allow_unsigned: Take lines without a signature, for the right customer's log only.
        max_line_bytes: Longest line.
        end_seconds: A followed log ends when its job has ended and so long nothing came.
    """

    def __init__(
        self,
        store: LogStore,
        jobs: JobSource,
        clock: Clock,
        metrics: Metrics | None = None,
        *,
        allow_unsigned: bool = False,
        max_line_bytes: int = 1 << 20,
        end_seconds: float = 15.0,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._clock = clock
        self._metrics = metrics or Metrics()
        self._allow_unsigned = allow_unsigned
        self._max_line_bytes = max_line_bytes
        self._end_seconds = end_seconds

    # -- writing -----------------------------------------------------------------

    async def Write(  # noqa: N802 - the protocol's name
        self, requests: AsyncIterator[WriteRequest], context: Any
    ) -> WriteResponse:
        """Stores the lines of one stream, all of one log; answers when they are on disk."""
        try:
            following = await self._write(requests, context)
            return WriteResponse(next_index=following, takes_batches=True)
        except LogCompleteError as error:
            refusal = Refused(grpc.StatusCode.FAILED_PRECONDITION, error.message)
            await end_call(context, refusal)
        except Exception as error:
            if isinstance(error, Refused):
                log.info("write refused status=%s reason=%r", error.status.name, error.reason)
            await end_call(context, error)

    async def _write(self, requests: AsyncIterator[WriteRequest], context: Any) -> int:
        iterator = aiter(requests)
        first = await anext(iterator, None)
        if first is None:
            return 0
        key, writer = await self._authorise_write(first, context)
        batch = Batch(self._store, key, writer, self._metrics)
        reading = asyncio.create_task(self._fill(batch, first, iterator))
        flushing = asyncio.create_task(batch.flush_now_and_then())
        try:
            await asyncio.wait({reading, flushing}, return_when=asyncio.FIRST_COMPLETED)
            # Flushing ends by an error only.
            await (flushing if flushing.done() else reading)
        finally:
            reading.cancel()
            async with batch.storing:
                flushing.cancel()
            await asyncio.gather(reading, flushing, return_exceptions=True)
        return await batch.flush()

    async def _fill(
        self, batch: Batch, first: WriteRequest, rest: AsyncIterator[WriteRequest]
    ) -> None:
        self._check(first, first)
        await batch.add(first)
        async for request in rest:
            self._check(request, first)
            await batch.add(request)

    def _check(self, request: WriteRequest, first: WriteRequest) -> None:
        if (request.user, request.log_name) != (first.user, first.log_name):
            raise malformed("One stream writes one log.")
        if request.line_index >= MAX_LINE_NUMBER:
            raise malformed("line_index is too large.")
        if len(request.timestamps) != len(request.lines):
            raise malformed("A message has as many timestamps as lines.")
        longest = len(request.data)
        if request.ByteSize() > self._max_line_bytes:
            longest = max(longest, max(map(len, request.lines), default=0))
        if longest > self._max_line_bytes:
            raise malformed(f"A line has at most {self._max_line_bytes} bytes.")

    async def _authorise_write(self, first: WriteRequest, context: Any) -> tuple[LogId, bytes]:
        key, job_id = _log_id(first.user, first.log_name)
        metadata = dict(context.invocation_metadata() or ())
        signed = any(
            name in metadata for name in (ADDRESS_HEADER, TIMESTAMP_HEADER, SIGNATURE_METADATA)
        )
        if not signed and not self._allow_unsigned:
            raise unauthenticated(
                f"Log lines are signed: metadata {SIGNATURE_METADATA} is missing."
            )
        signer = self._writer_of(metadata, key, first.log_name) if signed else None
        job = await self._job(job_id)
        if job.customer != key.user:
            raise forbidden("The log belongs to another customer.")
        if signer is not None and job.provider != signer:
            raise forbidden("The job is not this provider's.")
        return key, UNSIGNED if signer is None else bytes(signer)

    def _writer_of(self, metadata: dict[str, Any], key: LogId, log_name: str) -> Address:
        try:
            signer = Address.parse(str(metadata.get(ADDRESS_HEADER, "")))
            timestamp = _number(str(metadata.get(TIMESTAMP_HEADER, "")))
        except (UsageError, ValueError) as error:
            raise unauthenticated(
                f"Metadata {ADDRESS_HEADER} or {TIMESTAMP_HEADER} is malformed."
            ) from error
        signature = metadata.get(SIGNATURE_METADATA, b"")
        text = write_text(key.user, log_name, timestamp)
        self._check_signature(signer, text, signature, timestamp)
        return signer

    # -- reading -----------------------------------------------------------------

    async def Read(  # noqa: N802 - the protocol's name
        self, request: ReadRequest, context: Any
    ) -> AsyncIterator[ReadResponse | bytes]:
        """Sends a log's lines, and goes on until it is complete."""
        try:
            key, job_id = await self._authorise_read(request)
            frames = self._store.read(
                key,
                from_line=min(request.from_line, MAX_LINE_NUMBER),
                follow=not request.no_follow,
                over=self._over(key, job_id),
                poll_seconds=min(10.0, self._end_seconds),
            )
            async for frame in frames:
                for message in self._messages(frame, batches=request.batches):
                    yield message
        except DamagedLogError as error:
            log.error("read failed reason=%r", error.message)
            await end_call(context, Refused(grpc.StatusCode.DATA_LOSS, error.message))
        except Exception as error:
            if isinstance(error, Refused):
                log.info("read refused status=%s reason=%r", error.status.name, error.reason)
            await end_call(context, error)

    def _messages(self, frame: Frame, *, batches: bool) -> Iterator[ReadResponse | bytes]:
        if frame.is_gap:
            text = f"[{frame.count} lines are not kept any more]"
            stamp = int(self._clock.now() * 10**9)
            yield ReadResponse(
                data=text.encode(), timestamp=stamp, line=frame.end - 1, dropped=frame.count
            )
            return
        self._metrics.log_lines.labels("sent").inc(frame.count)
        self._metrics.log_bytes.labels("sent").inc(len(frame.content))
        if batches:
            yield frame.message()
            return
        lines = frame.lines()
        for number, (data, stamp) in enumerate(zip(*lines, strict=True), frame.first):
            yield ReadResponse(data=data, timestamp=stamp, line=number)

    async def _authorise_read(self, request: ReadRequest) -> tuple[LogId, int]:
        key, job_id = _log_id(request.address, request.log_name)
        text = read_text(key.user, request.log_name, request.timestamp)
        self._check_signature(key.user, text, request.signed_hash, request.timestamp)
        # A log lies under its customer's address; one that is not there yet is asked of the chain.
        if not await self._store.exists(key) and (await self._job(job_id)).customer != key.user:
            raise forbidden("The log belongs to another customer.")
        return key, job_id

    def _over(self, key: LogId, job_id: int) -> Callable[[], Awaitable[bool]]:
        """Tells whether a log that nobody completed will get no more lines."""

        async def over() -> bool:
            now = self._clock.now()
            if now - await self._store.last_written(key) < self._end_seconds:
                return False
            try:
                job = await self._jobs.job(job_id)
            except NotFoundError:
                return True
            except DsqError:
                return False
            return job.status.is_final and now - job.time.end >= self._end_seconds

        return over

    async def WatchList(  # noqa: N802 - the protocol's name
        self, request: WatchListRequest, context: Any
    ) -> AsyncIterator[WatchListResponse]:
        """Sends the names of a customer's logs, at once and every ten seconds."""
        try:
            address = _address(request.address)
            text = watch_list_text(address, request.timestamp)
            self._check_signature(address, text, request.signed_hash, request.timestamp)
            while True:
                yield WatchListResponse(log_names=await self._store.names(address))
                await self._clock.sleep(LIST_SECONDS)
        except Exception as error:
            await end_call(context, error)

    # -- both --------------------------------------------------------------------

    def _check_signature(
        self, signer: Address, text: str, signature: object, timestamp: int
    ) -> None:
        try:
            raw = signature if isinstance(signature, bytes) else b""
            found = recover_signer(text, raw)
        except WalletError as error:
            raise unauthenticated(error.message) from error
        if found != signer:
            raise unauthenticated("The signature is not that address's, or of another text.")
        if not is_fresh(timestamp, self._clock.now()):
            raise unauthenticated("The signature is stale: its time is over five minutes off.")

    async def _job(self, job_id: int) -> Job:
        async with asking_the_chain():
            try:
                return await self._jobs.job(job_id)
            except NotFoundError as error:
                raise not_found("There is no job of that log's name.") from error


def _address(text: str) -> Address:
    try:
        return Address.parse(text.lower())
    except UsageError as error:
        raise malformed("An address is 0x and 40 hexadecimal digits.") from error


def _log_id(user: str, log_name: str) -> tuple[LogId, int]:
    job_id = parse_hex_id(log_name)
    if job_id is None:
        raise malformed("A log's name is its job's id: 0x and 64 hexadecimal digits.")
    return LogId(_address(user), log_name.lower()), job_id


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise ValueError("not a number")
    return int(text)
