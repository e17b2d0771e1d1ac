"""gRPC: the standard health service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from dsq.core.rpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

SERVICES = ("", "sbatchapi.v1alpha1.AuthAPI", "sbatchapi.v1alpha1.SBatchAPI",
            "logger.v1alpha1.LoggerAPI")  # fmt: skip

WATCH_SECONDS = 5.0
"""How often a watched state is looked at."""


class HealthService:
    """``grpc.health.v1.Health``: serving while the chain and the store answer."""

    def __init__(self, ready: Callable[[], Awaitable[str]]) -> None:
        self._ready = ready

    async def _status(self, service: str) -> HealthCheckResponse.ServingStatus:
        if service not in SERVICES:
            return HealthCheckResponse.SERVICE_UNKNOWN
        reason = await self._ready()
        return HealthCheckResponse.NOT_SERVING if reason else HealthCheckResponse.SERVING

    async def Check(  # noqa: N802 - the protocol's name
        self, request: HealthCheckRequest, context: Any
    ) -> HealthCheckResponse:
        """Answers once."""
        status = await self._status(request.service)
        if status == HealthCheckResponse.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "There is no such service here.")
        return HealthCheckResponse(status=status)

    async def Watch(  # noqa: N802 - the protocol's name
        self, request: HealthCheckRequest, _context: Any
    ) -> AsyncIterator[HealthCheckResponse]:
        """Answers at once and with each change."""
        last = None
        while True:
            status = await self._status(request.service)
            if status != last:
                yield HealthCheckResponse(status=status)
            last = status
            await asyncio.sleep(WATCH_SECONDS)
