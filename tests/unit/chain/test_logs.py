"""Log queries that nodes refuse for their size."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.chain.logs import MANY_LOGS, get_logs, is_too_many, next_range
from dsq.core.chain.rpc import RpcError

SIZE = [
    (-32005, "query returned more than 10000 results. Try with this block range [0x1, 0x2]."),
    (-32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K range"),
    (-32614, "eth_getLogs is limited to a 10,000 range"),
    (-32600, "block range is too wide"),
    (-32000, "query exceeds max results 20000, retry with the range 1-50"),
    (-32000, "exceed maximum block range: 5000"),
    (-32000, "requested too many blocks from 0 to 2049, maximum is set to 2048"),
    (-32005, "Requested range exceeds maximum RPC range limit"),
    (-32000, "Too many logs requested. Max logs per response is 20000."),
    (-32047, "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: 800"),
    (35, "ranges over 10000 blocks are not supported on freetier"),
    (-32000, "Block range limit exceeded. See more details in the docs"),
    (-32000, "query timeout exceeded"),
    (-32002, "request timed out"),
    (-32000, "response is too big"),
    (-32000, "block range greater than 500 max"),
    (-32005, "limit exceeded"),
]

OTHER = [
    (-32000, "header not found"),
    (-32601, "the method eth_getLogs does not exist/is not available"),
    (-32602, "invalid params"),
    (-32005, "daily request count exceeded, request rate limited"),
    (429, "Too Many Requests"),
    (-32000, "Your app has exceeded its compute units per second capacity"),
    (-32029, "throttled"),
]


@pytest.mark.parametrize(("code", "words"), SIZE)
def test_refusals_for_size(code: int, words: str) -> None:
    """What geth, Erigon, Besu, Nethermind and the large providers say of too large a range."""
    assert is_too_many(RpcError("eth_getLogs", code, words))


@pytest.mark.parametrize(("code", "words"), OTHER)
def test_other_refusals(code: int, words: str) -> None:
    """A smaller range helps against none of these; against load it would do harm."""
    assert not is_too_many(RpcError("eth_getLogs", code, words))


class _Node:
    """Gives the logs of at most ``most`` blocks, or ``results`` logs; one log in some blocks."""

    def __init__(self, blocks: set[int], most: int, results: int, refusal: tuple[int, str]) -> None:
        self.blocks, self.most, self.results, self.refusal = blocks, most, results, refusal
        self.asked = 0

    async def request(self, method: str, params: list[Any]) -> list[dict[str, Any]]:
        self.asked += 1
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        found = [n for n in sorted(self.blocks) if first <= n <= last]
        if last - first + 1 > self.most or (len(found) > self.results and first != last):
            raise RpcError(method, *self.refusal)
        return [{"blockNumber": hex(n)} for n in found]


@given(
    st.sets(st.integers(0, 300), max_size=60),
    st.integers(1, 64),
    st.integers(1, 5),
    st.sampled_from(SIZE),
    st.tuples(st.integers(0, 300), st.integers(0, 300)),
)
async def test_every_log_once_and_in_order(
    blocks: set[int], most: int, results: int, refusal: tuple[int, str], ends: tuple[int, int]
) -> None:
    """However small the ranges that a node takes, the answer is that of one query."""
    node = _Node(blocks, most, results, refusal)
    first, last = ends
    logs = await get_logs(node, {}, first, last)  # type: ignore[arg-type]
    wanted = [n for n in sorted(blocks) if first <= n <= last]
    assert [int(entry["blockNumber"], 16) for entry in logs] == wanted


async def test_one_block_that_is_too_much() -> None:
    """Below one block there is nothing to halve: the node's words are the error."""
    node = _Node(set(), 0, 1, SIZE[0])
    with pytest.raises(RpcError, match="more than 10000 results"):
        await get_logs(node, {}, 0, 3)  # type: ignore[arg-type]


async def test_a_refusal_for_load_is_not_repeated_in_parts() -> None:
    """The caller waits; it does not make two requests out of one."""
    node = _Node(set(), 0, 1, (429, "too many requests"))
    with pytest.raises(RpcError):
        await get_logs(node, {}, 0, 99)  # type: ignore[arg-type]
    assert node.asked == 1


@given(st.integers(1, 10_000), st.integers(0, 200_000), st.integers(1, 5_000))
def test_ranges_follow_what_they_bring(blocks: int, logs: int, most: int) -> None:
    """Sparse ranges grow up to the most, dense ones shrink, and none is empty."""
    wanted = next_range(blocks, logs, most)
    assert 1 <= wanted <= most
    assert wanted <= 2 * blocks
    if logs <= MANY_LOGS // 2:
        assert wanted == min(2 * blocks, most)
    if logs > MANY_LOGS and blocks > 1:
        assert wanted < blocks or wanted == most
