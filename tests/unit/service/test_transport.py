"""GraphQL over HTTP: which request gets which status and which shape of answer."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest
from graphql import build_client_schema, get_introspection_query

from tests.unit.service.support import SUBMIT, WORKFLOW, Jobs

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPENAME = "{ __typename }"
SECRET = "hunter2-do-not-show"


async def _post(http: httpx.AsyncClient, **payload: Any) -> httpx.Response:
    return await http.post("/graphql", json=payload)


async def test_a_query_answers(http: httpx.AsyncClient) -> None:
    """A plain query: 200, data, no errors."""
    response = await _post(http, query=TYPENAME)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"data": {"__typename": "Query"}}


async def test_media_type_may_have_parameters(http: httpx.AsyncClient) -> None:
    """``application/json; charset=utf-8`` is JSON."""
    headers = {"content-type": "application/json; charset=utf-8"}
    body = json.dumps({"query": TYPENAME})
    response = await http.post("/graphql", content=body, headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "media_type",
    ["", "text/plain", "application/graphql", "application/jsonx"],
)
async def test_other_media_types_are_refused(http: httpx.AsyncClient, media_type: str) -> None:
    """Only JSON may be posted: 400, data null."""
    headers = {"content-type": media_type} if media_type else {}
    body = json.dumps({"query": TYPENAME}).encode()
    response = await http.post("/graphql", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["data"] is None
    assert "transport not supported" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'"text"',
        b"null",
        b'{"query": 5}',
        b'{"query": "{ __typename }", "variables": []}',
        b'{"query": "{ __typename }", "operationName": {}}',
        b'{"query": "{ __typename }", "extensions": 1}',
        b'{"query": "{ __typename }", "variables": {"a": NaN}}',
        b'{"query": "{ __typename }", "variables": {"a": "\\ud800"}}',
        b'{"query": "{ __typename }", "variables": {"a": 1e999}}',
        b'{"query": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"query": ' + b"9" * 10_000 + b"}",
    ],
    ids=lambda body: body.decode(errors="replace")[:40],
)
async def test_a_body_that_is_no_request(http: httpx.AsyncClient, body: bytes) -> None:
    """What is no JSON object of a request is a 400 that repeats nothing of it."""
    headers = {"content-type": "application/json"}
    response = await http.post("/graphql", content=body, headers=headers)
    assert response.status_code == 400
    answer = response.json()
    assert answer["data"] is None
    assert len(answer["errors"][0]["message"]) < 100


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("query {", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ job }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ job(batchLocationHash: 5) }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { submit }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { __typename } query B { __typename }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ a" + "{ a" * 3000 + "}" * 3001, "GRAPHQL_VALIDATION_FAILED"),
        ("{ a(b: " + "[" * 100_000, "GRAPHQL_VALIDATION_FAILED"),
        ("query(" + "$a: [" * 100_000, "GRAPHQL_VALIDATION_FAILED"),
        ("{" + " __typename" * 600 + "}", "GRAPHQL_VALIDATION_FAILED"),
    ],
    ids=lambda text: text[:40],
)
async def test_a_document_that_is_wrong(http: httpx.AsyncClient, query: str, code: str) -> None:
    """Syntax, unknown fields, missing arguments, too much of it: 422, data null."""
    response = await _post(http, query=query)
    assert response.status_code == 422
    assert response.json()["data"] is None
    assert response.json()["errors"][0]["extensions"] == {"code": code}


async def test_the_named_operation_runs(http: httpx.AsyncClient) -> None:
    """``operationName`` chooses; an unknown one is a 422."""
    query = "query A { a: __typename } query B { b: __typename }"
    response = await _post(http, query=query, operationName="B")
    assert response.json() == {"data": {"b": "Query"}}
    response = await _post(http, query=query, operationName="C")
    assert response.status_code == 422


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (None, "not to be None"),
        ({}, "to include required field 'resources'"),
        (5, "to be an object"),
        ({**WORKFLOW, "comand": 1}, "unknown field 'comand'"),
        ({**WORKFLOW, "enableLoging": True}, "Did you mean 'enableLogging'?"),
        ({**WORKFLOW, "enableLogging": "yes"}, "Boolean cannot represent a non boolean value"),
        ({**WORKFLOW, "inputMode": "7"}, "at .inputMode: Int cannot represent non-integer value"),
        ({**WORKFLOW, "inputMode": 2**31}, "Int cannot represent non 32-bit signed integer"),
        ({**WORKFLOW, "inputMode": True}, "Int cannot represent non-integer value"),
        ({**WORKFLOW, "steps": [{"name": 5}]}, "at .steps[0].name: String cannot represent"),
    ],
)
async def test_variables_of_the_wrong_shape(http: httpx.AsyncClient, job: Any, said: str) -> None:
    """GraphQL's own check of the types: 422 with the place and the close match."""
    response = await _post(http, query=SUBMIT, variables={"job": job})
    assert response.status_code == 422
    answer = response.json()
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}
    assert said in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (SUBMIT, {"job": SECRET}),
        (SUBMIT, {"job": {**WORKFLOW, "env": [{"key": "A", "value": [SECRET]}]}}),
        (SUBMIT, {"job": {**WORKFLOW, "env": [{"key": "A", "value": {SECRET: SECRET}}]}}),
        (SUBMIT, {"job": {**WORKFLOW, "inputMode": SECRET}}),
        (SUBMIT, {"job": {"env": [{"key": "A", "value": SECRET}]}}),
        (SUBMIT, {"job": {**WORKFLOW, "env": [{"key": "A B", "value": SECRET}]}}),
        (SUBMIT, {"job": {**WORKFLOW, "input": {"http": {"url": SECRET}}}}),
        ('mutation { submit(job: "%s") }'.replace("%s", SECRET), {}),
        ('mutation { submit(job: {inputMode: "%s"}) }'.replace("%s", SECRET), {}),
        ('mutation { submit(job: {env: [{key: 5, value: "%s"}]}) }'.replace("%s", SECRET), {}),
        ('mutation { submit(job: {x: {y: "%s"}}) }'.replace("%s", SECRET), {}),
        ('mutation { submit "%s" }'.replace("%s", SECRET), {}),
        ('mutation { submit(job: {env: "%s" "%s"}) }'.replace("%s", SECRET), {}),
        ('query($a: Int = "%s") { __typename }'.replace("%s", SECRET), {}),
    ],
)
async def test_no_answer_repeats_a_value(
    http: httpx.AsyncClient, query: str, variables: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong, the answer and the service's log hold no value that was sent."""
    caplog.set_level("DEBUG")
    response = await _post(http, query=query, variables=variables)
    assert response.json()["errors"]
    assert SECRET not in response.text
    assert not [record for record in caplog.records if SECRET in record.getMessage()]


async def test_a_bare_value_is_a_list_of_one(http: httpx.AsyncClient) -> None:
    """GraphQL coerces a value to a list of one, as some clients write it."""
    job = {**WORKFLOW, "env": {"key": "A", "value": "1"}, "steps": {"run": {"command": "true"}}}
    response = await _post(http, query=SUBMIT, variables={"job": job})
    assert response.status_code == 200
    assert "errors" not in response.json()


async def test_null_is_the_same_as_absent(http: httpx.AsyncClient) -> None:
    """An explicit null of a nullable field leaves it unset."""
    job = {**WORKFLOW, "env": None, "input": None, "enableLogging": None}
    response = await _post(http, query=SUBMIT, variables={"job": job})
    assert "errors" not in response.json()


async def test_get_runs_queries(http: httpx.AsyncClient) -> None:
    """GET takes the request from the URL."""
    query = "query A($a: Boolean!) { __typename @include(if: $a) }"
    parameters = {"query": query, "variables": '{"a": true}', "operationName": "A"}
    response = await http.get("/graphql", params=parameters)
    assert response.json() == {"data": {"__typename": "Query"}}


async def test_get_refuses_mutations(http: httpx.AsyncClient) -> None:
    """A mutation by GET is a 406, and nothing runs."""
    parameters = {"query": SUBMIT, "variables": json.dumps({"job": WORKFLOW})}
    response = await http.get("/graphql", params=parameters)
    assert response.status_code == 406
    assert response.json() == {
        "errors": [{"message": "GET requests only allow query operations"}],
        "data": None,
    }


async def test_get_with_variables_that_are_no_json(http: httpx.AsyncClient) -> None:
    """A 400 that says which parameter is wrong."""
    response = await http.get("/graphql", params={"query": TYPENAME, "variables": "{"})
    assert response.status_code == 400
    assert (
        response.json()["errors"][0]["message"]
        == "variables is not valid JSON, or nested too deeply."
    )


async def test_get_with_nothing(http: httpx.AsyncClient) -> None:
    """No operation, no answer: 422."""
    assert (await http.get("/graphql")).status_code == 422


@pytest.mark.parametrize(("method", "status"), [("PUT", 400), ("DELETE", 400), ("HEAD", 405)])
async def test_other_methods(http: httpx.AsyncClient, method: str, status: int) -> None:
    """Other methods are no transport of GraphQL."""
    assert (await http.request(method, "/graphql")).status_code == status


async def test_the_job_query_always_fails(http: httpx.AsyncClient) -> None:
    """Nobody reads scripts here: data null, one error at the path of the field."""
    response = await _post(http, query='{ job(batchLocationHash: "x") }')
    assert response.status_code == 200
    answer = response.json()
    assert answer["data"] is None
    assert [error["path"] for error in answer["errors"]] == [["job"]]
    assert "debug mode is off" in answer["errors"][0]["message"]


async def test_persisted_queries(http: httpx.AsyncClient) -> None:
    """A query sent once with its digest may be named by the digest alone."""
    digest = hashlib.sha256(TYPENAME.encode()).hexdigest()
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    response = await _post(http, extensions=extensions)
    error = response.json()["errors"][0]
    assert error["message"] == "PersistedQueryNotFound"
    assert error["extensions"] == {"code": "PERSISTED_QUERY_NOT_FOUND"}
    await _post(http, query=TYPENAME, extensions=extensions)
    response = await _post(http, extensions=extensions)
    assert response.json() == {"data": {"__typename": "Query"}}
    response = await _post(http, query="{ a: __typename }", extensions=extensions)
    assert "hash does not match" in response.json()["errors"][0]["message"]


async def test_introspection(http: httpx.AsyncClient) -> None:
    """Clients can read the whole schema, deprecated fields included."""
    query = get_introspection_query(input_value_deprecation=True)
    response = await _post(http, query=query)
    schema = build_client_schema(response.json()["data"])
    assert set(schema.query_type.fields) == {"job"}  # type: ignore[union-attr]
    assert set(schema.mutation_type.fields) == {"submit", "validate"}  # type: ignore[union-attr]
    bore: Any = schema.type_map["Bore"]
    assert {name: field.deprecation_reason is not None for name, field in bore.fields.items()} == {
        "address": True,
        "port": True,
        "boreAddress": False,
        "targetPort": False,
        "secret": False,
    }
    assert "constraint" in {directive.name for directive in schema.directives}


@pytest.mark.parametrize("path", ["/health", "/readiness"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_health(http: httpx.AsyncClient, path: str, method: str) -> None:
    """Both say ok while all is well, to any method."""
    response = await http.request(method, path)
    assert (response.status_code, response.text) == (200, "ok")


async def test_not_ready_without_the_chain(
    http: httpx.AsyncClient, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the chain no script can be handed out: alive, but not ready."""
    monkeypatch.setattr(jobs, "down", True)
    response = await http.get("/readiness")
    assert response.status_code == 503
    assert response.text == "The chain does not answer."
    assert (await http.get("/health")).status_code == 200


async def test_cors(http: httpx.AsyncClient) -> None:
    """Browsers of any origin may ask, without credentials."""
    headers = {
        "origin": "https://app.example.org",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,dsq-signature,idempotency-key",
    }
    response = await http.options("/graphql", headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://app.example.org"
    assert response.headers["access-control-max-age"] == "300"
    assert "access-control-allow-credentials" not in response.headers
    response = await http.post(
        "/graphql", json={"query": TYPENAME}, headers={"origin": "http://localhost:5173"}
    )
    assert response.headers["access-control-allow-origin"] == "http://localhost:5173"
