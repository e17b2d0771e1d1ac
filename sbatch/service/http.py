"""The HTTP application: GraphQL, gRPC-Web, health, readiness, metrics."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dsq.core.rpc.signing import ADDRESS_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from dsq.sbatch.service.gate import Gate
from dsq.sbatch.service.graphql import GraphQLEndpoint
from dsq.sbatch.service.metrics import CONTENT_TYPE, Metrics

METHODS = ["GET", "POST", "OPTIONS", "HEAD", "PUT", "PATCH", "DELETE"]

INDEX = """dsq sbatch API

/graphql    GraphQL: POST application/json, GET for queries; introspection is on
/health     200 while the process runs
/ready      200 while the chain and the store answer
/metrics    for Prometheus
"""

GRPC_WEB_HEADERS = ["X-Grpc-Web", "X-User-Agent", "Grpc-Timeout"]
EXPOSED = ["grpc-status", "grpc-message", "retry-after"]


class _Counted:
    """Counts requests and their time by route; names that nobody serves are one route."""

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Sequence[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = scope["path"] if scope["path"] in self._routes else "other"
        began, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.http_requests.labels(route, str(status)).inc()
            self._metrics.http_seconds.labels(route).observe(time.perf_counter() - began)


def make_app(
    endpoint: GraphQLEndpoint,
    ready: Callable[[], Awaitable[str]],
    gate: Gate,
    metrics: Metrics,
    more: Sequence[BaseRoute] = (),
) -> Starlette:
    """The HTTP application.

    Args:
        ready: Returns "" when the service can work, else one sentence why not.
        more: Routes of gRPC-Web.
    """

    async def index(_request: Request) -> Response:
        return PlainTextResponse(INDEX)

    async def health(_request: Request) -> Response:
        return PlainTextResponse("ok")

    async def readiness(_request: Request) -> Response:
        reason = await ready()
        return PlainTextResponse(reason or "ok", status_code=503 if reason else 200)

    async def show_metrics(request: Request) -> Response:
        if not gate.may_read_metrics(request):
            return PlainTextResponse("Metrics are for metrics_allow.", status_code=403)
        return Response(metrics.text(), media_type=CONTENT_TYPE)

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
            *GRPC_WEB_HEADERS,
        ],
        expose_headers=EXPOSED,
        allow_credentials=False,
        max_age=300,
    )
    routes = [
        Route("/", index, methods=METHODS),
        Route("/graphql", endpoint.handle, methods=METHODS),
        WebSocketRoute("/graphql", endpoint.converse),
        Route("/health", health, methods=METHODS),
        Route("/ready", readiness, methods=METHODS),
        Route("/readiness", readiness, methods=METHODS),
        Route("/metrics", show_metrics, methods=["GET", "HEAD"]),
        *more,
    ]
    names = [str(getattr(route, "path", "")) for route in routes]
    counted = Middleware(_Counted, metrics=metrics, routes=names)
    return Starlette(routes=routes, middleware=[counted, cors])
