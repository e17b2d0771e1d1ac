"""Scripts go to the provider that the chain names, and to nobody else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from dsq.core.errors import NotFoundError, UnreachableError, WalletError
from dsq.core.model import Job, JobStatus
from dsq.core.rpc.gen.sbatchapi.v1alpha1.sbatch_pb2 import (
    ChallengeRequest,
    GetSBatchRequest,
    GetSBatchResponse,
)
from dsq.core.rpc.graphql import GraphQLClient
from dsq.core.rpc.sbatch import SBatchClient
from dsq.core.wallet import Wallet
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings
from tests.unit.service.support import WORKFLOW, Jobs, Raw, TestClock

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
NOT_FOUND = grpc.StatusCode.NOT_FOUND
INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


async def submit(service: Service, wallet: Wallet | None, name: str = "hello") -> str:
    """The key of a submitted script."""
    client = GraphQLClient(f"http://127.0.0.1:{service.http_port}/graphql", wallet)
    try:
        job = {**WORKFLOW, "steps": [{"name": name, "run": {"command": f"echo {name}"}}]}
        return await client.submit(job)
    finally:
        await client.close()


async def request_for(raw: Raw, job: Job, wallet: Wallet) -> GetSBatchRequest:
    """A right request for a job's script, with a fresh challenge."""
    challenge = (await raw.auth.Challenge(ChallengeRequest())).challenge
    return GetSBatchRequest(
        batch_location_hash=job.definition.batch_location_hash,
        signed_challenge=wallet.sign_text(challenge),
        challenge=challenge,
        provider_address=bytes(wallet.address),
        customer_address=bytes(job.customer),
        job_id=job.hex_id,
    )


async def fetch(raw: Raw, request: GetSBatchRequest) -> GetSBatchResponse:
    """The answer to a request."""
    reply: GetSBatchResponse = await raw.scripts.GetSBatch(request, timeout=10)
    return reply


async def refused(raw: Raw, request: GetSBatchRequest) -> Any:
    """The status of a request that must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await fetch(raw, request)
    assert "Traceback" not in (caught.value.details() or "")
    return caught.value.code()


async def test_the_provider_gets_the_script(
    service: Service, jobs: Jobs, customer: Wallet, provider: Wallet
) -> None:
    """Submit over HTTP, fetch over gRPC: the script of the workflow, and where its log goes."""
    key = await submit(service, customer, "first")
    job = jobs.add(key, customer.address, provider.address)
    async with SBatchClient(f"127.0.0.1:{service.grpc_port}", provider) as client:
        script = await client.fetch(job)
        assert "echo first" in script.text
        assert script.text.startswith("#!/bin/bash\n")
        assert script.grid_logger_url == f"127.0.0.1:{service.grpc_port}"
        assert script.secrets == {}
        assert await client.fetch(jobs.change(job, status=JobStatus.RUNNING)) == script


async def test_the_challenge(raw: Raw) -> None:
    """A JSON object with its keys in order, and a nonce of 16 random bytes in base64."""
    first = (await raw.auth.Challenge(ChallengeRequest())).challenge
    second = (await raw.auth.Challenge(ChallengeRequest())).challenge
    assert first.startswith(b'{"message":"login","nonce":"')
    assert len(json.loads(first)["nonce"]) == 24
    assert first != second


@pytest.mark.parametrize("offset", [0, 27])
async def test_both_forms_of_v(
    service: Service, raw: Raw, jobs: Jobs, customer: Wallet, provider: Wallet, offset: int
) -> None:
    """The last byte of a signature may count from 0 or from 27."""
    job = jobs.add(await submit(service, customer), customer.address, provider.address)
    request = await request_for(raw, job, provider)
    signature = request.signed_challenge
    request.signed_challenge = signature[:64] + bytes([signature[64] % 27 + offset])
    assert (await fetch(raw, request)).sbatch


class TestRefusals:
    @pytest_asyncio.fixture(loop_scope="module")
    async def job(self, service: Service, jobs: Jobs, customer: Wallet, provider: Wallet) -> Job:
        return jobs.add(await submit(service, customer), customer.address, provider.address)

    async def test_another_provider(self, raw: Raw, job: Job, stranger: Wallet) -> None:
        """A stranger with a right signature of his own is not the chain's provider."""
        request = await request_for(raw, job, stranger)
        assert await refused(raw, request) == UNAUTHENTICATED

    async def test_a_borrowed_address(
        self, raw: Raw, job: Job, provider: Wallet, stranger: Wallet
    ) -> None:
        """Naming the provider's address does not help without its signature."""
        request = await request_for(raw, job, stranger)
        request.provider_address = bytes(provider.address)
        assert await refused(raw, request) == UNAUTHENTICATED

    async def test_another_customer(
        self, raw: Raw, job: Job, provider: Wallet, stranger: Wallet
    ) -> None:
        """The customer must be the chain's."""
        request = await request_for(raw, job, provider)
        request.customer_address = bytes(stranger.address)
        assert await refused(raw, request) == UNAUTHENTICATED

    async def test_an_address_near_the_customers(
        self, raw: Raw, jobs: Jobs, job: Job, provider: Wallet
    ) -> None:
        """Addresses are compared byte by byte, also where bytes are no text or letters."""
        address = bytes.fromhex("61" * 10 + "80" * 10)
        odd = jobs.change(job, customer=type(job.customer)(address))
        for other in ("41" * 10 + "80" * 10, "61" * 10 + "81" * 10):
            request = await request_for(raw, odd, provider)
            request.customer_address = bytes.fromhex(other)
            assert await refused(raw, request) == UNAUTHENTICATED

    async def test_a_nonce_used_twice(self, raw: Raw, job: Job, provider: Wallet) -> None:
        """A recorded request is worth nothing."""
        request = await request_for(raw, job, provider)
        assert (await fetch(raw, request)).sbatch
        assert await refused(raw, request) == UNAUTHENTICATED

    async def test_a_nonce_too_old(
        self, raw: Raw, job: Job, provider: Wallet, clock: TestClock
    ) -> None:
        """Ten minutes later the challenge has expired."""
        request = await request_for(raw, job, provider)
        clock.offset = 601
        assert await refused(raw, request) == UNAUTHENTICATED

    async def test_a_challenge_of_ones_own(self, raw: Raw, job: Job, provider: Wallet) -> None:
        """Only what the service gave out may be answered; garbage does no harm."""
        for challenge in (
            b"",
            b"{}",
            b"\xff",
            b"[]",
            b"null",
            b'{"message":"login","nonce":"AAAAAAAAAAAAAAAAAAAAAA=="}',
            b'{"message":"login","nonce":5}',
            b'{"message":"login","nonce":{"a":1}}',
            b'{"nonce":' * 50_000,
            b"[" * 200_000,
        ):
            request = await request_for(raw, job, provider)
            request.challenge = challenge
            request.signed_challenge = provider.sign_text(challenge)
            assert await refused(raw, request) == UNAUTHENTICATED, challenge[:60]

    async def test_another_spelling_of_the_challenge(
        self, raw: Raw, job: Job, provider: Wallet
    ) -> None:
        """The nonce inside another text is not what was to be signed."""
        request = await request_for(raw, job, provider)
        nonce = json.loads(request.challenge)["nonce"]
        for text in (
            json.dumps({"message": "login", "nonce": nonce}),
            json.dumps({"message": "pay", "nonce": nonce}, separators=(",", ":")),
        ):
            request.challenge = text.encode()
            request.signed_challenge = provider.sign_text(text)
            assert await refused(raw, request) == UNAUTHENTICATED

    async def test_a_malformed_signature(self, raw: Raw, job: Job, provider: Wallet) -> None:
        """Short, long, zero and wild signatures are refused, and the service lives on."""
        zero, wild = bytes(1000), b"\xff" * 1000
        for signature in (b"", *(zero[:n] for n in (1, 64, 65, 66)), wild[:65], wild):
            request = await request_for(raw, job, provider)
            request.signed_challenge = signature
            assert await refused(raw, request) == UNAUTHENTICATED, signature[:70]

    async def test_another_key(
        self, service: Service, raw: Raw, jobs: Jobs, job: Job, provider: Wallet, stranger: Wallet
    ) -> None:
        """A provider with a job of his own cannot name a third party's script."""
        foreign = await submit(service, stranger, "foreign")
        request = await request_for(raw, job, provider)
        request.batch_location_hash = foreign
        assert await refused(raw, request) == UNAUTHENTICATED

    async def test_a_colluding_customer(
        self, service: Service, raw: Raw, jobs: Jobs, job: Job, provider: Wallet, stranger: Wallet
    ) -> None:
        """A stranger who puts a customer's public key into a job of his own gets nothing."""
        key = job.definition.batch_location_hash
        copy = jobs.add(key, stranger.address, provider.address)
        assert await refused(raw, await request_for(raw, copy, provider)) == UNAUTHENTICATED
        assert (await fetch(raw, await request_for(raw, job, provider))).sbatch

    async def test_a_malformed_id(self, raw: Raw, job: Job, provider: Wallet) -> None:
        """An id has exactly 32 bytes: none is padded or cut."""
        request = await request_for(raw, job, provider)
        for job_id in (
            "", "0x", "1", "0x1", "0x" + "0" * 63, "0x" + "0" * 65, "0x" + "zz" * 32,
            "0X" + "00" * 32, "00" * 33, "0x" + "٠" * 64, "0x" + "00" * 31 + "1\n", "\x00",
        ):  # fmt: skip
            request.job_id = job_id
            assert await refused(raw, request) == INVALID, job_id

    async def test_a_malformed_address(self, raw: Raw, job: Job, provider: Wallet) -> None:
        """An address has exactly 20 bytes."""
        for field in ("provider_address", "customer_address"):
            for length in (0, 19, 21, 1000):
                request = await request_for(raw, job, provider)
                setattr(request, field, bytes(length))
                assert await refused(raw, request) == INVALID, (field, length)

    async def test_a_job_that_is_not_there(self, raw: Raw, job: Job, provider: Wallet) -> None:
        """An id that the chain does not know."""
        request = await request_for(raw, dataclasses.replace(job, id=99_999), provider)
        assert await refused(raw, request) == NOT_FOUND

    async def test_other_statuses(self, raw: Raw, jobs: Jobs, job: Job, provider: Wallet) -> None:
        """A script is open from the claim to the end: before it "not yet", after it closed."""
        for status in JobStatus:
            jobs.change(job, status=status)
            request = await request_for(raw, job, provider)
            if status in (JobStatus.SCHEDULED, JobStatus.RUNNING):
                assert (await fetch(raw, request)).sbatch
            else:
                code = NOT_FOUND if status.is_final else UNAVAILABLE
                assert await refused(raw, request) == code, status

    async def test_no_script_of_that_key(
        self, raw: Raw, jobs: Jobs, customer: Wallet, provider: Wallet
    ) -> None:
        """A job whose key was never submitted here."""
        job = jobs.add("nobody-has-this-key", customer.address, provider.address)
        assert await refused(raw, await request_for(raw, job, provider)) == NOT_FOUND

    async def test_the_chain_is_away(
        self, raw: Raw, jobs: Jobs, job: Job, provider: Wallet
    ) -> None:
        """Unknown is not refused: the supervisor may ask again."""
        jobs.down = True
        assert await refused(raw, await request_for(raw, job, provider)) == UNAVAILABLE

    async def test_the_client_says_what_it_means(
        self, service: Service, jobs: Jobs, job: Job, provider: Wallet, stranger: Wallet
    ) -> None:
        """Refusals reach the supervisor as errors that it can tell apart."""
        endpoint = f"127.0.0.1:{service.grpc_port}"
        async with SBatchClient(endpoint, stranger) as client:
            with pytest.raises(WalletError, match="not the one that the chain names"):
                await client.fetch(job)
        async with SBatchClient(endpoint, provider) as client:
            with pytest.raises(NotFoundError, match="no job 99999"):
                await client.fetch(dataclasses.replace(job, id=99_999))
            jobs.down = True
            with pytest.raises(UnreachableError, match="try again"):
                await client.fetch(job)

    async def test_what_is_no_message(self, raw: Raw) -> None:
        """Bytes that are no protobuf message end the call, not the service."""
        for path in ("SBatchAPI/GetSBatch", "AuthAPI/Challenge"):
            call = raw.channel.unary_unary(f"/sbatchapi.v1alpha1.{path}")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"\xff\xff\xff\xff")
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (await raw.auth.Challenge(ChallengeRequest())).challenge


class TestUnsigned:
    async def test_the_first_job_owns_it(
        self, service: Service, raw: Raw, jobs: Jobs, customer: Wallet, provider: Wallet,
        stranger: Wallet,
    ) -> None:  # fmt: skip
        """An unsigned script is for the customer of the first job on chain with its key."""
        jobs.add("something else", stranger.address)
        key = await submit(service, None)
        first = jobs.add(key, customer.address, provider.address)
        copy = jobs.add(key, stranger.address, provider.address)
        assert await refused(raw, await request_for(raw, copy, provider)) == UNAUTHENTICATED
        assert (await fetch(raw, await request_for(raw, first, provider))).sbatch
        again = jobs.add(key, customer.address, provider.address)
        assert (await fetch(raw, await request_for(raw, again, provider))).sbatch

    async def test_a_replaced_job(
        self, service: Service, raw: Raw, jobs: Jobs, customer: Wallet, provider: Wallet,
        stranger: Wallet,
    ) -> None:  # fmt: skip
        """When a reorganisation replaces the first job, the next one with the key counts."""
        key = await submit(service, None)
        first = jobs.add(key, stranger.address, provider.address)
        assert (await fetch(raw, await request_for(raw, first, provider))).sbatch
        definition = dataclasses.replace(first.definition, batch_location_hash="another")
        jobs.change(first, definition=definition)
        second = jobs.add(key, customer.address, provider.address)
        assert (await fetch(raw, await request_for(raw, second, provider))).sbatch

    async def test_a_chain_that_went_back(
        self, service: Service, raw: Raw, jobs: Jobs, customer: Wallet, provider: Wallet,
        stranger: Wallet,
    ) -> None:  # fmt: skip
        """After the chain lost jobs, owners are looked up anew."""
        key = await submit(service, None)
        lost = jobs.add(key, stranger.address, provider.address)
        jobs.add("x", stranger.address)
        assert (await fetch(raw, await request_for(raw, lost, provider))).sbatch
        jobs.forget()
        job = jobs.add(key, customer.address, provider.address)
        assert (await fetch(raw, await request_for(raw, job, provider))).sbatch


async def test_scripts_outlive_a_restart(
    tmp_path: Path, jobs: Jobs, customer: Wallet, provider: Wallet
) -> None:
    """A new process on the same folder hands out what the old one took."""
    settings = ServiceSettings(data_dir=tmp_path, http_port=0, grpc_port=0)
    service = Service(settings, jobs)
    await service.start()
    signed, unsigned = await submit(service, customer), await submit(service, None)
    await service.stop()
    work = [jobs.add(key, customer.address, provider.address) for key in (signed, unsigned)]
    service = Service(settings, jobs)
    await service.start()
    async with SBatchClient(f"127.0.0.1:{service.grpc_port}", provider) as client:
        for job in work:
            assert "echo hello" in (await client.fetch(job)).text
    await service.stop()


async def test_scripts_are_sealed_on_disk(
    service: Service, customer: Wallet, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a file nor the service's log holds the words of a script."""
    caplog.set_level("DEBUG")
    await submit(service, customer, "needle-in-a-script")
    folder = service.settings.data_dir
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"service.key", "scripts.sqlite"} <= {path.name for path in files}
    assert not [path for path in files if b"needle-in-a-script" in path.read_bytes()]
    assert "needle-in-a-script" not in caplog.text
    assert [oct(path.stat().st_mode & 0o077) for path in files if _private(path)] == ["0o0", "0o0"]
    assert oct(folder.stat().st_mode & 0o077) == "0o0"


def _private(path: Path) -> bool:
    return path.name in ("service.key", "scripts.sqlite")


async def test_health(service: Service, jobs: Jobs) -> None:
    """The standard health service follows the chain."""
    from dsq.core.rpc.gen.grpc.health.v1 import health_pb2, health_pb2_grpc

    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
        for name in ("", "sbatchapi.v1alpha1.SBatchAPI", "logger.v1alpha1.LoggerAPI"):
            reply = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="other"))
        assert caught.value.code() == NOT_FOUND
        jobs.down = True
        reply = await stub.Check(health_pb2.HealthCheckRequest())
        assert reply.status == health_pb2.HealthCheckResponse.NOT_SERVING
        async for update in stub.Watch(health_pb2.HealthCheckRequest()):
            assert update.status == health_pb2.HealthCheckResponse.NOT_SERVING
            break
