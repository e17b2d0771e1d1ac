"""gRPC-Web: the gRPC methods for browsers, over HTTP/1.1.

A request is one message (or, in ``application/grpc-web-text``, its base64) behind five bytes
of flags and length; the answer is a row of messages and then the trailers in a frame of their
own. Methods that take a stream are not for browsers and are not served.
"""

from __future__ import annotations

import base64
import binascii
import logging
import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, NoReturn
from urllib.parse import quote

import grpc
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from dsq.sbatch.service.httprequest import HTTPError, read_body
from dsq.sbatch.service.refusal import Refused, malformed
from dsq.sbatch.service.rpc import Method, serialise

log = logging.getLogger("dsq.sbatch.service.grpcweb")

BINARY, TEXT = "application/grpc-web", "application/grpc-web-text"
_TYPES = (BINARY, f"{BINARY}+proto", TEXT, f"{TEXT}+proto")
_HEAD = struct.Struct(">BI")
_TRAILERS = 0x80


class _Aborted(Exception):  # noqa: N818 - how a call ends, not a fault
    pass


class WebContext:
    """What handlers ask of a call; the part of gRPC's context that they use."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._code: Any = None
        self.details = ""

    def invocation_metadata(self) -> list[tuple[str, str | bytes]]:
        """The request's headers; those that end in ``-bin`` as bytes."""
        found: list[tuple[str, str | bytes]] = []
        for name, value in self._request.headers.items():
            if name.endswith("-bin"):
                try:
                    padded = value + "=" * (-len(value) % 4)
                    found.append((name, base64.b64decode(padded, validate=True)))
                except binascii.Error:
                    continue
            else:
                found.append((name, value))
        return found

    def peer(self) -> str:
        """The connection's other end, as gRPC writes it."""
        client = self._request.client
        if client is None:
            return ""
        return f"ipv6:[{client.host}]:0" if ":" in client.host else f"ipv4:{client.host}:0"

    def code(self) -> Any:
        """The status that the call ended with; None before that."""
        return self._code

    async def abort(self, code: Any, details: str = "") -> NoReturn:
        """Ends the call."""
        self._code, self.details = code, details
        raise _Aborted


def routes(methods: Iterable[Method], *, max_body_bytes: int, body_seconds: float) -> list[Route]:
    """The routes of all methods that a browser can call.

    Args:
        max_body_bytes: Longest request.
        body_seconds: How long it may take to come.
    """
    return [
        Route(
            method.path,
            _Endpoint(method, max_body_bytes, body_seconds).handle,
            methods=["POST"],
        )
        for method in methods
        if not method.client_streams
    ]


class _Endpoint:
    """One method."""

    def __init__(self, method: Method, max_body_bytes: int, body_seconds: float) -> None:
        self._method = method
        self._max_body_bytes = max_body_bytes
        self._body_seconds = body_seconds

    async def handle(self, request: Request) -> Response:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in _TYPES:
            return PlainTextResponse(f"POST {BINARY} or {TEXT}.", status_code=415)
        as_text = media_type.startswith(TEXT)
        try:
            body = await read_body(request, self._max_body_bytes, self._body_seconds)
        except HTTPError as error:
            return PlainTextResponse(error.message, error.status, error.headers)
        except ClientDisconnect:
            return Response(status_code=400)
        answers = self._answers(request, body, as_text)
        parts = _as_text(answers) if as_text else answers
        return StreamingResponse(
            parts, media_type=media_type, headers={"cache-control": "no-store"}
        )

    async def _answers(self, request: Request, body: bytes, as_text: bool) -> AsyncIterator[bytes]:
        context = WebContext(request)
        try:
            message = self._message(body, as_text)
            if self._method.server_streams:
                async for answer in self._method.handler(message, context):
                    yield _framed(0, serialise(answer))
            else:
                yield _framed(0, serialise(await self._method.handler(message, context)))
            code, details = grpc.StatusCode.OK, ""
        except _Aborted:
            code, details = context.code(), context.details
        except Refused as refusal:
            code, details = refusal.status, refusal.reason
        except Exception as error:
            log.error("call failed method=%s error=%s", self._method.path, type(error).__name__)
            code, details = grpc.StatusCode.INTERNAL, "The service failed; its log says where."
        lines = f"grpc-status:{code.value[0]}\r\n"
        if details:
            lines += f"grpc-message:{quote(details)}\r\n"
        yield _framed(_TRAILERS, lines.encode())

    def _message(self, body: bytes, as_text: bool) -> bytes:
        try:
            raw = _decoded(body) if as_text else body
            flags, length = _HEAD.unpack_from(raw)
            if flags or len(raw) != _HEAD.size + length:
                raise malformed("The body is one message without compression.")
            return raw[_HEAD.size :]
        except (struct.error, binascii.Error) as error:
            raise malformed("The body is no message of this method.") from error


def _framed(flags: int, data: bytes) -> bytes:
    return _HEAD.pack(flags, len(data)) + data


def _decoded(body: bytes) -> bytes:
    """Base64, which clients may write in pieces that are each padded."""
    return b"".join(base64.b64decode(piece, validate=True) for piece in _pieces(body))


def _pieces(body: bytes) -> Iterator[bytes]:
    begin = 0
    while begin < len(body):
        end = body.find(b"=", begin)
        if end < 0:
            yield body[begin:]
            return
        # The padding ends a group of four.
        end = begin + (end - begin) // 4 * 4 + 4
        yield body[begin:end]
        begin = end


async def _as_text(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for part in parts:
        yield base64.b64encode(part)
