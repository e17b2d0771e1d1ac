"""A customer reads the scripts of his own jobs, and of nobody else's."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from dsq.core.errors import NotFoundError, UsageError, WalletError
from dsq.core.model import Job, JobStatus
from dsq.core.rpc.gen.sbatchapi.v1alpha1.sbatch_pb2 import ChallengeRequest, ReadSBatchRequest
from dsq.core.rpc.graphql import GraphQLClient
from dsq.core.rpc.sbatch import SBatchClient
from dsq.core.wallet import Wallet
from dsq.sbatch.service.serve import Service
from tests.unit.service.support import WORKFLOW, Jobs, Raw
from tests.unit.service.test_scripts import submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def request_for(raw: Raw, job: Job, wallet: Wallet) -> ReadSBatchRequest:
    """A right request of a customer, with a fresh challenge."""
    challenge = (await raw.auth.Challenge(ChallengeRequest())).challenge
    return ReadSBatchRequest(
        signed_challenge=wallet.sign_text(challenge),
        challenge=challenge,
        customer_address=bytes(wallet.address),
        job_id=job.hex_id,
    )


async def refused(raw: Raw, request: ReadSBatchRequest) -> grpc.StatusCode:
    """The status of a request that must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await raw.scripts.ReadSBatch(request, timeout=10)
    return caught.value.code()


@pytest_asyncio.fixture(loop_scope="module")
async def job(service: Service, jobs: Jobs, customer: Wallet, provider: Wallet) -> Job:
    return jobs.add(await submit(service, customer), customer.address, provider.address)


def client_of(service: Service, wallet: Wallet) -> SBatchClient:
    return SBatchClient(f"127.0.0.1:{service.grpc_port}", wallet)


async def test_in_every_state(
    service: Service, jobs: Jobs, job: Job, customer: Wallet, provider: Wallet
) -> None:
    """From the request to its deletion after the end: it is the text that the provider gets."""
    async with client_of(service, provider) as theirs:
        handed_out = (await theirs.fetch(job)).text
    async with client_of(service, customer) as client:
        for status in JobStatus:
            assert await client.read(jobs.change(job, status=status)) == handed_out


async def test_nobody_else_reads_it(
    service: Service, jobs: Jobs, job: Job, customer: Wallet, provider: Wallet, stranger: Wallet
) -> None:
    """Neither a stranger nor the provider; nor who names its key in a job of his own."""
    for other in (stranger, provider):
        async with client_of(service, other) as client:
            with pytest.raises(WalletError, match="customer is not the one that the chain names"):
                await client.read(job)
    copy = jobs.add(job.definition.batch_location_hash, stranger.address, provider.address)
    async with client_of(service, stranger) as client:
        with pytest.raises(WalletError, match="belongs to another customer"):
            await client.read(copy)
    async with client_of(service, customer) as client:
        assert "echo hello" in await client.read(job)


async def test_secrets_stay_out(
    service: Service, jobs: Jobs, customer: Wallet, provider: Wallet
) -> None:
    """The provider gets the values, the answer to a reader has no place for them."""
    http = GraphQLClient(f"http://127.0.0.1:{service.http_port}/graphql", customer)
    try:
        workflow = {**WORKFLOW, "secrets": [{"name": "TOKEN"}]}
        key = await http.submit(workflow, secrets={"TOKEN": "tops3cret"})
    finally:
        await http.close()
    job = jobs.add(key, customer.address, provider.address)
    async with client_of(service, provider) as client:
        assert (await client.fetch(job)).secrets == {"TOKEN": "tops3cret"}
    async with client_of(service, customer) as client:
        assert "tops3cret" not in await client.read(job)


async def test_proofs_that_are_none(raw: Raw, job: Job, customer: Wallet, stranger: Wallet) -> None:
    """A borrowed address, a challenge used twice or of one's own, odd lengths."""
    request = await request_for(raw, job, stranger)
    request.customer_address = bytes(customer.address)
    assert await refused(raw, request) == UNAUTHENTICATED
    request = await request_for(raw, job, customer)
    assert (await raw.scripts.ReadSBatch(request, timeout=10)).sbatch
    assert await refused(raw, request) == UNAUTHENTICATED
    request = await request_for(raw, job, customer)
    request.challenge = b'{"message":"login","nonce":"AAAAAAAAAAAAAAAAAAAAAA=="}'
    request.signed_challenge = customer.sign_text(request.challenge)
    assert await refused(raw, request) == UNAUTHENTICATED
    for field, value in (("job_id", "0x1"), ("customer_address", bytes(19))):
        request = await request_for(raw, job, customer)
        setattr(request, field, value)
        assert await refused(raw, request) == INVALID


async def test_one_that_is_not_kept(
    service: Service, jobs: Jobs, customer: Wallet, provider: Wallet
) -> None:
    """A job whose script is not there: said as such."""
    job = jobs.add("nobody-has-this-key", customer.address, provider.address)
    async with client_of(service, customer) as client:
        with pytest.raises(NotFoundError, match="never submitted, or expired"):
            await client.read(job)


async def test_a_service_without_it(
    service: Service, job: Job, customer: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older service does not know the request: the sentence says what is the matter."""
    from dsq.core.rpc.gen.sbatchapi.v1alpha1 import sbatch_pb2_grpc

    class Older:
        def __init__(self, channel: grpc.aio.Channel) -> None:
            self.ReadSBatch = channel.unary_unary(
                "/sbatchapi.v1alpha1.SBatchAPI/NotThere",
                request_serializer=lambda message: message.SerializeToString(),
            )

    monkeypatch.setattr(sbatch_pb2_grpc, "SBatchAPIStub", Older)
    async with client_of(service, customer) as client:
        with pytest.raises(UsageError, match="shows no scripts to customers"):
            await client.read(job)
