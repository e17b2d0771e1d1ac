"""JSON-RPC to a chain's nodes: one, or several of which any may fail.

Every failure is an error of dsq: :class:`~dsq.core.errors.UnreachableError` when no node
answers, :class:`RpcError` when one answers no. Requests go to the first healthy node; one
that does not answer goes on to the next, a signed transaction with the same bytes, which
can be mined once only. Every few seconds all nodes are asked for chain id and head.
Addresses of nodes are shown without what may be secret in them (user, path, query).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from dsq.core.chain.endpoint import PARALLEL, Endpoint
from dsq.core.chain.health import EndpointSnapshot, EndpointState, Health, is_overloaded, order
from dsq.core.chain.jsonrpc import (
    BATCH_BYTES,
    BATCH_CALLS,
    Head,
    Request,
    RpcError,
    hexed,
    number,
    public_url,
    raw,
    redact,
)
from dsq.core.errors import SettingsError, UnreachableError, WrongChainError

__all__ = [
    "BATCH_BYTES",
    "BATCH_CALLS",
    "PARALLEL",
    "EndpointSnapshot",
    "EndpointState",
    "Head",
    "Request",
    "Rpc",
    "RpcError",
    "hexed",
    "number",
    "public_url",
    "raw",
    "redact",
]

log = logging.getLogger("dsq.core.chain.rpc")

CHECK_SECONDS = 5.0
"""Pause between two looks at the heads of several nodes."""

CHECK_TIMEOUT = 5.0

TIMEOUT = 30.0
"""Seconds until a request counts as unanswered, with one node."""

FAILOVER_TIMEOUT = 10.0
"""The same with several: the next one may know."""

T = TypeVar("T")


class Rpc:
    """The nodes of a chain.

    Args:
        urls: ``http://`` or ``https://``; of several, the first ones are preferred.
        timeout: Seconds until a request counts as unanswered.

    Raises:
        SettingsError: A URL is of no use, or there is none.
    """

    def __init__(self, urls: str | Sequence[str], *, timeout: float | None = None) -> None:
        listed = [urls] if isinstance(urls, str) else list(dict.fromkeys(urls))
        if not listed:
            raise SettingsError("No node of the chain is named.", hint="Set rpc_url.")
        patience = timeout or (TIMEOUT if len(listed) == 1 else FAILOVER_TIMEOUT)
        self._endpoints = [Endpoint(url, timeout=patience) for url in listed]
        self._nodes = [Health(endpoint.where) for endpoint in self._endpoints]
        self._current = 0
        self._chain_id: int | None = None
        self._checked_at = 0.0
        self._failovers = 0
        self._checking: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The whole URL of the node that is asked now; it may hold a secret."""
        return self._endpoints[self._current].url

    @property
    def where(self) -> str:
        """The node that is asked now, as it may be shown."""
        return self._endpoints[self._current].where

    def endpoints(self) -> tuple[EndpointSnapshot, ...]:
        """How each node does, in the order of the settings."""
        now = time.monotonic()
        return tuple(
            node.snapshot(now, is_current=place == self._current)
            for place, node in enumerate(self._nodes)
        )

    async def close(self) -> None:
        """Closes the connections."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)
            self._checking = None
        for endpoint in self._endpoints:
            await endpoint.close()

    async def join(self, chain_id: int | None) -> int:
        """Agrees on the chain: nodes that serve another one are not asked from now on.

        Args:
            chain_id: The chain that is meant; None takes that of the first node that answers.

        Raises:
            UnreachableError: No node answers.
            WrongChainError: All that answer serve another chain.
        """
        if chain_id is None:
            chain_id = number(await self.request("eth_chainId"))
        self._chain_id = chain_id
        await self._ask(_nothing, ())
        return chain_id

    async def request(self, method: str, params: Sequence[Any] = ()) -> Any:
        """One request.

        Raises:
            UnreachableError: No node answers.
            WrongChainError: All that answer serve another chain.
            RpcError: A node answered with an error.
        """

        async def ask(endpoint: Endpoint) -> list[Any]:
            try:
                return [await endpoint.request(method, params)]
            except RpcError as error:
                return [error]

        (result,) = await self._ask(ask, [(method, params)])
        if isinstance(result, RpcError):
            raise result
        return result

    async def batch(self, calls: Sequence[Request]) -> list[Any]:
        """Many requests in few; an entry that the node refused is its :class:`RpcError`.

        All entries are answered by the same node.

        Raises:
            UnreachableError: No node answers.
            WrongChainError: All that answer serve another chain.
        """
        if not calls:
            return []
        return await self._ask(lambda endpoint: endpoint.batch(calls), calls)

    async def tell(self, calls: Sequence[Request]) -> tuple[list[Any], bool]:
        """Like :meth:`batch`; also says whether the nodes heard it once only.

        Where the answer of one node is lost and another one is asked, or the same again, a
        refusal does not mean that nothing happened.
        """
        repeats = self._repeats()
        results = await self.batch(calls)
        return results, self._repeats() == repeats

    def _repeats(self) -> int:
        return self._failovers + sum(endpoint.repeats for endpoint in self._endpoints)

    async def all_of(self, calls: Sequence[Request]) -> list[Any]:
        """Like :meth:`batch`, but the first refused entry is raised."""
        results = await self.batch(calls)
        for result in results:
            if isinstance(result, RpcError):
                raise result
        return results

    # Which node.

    async def _ask(
        self, ask: Callable[[Endpoint], Awaitable[list[Any]]], calls: Sequence[Request]
    ) -> list[Any]:
        """Asks one node after the other until one answers."""
        self._check_soon()
        errors: list[UnreachableError | WrongChainError] = []
        overloaded: list[Any] | None = None
        for place in order(self._nodes, time.monotonic()):
            node, begun = self._nodes[place], time.monotonic()
            try:
                await self._verify(place)
                results = await ask(self._endpoints[place])
            except UnreachableError as error:
                self._failovers += 1
                self._note(place, error.message)
                errors.append(error)
                continue
            except WrongChainError as error:
                errors.append(error)
                continue
            if busy := self._overload(results):
                self._failovers += 1
                self._note(place, busy)
                overloaded = results
                continue
            now = time.monotonic()
            node.answered(now, now - begun)
            for (method, params), result in zip(calls, results, strict=False):
                node.saw(_newest_block(method, params, result))
            self._turn_to(place)
            return results
        if overloaded is not None:
            return overloaded
        raise self._worst(errors)

    def _overload(self, results: Sequence[Any]) -> str:
        """Why another node should be asked instead, or ""."""
        if len(self._nodes) == 1:
            return ""
        for result in results:
            if isinstance(result, RpcError) and is_overloaded(result.rpc_code, result.rpc_message):
                return result.message
        return ""

    async def _verify(self, place: int) -> None:
        """A node that is new, or was away, says its chain first."""
        node = self._nodes[place]
        if self._chain_id is None or node.is_verified:
            return
        try:
            served = number(await self._endpoints[place].request("eth_chainId"))
        except (RpcError, ValueError, TypeError) as error:
            raise UnreachableError(
                f"The chain's node {node.url} does not say its chain."
            ) from error
        self._compare(place, served)

    def _compare(self, place: int, served: int) -> None:
        node = self._nodes[place]
        if served == self._chain_id:
            node.is_verified = True
            return
        words = f"The node {node.url} serves chain {served}, not chain {self._chain_id}."
        if node.last_error != words:
            log.error("node=%s state=wrong_chain serves=%d", node.url, served)
        node.is_wrong(time.monotonic(), words)
        raise WrongChainError(words, hint="Check rpc_url and chain_id.")

    def _note(self, place: int, words: str) -> None:
        node = self._nodes[place]
        if node.state is not EndpointState.DOWN and len(self._nodes) > 1:
            log.warning("node=%s state=down reason=%r", node.url, words)
        node.failed(time.monotonic(), words)

    def _turn_to(self, place: int) -> None:
        if place != self._current:
            log.warning("node=%s asked=yes instead_of=%s", self._nodes[place].url, self.where)
            self._current = place

    def _worst(self, errors: Sequence[UnreachableError | WrongChainError]) -> Exception:
        """What to say when no node is of use; a node that is silent may be the right one."""
        silent = [error for error in errors if isinstance(error, UnreachableError)]
        if len(self._nodes) == 1 or not silent:
            return errors[0]
        return UnreachableError(
            f"None of the chain's {len(self._nodes)} nodes answers: {silent[0].message}",
            hint="Are they running, and are the addresses right?",
        )

    # Looking after all of them.

    def _check_soon(self) -> None:
        now = time.monotonic()
        due = now - self._checked_at >= CHECK_SECONDS and self._chain_id is not None
        if len(self._nodes) > 1 and due and (self._checking is None or self._checking.done()):
            self._checked_at = now
            self._checking = asyncio.create_task(self.check(), name="chain-nodes")

    async def check(self) -> None:
        """Asks all nodes at once for their chain and head; those that pause are left alone."""
        now = time.monotonic()
        places = [place for place, node in enumerate(self._nodes) if node.retry_at <= now]
        answered = await asyncio.gather(*(self._check(place) for place in places))
        asked = [self._nodes[place] for place, well in zip(places, answered, strict=True) if well]
        best = max((node.head for node in asked if node.head is not None), default=0)
        for node in asked:
            before = node.state
            node.compared(best)
            if node.state is not before:
                log.warning("node=%s state=%s lag=%d", node.url, node.state, node.lag)

    async def _check(self, place: int) -> bool:
        node, begun = self._nodes[place], time.monotonic()
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                chain, head = await self._endpoints[place].batch(
                    [("eth_chainId", []), ("eth_blockNumber", [])]
                )
            if isinstance(chain, RpcError):
                raise chain
            if node.state is EndpointState.WRONG_CHAIN and number(chain) == self._chain_id:
                node.state = EndpointState.UNKNOWN
            self._compare(place, number(chain))
        except WrongChainError:
            return False
        except (UnreachableError, RpcError, TimeoutError, ValueError, TypeError) as error:
            self._note(place, str(error) or "no answer in time")
            return False
        if node.state is EndpointState.DOWN:
            log.warning("node=%s state=back", node.url)
        now = time.monotonic()
        node.answered(now, now - begun)
        node.saw(_newest_block("eth_blockNumber", (), head))
        return True


def _newest_block(method: str, params: Sequence[Any], result: Any) -> int | None:
    """The newest block that an answer tells of, or None."""
    if method == "eth_blockNumber" and isinstance(result, str):
        return number(result)
    latest = method == "eth_getBlockByNumber" and params[0] == "latest"
    if latest and isinstance(result, dict) and result.get("number"):
        return number(result["number"])
    return None


async def _nothing(_endpoint: Endpoint) -> list[Any]:
    """For its side effect: the node is one of the right chain."""
    return []
