"""What arrives over HTTP, before GraphQL sees it: bodies, JSON, forms, signatures."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Any, NoReturn

from pydantic_core import from_json
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

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
from dsq.sbatch.service.engine import Answer, GraphQLRequest

# It writes a line for each form that is none, which anybody can send.
logging.getLogger("python_multipart").setLevel(logging.ERROR)

MAX_FORM_FIELDS = 10
"""Most fields of a form: the specification needs two."""


class HTTPError(Exception):
    """A request that never reaches GraphQL.

    Attributes:
        status: HTTP status.
        kind: ``extensions.type`` of the error, "" for none.
        headers: More headers of the answer.
    """

    def __init__(
        self, status: int, message: str, kind: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        """The error in GraphQL's shape."""
        error: dict[str, Any] = {"message": self.message}
        if self.kind:
            error["extensions"] = {"type": self.kind}
        return Answer(self.status, {"errors": [error], "data": None})


def rate_limited(wait: float) -> HTTPError:
    """The address has made too many requests.

    Args:
        wait: Seconds until it may make another.
    """
    seconds = max(1, round(wait + 0.5))
    message = f"Too many requests from this address; try again in {seconds} s."
    return HTTPError(429, message, "limit", {"retry-after": str(seconds)})


async def read_body(request: Request, most: int, seconds: float) -> bytes:
    """Reads a body.

    Args:
        most: Longest body in bytes.
        seconds: How long it may take to come.

    Raises:
        HTTPError: 413, it is longer; 408, it takes longer.
    """
    chunks, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > most:
                    raise HTTPError(
                        413, f"The body has more than {most} bytes, the limit here.", "limit"
                    )
    except TimeoutError:
        raise HTTPError(
            408, f"The body took longer than {seconds:g} s, the limit here.", "limit",
            {"connection": "close"},
        ) from None  # fmt: skip
    return b"".join(chunks)


def parse_json(raw: bytes, what: str = "The body", status: int = 400) -> Any:
    """Reads JSON strictly: UTF-8, no NaN, no lone surrogates, at most 200 levels.

    The parser of the standard library is not used: it recurses on the C stack as deep as
    the interpreter's limit lets it, which libraries raise until a long row of brackets
    ends the process.

    Raises:
        HTTPError: ``status``, without a word of the text.
    """
    try:
        value = from_json(raw, allow_inf_nan=False)
        canonical(value)
    except ValueError as error:
        raise HTTPError(status, f"{what} is not valid JSON, or nested too deeply.") from error
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


async def form_payload(request: Request, body: bytes) -> object:
    """The request in a ``multipart/form-data`` body: its field ``operations``.

    No type of the schema is a file, so ``map`` must name none.

    Raises:
        HTTPError: 422, a field is missing or malformed, or there is a file.
    """

    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        request.headers, once(), max_files=0, max_fields=MAX_FORM_FIELDS, max_part_size=len(body)
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise HTTPError(422, "The form cannot be parsed, or holds a file.") from error
    operations, files = form.get("operations"), form.get("map", "{}")
    if operations is None or isinstance(operations, UploadFile) or isinstance(files, UploadFile):
        raise HTTPError(422, "operations form field could not be decoded")
    payload = parse_json(operations.encode(), "The field operations", 422)
    if parse_json(files.encode(), "The field map", 422) != {}:
        raise HTTPError(422, "The field map is {}: no type here is a file.")
    return payload


def signer_of(headers: Mapping[str, str], body: bytes, now: float) -> Address | None:
    """The account that signed a request; None for an unsigned one.

    Args:
        now: Unix seconds.

    Raises:
        HTTPError: 401, the signature is wrong or stale.
    """
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
    if not is_fresh(milliseconds, now):
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
