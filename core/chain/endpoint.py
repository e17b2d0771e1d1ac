"""One node's JSON-RPC over one kept HTTP connection, singly and in batches."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from dsq.core.chain.jsonrpc import Request, RpcError, chunks, error_of, public_url, redact
from dsq.core.errors import SettingsError, UnreachableError

log = logging.getLogger("dsq.core.chain.rpc")

PARALLEL = 8
"""Requests under way at once on one connection pool."""


class Endpoint:
    """A node's JSON-RPC over HTTP.

    Args:
        url: ``http://`` or ``https://``.
        timeout: Seconds until a request counts as unanswered.

    Attributes:
        repeats: How often a request was sent again, for its first answer was lost.

    Raises:
        SettingsError: The URL is of no use.
    """

    def __init__(self, url: str, *, timeout: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(
                f"'{public_url(url)}' is not the address of a node.",
                hint="rpc_url begins with http:// or https://.",
            )
        self.url = url
        self.where = public_url(url)
        self._local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, 10.0))
        self._session: aiohttp.ClientSession | None = None
        self._ids = itertools.count(1)
        self._slots = asyncio.Semaphore(PARALLEL)
        self._no_batches = False
        self.repeats = 0

    def session(self) -> aiohttp.ClientSession:
        """The HTTP session with its kept connections."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(limit=PARALLEL),
                trust_env=not self._local,
            )
        return self._session

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(self, method: str, params: Sequence[Any] = ()) -> Any:
        """One request.

        Raises:
            UnreachableError: The node does not answer.
            RpcError: It answered with an error.
        """
        answer = await self._post(self._call(method, params))
        return self._result(method, answer)

    async def batch(self, calls: Sequence[Request]) -> list[Any]:
        """Many requests in few; an entry that the node refused is its :class:`RpcError`.

        Raises:
            UnreachableError: The node does not answer.
        """
        if len(calls) < 2 or self._no_batches:
            return list(await asyncio.gather(*(self._single(*call) for call in calls)))
        answers = await asyncio.gather(*(self._chunk(chunk) for chunk in chunks(calls)))
        return [result for answer in answers for result in answer]

    def _call(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    async def _single(self, method: str, params: Sequence[Any]) -> Any:
        try:
            return await self.request(method, params)
        except RpcError as error:
            return error

    async def _chunk(self, calls: Sequence[Request]) -> list[Any]:
        bodies = [self._call(method, params) for method, params in calls]
        answer = await self._post(bodies)
        if not isinstance(answer, list):
            # The node knows no batches, or not of this size: one by one from now on.
            log.info("batches=off node=%s", self.where)
            self._no_batches = True
            return list(await asyncio.gather(*(self._single(*call) for call in calls)))
        by_id = {entry.get("id"): entry for entry in answer if isinstance(entry, dict)}
        results: list[Any] = []
        for (method, _), body in zip(calls, bodies, strict=True):
            try:
                results.append(self._result(method, by_id.get(body["id"])))
            except RpcError as error:
                results.append(error)
        return results

    def _result(self, method: str, answer: Any) -> Any:
        if not isinstance(answer, dict):
            raise RpcError(method, 0, "no answer to this request")
        if answer.get("error") is not None:
            error = error_of(method, answer["error"])
            raise RpcError(method, error.rpc_code, redact(error.rpc_message, self.url), error.data)
        if "result" not in answer:
            raise RpcError(method, 0, "an answer without a result")
        return answer["result"]

    async def _post(self, body: Any) -> Any:
        data = json.dumps(body, separators=(",", ":")).encode()
        async with self._slots:
            for attempt in (1, 2):
                try:
                    return await self._exchange(data)
                except (aiohttp.ServerDisconnectedError, ConnectionResetError) as error:
                    # A kept connection that the node closed meanwhile. Every request
                    # may be repeated: a known transaction is known.
                    self.repeats += 1
                    if attempt == 2:
                        raise self._unreachable("it closed the connection") from error
        raise AssertionError("unreachable")

    async def _exchange(self, data: bytes) -> Any:
        try:
            async with self.session().post(
                self.url, data=data, headers={"Content-Type": "application/json"}
            ) as response:
                status, text = response.status, await response.read()
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            raise
        except TimeoutError as error:
            raise self._unreachable("no answer in time") from error
        except aiohttp.ClientError as error:
            raise self._unreachable(_cause(error)) from None
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if not isinstance(answer, (dict, list)) or (status >= 400 and "error" not in answer):
            reason = f"HTTP {status}" if status != 200 else "the answer is no JSON-RPC"
            raise self._unreachable(reason)
        return answer

    def _unreachable(self, reason: str) -> UnreachableError:
        return UnreachableError(
            f"The chain's node {self.where} does not answer: {reason}.",
            hint="Is it running, and is rpc_url right?",
        )


def _cause(error: aiohttp.ClientError) -> str:
    """Why a connection failed, without the URL that libraries put into their words."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorError):
        os_error = error.os_error
        if isinstance(os_error, ConnectionRefusedError):
            return "connection refused"
        if isinstance(os_error, ssl.SSLError):
            return "TLS failed"
        return (os_error.strerror or type(os_error).__name__).lower()
    return type(error).__name__
