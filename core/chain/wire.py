"""What the sender asks a node about one account."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dsq.core.chain.nonces import Outcome, outcome_of
from dsq.core.chain.rpc import Rpc, RpcError, hexed, number, raw
from dsq.core.errors import DsqError
from dsq.core.model import Address

SCAN_BLOCKS = 2_000
"""Blocks searched at most for the transaction that took a nonce."""


class Wire:
    """Questions about one account, and broadcasts for it."""

    def __init__(self, rpc: Rpc, account: Address) -> None:
        self._rpc = rpc
        self._account = account.lower
        self._no_block_receipts = False

    async def identity(self) -> str:
        """The chain's id and first block: a chain made anew with the same id is another.

        The first block is what the second one names as its parent, once there is a second one:
        anvil makes a first block at each start and may answer with any of them.
        """
        chain_id, first, second = await self._rpc.all_of(
            [
                ("eth_chainId", []),
                ("eth_getBlockByNumber", ["0x0", False]),
                ("eth_getBlockByNumber", ["0x1", False]),
            ]
        )
        genesis = (second or {}).get("parentHash") or (first or {}).get("hash", "")
        return f"{number(chain_id)}/{genesis}"

    async def used(self) -> int:
        """Nonces that the chain has used."""
        return number(await self._rpc.request("eth_getTransactionCount", [self._account, "latest"]))

    async def pending(self) -> int:
        """Nonces used by the chain and the node's pool."""
        return max(await self.counts())

    async def counts(self) -> tuple[int, int]:
        """Nonces used by the chain, and by the chain and the node's pool."""
        latest, pending = await self._rpc.all_of(
            [
                ("eth_getTransactionCount", [self._account, "latest"]),
                ("eth_getTransactionCount", [self._account, "pending"]),
            ]
        )
        return number(latest), number(pending)

    async def broadcast(self, signed: bytes) -> tuple[Outcome, str]:
        """Sends signed bytes; never raises, as :meth:`broadcast_all`."""
        return (await self.broadcast_all([signed]))[0]

    async def broadcast_all(self, signed: Sequence[bytes]) -> list[tuple[Outcome, str]]:
        """Sends signed bytes; never raises, for what went out may have arrived unanswered."""
        try:
            answers, once = await self._rpc.tell(
                [("eth_sendRawTransaction", [hexed(raw_bytes)]) for raw_bytes in signed]
            )
        except DsqError as error:
            return [(Outcome.UNKNOWN, error.message)] * len(signed)
        outcomes = []
        for answer in answers:
            words = answer.rpc_message if isinstance(answer, RpcError) else ""
            outcome = outcome_of(words) if words else Outcome.ACCEPTED
            if outcome is not Outcome.ACCEPTED and not once:
                # Another node, or the same one before, may have taken it.
                outcome = Outcome.UNKNOWN
            outcomes.append((outcome, words))
        return outcomes

    async def receipts(self, hashes: Sequence[bytes]) -> dict[bytes, dict[str, Any]]:
        """The receipts that there are."""
        answers = await self._rpc.batch(
            [("eth_getTransactionReceipt", [hexed(tx_hash)]) for tx_hash in hashes]
        )
        return {
            tx_hash: answer
            for tx_hash, answer in zip(hashes, answers, strict=True)
            if isinstance(answer, dict)
        }

    async def receipts_by_block(self, first: int, last: int) -> dict[bytes, dict[str, Any]]:
        """The account's receipts in some blocks; nothing if the node cannot tell."""
        if self._no_block_receipts or last < first:
            return {}
        answers = await self._rpc.batch(
            [("eth_getBlockReceipts", [hex(block)]) for block in range(first, last + 1)]
        )
        found: dict[bytes, dict[str, Any]] = {}
        for answer in answers:
            if isinstance(answer, RpcError):
                self._no_block_receipts = True
                return {}
            for receipt in answer or ():
                if str(receipt.get("from", "")).lower() == self._account:
                    found[raw(receipt["transactionHash"])] = receipt
        return found

    async def head(self) -> int:
        """The number of the newest block."""
        return number(await self._rpc.request("eth_blockNumber"))

    async def known(self, hashes: Sequence[bytes]) -> set[bytes]:
        """Those transactions that the node knows, mined or in its pool."""
        answers = await self._rpc.batch(
            [("eth_getTransactionByHash", [hexed(tx_hash)]) for tx_hash in hashes]
        )
        return {
            tx_hash
            for tx_hash, answer in zip(hashes, answers, strict=True)
            if isinstance(answer, dict)
        }

    async def who_used(self, nonce: int, first_block: int) -> bytes | None:
        """The mined transaction of the account with this nonce, if it is found.

        Args:
            nonce: The nonce.
            first_block: It is not in an earlier block.
        """
        head = await self.head()
        for tx in await self.mined_in(min(first_block, head - 20), head):
            if number(tx["nonce"]) == nonce:
                return raw(tx["hash"])
        return None

    async def mined_in(self, first: int, last: int) -> list[dict[str, Any]]:
        """The account's transactions in some blocks, of these the newest :data:`SCAN_BLOCKS`."""
        found = []
        for start in range(max(0, first, last - SCAN_BLOCKS), last + 1, 50):
            blocks = await self._rpc.batch(
                [
                    ("eth_getBlockByNumber", [hex(block), True])
                    for block in range(start, min(start + 50, last + 1))
                ]
            )
            for block in blocks:
                transactions = block["transactions"] if isinstance(block, dict) else ()
                found += [tx for tx in transactions if tx["from"].lower() == self._account]
            await asyncio.sleep(0)
        return found
