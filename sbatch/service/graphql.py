"""``/graphql`` over HTTP."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from dsq.core.clock import Clock
from dsq.sbatch.service.engine import Answer, Engine, GraphQLRequest
from dsq.sbatch.service.gate import Gate
from dsq.sbatch.service.httprequest import (
    HTTPError,
    canonical,
    form_payload,
    parse_json,
    rate_limited,
    read_body,
    request_of,
    signer_of,
)
from dsq.sbatch.service.sealing import Sealer
from dsq.sbatch.service.submit import Caller, Submissions
from dsq.sbatch.service.websocket import SUBPROTOCOLS, Conversation

log = logging.getLogger("dsq.sbatch.service.http")

IDEMPOTENCY_HEADER = "idempotency-key"
MAX_IDEMPOTENCY_KEY = 255

WORKERS = 4
"""Requests that are checked and rendered at once; the others wait their turn."""

WAITING_WORKERS = 32
"""The same where some of them wait for other hosts."""

MEDIA_TYPES = ("application/json", "multipart/form-data")

ALLOW = {"allow": "OPTIONS, GET, POST"}


class GraphQLEndpoint:
    """``/graphql``.

    Args:
        sealer: Takes fingerprints of bodies for ``Idempotency-Key``.
        gate: Limits of addresses.
        max_body_bytes: Longest body.
        body_seconds: How long a body may take to come.
        workers: Requests that are worked on at once.
    """

    def __init__(
        self,
        engine: Engine,
        submissions: Submissions,
        sealer: Sealer,
        clock: Clock,
        gate: Gate,
        *,
        max_body_bytes: int,
        body_seconds: float = 30.0,
        workers: int = WORKERS,
    ) -> None:
        self._engine = engine
        self._submissions = submissions
        self._sealer = sealer.derived("submits")
        self._clock = clock
        self._gate = gate
        self._max_body_bytes = max_body_bytes
        self._body_seconds = body_seconds
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="graphql")

    def close(self) -> None:
        """Lets the workers end."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def handle(self, request: Request) -> Response:
        """Answers one request; never with a traceback."""
        headers: dict[str, str] = {}
        try:
            answer = await self._answer(request)
        except HTTPError as error:
            answer, headers = error.answer(), error.headers
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            # The message may hold what the client sent: its kind and place are enough.
            log.error("request failed error=%s", type(error).__name__, exc_info=_places(error))
            answer = HTTPError(500, "The service failed; its log says where.", "internal").answer()
        if isinstance(answer, Response):
            return answer
        return JSONResponse(answer.body, status_code=answer.status, headers=headers)

    async def _answer(self, request: Request) -> Answer | Response:
        if request.method == "OPTIONS":
            return Response(headers=ALLOW)
        if request.method == "HEAD":
            return Response(status_code=405, headers=ALLOW)
        address = self._gate.http_address(request)
        if wait := await self._gate.take(address):
            raise rate_limited(wait)
        if request.method == "GET":
            return await self._get(request)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method != "POST" or media_type not in MEDIA_TYPES:
            raise HTTPError(400, "transport not supported: POST application/json, or GET a query")
        body = await read_body(request, self._max_body_bytes, self._body_seconds)
        if media_type == "application/json":
            payload = parse_json(body)
        else:
            payload = await form_payload(request, body)
        graphql_request = request_of(payload)
        return await self._run(graphql_request, self._caller(request, address, body, payload))

    async def _get(self, request: Request) -> Answer:
        query = request.query_params
        payload: dict[str, Any] = {"query": query.get("query", "")}
        for name in ("variables", "extensions"):
            if query.get(name):
                payload[name] = parse_json(query[name].encode(errors="replace"), name)
        payload["operationName"] = query.get("operationName")
        return await self._run(request_of(payload), Caller(None, ""), read_only=True)

    async def _run(
        self, request: GraphQLRequest, caller: Caller, *, read_only: bool = False
    ) -> Answer:
        loop = asyncio.get_running_loop()
        operations = self._submissions.of(caller, loop)
        return await loop.run_in_executor(
            self._workers, lambda: self._engine.run(request, operations, read_only=read_only)
        )

    def _caller(self, request: Request, address: str, body: bytes, payload: object) -> Caller:
        owner = signer_of(request.headers, body, self._clock.now())
        key = request.headers.get(IDEMPOTENCY_HEADER)
        if key is None:
            return Caller(owner, "")
        if not 0 < len(key) <= MAX_IDEMPOTENCY_KEY:
            raise HTTPError(400, f"Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY} characters.")
        scope = owner.lower if owner else f"unsigned {address}"
        return Caller(owner, scope, key, self._sealer.fingerprints(canonical(payload)))

    async def converse(self, socket: WebSocket) -> None:
        """Serves one WebSocket: queries and mutations, unsigned."""
        address = self._gate.http_address(socket)
        offered = socket.scope.get("subprotocols") or []
        chosen = next((name for name in offered if name in SUBPROTOCOLS), None)
        with self._gate.stream("websocket", address) as entered:
            if not entered:
                await socket.close(code=1013)
                return
            await socket.accept(subprotocol=chosen)

            async def answer(payload: object) -> Answer:
                try:
                    if wait := await self._gate.take(address):
                        raise rate_limited(wait)
                    return await self._run(request_of(payload), Caller(None, ""))
                except HTTPError as error:
                    return error.answer()

            await Conversation(socket, answer, legacy=chosen != SUBPROTOCOLS[0]).hold()


def _places(error: Exception) -> Any:
    return (RuntimeError, RuntimeError(type(error).__name__), error.__traceback__)
