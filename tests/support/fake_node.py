"""A chain's node in memory, over real HTTP, that fails as it is told.

It knows accounts, nonces, a pool, blocks and receipts, but no contracts: calls return
nothing. ``tests/integration/chain/test_fake_node.py`` compares its answers with anvil's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

GWEI = 10**9

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


class RefusedError(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, words: str, data: Any = None) -> None:
        super().__init__(words)
        self.code, self.words, self.data = code, words, data


class SilenceError(Exception):
    """The connection breaks off without an answer."""


@dataclass
class Tx:
    """A transaction of the pool or of a block."""

    hash: bytes
    sender: str
    fields: dict[str, Any]

    @property
    def nonce(self) -> int:
        return int(self.fields["nonce"])

    @property
    def max_fee(self) -> int:
        return int(self.fields["maxFeePerGas"])

    @property
    def cost(self) -> int:
        return int(self.fields["gas"]) * self.max_fee + int(self.fields["value"])

    def to_json(self, block: Block | None) -> dict[str, Any]:
        return {
            "hash": "0x" + self.hash.hex(),
            "from": self.sender,
            "to": "0x" + bytes(self.fields["to"]).hex(),
            "nonce": hex(self.nonce),
            "input": "0x" + bytes(self.fields["data"]).hex(),
            "value": hex(self.fields["value"]),
            "gas": hex(self.fields["gas"]),
            "blockNumber": hex(block.number) if block else None,
        }


@dataclass
class Block:
    """A block and what is in it."""

    number: int
    hash: bytes
    txs: list[Tx] = field(default_factory=list)


class FakeNode:
    """The node. ``asked`` counts requests by method.

    Attributes:
        refuse: By method, errors that the next requests get, and are not carried out.
        lose: By method, how many of the next requests are carried out without an answer.
        is_down: Every connection breaks off.
        reverting: Data of calls that fail in their block.
    """

    def __init__(self, chain_id: int = 4242, *, genesis: bytes = b"genesis") -> None:
        self.chain_id = chain_id
        self.blocks = [Block(0, keccak(genesis))]
        self.pool: dict[tuple[str, int], Tx] = {}
        self.balance = 10**20
        self.base_fee = GWEI
        self.refuse: dict[str, deque[RefusedError]] = {}
        self.lose: dict[str, int] = {}
        self.is_down = False
        self.delay = 0.0
        self.reverting: set[bytes] = set()
        self.asked: dict[str, int] = {}
        self.bodies: list[int] = []
        self.url = ""
        self._forks = 0

    # The chain.

    @property
    def head(self) -> Block:
        return self.blocks[-1]

    def mined(self) -> list[Tx]:
        return [tx for block in self.blocks for tx in block.txs]

    def mine(self, blocks: int = 1, *, limit: int = 10_000) -> None:
        """Makes blocks out of what can be mined, nonce after nonce."""
        for _ in range(blocks):
            seed = self.head.hash + self._forks.to_bytes(2, "big")
            block = Block(self.head.number + 1, keccak(seed))
            self.blocks.append(block)
            for sender in sorted({sender for sender, _ in self.pool}):
                while len(block.txs) < limit:
                    tx = self.pool.get((sender, self.used(sender)))
                    if tx is None or tx.max_fee < self.base_fee:
                        break
                    del self.pool[sender, tx.nonce]
                    block.txs.append(tx)

    def reorganise(self, depth: int) -> None:
        """Replaces the newest blocks with empty ones; what was in them is forgotten."""
        self._forks += 1
        del self.blocks[-depth:]
        self.mine(depth)

    def used(self, account: str) -> int:
        return sum(tx.sender == account for tx in self.mined())

    # Requests.

    def answer(self, method: str, params: list[Any]) -> Any:
        """Carries out one request.

        Raises:
            RefusedError: As an error of JSON-RPC.
        """
        self.asked[method] = self.asked.get(method, 0) + 1
        if self.refuse.get(method):
            raise self.refuse[method].popleft()
        handler: Callable[..., Any] | None = getattr(
            self, "_" + _HUMP.sub("_", method).lower(), None
        )
        if handler is None:
            raise RefusedError(-32601, f"the method {method} does not exist/is not available")
        result = handler(*params)
        if self.lose.get(method):
            self.lose[method] -= 1
            raise SilenceError
        return result

    def _eth_chain_id(self) -> str:
        return hex(self.chain_id)

    def _eth_block_number(self) -> str:
        return hex(self.head.number)

    def _eth_max_priority_fee_per_gas(self) -> str:
        return hex(GWEI)

    def _eth_gas_price(self) -> str:
        return hex(self.base_fee + GWEI)

    def _eth_estimate_gas(self, *_: Any) -> str:
        return hex(50_000)

    def _eth_call(self, *_: Any) -> str:
        return "0x"

    def _eth_get_balance(self, *_: Any) -> str:
        return hex(self.balance)

    def _eth_get_block_by_number(self, which: str, full: bool) -> dict[str, Any] | None:
        block = self._block(which)
        if block is None:
            return None
        return {
            "number": hex(block.number),
            "hash": "0x" + block.hash.hex(),
            "timestamp": hex(1_700_000_000 + block.number),
            "gasLimit": hex(30_000_000),
            "baseFeePerGas": hex(self.base_fee),
            "transactions": [
                tx.to_json(block) if full else "0x" + tx.hash.hex() for tx in block.txs
            ],
        }

    def _block(self, which: str) -> Block | None:
        place = self.head.number if which == "latest" else int(which, 16)
        return self.blocks[place] if place < len(self.blocks) else None

    def _eth_get_transaction_count(self, account: str, which: str) -> str:
        count = self.used(account)
        while which == "pending" and (account, count) in self.pool:
            count += 1
        return hex(count)

    def _eth_send_raw_transaction(self, signed: str) -> str:
        raw = bytes.fromhex(signed[2:])
        fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        tx = Tx(keccak(raw), Account.recover_transaction(raw).lower(), fields)
        waiting = self.pool.get((tx.sender, tx.nonce))
        if waiting is not None and waiting.hash == tx.hash:
            raise RefusedError(-32000, "already known")
        used = self.used(tx.sender)
        if tx.nonce < used:
            raise RefusedError(-32000, f"nonce too low: next nonce {used}, tx nonce {tx.nonce}")
        if tx.cost > self.balance:
            raise RefusedError(-32000, "insufficient funds for gas * price + value")
        if waiting is not None and tx.max_fee * 10 < waiting.max_fee * 11:
            raise RefusedError(-32000, "replacement transaction underpriced")
        self.pool[tx.sender, tx.nonce] = tx
        return "0x" + tx.hash.hex()

    def _find(self, tx_hash: str) -> tuple[Tx, Block] | None:
        for block in self.blocks:
            for tx in block.txs:
                if "0x" + tx.hash.hex() == tx_hash:
                    return tx, block
        return None

    def _eth_get_transaction_by_hash(self, tx_hash: str) -> dict[str, Any] | None:
        if found := self._find(tx_hash):
            return found[0].to_json(found[1])
        for tx in self.pool.values():
            if "0x" + tx.hash.hex() == tx_hash:
                return tx.to_json(None)
        return None

    def _eth_get_transaction_receipt(self, tx_hash: str) -> dict[str, Any] | None:
        found = self._find(tx_hash)
        return self._receipt(*found) if found else None

    def _eth_get_block_receipts(self, which: str) -> list[dict[str, Any]] | None:
        block = self._block(which)
        return None if block is None else [self._receipt(tx, block) for tx in block.txs]

    def _receipt(self, tx: Tx, block: Block) -> dict[str, Any]:
        failed = bytes(tx.fields["data"]) in self.reverting
        return {
            "transactionHash": "0x" + tx.hash.hex(),
            "from": tx.sender,
            "blockNumber": hex(block.number),
            "blockHash": "0x" + block.hash.hex(),
            "gasUsed": hex(21_000),
            "status": "0x0" if failed else "0x1",
            "logs": [],
        }

    def _eth_get_logs(self, *_: Any) -> list[Any]:
        return []

    # HTTP.

    def _one(self, request: dict[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            return {**body, "result": self.answer(request["method"], request["params"])}
        except RefusedError as error:
            words = {"code": error.code, "message": error.words, "data": error.data}
            return {**body, "error": words}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length: ")[1].split("\r\n")[0])
                request = json.loads(await reader.readexactly(length))
                if self.is_down:
                    return
                await asyncio.sleep(self.delay)
                self.bodies.append(len(request) if isinstance(request, list) else 1)
                many = isinstance(request, list)
                answer = [self._one(one) for one in request] if many else self._one(request)
                body = json.dumps(answer).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, SilenceError):
            pass
        finally:
            writer.close()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[FakeNode]:
        """Serves on a port of the loopback interface."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Does not answer for the length of a ``with``."""
        self.is_down = True
        try:
            yield
        finally:
            self.is_down = False
