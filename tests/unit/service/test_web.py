"""GraphQL as forms and over WebSocket, gRPC-Web, slow clients."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import websockets
from websockets.typing import Subprotocol

from dsq.core.model import Job
from dsq.core.rpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import ReadRequest, ReadResponse
from dsq.core.rpc.gen.sbatchapi.v1alpha1.sbatch_pb2 import (
    ChallengeRequest,
    ChallengeResponse,
    GetSBatchRequest,
)
from dsq.core.rpc.logger import LogLine, LogWriter
from dsq.core.rpc.signing import read_text
from dsq.core.wallet import Wallet
from dsq.sbatch.service import listen
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings
from tests.unit.service.support import SUBMIT, WORKFLOW, Jobs

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPENAME = "query Q { __typename }"


class TestForms:
    async def test_a_form_submits(self, http: httpx.AsyncClient) -> None:
        """The field operations is the request, as upload clients send it."""
        operations = json.dumps({"query": SUBMIT, "variables": {"job": WORKFLOW}})
        response = await http.post(
            "/graphql", files={"operations": (None, operations), "map": (None, "{}")}
        )
        assert response.status_code == 200
        assert len(response.json()["data"]["submit"]) == 22

    @pytest.mark.parametrize(
        "files",
        [
            {"map": (None, "{}")},
            {"operations": (None, "{")},
            {"operations": (None, json.dumps({"query": TYPENAME})), "map": (None, '{"0": ["x"]}')},
            {"operations": (None, json.dumps({"query": TYPENAME})), "map": (None, "no")},
            {"operations": (None, json.dumps({"query": TYPENAME})), "0": ("a.txt", b"file")},
            {"operations": ("a.json", b"{}")},
        ],
    )
    async def test_forms_that_are_wrong(self, http: httpx.AsyncClient, files: Any) -> None:
        """422 in GraphQL's shape: a field is missing, no JSON, or there is a file."""
        response = await http.post("/graphql", files=files)
        assert response.status_code == 422
        assert response.json()["data"] is None

    @pytest.mark.parametrize("body", [b"", b"--x\r\n", b"--x\r\n\r\n--x--", b"\xff" * 100])
    async def test_no_form_at_all(self, http: httpx.AsyncClient, body: bytes) -> None:
        """Nothing a parser could stumble over is a fault of the service."""
        headers = {"content-type": "multipart/form-data; boundary=x"}
        response = await http.post("/graphql", content=body, headers=headers)
        assert response.status_code == 422
        response = await http.post(
            "/graphql", content=body, headers={"content-type": "multipart/form-data"}
        )
        assert response.status_code == 422


async def _socket(service: Service, protocol: str) -> Any:
    url = f"ws://127.0.0.1:{service.http_port}/graphql"
    return await websockets.connect(url, subprotocols=[Subprotocol(protocol)], proxy=None)


async def _say(socket: Any, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def _hear(socket: Any) -> Any:
    return json.loads(await asyncio.wait_for(socket.recv(), 5))


class TestWebSocket:
    async def test_the_present_protocol(self, service: Service) -> None:
        """graphql-transport-ws: init, ping, operations, errors."""
        socket = await _socket(service, "graphql-transport-ws")
        assert socket.subprotocol == "graphql-transport-ws"
        await _say(socket, type="connection_init", payload={})
        assert await _hear(socket) == {"type": "connection_ack"}
        await _say(socket, type="ping")
        assert await _hear(socket) == {"type": "pong"}
        payload: Any = {"query": SUBMIT, "variables": {"job": WORKFLOW}}
        await _say(socket, type="subscribe", id="1", payload=payload)
        answer = await _hear(socket)
        assert (answer["id"], answer["type"]) == ("1", "next")
        assert len(answer["payload"]["data"]["submit"]) == 22
        assert await _hear(socket) == {"id": "1", "type": "complete"}
        await _say(socket, type="subscribe", id="2", payload={"query": "{ nothing }"})
        answer = await _hear(socket)
        assert (answer["id"], answer["type"]) == ("2", "error")
        assert "nothing" in answer["payload"][0]["message"]
        await _say(socket, type="subscribe", id="1", payload={"query": TYPENAME})
        assert (await _hear(socket))["payload"] == {"data": {"__typename": "Query"}}
        await socket.close()

    async def test_the_older_protocol(self, service: Service) -> None:
        """graphql-ws: start, data, complete, terminate."""
        socket = await _socket(service, "graphql-ws")
        await _say(socket, type="connection_init")
        assert await _hear(socket) == {"type": "connection_ack"}
        await _say(socket, type="start", id="a", payload={"query": TYPENAME})
        answer = await _hear(socket)
        assert answer["type"] == "data"
        assert answer["payload"] == {"data": {"__typename": "Query"}}
        assert (await _hear(socket))["type"] == "complete"
        await _say(socket, type="stop", id="a")
        await _say(socket, type="connection_terminate")
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert socket.close_code == 1000

    @pytest.mark.parametrize(
        ("messages", "code"),
        [
            (['{"type": "subscribe", "id": "1", "payload": {}}'], 4401),
            (["no json"], 4400),
            (["[]"], 4400),
            (['{"type": "what"}'], 4400),
            (['{"type": "what", "id": "1"}'], 4400),
            (['{"type": "connection_init"}', '{"type": "connection_init"}'], 4429),
            (["[" * 100_000], 4400),
        ],
    )
    async def test_what_ends_a_conversation(
        self, service: Service, messages: list[str], code: int
    ) -> None:
        """The protocol's own codes."""
        socket = await _socket(service, "graphql-transport-ws")
        for message in messages:
            await socket.send(message)
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert socket.close_code == code

    async def test_a_message_that_is_too_long(self, service: Service) -> None:
        """The limit of bodies holds here too."""
        socket = await _socket(service, "graphql-transport-ws")
        await socket.send(b" " * (service.settings.max_body_bytes + 1))
        await asyncio.wait_for(socket.wait_closed(), 10)
        assert socket.close_code == 1009


def _framed(message: Any) -> bytes:
    raw = message.SerializeToString()
    return struct.pack(">BI", 0, len(raw)) + raw


def _frames(body: bytes) -> tuple[list[bytes], dict[str, str]]:
    """Messages and trailers of an answer."""
    messages, trailers = [], {}
    while body:
        flags, length = struct.unpack_from(">BI", body)
        part, body = body[5 : 5 + length], body[5 + length :]
        if flags & 0x80:
            for line in part.decode().split("\r\n"):
                if line:
                    name, value = line.split(":", 1)
                    trailers[name] = unquote(value.strip())
        else:
            messages.append(part)
    return messages, trailers


async def _call(http: httpx.AsyncClient, path: str, message: Any, **headers: str) -> Any:
    sent = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", **headers}
    response = await http.post(path, content=_framed(message), headers=sent)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/grpc-web+proto"
    return _frames(response.content)


READ = "/logger.v1alpha1.LoggerAPI/Read"


def _read_request(job: Job, wallet: Wallet, **fields: Any) -> ReadRequest:
    stamp = time.time_ns() // 10**6
    return ReadRequest(
        address=job.customer.lower,
        log_name=job.hex_id,
        timestamp=stamp,
        signed_hash=wallet.sign_text(read_text(job.customer, job.hex_id, stamp)),
        **fields,
    )


class TestGrpcWeb:
    async def test_one_answer(self, http: httpx.AsyncClient) -> None:
        """A message and the trailers."""
        path = "/sbatchapi.v1alpha1.AuthAPI/Challenge"
        (raw,), trailers = await _call(http, path, ChallengeRequest())
        assert b'"message":"login"' in ChallengeResponse.FromString(raw).challenge
        assert trailers == {"grpc-status": "0"}
        (raw,), _ = await _call(http, "/grpc.health.v1.Health/Check", HealthCheckRequest())
        assert HealthCheckResponse.FromString(raw).status == HealthCheckResponse.SERVING

    async def test_a_log_is_followed(
        self,
        http: httpx.AsyncClient,
        service: Service,
        jobs: Jobs,
        customer: Wallet,
        provider: Wallet,
    ) -> None:
        """Lines come while the log grows, and the trailers with its end."""
        job = jobs.add("k", customer.address, provider.address)
        writer = LogWriter(f"127.0.0.1:{service.grpc_port}", provider)
        await writer.append(job.customer, job.hex_id, [LogLine(b"one", 5)], first_index=0)
        headers = {"content-type": "application/grpc-web", "origin": "https://console.example"}
        content = _framed(_read_request(job, customer))
        async with http.stream("POST", READ, content=content, headers=headers) as response:
            assert response.headers["access-control-allow-origin"]
            assert "grpc-status" in response.headers["access-control-expose-headers"]
            parts = response.aiter_raw()
            body = await anext(parts)
            assert _frames(body)[0] == [ReadResponse(data=b"one", timestamp=5).SerializeToString()]
            await writer.append(
                job.customer, job.hex_id, [LogLine(b"two", 6)], first_index=1, end=True
            )
            async for part in parts:
                body += part
        messages, trailers = _frames(body)
        assert [ReadResponse.FromString(raw).data for raw in messages] == [b"one", b"two"]
        assert trailers == {"grpc-status": "0"}
        await writer.close()

    async def test_a_browser_that_goes(
        self,
        http: httpx.AsyncClient,
        service: Service,
        jobs: Jobs,
        customer: Wallet,
        provider: Wallet,
    ) -> None:
        """Its stream is counted out, whether it waits for lines or amid them."""
        job = jobs.add("k", customer.address, provider.address)
        writer = LogWriter(f"127.0.0.1:{service.grpc_port}", provider)
        lines = [LogLine(b"x" * 1000)] * 5000
        await writer.append(job.customer, job.hex_id, lines, first_index=0)
        headers = {"content-type": "application/grpc-web"}
        streams = service._gate._streams
        for wanted in (1, 5_000_000):
            content = _framed(_read_request(job, customer))
            async with http.stream("POST", READ, content=content, headers=headers) as response:
                got = 0
                async for part in response.aiter_raw():
                    got += len(part)
                    if got >= wanted:
                        break
                assert streams.total == 1
            for _ in range(300):
                if not streams.total:
                    break
                await asyncio.sleep(0.01)
            assert streams.total == 0
        await writer.close()

    async def test_as_text(self, http: httpx.AsyncClient, jobs: Jobs, customer: Wallet) -> None:
        """Base64 both ways, in pieces that are each padded."""
        raw = _framed(HealthCheckRequest(service=""))
        body = base64.b64encode(raw[:2]) + base64.b64encode(raw[2:])
        headers = {"content-type": "application/grpc-web-text"}
        response = await http.post("/grpc.health.v1.Health/Check", content=body, headers=headers)
        assert response.headers["content-type"] == "application/grpc-web-text"
        pieces = response.text.replace("=", "=\n").replace("\n=", "=").split("\n")
        decoded = b"".join(base64.b64decode(piece) for piece in pieces)
        messages, trailers = _frames(decoded)
        assert HealthCheckResponse.FromString(messages[0]).status == HealthCheckResponse.SERVING
        assert trailers == {"grpc-status": "0"}

    async def test_refusals(
        self, http: httpx.AsyncClient, jobs: Jobs, customer: Wallet, stranger: Wallet
    ) -> None:
        """Statuses and sentences are those of gRPC."""
        job = jobs.add("k", customer.address)
        messages, trailers = await _call(http, READ, _read_request(job, stranger))
        assert messages == []
        assert trailers["grpc-status"] == "16"
        assert "not that address's" in trailers["grpc-message"]
        path = "/sbatchapi.v1alpha1.SBatchAPI/GetSBatch"
        _, trailers = await _call(http, path, GetSBatchRequest(job_id="x"))
        assert trailers["grpc-status"] == "3"

    @pytest.mark.parametrize(
        "body", [b"", b"\x00", b"\x00\x00\x00\x00\x05abc", b"\x01\x00\x00\x00\x00", b"\x00\x00\x00\x00\x02\xff\xff"]
    )  # fmt: skip
    async def test_bodies_that_are_no_message(self, http: httpx.AsyncClient, body: bytes) -> None:
        """INVALID_ARGUMENT, in both encodings."""
        for media_type, content in (
            ("application/grpc-web", body),
            ("application/grpc-web-text", base64.b64encode(body) + b"!"),
        ):
            headers = {"content-type": media_type}
            response = await http.post(READ, content=content, headers=headers)
            text = media_type.endswith("text")
            raw = base64.b64decode(response.content) if text else response.content
            assert _frames(raw)[1]["grpc-status"] == "3"

    async def test_what_is_not_served(self, http: httpx.AsyncClient) -> None:
        """Streams from the client, other content, other methods."""
        headers = {"content-type": "application/grpc-web"}
        write = await http.post("/logger.v1alpha1.LoggerAPI/Write", content=b"", headers=headers)
        assert write.status_code == 404
        assert (await http.post(READ, json={})).status_code == 415
        assert (await http.get(READ)).status_code == 405

    async def test_preflight(self, http: httpx.AsyncClient) -> None:
        """A browser of any origin may send gRPC-Web's headers."""
        headers = {
            "origin": "https://console.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,x-grpc-web,x-user-agent",
        }
        response = await http.options(READ, headers=headers)
        assert response.status_code == 200
        assert "X-Grpc-Web" in response.headers["access-control-allow-headers"]


async def test_there_is_no_debug_route(http: httpx.AsyncClient) -> None:
    """The reference's address of a script is nobody's here, though the script is kept."""
    answer = await http.post("/graphql", json={"query": SUBMIT, "variables": {"job": WORKFLOW}})
    key = answer.json()["data"]["submit"]
    for method in ("GET", "POST"):
        assert (await http.request(method, f"/job/{key}")).status_code == 404


async def test_a_client_that_sends_no_head(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is closed after a while, before and after a first request."""
    monkeypatch.setattr(listen, "HEADER_SECONDS", 0.1)
    for sent in (b"", b"GET /health HTTP/1.1\r\nx: "):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.http_port)
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), 3) == b""
        writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.http_port)
    writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    writer.write(b"GET")
    assert await asyncio.wait_for(reader.read(), 3) == b""
    writer.close()


async def test_a_body_that_does_not_come(tmp_path: Path, jobs: Jobs) -> None:
    """408, and the connection is closed."""
    settings = ServiceSettings(data_dir=tmp_path, http_port=0, grpc_port=0, body_seconds=0.1)
    service = Service(settings, jobs)
    await service.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.http_port)
    head = b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    writer.write(head + b"content-length: 100\r\n\r\n{")
    answer = await asyncio.wait_for(reader.read(), 3)
    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()
    await service.stop()
