"""The JSON-RPC line: what is shown of it, and what odd nodes answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dsq.core.chain.logs import get_logs
from dsq.core.chain.rpc import BATCH_CALLS, Head, Rpc, RpcError, public_url
from dsq.core.errors import SettingsError, UnreachableError

Answer = Callable[[Any], Any]


@asynccontextmanager
async def _node(answer: Answer) -> AsyncIterator[Rpc]:
    """A node whose answers are made by a function of the request's JSON."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length: ")[1].split("\r\n")[0])
                result = answer(json.loads(await reader.readexactly(length)))
                if isinstance(result, Awaitable):
                    result = await result
                body = result if isinstance(result, bytes) else json.dumps(result).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    rpc = Rpc(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=5)
    try:
        yield rpc
    finally:
        await rpc.close()
        server.close()


def _ok(request: Any, result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


def _no(request: Any, code: int, message: str, data: Any = None) -> dict[str, Any]:
    error = {"code": code, "message": message, "data": data}
    return {"jsonrpc": "2.0", "id": request["id"], "error": error}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("https://user:secret@node.example/", "https://node.example"),
        ("https://node.example/v3/0123456789abcdef", "https://node.example/…"),
        ("wss://node.example:1?key=secret", "wss://node.example:1/…"),
        ("http://[::1]:8545", "http://[::1]:8545"),
    ],
)
def test_urls_are_shown_without_secrets(url: str, shown: str) -> None:
    """User, path and query stay out of messages."""
    assert public_url(url) == shown


@pytest.mark.parametrize("url", ["", "localhost:8545", "ws://127.0.0.1:1", "http://"])
def test_url_of_no_use(url: str) -> None:
    """Only http and https addresses of a host are nodes."""
    with pytest.raises(SettingsError, match="is not the address of a node"):
        Rpc(url)


async def test_batches_keep_their_order_and_size() -> None:
    """Answers in any order are sorted; long lists go in several requests."""
    sizes = []

    def answer(requests: Any) -> Any:
        sizes.append(len(requests))
        return [_ok(request, request["params"][0]) for request in reversed(requests)]

    count = 2 * BATCH_CALLS + 3
    async with _node(answer) as rpc:
        results = await rpc.batch([("echo", [n]) for n in range(count)])
    assert results == list(range(count))
    assert sorted(sizes) == [3, BATCH_CALLS, BATCH_CALLS]


async def test_node_without_batches() -> None:
    """A node that knows no batches is asked one by one, from then on."""
    seen = []

    def answer(request: Any) -> Any:
        seen.append(type(request).__name__)
        if isinstance(request, list):
            return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no"}}
        return _ok(request, request["params"][0])

    async with _node(answer) as rpc:
        assert await rpc.batch([("echo", [1]), ("echo", [2])]) == [1, 2]
        assert await rpc.batch([("echo", [3]), ("echo", [4])]) == [3, 4]
    assert seen == ["list", "dict", "dict", "dict", "dict"]


async def test_one_refused_entry_of_a_batch() -> None:
    """A refused entry is an error in its place; the others have their answers."""

    def answer(requests: Any) -> Any:
        return [_ok(requests[0], 1), _no(requests[1], -32000, "boom")]

    async with _node(answer) as rpc:
        first, second = await rpc.batch([("a", []), ("b", [])])
        assert first == 1
        assert isinstance(second, RpcError)
        assert (second.method, second.rpc_code, second.rpc_message) == ("b", -32000, "boom")
        with pytest.raises(RpcError, match="The node refused b: boom"):
            await rpc.all_of([("a", []), ("b", [])])


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("0x97736927", "97736927"),
        ({"data": "0x97736927"}, "97736927"),
        ({"originalError": {"data": "0x97736927"}}, "97736927"),
        ("Reverted 0x97736927", "97736927"),
        (None, ""),
        ("words", ""),
        ({"odd": 1}, ""),
    ],
)
async def test_revert_data_wherever_nodes_put_it(data: Any, found: str) -> None:
    """Revert data is found in the shapes that nodes use."""
    async with _node(lambda request: _no(request, 3, "execution reverted", data)) as rpc:
        with pytest.raises(RpcError) as caught:
            await rpc.request("eth_call")
    assert caught.value.data.hex() == found


@pytest.mark.parametrize("body", [b"<html>", b"5", b'{"jsonrpc": "2.0", "id": 1}'])
async def test_answers_that_are_none(body: bytes) -> None:
    """What is no JSON-RPC is an error of dsq."""
    async with _node(lambda _: body) as rpc:
        with pytest.raises((UnreachableError, RpcError)):
            await rpc.request("eth_chainId")


async def test_node_that_hangs() -> None:
    """A node that never answers is unreachable after the time-out."""
    async with _node(lambda _: asyncio.sleep(30)) as rpc:
        hasty = Rpc(rpc.url, timeout=0.2)
        with pytest.raises(UnreachableError, match="no answer in time"):
            await hasty.request("eth_chainId")
        await hasty.close()


async def test_log_ranges_are_halved() -> None:
    """A node that refuses long ranges gets shorter ones; nothing is missed or doubled."""
    asked = []

    def answer(request: Any) -> Any:
        query = request["params"][0]
        start, end = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        asked.append((start, end))
        if end - start >= 10:
            return _no(request, -32005, "query returned more than 10000 results")
        return _ok(request, [{"block": block} for block in range(start, end + 1)])

    async with _node(answer) as rpc:
        logs = await get_logs(rpc, {}, 5, 77)
    assert [log["block"] for log in logs] == list(range(5, 78))
    assert max(end - start for start, end in asked[1:]) < 72


async def test_block_with_too_many_logs() -> None:
    """One block that the node still refuses is an error."""
    async with _node(lambda request: _no(request, -32005, "too many")) as rpc:
        with pytest.raises(RpcError, match="too many"):
            await get_logs(rpc, {}, 5, 6)


def test_head() -> None:
    """A block's number, hash and time are read from the node's words."""
    block = {"number": "0x10", "hash": "0x" + "ab" * 32, "timestamp": "0x5"}
    assert Head.from_json(block) == Head(16, b"\xab" * 32, 5)
