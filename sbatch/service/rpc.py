"""The gRPC methods in one table, for gRPC itself and for gRPC-Web, behind the gate."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from dsq.sbatch.service.gate import FORWARDED, Gate
from dsq.sbatch.service.limits import grpc_peer
from dsq.sbatch.service.metrics import Metrics
from dsq.sbatch.service.refusal import malformed

TOO_MANY_REQUESTS = "Too many requests from this address; try again in {seconds} s."
NO_MESSAGE = "The request is no message of this method."
TOO_MANY_STREAMS = "Too many streams are open; close some, or try again."


class Charge(Enum):
    """When a call counts against its address's requests a minute."""

    ALWAYS = "always"
    WHEN_REFUSED = "when refused"
    """For those who prove who they are: providers write logs all the time."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a service.

    Attributes:
        service: Full name, as ``logger.v1alpha1.LoggerAPI``.
        name: The method's own.
        client_streams: It takes a stream.
        server_streams: It answers with a stream.
        handler: Takes the encoded request (or an iterator of them) and the context.
    """

    service: str
    name: str
    client_streams: bool
    server_streams: bool
    handler: Callable[[Any, Any], Any]

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"


def methods_of(
    descriptor: Any, servicer: object, gate: Gate, metrics: Metrics, charge: dict[str, Charge]
) -> list[Method]:
    """The methods of a service, each behind the gate.

    Args:
        descriptor: The service's description in its generated module.
        charge: When calls of a method are counted; without an entry, always.
    """
    found = []
    for method in descriptor.methods:
        guard = _Guard(
            f"{descriptor.name}.{method.name}",
            getattr(servicer, method.name),
            gate,
            metrics,
            charge.get(method.name, Charge.ALWAYS),
            GetMessageClass(method.input_type),
            is_stream=method.client_streaming,
        )
        found.append(
            Method(
                service=descriptor.full_name,
                name=method.name,
                client_streams=method.client_streaming,
                server_streams=method.server_streaming,
                handler=guard.stream if method.server_streaming else guard.single,
            )
        )
    return found


def serialise(message: Any) -> bytes:
    """A message's bytes; what is bytes already stays."""
    return message if isinstance(message, bytes) else message.SerializeToString()


def add_methods(server: Any, methods: Iterable[Method]) -> None:
    """Adds methods to a ``grpc.aio`` server."""
    services: dict[str, dict[str, Any]] = {}
    for method in methods:
        handlers = services.setdefault(method.service, {})
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
        }[method.client_streams, method.server_streams]
        handlers[method.name] = make(
            method.handler,
            # Parsed behind the gate: gRPC would call what is no message a fault of the service.
            request_deserializer=None,
            response_serializer=serialise,
        )
    for name, handlers in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))


class _Guard:
    """Limits, counts and times one method."""

    def __init__(
        self,
        name: str,
        handler: Callable[[Any, Any], Any],
        gate: Gate,
        metrics: Metrics,
        charge: Charge,
        request_type: Any,
        *,
        is_stream: bool,
    ) -> None:
        self._request_type = request_type
        self._is_stream = is_stream
        self._name = name
        self._handler = handler
        self._gate = gate
        self._metrics = metrics
        self._charge = charge

    async def single(self, request: Any, context: Any) -> Any:
        """A method with one answer."""
        address = self._address(context)
        await self._admit(address, context)
        began = time.perf_counter()
        try:
            if self._is_stream:
                return await self._handler(self._messages(request), context)
            return await self._handler(await self._parse(request, context), context)
        finally:
            await self._settle(address, context)
            self._metrics.grpc_seconds.labels(self._name).observe(time.perf_counter() - began)

    async def stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """A method with a stream of answers."""
        address = self._address(context)
        await self._admit(address, context)
        with self._gate.stream(self._name, address) as entered:
            if not entered:
                self._count(grpc.StatusCode.RESOURCE_EXHAUSTED)
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, TOO_MANY_STREAMS)
            try:
                parsed = await self._parse(request, context)
                async for answer in self._handler(parsed, context):
                    yield answer
            finally:
                await self._settle(address, context)

    async def _parse(self, raw: bytes, context: Any) -> Any:
        try:
            return self._request_type.FromString(raw)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, NO_MESSAGE)

    async def _messages(self, raw: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for each in raw:
            try:
                yield self._request_type.FromString(each)
            except DecodeError as error:
                raise malformed(NO_MESSAGE) from error

    def _address(self, context: Any) -> str:
        metadata = context.invocation_metadata() or ()
        forwarded = ",".join(str(value) for key, value in metadata if key == FORWARDED)
        return self._gate.address(grpc_peer(context.peer()), forwarded)

    async def _admit(self, address: str, context: Any) -> None:
        if self._charge is Charge.NEVER:
            return
        cost = int(self._charge is Charge.ALWAYS)
        if wait := await self._gate.take(address, cost=cost):
            self._count(grpc.StatusCode.RESOURCE_EXHAUSTED)
            text = TOO_MANY_REQUESTS.format(seconds=max(1, round(wait + 0.5)))
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    async def _settle(self, address: str, context: Any) -> None:
        status = _status(context)
        self._count(status)
        if self._charge is Charge.WHEN_REFUSED and status in REFUSALS:
            await self._gate.take(address)

    def _count(self, status: Any) -> None:
        self._metrics.grpc_calls.labels(self._name, status.name).inc()


REFUSALS = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
)


def _status(context: Any) -> Any:
    """The status that a call has ended with; OK if it was not refused."""
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return code
    for status in grpc.StatusCode:
        if status.value[0] == code:
            return status
    return grpc.StatusCode.OK
