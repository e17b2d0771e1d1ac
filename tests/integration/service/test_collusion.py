"""A customer and a provider who work together against a third party, on a real chain.

Mallory is a customer, Quinn a provider; both have real jobs, real keys and all that is public.
They want Vera's script, her secret and her log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from dsq.core.errors import WalletError
from dsq.core.model import Job, JobStatus
from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import ReadRequest
from dsq.core.rpc.gen.sbatchapi.v1alpha1.sbatch_pb2 import ChallengeRequest, GetSBatchRequest
from dsq.core.rpc.graphql import GraphQLClient
from dsq.core.rpc.logger import LogLine, LogReader, LogWriter
from dsq.core.rpc.sbatch import SBatchClient
from dsq.core.rpc.signing import read_text
from dsq.core.wallet import Wallet
from dsq.sbatch.model import Workflow
from dsq.sbatch.service.serve import Service
from tests.integration.service.test_on_chain import Cast, settings_for
from tests.support.anvil import DevGrid
from tests.unit.service.support import WORKFLOW, Raw

pytestmark = pytest.mark.anvil

VERAS: dict[str, Any] = {
    **WORKFLOW,
    "steps": [{"run": {"command": "echo veras-script"}}],
    "secrets": [{"name": "TOKEN"}],
}


def render(workflow: Workflow) -> str:
    """The commands, one a line: this test is about who gets them."""
    return "#!/bin/bash\n" + "\n".join(step.run.command for step in workflow.steps if step.run)


class Scene:
    """Vera's job with her provider, Mallory's jobs with Quinn."""

    def __init__(self, service: Service, honest: Cast, crooks: Cast) -> None:
        self.service = service
        self.honest = honest
        self.crooks = crooks
        self.endpoint = f"127.0.0.1:{service.grpc_port}"
        self.raw = Raw(service)

    async def submit(
        self, wallet: Wallet | None, job: dict[str, Any], secrets: dict[str, str] | None = None
    ) -> str:
        client = GraphQLClient(f"http://127.0.0.1:{self.service.http_port}/graphql", wallet)
        try:
            return await client.submit(job, secrets=secrets)
        finally:
            await client.close()

    async def ask(self, job: Job, **lies: Any) -> Any:
        """Quinn asks for a script with a challenge of his own, and lies where told."""
        quinn = self.crooks.provider
        challenge = (await self.raw.auth.Challenge(ChallengeRequest())).challenge
        fields = {
            "batch_location_hash": job.definition.batch_location_hash,
            "signed_challenge": quinn.sign_text(challenge),
            "challenge": challenge,
            "provider_address": bytes(quinn.address),
            "customer_address": bytes(job.customer),
            "job_id": job.hex_id,
        }
        try:
            return await self.raw.scripts.GetSBatch(GetSBatchRequest(**{**fields, **lies}))
        except grpc.aio.AioRpcError as error:
            return error.code()


@pytest.fixture
async def scene(grid: DevGrid, tmp_path: Path) -> AsyncIterator[Scene]:
    honest, crooks = await Cast(grid).arrive(), await Cast(grid).arrive()
    service = Service(settings_for(grid, tmp_path), honest.chain, render=render)
    await service.start()
    found = Scene(service, honest, crooks)
    yield found
    await found.raw.channel.close()
    await service.stop()


async def test_nothing_of_a_third_party_is_had(scene: Scene) -> None:
    """Every mixture of their own jobs and her public data is refused; what is theirs they get."""
    honest, crooks = scene.honest, scene.crooks
    key = await scene.submit(honest.customer, VERAS, {"TOKEN": "veras-secret"})
    hers = await honest.request(key)
    await honest.claim()
    # Mallory names Vera's key in a job of her own, and has it given to Quinn.
    copy = await crooks.request(key)
    own = await crooks.request(await scene.submit(crooks.customer, WORKFLOW))
    await crooks.claim()
    await crooks.claim()

    refused = grpc.StatusCode.UNAUTHENTICATED
    vera, mallory = bytes(hers.customer), bytes(copy.customer)
    host = bytes(honest.provider.address)
    attempts: list[tuple[Job, dict[str, Any]]] = [
        (copy, {}),
        (copy, {"customer_address": vera}),
        (copy, {"job_id": hers.hex_id}),
        (copy, {"job_id": hers.hex_id, "customer_address": vera}),
        (hers, {}),
        (hers, {"customer_address": mallory}),
        (hers, {"provider_address": host}),
        (own, {"batch_location_hash": key}),
        (own, {"batch_location_hash": key, "customer_address": vera}),
        (own, {"batch_location_hash": ""}),
    ]
    for job, lies in attempts:
        assert await scene.ask(job, **lies) == refused, lies
    assert "echo hello" in (await scene.ask(own)).sbatch

    async with SBatchClient(scene.endpoint, honest.provider) as client:
        script = await client.fetch(hers)
    assert "veras-script" in script.text
    assert script.secrets == {"TOKEN": "veras-secret"}


async def test_a_challenge_that_was_overheard(scene: Scene) -> None:
    """What an honest provider signed serves once: Quinn gains nothing by repeating it."""
    honest = scene.honest
    job = await honest.request(await scene.submit(honest.customer, WORKFLOW))
    await honest.claim()
    challenge = (await scene.raw.auth.Challenge(ChallengeRequest())).challenge
    signed = honest.provider.sign_text(challenge)
    told = {
        "challenge": challenge,
        "signed_challenge": signed,
        "provider_address": bytes(honest.provider.address),
    }
    assert "echo hello" in (await scene.ask(job, **told)).sbatch
    assert await scene.ask(job, **told) == grpc.StatusCode.UNAUTHENTICATED


async def test_a_script_without_a_signature(scene: Scene) -> None:
    """It is the first comer's: Mallory is too late, though Vera's job has not been claimed yet."""
    honest, crooks = scene.honest, scene.crooks
    key = await scene.submit(None, WORKFLOW)
    hers = await honest.request(key)
    copy = await crooks.request(key)
    await crooks.claim()
    assert await scene.ask(copy) == grpc.StatusCode.UNAUTHENTICATED
    await honest.claim()
    async with SBatchClient(scene.endpoint, honest.provider) as client:
        assert "echo hello" in (await client.fetch(hers)).text


async def test_a_log_is_neither_read_nor_written(scene: Scene) -> None:
    """Quinn writes to no log of another's job, Mallory reads none, with any signature of hers."""
    honest, crooks = scene.honest, scene.crooks
    job = await honest.request(await scene.submit(honest.customer, WORKFLOW))
    await honest.claim()
    await honest.report(job, JobStatus.RUNNING)
    writer = LogWriter(scene.endpoint, honest.provider)
    await writer.append(job.customer, job.hex_id, [LogLine(b"veras-line")], first_index=0)
    forger = LogWriter(scene.endpoint, crooks.provider)
    for user in (job.customer, crooks.customer.address):
        with pytest.raises(WalletError):
            await forger.append(user, job.hex_id, [LogLine(b"forged")], first_index=1, end=True)
    thief = LogReader(scene.endpoint, crooks.customer)
    with pytest.raises(WalletError):
        assert not [line async for line in thief.read(job.hex_id)]
    import time

    stamp = time.time_ns() // 10**6
    for address in (job.customer, crooks.customer.address):
        signed = crooks.customer.sign_text(read_text(address, job.hex_id, stamp))
        request = ReadRequest(
            address=job.customer.lower, log_name=job.hex_id, timestamp=stamp, signed_hash=signed
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await scene.raw.logger.Read(request).read()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    reader = LogReader(scene.endpoint, honest.customer)
    assert [line.text async for line in reader.read(job.hex_id, follow=False)] == ["veras-line"]
    for client in (writer, forger, thief, reader):
        await client.close()
