"""Submits: what is kept, for whom, and what is refused."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from dsq.core.errors import UsageError, WalletError, WorkflowError
from dsq.core.rpc.graphql import GraphQLClient
from dsq.core.rpc.signing import submit_text
from dsq.core.wallet import Wallet
from dsq.sbatch.service.keys import ALPHABET, KEY_LENGTH, encode_key, new_key
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings
from tests.unit.service.support import SUBMIT, WORKFLOW, Jobs, TestClock

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _url(service: Service) -> str:
    return f"http://127.0.0.1:{service.http_port}/graphql"


async def _submit(http: httpx.AsyncClient, job: Any, **headers: str) -> dict[str, Any]:
    body = {"query": SUBMIT, "variables": {"job": job}}
    response = await http.post("/graphql", json=body, headers=headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def _signed(wallet: Wallet, body: bytes, milliseconds: int) -> dict[str, str]:
    signature = wallet.sign_text(submit_text(wallet.address, body, milliseconds))
    return {
        "content-type": "application/json",
        "dsq-address": wallet.address.lower,
        "dsq-timestamp": str(milliseconds),
        "dsq-signature": "0x" + signature.hex(),
    }


BODY = json.dumps({"query": SUBMIT, "variables": {"job": WORKFLOW}}).encode()


async def test_submit_returns_a_key(http: httpx.AsyncClient) -> None:
    """Each submit gets a new key of 22 characters."""
    keys = {(await _submit(http, WORKFLOW))["data"]["submit"] for _ in range(5)}
    assert len(keys) == 5
    assert all(len(key) == KEY_LENGTH and set(key) <= set(ALPHABET) for key in keys)


async def test_keys_are_uuids_in_base_57() -> None:
    """Most significant digit first, padded with the first digit."""
    assert encode_key(0) == "2" * 22
    assert encode_key(56) == "2" * 21 + "z"
    assert encode_key(57) == "2" * 20 + "32"
    assert encode_key(2**128 - 1) == "oZEq7ovRbLq6UnGMPwc8B5"
    assert len({new_key() for _ in range(100)}) == 100


async def test_a_broken_rule(http: httpx.AsyncClient) -> None:
    """One error a field, in the reference's shape, and "" as data."""
    job = {
        **WORKFLOW,
        "resources": {"tasks": 0, "cpusPerTask": 1, "memPerCpu": 1, "gpus": 0},
        "steps": [{"run": {"command": "x", "shell": "/bin/zsh"}}],
    }
    answer = await _submit(http, job)
    assert answer["data"] == {"submit": ""}
    by_field = {error["extensions"]["field"]: error for error in answer["errors"]}
    assert set(by_field) == {"Tasks", "Shell"}
    assert by_field["Tasks"] == {
        "message": "Field 'Tasks' (='0') must be greater than or equal to 1 "
        '{"error": "gte", "field": "Tasks", "value": "0"}',
        "path": ["submit"],
        "extensions": {
            "type": "validation",
            "tag": "gte",
            "namespace": "Job.Resources.Tasks",
            "field": "Tasks",
            "original_message": "Key: 'Job.Resources.Tasks' Error:Field validation for 'Tasks' "
            "failed on the 'gte' tag",
        },
    }
    assert by_field["Shell"]["extensions"]["namespace"] == "Job.Steps[0].Run.Shell"


async def test_a_refused_submit_keeps_nothing(service: Service, http: httpx.AsyncClient) -> None:
    """After a broken rule there is no script in the store."""
    with sqlite3.connect(service.settings.data_dir / "scripts.sqlite") as database:
        before = database.execute("SELECT count(*) FROM scripts").fetchone()
    await _submit(http, {**WORKFLOW, "inputMode": 9999})
    path = service.settings.data_dir / "scripts.sqlite"
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM scripts").fetchone() == before


async def test_validate_module(http: httpx.AsyncClient) -> None:
    """``validate`` answers "valid", or the broken rules as data."""
    query = "mutation($m: Module!) { validate(module: $m) }"
    module = {
        "name": "m",
        "description": "d",
        "minimumResources": WORKFLOW["resources"],
        "steps": [],
    }
    response = await http.post("/graphql", json={"query": query, "variables": {"m": module}})
    assert response.json() == {"data": {"validate": "valid"}}
    module["inputs"] = [{"key": "A B", "description": ""}, {"key": "PATH", "description": ""}]
    response = await http.post("/graphql", json={"query": query, "variables": {"m": module}})
    assert response.json()["data"]["validate"].splitlines() == [
        "Key: 'Module.Inputs[0].Key' Error:Field validation for 'Key' failed on the "
        "'valid_envvar_name' tag",
        "Key: 'Module.Inputs[1].Key' Error:Field validation for 'Key' failed on the 'ne' tag",
    ]


async def test_too_many_steps(tmp_path: Path, jobs: Jobs) -> None:
    """Steps at all levels count together; above the limit nothing is rendered."""
    settings = ServiceSettings(data_dir=tmp_path, http_port=0, grpc_port=0, max_steps=4)
    service = Service(settings, jobs)
    await service.start()
    client = GraphQLClient(_url(service))
    step: dict[str, Any] = {"run": {"command": "true"}}
    steps = [{"for": {"parallel": False, "items": ["a"], "steps": [step, step]}}, step]
    assert await client.submit({**WORKFLOW, "steps": steps})
    with pytest.raises(WorkflowError, match="at most 4 steps"):
        await client.submit({**WORKFLOW, "steps": [*steps, {"catch": [step]}]})
    await client.close()
    await service.stop()


async def test_a_body_that_is_too_long(tmp_path: Path, jobs: Jobs) -> None:
    """A 413, read no further than the limit."""
    settings = ServiceSettings(data_dir=tmp_path, http_port=0, grpc_port=0, max_body_bytes=1000)
    service = Service(settings, jobs)
    await service.start()
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"content-type": "application/json"}
        response = await client.post(_url(service), content=b" " * 1001, headers=headers)
    assert response.status_code == 413
    assert response.json()["errors"][0]["extensions"] == {"type": "limit"}
    await service.stop()


async def test_too_many_mutations(http: httpx.AsyncClient) -> None:
    """One request cannot have the service render a job hundreds of times."""
    fields = " ".join(f"a{index}: submit(job: $job)" for index in range(11))
    query = f"mutation($job: Job!) {{ {fields} }}"
    response = await http.post("/graphql", json={"query": query, "variables": {"job": WORKFLOW}})
    assert response.status_code == 422
    assert "at most 10 mutations" in response.text


class TestIdempotency:
    async def test_a_repeat_gets_the_same_answer(self, http: httpx.AsyncClient) -> None:
        """Same key, same body: the same script, however the JSON is spelled."""
        first = await _submit(http, WORKFLOW, **{"idempotency-key": "k1"})
        again = await _submit(http, WORKFLOW, **{"idempotency-key": "k1"})
        spelled = json.dumps(
            {"variables": {"job": dict(reversed(WORKFLOW.items()))}, "query": SUBMIT}, indent=3
        )
        headers = {"content-type": "application/json", "idempotency-key": "k1"}
        third = await http.post("/graphql", content=spelled, headers=headers)
        assert first == again == third.json()

    async def test_another_body_is_an_error(self, http: httpx.AsyncClient) -> None:
        """Same key, other body: an error, and nothing is kept under the key."""
        first = await _submit(http, WORKFLOW, **{"idempotency-key": "k2"})
        other = {**WORKFLOW, "enableLogging": True}
        answer = await _submit(http, other, **{"idempotency-key": "k2"})
        assert answer["data"] == {"submit": ""}
        assert answer["errors"][0]["extensions"] == {"type": "idempotency"}
        assert await _submit(http, WORKFLOW, **{"idempotency-key": "k2"}) == first

    async def test_a_refused_submit_may_be_mended(self, http: httpx.AsyncClient) -> None:
        """A broken rule uses no key up: the mended workflow may have it."""
        bad = await _submit(http, {**WORKFLOW, "inputMode": 9999}, **{"idempotency-key": "k3"})
        assert bad["data"] == {"submit": ""}
        good = await _submit(http, WORKFLOW, **{"idempotency-key": "k3"})
        assert len(good["data"]["submit"]) == KEY_LENGTH

    async def test_it_ends_after_a_day(self, http: httpx.AsyncClient, clock: TestClock) -> None:
        """After 24 hours the key is free again."""
        first = await _submit(http, WORKFLOW, **{"idempotency-key": "k4"})
        clock.offset = 24 * 3600 - 60
        assert await _submit(http, WORKFLOW, **{"idempotency-key": "k4"}) == first
        clock.offset = 24 * 3600 + 60
        other = await _submit(http, {**WORKFLOW, "env": []}, **{"idempotency-key": "k4"})
        assert other["data"]["submit"] not in ("", first["data"]["submit"])

    async def test_each_customer_has_his_own(
        self, service: Service, customer: Wallet, stranger: Wallet
    ) -> None:
        """Two customers with the same key and body get scripts of their own."""
        keys = []
        for wallet in (customer, stranger, None):
            client = GraphQLClient(_url(service), wallet)
            keys.append(await client.submit(WORKFLOW, idempotency_key="n5"))
            keys.append(await client.submit(WORKFLOW, idempotency_key="n5"))
            with pytest.raises(UsageError, match="used for another workflow"):
                await client.submit({**WORKFLOW, "env": []}, idempotency_key="n5")
            await client.close()
        assert [keys[0], keys[2], keys[4]] == [keys[1], keys[3], keys[5]]
        assert len(set(keys)) == 3

    async def test_two_at_once_keep_one(self, http: httpx.AsyncClient) -> None:
        """Ten requests with one key at the same time agree on one script."""
        import asyncio

        submits = [_submit(http, WORKFLOW, **{"idempotency-key": "k6"}) for _ in range(10)]
        answers = await asyncio.gather(*submits)
        assert len({answer["data"]["submit"] for answer in answers}) == 1

    async def test_keys_have_a_length(self, http: httpx.AsyncClient) -> None:
        """An empty or very long key is a 400."""
        for key in ("", "k" * 256):
            headers = {"idempotency-key": key}
            response = await http.post("/graphql", json={"query": SUBMIT}, headers=headers)
            assert response.status_code == 400


class TestSignatures:
    async def test_a_signed_submit(self, http: httpx.AsyncClient, customer: Wallet) -> None:
        """Address, time and signature over the body's digest are accepted."""
        headers = _signed(customer, BODY, int(time.time() * 1000))
        response = await http.post("/graphql", content=BODY, headers=headers)
        assert len(response.json()["data"]["submit"]) == KEY_LENGTH

    async def test_a_wrong_header(self, http: httpx.AsyncClient, customer: Wallet) -> None:
        """A signature that is not right is a 401: it is never taken as unsigned."""
        for name, value, said in (
            ("dsq-signature", "0x1234", "malformed"),
            ("dsq-signature", "zz", "well-formed"),
            ("dsq-signature", "", "malformed"),
            ("dsq-signature", "0x" + "00" * 64 + "1b", "fits no key"),
            ("dsq-timestamp", "soon", "stale"),
            ("dsq-timestamp", "", "stale"),
            ("dsq-timestamp", "1700000000000", "stale"),
            ("dsq-address", "0x00", "well-formed"),
            ("dsq-address", "0x" + "11" * 20, "another body"),
            ("dsq-address", "", "well-formed"),
        ):
            headers = {**_signed(customer, BODY, int(time.time() * 1000)), name: value}
            response = await http.post("/graphql", content=BODY, headers=headers)
            assert response.status_code == 401, (name, value)
            error = response.json()["errors"][0]
            assert said in error["message"], (name, value)
            assert error["extensions"] == {"type": "authentication"}

    async def test_another_body(self, http: httpx.AsyncClient, customer: Wallet) -> None:
        """The signature holds for its body alone."""
        headers = _signed(customer, BODY, int(time.time() * 1000))
        response = await http.post("/graphql", content=BODY + b" ", headers=headers)
        assert response.status_code == 401

    async def test_a_missing_header(self, http: httpx.AsyncClient, customer: Wallet) -> None:
        """The three headers come together."""
        headers = _signed(customer, BODY, int(time.time() * 1000))
        del headers["dsq-signature"]
        response = await http.post("/graphql", content=BODY, headers=headers)
        assert response.status_code == 401

    async def test_an_old_signature(
        self, service: Service, customer: Wallet, clock: TestClock
    ) -> None:
        """After five minutes a signature is worth nothing; the client says so."""
        clock.offset = 301
        client = GraphQLClient(_url(service), customer)
        with pytest.raises(WalletError, match="stale"):
            await client.submit(WORKFLOW)
        await client.close()


class TestClient:
    async def test_problems_become_a_workflow_error(self, service: Service) -> None:
        """Each error of the service is one problem of the exception."""
        client = GraphQLClient(_url(service))
        bad = {**WORKFLOW, "inputMode": 9999, "steps": [{"dependsOn": ["a b"]}]}
        with pytest.raises(WorkflowError, match="refused the workflow") as caught:
            await client.submit(bad)
        assert len(caught.value.problems) == 2
        with pytest.raises(WorkflowError, match="unknown field 'stps'"):
            await client.submit({**WORKFLOW, "stps": []})
        await client.close()

    async def test_an_answer_that_is_no_graphql(self, service: Service) -> None:
        """A wrong path is named as such, not as a broken workflow."""
        client = GraphQLClient(f"http://127.0.0.1:{service.http_port}/nothing")
        with pytest.raises(Exception, match="status 404 and no answer of GraphQL"):
            await client.submit(WORKFLOW)
        await client.close()
