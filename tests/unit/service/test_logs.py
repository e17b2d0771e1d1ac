"""The log service: providers write what the chain lets them, customers read their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from dsq.core.errors import NotFoundError, UnreachableError, UsageError, WalletError
from dsq.core.model import Job, JobStatus, JobTime
from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import (
    ReadRequest,
    WatchListRequest,
    WriteRequest,
    WriteResponse,
)
from dsq.core.rpc.logger import LogLine, LogReader, LogWriter, _batches
from dsq.core.rpc.signing import read_text, watch_list_text, write_text
from dsq.core.wallet import Wallet
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings
from tests.unit.service.support import Jobs, Raw, TestClock, log_name

pytestmark = pytest.mark.asyncio(loop_scope="module")

CODES = grpc.StatusCode


@pytest.fixture
def job(jobs: Jobs, customer: Wallet, provider: Wallet) -> Job:
    return jobs.add("key", customer.address, provider.address, JobStatus.RUNNING)


@pytest_asyncio.fixture(loop_scope="module")
async def writer(service: Service, provider: Wallet) -> AsyncIterator[LogWriter]:
    client = LogWriter(f"127.0.0.1:{service.grpc_port}", provider)
    yield client
    await client.close()


@pytest_asyncio.fixture(loop_scope="module")
async def reader(service: Service, customer: Wallet) -> AsyncIterator[LogReader]:
    client = LogReader(f"127.0.0.1:{service.grpc_port}", customer)
    yield client
    await client.close()


def lines(*texts: str) -> list[LogLine]:
    """Lines of now."""
    return [LogLine(text.encode(), time.time_ns()) for text in texts]


async def texts(reader: LogReader, name: str, **options: Any) -> list[str]:
    """The text of all lines of a log."""
    async with asyncio.timeout(10):
        return [line.text async for line in reader.read(name, **options)]


def metadata(wallet: Wallet, job: Job, milliseconds: int | None = None) -> dict[str, Any]:
    """The metadata of a right write."""
    now = int(time.time() * 1000) if milliseconds is None else milliseconds
    text = write_text(job.customer, log_name(job), now)
    return {
        "dsq-address": wallet.address.lower,
        "dsq-timestamp": str(now),
        "dsq-signature-bin": wallet.sign_text(text),
    }


async def write(raw: Raw, requests: list[WriteRequest], signed: dict[str, Any]) -> Any:
    """The status of a stream of writes; None when it was taken."""
    try:
        await raw.logger.Write(iter(requests), metadata=tuple(signed.items()), timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return None


def request(job: Job, data: bytes = b"x", **changes: Any) -> WriteRequest:
    """A right write of one line."""
    values = {"log_name": log_name(job), "user": job.customer.lower, "data": data}
    return WriteRequest(**{**values, **changes})


async def test_write_and_read(job: Job, writer: LogWriter, reader: LogReader) -> None:
    """What the provider appends the customer reads: bytes, times, numbers."""
    sent = [LogLine(b"one", 5), LogLine(b"\xfftwo\x00", 6), LogLine(b"", 7)]
    assert await writer.append(job.customer, log_name(job), sent, first_index=0) == 3
    found = [line async for line in reader.read(log_name(job), follow=False)]
    assert found == [
        LogLine(line.data, line.timestamp_ns, number) for number, line in enumerate(sent)
    ]


async def test_a_repeated_append_doubles_nothing(
    job: Job, writer: LogWriter, reader: LogReader
) -> None:
    """A retry after a lost answer sends the same numbers: lines stay single."""
    name = log_name(job)
    for _ in range(3):
        assert await writer.append(job.customer, name, lines("a", "b"), first_index=0) == 2
    assert await writer.append(job.customer, name, lines("b", "c"), first_index=1) == 3
    assert await texts(reader, name, follow=False) == ["a", "b", "c"]


async def test_follow_until_the_end(job: Job, writer: LogWriter, reader: LogReader) -> None:
    """A reader that came first sees lines as they come and ends with the log."""
    name = log_name(job)
    following = asyncio.create_task(texts(reader, name))
    for index in range(5):
        await writer.append(job.customer, name, lines(f"line {index}"), first_index=index)
        await asyncio.sleep(0.01)
    assert not following.done()
    await writer.append(job.customer, name, [], first_index=5, end=True)
    assert await following == [f"line {index}" for index in range(5)]
    assert await texts(reader, name) == [f"line {index}" for index in range(5)]


async def test_the_last_lines_may_bring_the_end(
    job: Job, writer: LogWriter, reader: LogReader
) -> None:
    """Lines and end in one append, the last line empty: all stored, then complete."""
    sent = lines("a", "")
    assert await writer.append(job.customer, log_name(job), sent, first_index=0, end=True) == 2
    assert await texts(reader, log_name(job)) == ["a", ""]
    with pytest.raises(UsageError, match="log is complete"):
        await writer.append(job.customer, log_name(job), lines("late"), first_index=2)


async def test_resume(job: Job, writer: LogWriter, reader: LogReader) -> None:
    """A reader takes up a log at any line."""
    sent = lines(*(str(number) for number in range(10)))
    await writer.append(job.customer, log_name(job), sent, first_index=0, end=True)
    assert await texts(reader, log_name(job), from_line=7) == ["7", "8", "9"]
    assert await texts(reader, log_name(job), from_line=10) == []
    assert await texts(reader, log_name(job), from_line=10**6) == []


async def test_a_broken_connection_is_taken_up_again(
    tmp_path: Path, jobs: Jobs, job: Job, provider: Wallet, customer: Wallet
) -> None:
    """The service restarts under a reader: no line is lost, none comes twice."""
    settings = ServiceSettings(data_dir=tmp_path, http_port=0, grpc_port=0)
    service = Service(settings, jobs)
    await service.start()
    fixed = settings.model_copy(update={"grpc_port": service.grpc_port})
    endpoint, name = f"127.0.0.1:{service.grpc_port}", log_name(job)
    writer, reader = LogWriter(endpoint, provider), LogReader(endpoint, customer)
    await writer.append(job.customer, name, lines("a", "b"), first_index=0)
    got: list[str] = []
    arrived = asyncio.Event()

    async def follow() -> None:
        async for line in reader.read(name):
            got.append(line.text)
            arrived.set()

    following = asyncio.create_task(follow())
    await asyncio.wait_for(arrived.wait(), 5)
    await service.stop()
    service = Service(fixed, jobs)
    await service.start()
    await writer.append(job.customer, name, lines("c"), first_index=2, end=True)
    await asyncio.wait_for(following, 10)
    assert got == ["a", "b", "c"]
    await writer.close()
    await reader.close()
    await service.stop()


async def test_a_log_without_an_end(
    jobs: Jobs, job: Job, writer: LogWriter, reader: LogReader
) -> None:
    """A provider that never completes a log keeps no reader for ever: the job's end does it."""
    await writer.append(job.customer, log_name(job), lines("a"), first_index=0)
    following = asyncio.create_task(texts(reader, log_name(job)))
    await asyncio.sleep(0.5)
    assert not following.done()
    end = int(time.time()) - 5
    jobs.change(job, status=JobStatus.FINISHED, time=JobTime(end=end))
    assert await asyncio.wait_for(following, 5) == ["a"]


async def test_a_job_that_ended_without_a_log(jobs: Jobs, job: Job, reader: LogReader) -> None:
    """Following nothing ends at once when the job has long ended, and waits while it runs."""
    waiting = asyncio.create_task(texts(reader, log_name(job)))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    jobs.change(job, status=JobStatus.CANCELLED)
    assert await asyncio.wait_for(waiting, 5) == []
    assert await texts(reader, log_name(job)) == []


async def test_watch_list(
    jobs: Jobs, customer: Wallet, provider: Wallet, writer: LogWriter, reader: LogReader
) -> None:
    """The names of the customer's logs, newest first, at once."""
    work = [jobs.add("k", customer.address, provider.address) for _ in range(3)]
    for job in work:
        await writer.append(job.customer, log_name(job), lines("x"), first_index=0)
    async for names in reader.watch_list():
        assert names[:3] == tuple(log_name(job) for job in reversed(work))
        break


async def test_batches(job: Job, writer: LogWriter, reader: LogReader) -> None:
    """Once the service has said that it takes them, many lines travel in few messages."""
    name = log_name(job)
    assert not writer._takes_batches
    sent = [LogLine(b"%d" % n + b"x" * 300, n) for n in range(5000)]
    assert await writer.append(job.customer, name, sent[:2], first_index=0) == 2
    assert writer._takes_batches
    assert await writer.append(job.customer, name, sent, first_index=0) == 5000
    assert await writer.append(job.customer, name, sent[-10:], first_index=4990, end=True) == 5000
    batches = [batch async for batch in reader.read_batches(name)]
    assert len(batches) < 20
    got = [line for batch in batches for line in batch]
    assert [line.data for line in got] == [line.data for line in sent]
    assert [line.timestamp_ns for line in got] == [line.timestamp_ns for line in sent]
    assert [line.line for line in got] == list(range(5000))
    assert len(await texts(reader, name, from_line=4321)) == 679


@pytest.mark.parametrize(
    "data",
    [
        [b""] * 5000,
        [b"x" * (1 << 20)] * 5,
        [b"x"] * 1000 + [b"y" * (1 << 20)] * 4 + [b"z" * 700_000] + [b""] * 1000,
    ],
    ids=["empty", "longest", "mixed"],
)
async def test_batches_of_odd_lines(
    job: Job, writer: LogWriter, reader: LogReader, data: list[bytes]
) -> None:
    """Lines without bytes, of one, of a megabyte, and all of them together fit into messages."""
    name = log_name(job)
    sent = [LogLine(each, number) for number, each in enumerate(data)]
    assert await writer.append(job.customer, name, sent, first_index=0, end=True) == len(data)
    got = [line for batch in [each async for each in reader.read_batches(name)] for line in batch]
    assert [line.data for line in got] == data
    assert [line.line for line in got] == [line.timestamp_ns for line in got]


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 99])
async def test_messages_are_never_too_long(data: bytes) -> None:
    """However short the lines: the service takes 4 MiB at once, lengths and times included."""
    lines = [LogLine(data, 10**18)] * 400_000
    sizes = [
        message.ByteSize()
        for message in _batches("0x" + "c" * 40, "0x" + "1" * 64, lines, 0, end=True)
    ]
    assert max(sizes) < 2 << 20
    assert len(sizes) < 200


async def test_a_service_that_takes_no_batches(
    job: Job, writer: LogWriter, reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer sends it single lines for ever: it would lose the others."""
    monkeypatch.setattr(
        "dsq.sbatch.service.logs.WriteResponse",
        lambda next_index, takes_batches: WriteResponse(next_index=next_index),
    )
    name = log_name(job)
    for first in (0, 2):
        await writer.append(job.customer, name, lines("a", "b"), first_index=first)
        assert not writer._takes_batches
    await writer.append(job.customer, name, [], first_index=4, end=True)
    assert await texts(reader, name) == ["a", "b", "a", "b"]


class TestWriteRefusals:
    async def test_unsigned(self, raw: Raw, job: Job) -> None:
        """Lines without a signature are refused."""
        assert await write(raw, [request(job)], {}) == CODES.UNAUTHENTICATED

    async def test_another_provider(
        self, raw: Raw, job: Job, stranger: Wallet, reader: LogReader
    ) -> None:
        """A stranger's right signature does not make him the job's provider."""
        assert await write(raw, [request(job)], metadata(stranger, job)) == CODES.PERMISSION_DENIED
        assert await texts(reader, log_name(job), follow=False) == []

    async def test_the_customer_himself(self, raw: Raw, job: Job, customer: Wallet) -> None:
        """A customer reads his log; he does not write it."""
        assert await write(raw, [request(job)], metadata(customer, job)) == CODES.PERMISSION_DENIED

    async def test_another_users_log(
        self, raw: Raw, job: Job, provider: Wallet, stranger: Wallet
    ) -> None:
        """The user must be the job's customer."""
        now = int(time.time() * 1000)
        text = write_text(stranger.address, log_name(job), now)
        signed = {**metadata(provider, job, now), "dsq-signature-bin": provider.sign_text(text)}
        foreign = request(job, user=stranger.address.lower)
        assert await write(raw, [foreign], signed) == CODES.PERMISSION_DENIED

    async def test_a_signature_for_another_log(
        self, raw: Raw, jobs: Jobs, job: Job, customer: Wallet, provider: Wallet
    ) -> None:
        """A signature holds for one log."""
        other = jobs.add("k", customer.address, provider.address)
        assert await write(raw, [request(other)], metadata(provider, job)) == CODES.UNAUTHENTICATED

    async def test_wrong_metadata(self, raw: Raw, job: Job, provider: Wallet) -> None:
        """Parts that are missing, malformed, stale or another's are refused."""
        good = metadata(provider, job)
        stale = metadata(provider, job, int(time.time() * 1000) - 301_000)
        for signed in (
            stale,
            {**good, "dsq-address": "0x" + "11" * 20},
            {**good, "dsq-address": "provider"},
            {**good, "dsq-timestamp": "now"},
            {**good, "dsq-timestamp": "9" * 400},
            {**good, "dsq-signature-bin": b""},
            {**good, "dsq-signature-bin": bytes(65)},
            {**good, "dsq-signature-bin": good["dsq-signature-bin"][:64]},
            *({key: good[key] for key in good if key != name} for name in good),
        ):
            assert await write(raw, [request(job)], signed) == CODES.UNAUTHENTICATED, signed

    async def test_names_never_become_paths(
        self, service: Service, raw: Raw, job: Job, provider: Wallet
    ) -> None:
        """A name that is no job id is refused before anything is looked at on disk."""
        folder = service.settings.data_dir.parent
        before = sorted(folder.rglob("*"))
        for name in (
            "", ".", "..", "../../etc/passwd", "/etc/passwd", "0x01", "0x" + "01" * 31 + "/.",
            "0x" + "01" * 32 + "/..", "0x" + "01" * 32 + "\n", "0x" + "01" * 32 + "\x00",
            "..%2f" + "0x" + "01" * 30, "0x" + "g" * 64, "a" * 5000,
        ):  # fmt: skip
            code = await write(raw, [request(job, log_name=name)], metadata(provider, job))
            assert code == CODES.INVALID_ARGUMENT, name
        for user in ("", "..", "../" + "1" * 39, "0x" + "1" * 39, "0x" + "/" * 40):
            code = await write(raw, [request(job, user=user)], metadata(provider, job))
            assert code == CODES.INVALID_ARGUMENT, user
        assert sorted(folder.rglob("*")) == before

    async def test_one_stream_one_log(
        self, raw: Raw, jobs: Jobs, job: Job, customer: Wallet, provider: Wallet
    ) -> None:
        """What was checked for the first line holds for all."""
        other = jobs.add("k", customer.address, provider.address)
        stream = [request(job), request(other)]
        assert await write(raw, stream, metadata(provider, job)) == CODES.INVALID_ARGUMENT

    async def test_a_line_that_is_too_long(self, raw: Raw, job: Job, provider: Wallet) -> None:
        """A line has at most 1 MiB."""
        good, bad = b"x" * (1 << 20), b"x" * ((1 << 20) + 1)
        assert await write(raw, [request(job, good)], metadata(provider, job)) is None
        code = await write(raw, [request(job, bad)], metadata(provider, job))
        assert code == CODES.INVALID_ARGUMENT

    @pytest.mark.parametrize(
        "fields",
        [
            {"lines": [b"a", b"b"], "timestamps": [1]},
            {"lines": [b"a", b"x" * (2 << 20)], "timestamps": [1, 2]},
            {"line_index": 2**64 - 1},
        ],
    )
    async def test_batches_that_are_wrong(
        self, raw: Raw, job: Job, provider: Wallet, fields: Any
    ) -> None:
        """Times that do not fit the lines, a line that is too long, a number beyond counting."""
        status = await write(raw, [request(job, **fields)], metadata(provider, job))
        assert status is grpc.StatusCode.INVALID_ARGUMENT

    async def test_no_such_job(self, raw: Raw, jobs: Jobs, job: Job, provider: Wallet) -> None:
        """A log of a job that the chain does not know."""
        del jobs.by_id[job.id]
        assert await write(raw, [request(job)], metadata(provider, job)) == CODES.NOT_FOUND

    async def test_the_chain_is_away(
        self, raw: Raw, jobs: Jobs, job: Job, provider: Wallet
    ) -> None:
        """Unknown is not refused: the supervisor keeps its lines and asks again."""
        jobs.down = True
        assert await write(raw, [request(job)], metadata(provider, job)) == CODES.UNAVAILABLE

    async def test_nothing_at_all(self, raw: Raw) -> None:
        """A stream without a line is no fault."""
        assert await write(raw, [], {}) is None

    async def test_the_client_says_what_it_means(
        self, service: Service, jobs: Jobs, job: Job, stranger: Wallet, writer: LogWriter
    ) -> None:
        """Refusals reach the supervisor as errors that it can tell apart."""
        foreign = LogWriter(f"127.0.0.1:{service.grpc_port}", stranger)
        with pytest.raises(WalletError, match="not this provider's"):
            await foreign.append(job.customer, log_name(job), lines("x"), first_index=0)
        await foreign.close()
        with pytest.raises(UsageError, match="hexadecimal digits"):
            await writer.append(job.customer, "../x", lines("x"), first_index=0)
        jobs.down = True
        with pytest.raises(UnreachableError, match="try again"):
            await writer.append(job.customer, log_name(job), lines("x"), first_index=0)


async def test_unsigned_writers_where_allowed(
    tmp_path: Path, jobs: Jobs, job: Job, customer: Wallet, stranger: Wallet
) -> None:
    """With the setting, an old writer's stream is taken: line ends cut, for the customer only."""
    settings = ServiceSettings(
        data_dir=tmp_path, http_port=0, grpc_port=0, allow_unsigned_logs=True
    )
    service = Service(settings, jobs)
    await service.start()
    raw = Raw(service)
    stream = [request(job, data, timestamp=5) for data in (b"a\n", b"b\r\n", b"b\r\n", b"\n")]
    assert await write(raw, stream, {}) is None
    foreign = request(job, user=stranger.address.lower)
    assert await write(raw, [foreign], {}) == CODES.PERMISSION_DENIED
    bad = {**metadata(stranger, job), "dsq-signature-bin": b"x"}
    assert await write(raw, [request(job)], bad) == CODES.UNAUTHENTICATED
    reader = LogReader(f"127.0.0.1:{service.grpc_port}", customer)
    assert await texts(reader, log_name(job), follow=False) == ["a", "b", "b", ""]
    await reader.close()
    await raw.channel.close()
    await service.stop()


async def test_a_long_lived_stream_is_stored_as_it_comes(
    raw: Raw, job: Job, provider: Wallet, reader: LogReader
) -> None:
    """Lines of an open stream reach readers without waiting for its end."""
    call = raw.logger.Write(metadata=tuple(metadata(provider, job).items()))
    await call.write(request(job, b"first"))
    seen: list[str] = []

    async def follow() -> None:
        async for line in reader.read(log_name(job)):
            seen.append(line.text)

    following = asyncio.create_task(follow())
    async with asyncio.timeout(5):
        while seen != ["first"]:
            await asyncio.sleep(0.01)
    await call.write(request(job, b"second"))
    await call.write(request(job, b"", end=True))
    await call.done_writing()
    assert (await call).next_index == 2
    await asyncio.wait_for(following, 5)
    assert seen == ["first", "second"]


class TestReadRefusals:
    def read(self, wallet: Wallet, name: str, when: int, **changes: Any) -> ReadRequest:
        """A right read that does not follow."""
        values = {
            "address": wallet.address.lower,
            "log_name": name,
            "timestamp": when,
            "signed_hash": wallet.sign_text(read_text(wallet.address, name, when)),
            "no_follow": True,
        }
        return ReadRequest(**{**values, **changes})

    async def status(self, raw: Raw, request: ReadRequest) -> Any:
        """The status of a read; the lines when it was served."""
        try:
            return [reply.data async for reply in raw.logger.Read(request, timeout=10)]
        except grpc.aio.AioRpcError as error:
            return error.code()

    async def test_seconds_and_milliseconds_and_any_v(
        self, raw: Raw, job: Job, customer: Wallet, writer: LogWriter
    ) -> None:
        """Both units of time, addresses in any case, v from 0 or from 27: all are served."""
        name, now = log_name(job), time.time()
        await writer.append(job.customer, name, lines("x"), first_index=0)
        for timestamp in (int(now), int(now * 1000), int(now) - 290, int(now * 1000) + 290_000):
            good = self.read(customer, name, timestamp)
            signature = good.signed_hash
            for v in (signature[64] - 27, signature[64]):
                good.signed_hash = signature[:64] + bytes([v])
                assert await self.status(raw, good) == [b"x"]
            good.address = str(customer.address)
            assert await self.status(raw, good) == [b"x"]

    async def test_refusals(
        self, raw: Raw, jobs: Jobs, job: Job, customer: Wallet, stranger: Wallet, provider: Wallet,
        writer: LogWriter,
    ) -> None:  # fmt: skip
        """Stale, malformed, foreign and borrowed signatures see nothing."""
        name, now = log_name(job), int(time.time())
        await writer.append(job.customer, name, lines("x"), first_index=0)
        other = log_name(jobs.add("k", customer.address, provider.address))
        good = self.read(customer, name, now)
        forged = self.read(stranger, name, now, address=customer.address.lower)
        for request in (
            self.read(customer, name, now - 301),
            self.read(customer, name, now + 360),
            self.read(customer, name, (now - 301) * 1000),
            self.read(customer, name, 0),
            self.read(customer, name, 2**64 - 1),
            self.read(customer, name, now, signed_hash=b""),
            self.read(customer, name, now, signed_hash=b"\x00" * 65),
            self.read(customer, name, now, signed_hash=good.signed_hash[:64]),
            self.read(customer, name, now, signed_hash=good.signed_hash[:64] + b"\x05"),
            self.read(customer, other, now, signed_hash=good.signed_hash),
            self.read(customer, name, now, timestamp=now + 1),
            forged,
        ):
            assert await self.status(raw, request) == CODES.UNAUTHENTICATED, request
        assert await self.status(raw, good) == [b"x"]

    async def test_a_foreign_log(
        self, raw: Raw, job: Job, stranger: Wallet, provider: Wallet, writer: LogWriter
    ) -> None:
        """Only the customer reads: not a stranger, not even the provider who wrote it."""
        name, now = log_name(job), int(time.time())
        await writer.append(job.customer, name, lines("x"), first_index=0)
        for wallet in (stranger, provider):
            assert await self.status(raw, self.read(wallet, name, now)) == CODES.PERMISSION_DENIED

    async def test_names_never_become_paths(
        self, raw: Raw, customer: Wallet, provider: Wallet
    ) -> None:
        """A name that is no job id, or an address that is none: refused."""
        now = int(time.time())
        for name in ("", "..", "../index.sqlite", "/etc/passwd", "0x" + "01" * 32 + "/"):
            request = self.read(customer, name, now)
            assert await self.status(raw, request) == CODES.INVALID_ARGUMENT, name
        for address in ("", "..", "0x" + "1" * 39, "0x" + "." * 40):
            request = self.read(customer, "0x" + "01" * 32, now, address=address)
            assert await self.status(raw, request) == CODES.INVALID_ARGUMENT, address

    async def test_no_such_job(self, raw: Raw, customer: Wallet) -> None:
        """A log that can never be."""
        request = self.read(customer, "0x" + "07" * 32, int(time.time()))
        assert await self.status(raw, request) == CODES.NOT_FOUND

    async def test_a_log_is_read_while_the_chain_is_away(
        self, raw: Raw, jobs: Jobs, job: Job, customer: Wallet, writer: LogWriter
    ) -> None:
        """What lies under the customer's address is his; an unknown log needs the chain."""
        await writer.append(job.customer, log_name(job), lines("x"), first_index=0)
        jobs.down = True
        now = int(time.time())
        assert await self.status(raw, self.read(customer, log_name(job), now)) == [b"x"]
        other = self.read(customer, "0x" + "07" * 32, now)
        assert await self.status(raw, other) == CODES.UNAVAILABLE

    async def test_lists(self, raw: Raw, customer: Wallet, stranger: Wallet) -> None:
        """A list needs its own fresh signature."""
        now = int(time.time())
        name_signed = customer.sign_text(read_text(customer.address, "x", now))
        foreign = stranger.sign_text(watch_list_text(customer.address, now))
        old = customer.sign_text(watch_list_text(customer.address, now - 301))
        for timestamp, signature in ((now, name_signed), (now, foreign), (now - 301, old)):
            request = WatchListRequest(
                address=customer.address.lower, timestamp=timestamp, signed_hash=signature
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async for _ in raw.logger.WatchList(request, timeout=5):
                    pass
            assert caught.value.code() == CODES.UNAUTHENTICATED

    async def test_the_client_says_what_it_means(
        self, service: Service, job: Job, stranger: Wallet, reader: LogReader, clock: TestClock
    ) -> None:
        """Refusals reach the user as errors with their exit codes."""
        foreign = LogReader(f"127.0.0.1:{service.grpc_port}", stranger)
        with pytest.raises(WalletError, match="another customer"):
            await texts(foreign, log_name(job))
        await foreign.close()
        with pytest.raises(NotFoundError, match="no job"):
            await texts(reader, "0x" + "07" * 32)
        with pytest.raises(UsageError, match="hexadecimal"):
            await texts(reader, "..")
        clock.offset = 400
        with pytest.raises(WalletError, match="stale"):
            await texts(reader, log_name(job))
