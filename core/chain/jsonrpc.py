"""JSON-RPC without I/O: values, errors, parts of a batch, and URLs without their secrets."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from dsq.core.errors import TryAgainError

BATCH_CALLS = 100
"""Calls in one request. Public nodes refuse more."""

BATCH_BYTES = 1_000_000
"""Bytes of one request; anvil refuses more than 2 MB."""

Request = tuple[str, Sequence[Any]]
"""A method and its parameters."""


class RpcError(TryAgainError):
    """The node answered a request with an error.

    Attributes:
        method: The request's method.
        rpc_code: The JSON-RPC error code.
        rpc_message: The node's words.
        data: Revert data, or b"".
    """

    code = "rpc"

    def __init__(self, method: str, rpc_code: int, rpc_message: str, data: bytes = b"") -> None:
        super().__init__(f"The node refused {method}: {rpc_message}")
        self.method = method
        self.rpc_code = rpc_code
        self.rpc_message = rpc_message
        self.data = data


@dataclass(frozen=True, slots=True)
class Head:
    """A block: its number, hash, and time in Unix seconds."""

    number: int
    hash: bytes
    timestamp: int

    @classmethod
    def from_json(cls, block: Mapping[str, Any]) -> Head:
        """Reads a block of the node."""
        return cls(number(block["number"]), raw(block["hash"]), number(block["timestamp"]))


def number(text: str) -> int:
    """A JSON-RPC quantity as an integer."""
    return int(text, 16)


def raw(text: str) -> bytes:
    """JSON-RPC data as bytes."""
    return bytes.fromhex(text[2:])


def hexed(value: int | bytes) -> str:
    """A quantity or data as JSON-RPC writes it."""
    return "0x" + value.hex() if isinstance(value, bytes) else hex(value)


def public_url(url: str) -> str:
    """A node's URL without what may be secret: user, path and query are left out."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    rest = "/…" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{host}{port}{rest}"


def quiet_libraries() -> None:
    """Keeps libraries from writing whole URLs, which may hold keys, into their logs."""
    for name in ("web3.providers", "websockets.client"):
        logging.getLogger(name).setLevel(logging.ERROR)


SECRET_CHARACTERS = 6
"""Shorter parts of a path are names ("v3", "rpc", "eth"); longer ones may be keys."""


def redact(words: str, url: str) -> str:
    """Words of a node or a library without what is secret in the node's URL."""
    parts = urlsplit(url)
    secrets = {url, parts.netloc, parts.query, parts.username, parts.password}
    secrets |= {value for _, value in parse_qsl(parts.query)}
    secrets |= {part for part in parts.path.split("/") if len(part) >= SECRET_CHARACTERS}
    secrets |= {unquote(part) for part in secrets if part}
    shown = public_url(url)
    secrets -= {None, "", parts.hostname}
    if shown.endswith(f"//{parts.netloc}"):
        secrets -= {parts.netloc}
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        words = words.replace(secret, shown if secret == url else "…")
    return re.sub("…{2,}", "…", words)


def _revert_data(error: Mapping[str, Any]) -> bytes:
    """Nodes put revert data at several places of an error."""
    data = error.get("data")
    for _ in range(3):
        if not isinstance(data, dict):
            break
        data = data.get("data") or data.get("result") or data.get("originalError")
    if isinstance(data, str):
        with contextlib.suppress(ValueError):
            return bytes.fromhex(data[data.find("0x") + 2 :] if "0x" in data else "")
    return b""


def error_of(method: str, error: Any) -> RpcError:
    """The node's error object as an error of dsq."""
    if not isinstance(error, dict):
        return RpcError(method, 0, str(error))
    try:
        code = int(error.get("code", 0))
    except (TypeError, ValueError):
        code = 0
    return RpcError(method, code, str(error.get("message", "")), _revert_data(error))


def chunks(calls: Sequence[Request]) -> Iterable[list[Request]]:
    """Parts calls into requests that nodes take, in their order."""
    chunk: list[Request] = []
    size = 0
    for call in calls:
        length = 100 + sum(len(str(parameter)) for parameter in call[1])
        if chunk and (len(chunk) >= BATCH_CALLS or size + length > BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(call)
        size += length
    if chunk:
        yield chunk
