"""Scripts of several jobs for one signature: each is refused or not as if asked for alone."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
import pytest

from dsq.core.errors import DsqError, NotFoundError, UnreachableError, WalletError
from dsq.core.model import Job, JobStatus
from dsq.core.rpc.gen.sbatchapi.v1alpha1 import sbatch_pb2_grpc
from dsq.core.rpc.gen.sbatchapi.v1alpha1.sbatch_pb2 import (
    ChallengeRequest,
    ChallengeResponse,
    GetSBatchesRequest,
    GetSBatchesResponse,
    GetSBatchResponse,
    WantedSBatch,
)
from dsq.core.rpc.sbatch import MOST_TOGETHER, SBatchClient, Script
from dsq.core.wallet import Wallet
from dsq.sbatch.service import scripts as served
from dsq.sbatch.service.serve import Service
from tests.unit.service.support import Jobs, Raw
from tests.unit.service.test_scripts import INVALID, UNAUTHENTICATED, UNAVAILABLE, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")


def wanted(job: Job, **changes: Any) -> WantedSBatch:
    """A right entry for a job, but for the changes."""
    fields = {
        "batch_location_hash": job.definition.batch_location_hash,
        "customer_address": bytes(job.customer),
        "job_id": job.hex_id,
    }
    return WantedSBatch(**{**fields, **changes})


async def request_for(
    raw: Raw, entries: Sequence[WantedSBatch], wallet: Wallet
) -> GetSBatchesRequest:
    """A right request with a fresh challenge."""
    challenge = (await raw.auth.Challenge(ChallengeRequest())).challenge
    return GetSBatchesRequest(
        signed_challenge=wallet.sign_text(challenge),
        challenge=challenge,
        provider_address=bytes(wallet.address),
        jobs=entries,
    )


async def refused(raw: Raw, request: GetSBatchesRequest) -> Any:
    """The status of a request that must be refused as a whole."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await raw.scripts.GetSBatches(request, timeout=10)
    return caught.value.code()


async def test_each_job_is_judged_by_itself(
    service: Service, raw: Raw, jobs: Jobs, customer: Wallet, provider: Wallet, stranger: Wallet
) -> None:
    """What the provider may have comes; all else is refused in its place, with its status."""
    key = await submit(service, customer, "together")
    mine = jobs.add(key, customer.address, provider.address)
    running = jobs.add(key, customer.address, provider.address, JobStatus.RUNNING)
    early = jobs.add(key, customer.address, provider.address, JobStatus.META_SCHEDULED)
    ended = jobs.add(key, customer.address, provider.address, JobStatus.FINISHED)
    foreign = jobs.add(key, customer.address, stranger.address)
    stolen = jobs.add(key, stranger.address, provider.address)
    unknown = jobs.add("nobody-has-this-key", customer.address, provider.address)
    cases = [
        (wanted(mine), 0, ""),
        (wanted(foreign), 16, "provider is not the one"),
        (wanted(running), 0, ""),
        (wanted(stolen), 16, "another customer"),
        (wanted(mine, customer_address=bytes(stranger.address)), 16, "customer is not"),
        (wanted(mine, batch_location_hash="another"), 16, "batch_location_hash is not"),
        (wanted(early), 14, "not claimed yet"),
        (wanted(ended), 5, "its script is closed"),
        (wanted(unknown), 5, "no script for job"),
        (wanted(dataclasses.replace(mine, id=99_999)), 5, "no job 99999"),
        (wanted(mine, job_id="1"), 3, "64 hexadecimal digits"),
        (wanted(mine, customer_address=bytes(19)), 3, "20 bytes"),
        (wanted(mine, batch_location_hash="x" * 1000), 3, "too long"),
        (wanted(mine), 0, ""),
    ]
    request = await request_for(raw, [entry for entry, _, _ in cases], provider)
    reply: GetSBatchesResponse = await raw.scripts.GetSBatches(request, timeout=10)
    assert reply.grid_logger_url == f"127.0.0.1:{service.grpc_port}"
    assert len(reply.answers) == len(cases)
    for answer, (_, status, reason) in zip(reply.answers, cases, strict=True):
        assert (answer.status, bool(answer.sbatch)) == (status, status == 0), answer.reason
        assert reason in answer.reason
        assert ("echo together" in answer.sbatch) == (status == 0)


async def test_who_asks_has_to_prove_it(
    service: Service, raw: Raw, jobs: Jobs, customer: Wallet, provider: Wallet, stranger: Wallet
) -> None:
    """The signature is the provider's, of a challenge that serves once; the number is bounded."""
    job = jobs.add(await submit(service, customer), customer.address, provider.address)
    request = await request_for(raw, [wanted(job)], provider)
    assert (await raw.scripts.GetSBatches(request, timeout=10)).answers[0].sbatch
    assert await refused(raw, request) is UNAUTHENTICATED  # a second time
    request = await request_for(raw, [wanted(job)], stranger)
    request.provider_address = bytes(provider.address)
    assert await refused(raw, request) is UNAUTHENTICATED
    request = await request_for(raw, [wanted(job)], provider)
    request.provider_address = bytes(19)
    assert await refused(raw, request) is INVALID
    for count in (0, MOST_TOGETHER + 1):
        request = await request_for(raw, [wanted(job)] * count, provider)
        assert await refused(raw, request) is INVALID, count


async def test_while_the_chain_is_away_all_is_unknown(
    service: Service, raw: Raw, jobs: Jobs, customer: Wallet, provider: Wallet
) -> None:
    """The request as a whole says: ask again."""
    job = jobs.add(await submit(service, customer), customer.address, provider.address)
    request = await request_for(raw, [wanted(job)], provider)
    jobs.down = True
    assert await refused(raw, request) is UNAVAILABLE


async def test_the_client_asks_for_all_of_a_moment_together(
    service: Service, jobs: Jobs, customer: Wallet, provider: Wallet, stranger: Wallet
) -> None:
    """Forty fetches at once are two requests; each caller gets his script or his own error."""
    keys = [await submit(service, customer, f"n{number}") for number in range(3)]
    good = [jobs.add(keys[n % 3], customer.address, provider.address) for n in range(38)]
    foreign = jobs.add(keys[0], customer.address, stranger.address)
    gone = dataclasses.replace(good[0], id=99_999)
    before = _calls(service)
    async with SBatchClient(f"127.0.0.1:{service.grpc_port}", provider) as client:
        found = await asyncio.gather(
            *(client.fetch(job) for job in [*good, foreign, gone]), return_exceptions=True
        )
        assert _calls(service) - before == 2
        for number, script in enumerate(found[:38]):
            assert isinstance(script, Script)
            assert f"echo n{number % 3}" in script.text
            assert script.grid_logger_url == f"127.0.0.1:{service.grpc_port}"
        assert isinstance(found[38], WalletError)
        assert "not the one that the chain names" in str(found[38])
        assert isinstance(found[39], NotFoundError)
        jobs.down = True
        away = await asyncio.gather(*map(client.fetch, good[:2]), return_exceptions=True)
        assert [type(error) for error in away] == [UnreachableError] * 2
        assert away[0] is not away[1]


def _calls(service: Service) -> float:
    """Requests for several scripts so far."""
    counter = service.metrics.grpc_calls.labels("SBatchAPI.GetSBatches", "OK")
    return float(counter._value.get())


async def test_what_is_too_long_together_is_asked_for_alone(
    service: Service,
    jobs: Jobs,
    customer: Wallet,
    provider: Wallet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An answer has a bound; what is beyond it comes all the same."""
    key = await submit(service, customer, "long")
    many = [jobs.add(key, customer.address, provider.address) for _ in range(5)]
    async with SBatchClient(f"127.0.0.1:{service.grpc_port}", provider) as client:
        whole = await client.fetch(many[0])
        monkeypatch.setattr(served, "MOST_BYTES", int(2.5 * len(whole.text)))
        assert await asyncio.gather(*map(client.fetch, many)) == [whole] * 5


class OldService(
    sbatch_pb2_grpc.AuthAPIServicer, sbatch_pb2_grpc.SBatchAPIServicer
):  # fmt: skip
    """A service that knows single requests only."""

    def __init__(self) -> None:
        self.asked = 0

    async def Challenge(self, _request: Any, _context: Any) -> ChallengeResponse:  # noqa: N802
        return ChallengeResponse(challenge=b"x")

    async def GetSBatch(self, request: Any, context: Any) -> GetSBatchResponse:  # noqa: N802
        self.asked += 1
        if request.batch_location_hash == "missing":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such script")
        return GetSBatchResponse(sbatch=request.job_id, grid_logger_url="x:1")


async def test_an_older_service_is_asked_one_by_one(
    jobs: Jobs, customer: Wallet, provider: Wallet
) -> None:
    """It does not know the method: found out once, and each job still gets its own answer."""
    old = OldService()
    server = grpc.aio.server()
    sbatch_pb2_grpc.add_AuthAPIServicer_to_server(old, server)  # type: ignore[no-untyped-call]
    sbatch_pb2_grpc.add_SBatchAPIServicer_to_server(old, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        many = [jobs.add("key", customer.address, provider.address) for _ in range(3)]
        lost = jobs.add("missing", customer.address, provider.address)
        async with SBatchClient(f"127.0.0.1:{port}", provider) as client:
            for _ in range(2):
                found = await asyncio.gather(
                    *map(client.fetch, [*many, lost]), return_exceptions=True
                )
                assert [script.text for script in found[:3] if isinstance(script, Script)] == [
                    job.hex_id for job in many
                ]
                assert isinstance(found[3], NotFoundError)
        assert old.asked == 8
    finally:
        await server.stop(None)


async def test_a_client_that_is_closed_leaves_nobody_waiting(
    service: Service, jobs: Jobs, customer: Wallet, provider: Wallet
) -> None:
    """Who waits for a script then gets an error, at any moment of the fetch."""
    job = jobs.add(await submit(service, customer), customer.address, provider.address)
    for pause in (0.0, 0.006, 0.012):
        client = SBatchClient(f"127.0.0.1:{service.grpc_port}", provider)
        waiting = [asyncio.create_task(client.fetch(job)) for _ in range(2)]
        await asyncio.sleep(pause)
        await client.close()
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(result, Script | DsqError), result
