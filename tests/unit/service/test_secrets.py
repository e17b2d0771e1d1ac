"""Secrets: values of a job go to its provider only, and nothing secret is ever logged."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest

from dsq.core.errors import SettingsError, WorkflowError
from dsq.core.model import Job
from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import ReadRequest, WriteRequest
from dsq.core.rpc.gen.sbatchapi.v1alpha1.sbatch_pb2 import GetSBatchRequest
from dsq.core.rpc.graphql import GraphQLClient
from dsq.core.rpc.logger import LogLine, LogReader, LogWriter
from dsq.core.rpc.sbatch import SBatchClient
from dsq.core.wallet import Wallet
from dsq.sbatch.model import Workflow
from dsq.sbatch.service.engine import DomainError
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings
from dsq.sbatch.service.submit import secret_values
from tests.unit.service.support import SUBMIT, WORKFLOW, Jobs, Raw

WITH_SECRET = {**WORKFLOW, "secrets": [{"name": "TOKEN"}]}

PLANTED = [f"planted-{number}-hush" for number in range(30)]
"""Words that must be in no log."""


def script(workflow: Workflow) -> str:
    """Stands for the renderer: these tests are of what surrounds it."""
    return f"#!/bin/bash\n# {len(workflow.steps)} steps\n"


@pytest.fixture
async def own(tmp_path: Path, jobs: Jobs) -> AsyncIterator[Service]:
    settings = ServiceSettings(data_dir=tmp_path / "data", http_port=0, grpc_port=0)
    service = Service(settings, jobs, render=script)
    await service.start()
    yield service
    await service.stop()


def url(service: Service) -> str:
    return f"http://127.0.0.1:{service.http_port}/graphql"


async def test_values_go_to_the_provider_only(
    own: Service, jobs: Jobs, tmp_path: Path, customer: Wallet, provider: Wallet
) -> None:
    """They come beside the script, are not in it, and lie encrypted."""
    client = GraphQLClient(url(own), customer)
    key = await client.submit(WITH_SECRET, secrets={"TOKEN": PLANTED[0]})
    job = jobs.add(key, customer.address, provider.address)
    async with SBatchClient(f"127.0.0.1:{own.grpc_port}", provider) as scripts:
        found = await scripts.fetch(job)
    assert found.secrets == {"TOKEN": PLANTED[0]}
    assert PLANTED[0] not in found.text
    assert PLANTED[0] not in repr(found)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or PLANTED[0].encode() not in path.read_bytes()
    await client.close()


@pytest.mark.parametrize(
    ("job", "secrets", "said"),
    [
        (WITH_SECRET, {}, "secret TOKEN has no value"),
        (WITH_SECRET, {"TOKEN": "a", "OTHER": "b"}, "names no secret 'OTHER'"),
        (WORKFLOW, {"TOKEN": "a"}, "names no secret 'TOKEN'"),
        (WITH_SECRET, {"TOKEN": "a\0b"}, "without NUL"),
        (WITH_SECRET, {"TOKEN": "x" * 70_000}, "more than 65536 bytes"),
    ],
)
async def test_values_that_do_not_fit(
    own: Service, customer: Wallet, job: Any, secrets: dict[str, str], said: str
) -> None:
    """One sentence without the value."""
    client = GraphQLClient(url(own), customer)
    with pytest.raises(WorkflowError, match=said) as caught:
        await client.submit(job, secrets=secrets)
    assert not any(value in str(caught.value) for value in secrets.values() if len(value) > 1)
    await client.close()


async def test_without_a_signature(own: Service) -> None:
    """The script would be the first comer's: refused."""
    client = GraphQLClient(url(own))
    with pytest.raises(WorkflowError, match="customer's signature"):
        await client.submit(WITH_SECRET, secrets={"TOKEN": "a"})
    with pytest.raises(WorkflowError, match="customer's signature"):
        await client.submit(WITH_SECRET)
    await client.close()


def test_twice_the_same_name() -> None:
    """Neither value is taken."""
    values = [{"name": "TOKEN", "value": "a"}, {"name": "TOKEN", "value": "b"}]
    with pytest.raises(DomainError, match="one value"):
        secret_values(Workflow.model_validate(WITH_SECRET), values, is_signed=True)


async def test_never_in_plain_text_to_another_machine(customer: Wallet) -> None:
    """The client refuses before it connects."""
    client = GraphQLClient("http://sbatch.example/graphql", customer)
    with pytest.raises(SettingsError, match="not sent in plain text"):
        await client.submit(WITH_SECRET, secrets={"TOKEN": "a"})
    await client.close()


def planted_job() -> dict[str, Any]:
    """A job with a planted word in every place that may bear a secret, and in others."""
    words = iter(PLANTED)

    def s3() -> dict[str, Any]:
        return {
            "s3": {
                "region": "r", "bucketUrl": "s3://b", "path": "/p",
                "accessKeyId": next(words), "secretAccessKey": next(words),
                "endpointUrl": "https://s3.example",
            }
        }  # fmt: skip

    wireguard = {
        "wireguard": {
            "address": ["10.0.0.1/24"], "privateKey": next(words),
            "peers": [{"publicKey": "k", "preSharedKey": next(words)}],
        }
    }  # fmt: skip
    bore = {"bore": {"boreAddress": "bore.example:2200", "targetPort": 1, "secret": next(words)}}
    step = {
        "name": next(words),
        "run": {
            "command": next(words),
            "env": [{"key": "STEP", "value": next(words)}],
            "network": "slirp4netns",
            "customNetworkInterfaces": [wireguard, bore],
            "container": {
                "image": "a/b", "apptainer": True, "registry": "registry.example",
                "username": next(words), "password": next(words),
            },
        },
    }  # fmt: skip
    return {
        **WORKFLOW,
        "env": [{"key": "JOB", "value": next(words)}],
        "input": {"http": {"url": f"https://user:{next(words)}@host/x"}},
        "output": s3(),
        "steps": [step],
    }


def broken(job: dict[str, Any]) -> list[Any]:
    """Jobs that are refused, each in its own way."""
    run = job["steps"][0]["run"]
    container = {**run["container"], "registry": PLANTED[20], "image": PLANTED[21].upper()}
    return [
        {**job, "resources": {"tasks": PLANTED[22]}},
        {**job, "unknown": PLANTED[23]},
        {**job, "env": [{"key": f"{PLANTED[24]} =", "value": PLANTED[25]}]},
        {**job, "env": [{"key": "X", "value": {"nested": PLANTED[26]}}]},
        {**job, "steps": [{"run": {**run, "container": container}}]},
        {**job, "input": {"http": {"url": PLANTED[27]}}},
        {**job, "output": {"s3": {**job["output"]["s3"], "bucketUrl": PLANTED[28]}}},
    ]


async def _http(service: Service, customer: Wallet) -> str:
    """All kinds of requests; what was answered."""
    job, answers = planted_job(), []
    signed = GraphQLClient(url(service), customer)
    for each in (job, *broken(job)):
        try:
            await signed.submit(each, idempotency_key=PLANTED[29])
        except Exception as error:
            answers.append(str(error))
    await signed.close()
    async with httpx.AsyncClient(trust_env=False) as http:
        for body in (
            {"query": SUBMIT, "variables": {"job": job}},
            {"query": f'{{ job(batchLocationHash: "{PLANTED[0]}") }}'},
            {"query": f"{{ {PLANTED[1]} "},
            {
                "query": f'mutation {{ submit(job: {{env: [{{key: "A", value: {json.dumps(PLANTED[2])}'
            },
            {"query": "x", "variables": PLANTED[3]},
        ):
            answers.append((await http.post(url(service), json=body)).text)
        answers.append((await http.post(url(service), content=PLANTED[4].encode())).text)
        headers = {"dsq-address": PLANTED[5], "dsq-timestamp": "1", "dsq-signature": PLANTED[6]}
        answers.append((await http.post(url(service), json={}, headers=headers)).text)
        await http.get(url(service), params={"query": PLANTED[7], "variables": PLANTED[8]})
        await http.get(f"{url(service)}/{PLANTED[9]}?{PLANTED[10]}")
    return "\n".join(answers)


async def _grpc(service: Service, job: Job, provider: Wallet, customer: Wallet) -> None:
    """Calls that are served and calls that are refused."""
    endpoint = f"127.0.0.1:{service.grpc_port}"
    async with SBatchClient(endpoint, provider) as scripts:
        assert (await scripts.fetch(job)).secrets == {"TOKEN": PLANTED[11]}
    writer, reader = LogWriter(endpoint, provider), LogReader(endpoint, customer)
    lines = [LogLine(PLANTED[12].encode()), LogLine(b"x")]
    await writer.append(job.customer, job.hex_id, lines, first_index=0, end=True)
    assert [line.text async for line in reader.read(job.hex_id)] == [PLANTED[12], "x"]
    raw = Raw(service)
    word = PLANTED[13]
    calls = [
        raw.scripts.GetSBatch(GetSBatchRequest(batch_location_hash=word, job_id=word)),
        raw.scripts.GetSBatch(
            GetSBatchRequest(
                job_id=job.hex_id, provider_address=bytes(20), customer_address=bytes(20),
                challenge=word.encode(), signed_challenge=word.encode().ljust(65),
            )
        ),
        raw.logger.Write(iter([WriteRequest(log_name=word, user=word, data=word.encode())])),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError):
            await call
    read = ReadRequest(
        address=word, log_name=word, timestamp=int(time.time()), signed_hash=word.encode()
    )
    with pytest.raises(grpc.aio.AioRpcError):
        await raw.logger.Read(read).read()
    await raw.channel.close()
    await writer.close()
    await reader.close()


async def test_no_log_holds_a_secret(
    own: Service,
    jobs: Jobs,
    customer: Wallet,
    provider: Wallet,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everything that all loggers of the process say, at every level, of a busy run with faults."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("dsq").setLevel(logging.DEBUG)
    answers = await _http(own, customer)
    for place in (0, 1, 2, 3, 4, 10, 11, 12, 13, 22, 25, 26):
        assert PLANTED[place] not in answers.replace(PLANTED[1] + '"', ""), place
    client = GraphQLClient(url(own), customer)
    key = await client.submit(WITH_SECRET, secrets={"TOKEN": PLANTED[11]})
    job = jobs.add(key, customer.address, provider.address)
    await _grpc(own, job, provider, customer)

    def broken_renderer(_workflow: Workflow) -> str:
        raise ValueError(PLANTED[14])

    monkeypatch.setattr(own, "_render", broken_renderer)
    for kind in ("_store", "_logs"):
        store = getattr(own, kind)
        for name in ("put", "get", "append"):
            if hasattr(store, name):

                async def fails(*_: object, **__: object) -> None:
                    raise RuntimeError(PLANTED[15])

                monkeypatch.setattr(store, name, fails)
    with pytest.raises(Exception, match="failed"):
        await client.submit(planted_job())
    async with SBatchClient(f"127.0.0.1:{own.grpc_port}", provider) as scripts:
        with pytest.raises(Exception, match="its log says where"):
            await scripts.fetch(job)
    await client.close()
    # The clients of this test log what they ask for; the service uses neither here.
    records = [each for each in caplog.records if not each.name.startswith(("httpx", "httpcore"))]
    said = "\n".join(caplog.handler.format(each) + repr(each.args) for each in records)
    assert "script kept" in said
    assert "call failed error=RuntimeError" in said
    assert [word for word in PLANTED if word in said] == []
    assert "hush" not in own.metrics.text().decode()
