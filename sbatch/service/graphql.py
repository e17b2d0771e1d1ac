"""The HTTP side: ``/graphql``, ``/health``, ``/readiness``."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from pydantic_core import from_json
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dsq.core.clock import Clock
from dsq.core.errors import UsageError, WalletError
from dsq.core.model import Address
from dsq.core.rpc.signing import (
    ADDRESS_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    is_fresh,
    submit_text,
)
from dsq.core.wallet import recover_signer
from dsq.sbatch.service.engine import Answer, Engine, GraphQLRequest
from dsq.sbatch.service.sealing import Sealer
from dsq.sbatch.service.submit import Caller, Submissions

log = logging.getLogger("dsq.sbatch.service.http")

IDEMPOTENCY_HEADER = "idempotency-key"
MAX_IDEMPOTENCY_KEY = 255

WORKERS = 4
"""Requests that are checked and rendered at once; the others wait their turn."""

METHODS = ["GET", "POST", "OPTIONS", "HEAD", "PUT", "PATCH", "DELETE"]

INDEX = """dsq sbatch API

/graphql    GraphQL: POST application/json, GET for queries; introspection is on
/health     200 while the process runs
/readiness  200 while the chain and the store answer
"""


class HTTPError(Exception):
    """A request that never reaches GraphQL.

    Attributes:
        status: HTTP status.
        kind: ``extensions.type`` of the error, "" for none.
    """

    def __init__(self, status: int, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind

    def answer(self) -> Answer:
        """The error in GraphQL's shape."""
        error: dict[str, Any] = {"message": self.message}
        if self.kind:
            error["extensions"] = {"type": self.kind}
        return Answer(self.status, {"errors": [error], "data": None})


class GraphQLEndpoint:
    """``/graphql``.

    Args:
        sealer: Takes fingerprints of bodies for ``Idempotency-Key``.
        max_body_bytes: Longest body.
    """

    def __init__(
        self,
        engine: Engine,
        submissions: Submissions,
        sealer: Sealer,
        clock: Clock,
        *,
        max_body_bytes: int,
    ) -> None:
        self._engine = engine
        self._submissions = submissions
        self._sealer = sealer.derived("submits")
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="graphql")

    def close(self) -> None:
        """Lets the workers end."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def handle(self, request: Request) -> Response:
        """Answers one request; never with a traceback."""
        try:
            answer = await self._answer(request)
        except HTTPError as error:
            answer = error.answer()
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            # The message may hold what the client sent: its kind and place are enough.
            log.error("request failed error=%s", type(error).__name__, exc_info=_places(error))
            answer = HTTPError(500, "The service failed; its log says where.", "internal").answer()
        if isinstance(answer, Response):
            return answer
        return JSONResponse(answer.body, status_code=answer.status)

    async def _answer(self, request: Request) -> Answer | Response:
        if request.method == "OPTIONS":
            return Response(headers={"allow": "OPTIONS, GET, POST"})
        if request.method == "HEAD":
            return Response(status_code=405, headers={"allow": "OPTIONS, GET, POST"})
        if request.method == "GET":
            return await self._get(request)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method != "POST" or media_type != "application/json":
            raise HTTPError(400, "transport not supported: POST application/json, or GET a query")
        body = await self._body(request)
        payload = parse_json(body)
        graphql_request = request_of(payload)
        caller = self._caller(request, body, payload)
        return await self._run(graphql_request, caller)

    async def _get(self, request: Request) -> Answer:
        query = request.query_params
        payload: dict[str, Any] = {"query": query.get("query", "")}
        for name in ("variables", "extensions"):
            if query.get(name):
                payload[name] = parse_json(query[name].encode(), name)
        payload["operationName"] = query.get("operationName")
        caller = Caller(None, "")
        return await self._run(request_of(payload), caller, read_only=True)

    async def _run(
        self, request: GraphQLRequest, caller: Caller, *, read_only: bool = False
    ) -> Answer:
        loop = asyncio.get_running_loop()
        operations = self._submissions.of(caller, loop)
        return await loop.run_in_executor(
            self._workers, lambda: self._engine.run(request, operations, read_only=read_only)
        )

    async def _body(self, request: Request) -> bytes:
        chunks, size = [], 0
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > self._max_body_bytes:
                message = f"The body has more than {self._max_body_bytes} bytes, the limit here."
                raise HTTPError(413, message, "limit")
        return b"".join(chunks)

    def _caller(self, request: Request, body: bytes, payload: object) -> Caller:
        owner = self._signer(request.headers, body)
        key = request.headers.get(IDEMPOTENCY_HEADER)
        if key is not None and not 0 < len(key) <= MAX_IDEMPOTENCY_KEY:
            raise HTTPError(400, f"Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY} characters.")
        host = request.client.host if request.client else ""
        scope = owner.lower if owner else f"unsigned {host}"
        return Caller(owner, scope, key, self._sealer.fingerprint(canonical(payload)))

    def _signer(self, headers: Mapping[str, str], body: bytes) -> Address | None:
        names = (ADDRESS_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
        if not any(name in headers for name in names):
            return None
        try:
            address = Address.parse(headers.get(ADDRESS_HEADER, ""))
            stamp = headers.get(TIMESTAMP_HEADER, "")
            milliseconds = int(stamp) if stamp.isascii() and stamp.isdigit() else -1
            signature = bytes.fromhex(headers.get(SIGNATURE_HEADER, "").removeprefix("0x"))
        except (UsageError, ValueError):
            _refuse_signature(f"The headers {', '.join(names)} come together and well-formed.")
        if not is_fresh(milliseconds, self._clock.now()):
            _refuse_signature("The signature is stale: its time is over five minutes off.")
        try:
            signer = recover_signer(submit_text(address, body, milliseconds), signature)
        except WalletError as error:
            _refuse_signature(error.message)
        if signer != address:
            _refuse_signature("The signature is not that address's, or of another body.")
        return address


def _refuse_signature(reason: str) -> NoReturn:
    raise HTTPError(401, reason, "authentication")


def _places(error: Exception) -> Any:
    return (RuntimeError, RuntimeError(type(error).__name__), error.__traceback__)


def parse_json(raw: bytes, what: str = "The body") -> Any:
    """Reads JSON strictly: UTF-8, no NaN, no lone surrogates, at most 200 levels.

    The parser of the standard library is not used: it recurses on the C stack as deep as
    the interpreter's limit lets it, which libraries raise until a long row of brackets
    ends the process.

    Raises:
        HTTPError: 400, without a word of the text.
    """
    try:
        value = from_json(raw, allow_inf_nan=False)
        canonical(value)
    except ValueError as error:
        raise HTTPError(400, f"{what} is not valid JSON, or nested too deeply.") from error
    return value


def canonical(value: object) -> bytes:
    """The one spelling of a JSON value: sorted keys, no blanks."""
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    ).encode()


def request_of(payload: object) -> GraphQLRequest:
    """The GraphQL request in a JSON body.

    Raises:
        HTTPError: 400, the body is no such object.
    """
    if not isinstance(payload, dict):
        raise HTTPError(400, "The body is an object with 'query' and 'variables'.")
    query, name = payload.get("query") or "", payload.get("operationName")
    variables, extensions = payload.get("variables"), payload.get("extensions")
    if (
        not isinstance(query, str)
        or not isinstance(name, str | None)
        or not isinstance(variables, dict | None)
        or not isinstance(extensions, dict | None)
    ):
        raise HTTPError(
            400, "'query' and 'operationName' are texts, 'variables' and 'extensions' objects."
        )
    return GraphQLRequest(query, variables or {}, name, extensions or {})


def make_app(endpoint: GraphQLEndpoint, ready: Callable[[], Awaitable[str]]) -> Starlette:
    """The HTTP application.

    Args:
        ready: Returns "" when the service can work, else one sentence why not.
    """

    async def index(_request: Request) -> Response:
        return PlainTextResponse(INDEX)

    async def health(_request: Request) -> Response:
        return PlainTextResponse("ok")

    async def readiness(_request: Request) -> Response:
        reason = await ready()
        return PlainTextResponse(reason or "ok", status_code=503 if reason else 200)

    cors = Middleware(
        CORSMiddleware,
        allow_origin_regex=r"https?://.*",
        allow_methods=["GET", "POST", "PUT", "DELETE", "OPTIONS"],
        allow_headers=[
            "Accept",
            "Content-Type",
            "Idempotency-Key",
            ADDRESS_HEADER,
            TIMESTAMP_HEADER,
            SIGNATURE_HEADER,
        ],
        allow_credentials=False,
        max_age=300,
    )
    routes = [
        Route("/", index, methods=METHODS),
        Route("/graphql", endpoint.handle, methods=METHODS),
        Route("/health", health, methods=METHODS),
        Route("/readiness", readiness, methods=METHODS),
    ]
    return Starlette(routes=routes, middleware=[cors])
