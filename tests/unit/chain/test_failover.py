"""Several nodes of one chain, of which any may fail."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator

import pytest

from dsq.core.chain import rpc as rpc_module
from dsq.core.chain.health import EndpointState
from dsq.core.chain.rpc import Rpc, RpcError, redact
from dsq.core.errors import SettingsError, UnreachableError, WrongChainError
from tests.support.fake_node import FakeNode, RefusedError


@pytest.fixture(autouse=True)
def _no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are looked at when a test says so."""
    monkeypatch.setattr(rpc_module, "CHECK_SECONDS", 1e9)


@pytest.fixture
async def nodes() -> AsyncIterator[list[FakeNode]]:
    """Three nodes of the same chain."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(FakeNode().listening()) for _ in range(3)]


@contextlib.asynccontextmanager
async def _rpc(nodes: list[FakeNode], chain_id: int | None = 4242) -> AsyncIterator[Rpc]:
    rpc = Rpc([node.url for node in nodes], timeout=2)
    try:
        await rpc.join(chain_id)
        yield rpc
    finally:
        await rpc.close()


def _states(rpc: Rpc) -> list[str]:
    return [str(one.state) for one in rpc.endpoints()]


async def test_the_first_is_asked_while_it_is_well(nodes: list[FakeNode]) -> None:
    """The settings' order is the order of preference."""
    async with _rpc(nodes) as rpc:
        for _ in range(5):
            await rpc.request("eth_blockNumber")
        assert [node.asked.get("eth_blockNumber", 0) for node in nodes] == [5, 0, 0]
        assert rpc.endpoints()[0].is_current
        assert rpc.endpoints()[0].head == 0


async def test_a_silent_node_is_passed_by_and_comes_back(
    nodes: list[FakeNode], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests go on at the next node; a check finds the first one again."""
    monkeypatch.setattr("dsq.core.chain.health.FIRST_PAUSE", 0.0)
    async with _rpc(nodes) as rpc:
        with nodes[0].away():
            assert await rpc.request("eth_chainId") == hex(4242)
            assert _states(rpc)[0] == "down"
            assert rpc.where == nodes[1].url
            assert "connection" in rpc.endpoints()[0].last_error
        await rpc.check()
        assert _states(rpc) == ["healthy"] * 3
        await rpc.request("eth_chainId")
        assert rpc.where == nodes[0].url
    words = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert [line.split()[1] for line in words if line.startswith("node=")] == [
        "state=down",
        "asked=yes",
        "state=back",
        "asked=yes",
    ]


async def test_all_away(nodes: list[FakeNode]) -> None:
    """The error says how many there are; one that is back is asked at once."""
    async with _rpc(nodes) as rpc:
        for node in nodes:
            node.is_down = True
        with pytest.raises(UnreachableError, match="None of the chain's 3 nodes answers"):
            await rpc.request("eth_chainId")
        nodes[2].is_down = False
        assert await rpc.batch([("eth_chainId", []), ("eth_blockNumber", [])]) == ["0x1092", "0x0"]


async def test_a_node_of_another_chain_is_never_believed(nodes: list[FakeNode]) -> None:
    """Not at the start, and not after it was away and came back as another."""
    nodes[0].chain_id = 1
    async with _rpc(nodes) as rpc:
        assert _states(rpc)[0] == "wrong_chain"
        assert rpc.where == nodes[1].url
        with nodes[1].away():
            await rpc.request("eth_blockNumber")
        nodes[1].chain_id = 5
        nodes[1].mine(100)
        await asyncio.sleep(0)
        nodes[2].is_down = True
        with pytest.raises(UnreachableError):
            await rpc.request("eth_blockNumber")
        assert _states(rpc) == ["wrong_chain", "wrong_chain", "down"]
        assert "serves chain 5, not chain 4242" in rpc.endpoints()[1].last_error


async def test_only_wrong_chains(nodes: list[FakeNode]) -> None:
    """If all that answer serve another chain, that is the error."""
    for node in nodes:
        node.chain_id = 1
    with pytest.raises(WrongChainError, match="serves chain 1, not chain 4242"):
        async with _rpc(nodes):
            raise AssertionError("it joined")


async def test_any_chain_is_that_of_the_first(nodes: list[FakeNode]) -> None:
    """Without a chain id the first node decides, and the others must agree."""
    nodes[1].chain_id = 9
    async with _rpc(nodes, None) as rpc:
        await rpc.check()
        assert _states(rpc) == ["healthy", "wrong_chain", "healthy"]


async def test_a_lagging_node_is_left(nodes: list[FakeNode]) -> None:
    """A node that stands still while the others go on loses its place until it caught up."""
    async with _rpc(nodes) as rpc:
        nodes[1].mine(10)
        nodes[2].mine(9)
        await rpc.check()
        assert _states(rpc) == ["lagging", "healthy", "healthy"]
        assert [one.lag for one in rpc.endpoints()] == [10, 0, 1]
        assert await rpc.request("eth_blockNumber") == "0xa"
        nodes[0].mine(10)
        await rpc.check()
        assert _states(rpc) == ["healthy"] * 3
        await rpc.request("eth_blockNumber")
        assert rpc.where == nodes[0].url


async def test_checks_happen_by_themselves(
    nodes: list[FakeNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While requests are made all nodes are looked at every few seconds."""
    monkeypatch.setattr(rpc_module, "CHECK_SECONDS", 0.0)
    async with _rpc(nodes) as rpc:
        nodes[2].mine(20)
        for _ in range(50):
            await rpc.request("eth_chainId")
            if rpc.where == nodes[2].url:
                break
            await asyncio.sleep(0.01)
        assert rpc.where == nodes[2].url


async def test_a_node_under_load_is_passed_by(nodes: list[FakeNode]) -> None:
    """A refusal for load goes on to the next node, a refusal of the request does not."""
    async with _rpc(nodes) as rpc:
        nodes[0].refuse["eth_blockNumber"] = deque([RefusedError(-32005, "rate limit exceeded")])
        nodes[1].mine(3)
        assert await rpc.request("eth_blockNumber") == "0x3"
        nodes[1].refuse["eth_getLogs"] = deque([RefusedError(-32005, "more than 10000 results")])
        with pytest.raises(RpcError, match="more than 10000 results"):
            await rpc.request("eth_getLogs", [{}])
        for node in nodes:
            node.refuse["eth_chainId"] = deque([RefusedError(429, "too many requests")] * 3)
        with pytest.raises(RpcError, match="too many requests"):
            await rpc.request("eth_chainId")


def test_no_node() -> None:
    """At least one is needed; the same one twice is one."""
    with pytest.raises(SettingsError, match="No node"):
        Rpc([])
    assert len(Rpc(["http://a", "http://b", "http://a"]).endpoints()) == 2


URL = "https://me:pass%20word@node.example:8545/v3/0123456789abcdef?apikey=s3cr3t"


@pytest.mark.parametrize(
    "words",
    [
        f"no route to {URL} here",
        "no project id 0123456789abcdef",
        "key s3cr3t is not known",
        "me:pass%20word@node.example",
        "the password 'pass word' is wrong",
    ],
)
def test_words_of_nodes_are_shown_without_secrets(words: str) -> None:
    """Keys in path, query and user part are cut out of whatever a node or a library says."""
    shown = redact(words, URL)
    for secret in ("0123456789abcdef", "s3cr3t", "pass%20word", "pass word"):
        assert secret not in shown


def test_plain_words_stay() -> None:
    """Without secrets in the URL nothing is cut."""
    assert redact("execution reverted", "http://127.0.0.1:8545") == "execution reverted"
    assert redact("at 127.0.0.1:8545", "http://127.0.0.1:8545") == "at 127.0.0.1:8545"


async def test_no_secret_in_logs_errors_and_snapshots(
    nodes: list[FakeNode], caplog: pytest.LogCaptureFixture
) -> None:
    """The URL's secret parts are nowhere to be read, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    secret = "0123456789abcdef"
    urls = [f"{node.url}/v3/{secret}?key={secret}" for node in nodes]
    nodes[0].refuse["eth_chainId"] = deque([RefusedError(-32000, f"no project {secret}")] * 9)
    nodes[1].is_down = True
    nodes[2].chain_id = 1
    rpc = Rpc(urls, timeout=1)
    with pytest.raises((UnreachableError, WrongChainError)) as caught:
        await rpc.join(4242)
    shown = f"{caught.value!r} {caught.value} {rpc.endpoints()} {caplog.text}"
    await rpc.close()
    assert secret not in shown
    assert EndpointState.WRONG_CHAIN in [one.state for one in rpc.endpoints()]
