"""GraphQL over WebSocket: ``graphql-transport-ws``, and ``graphql-ws`` of older clients.

There are no subscriptions; some clients send all their operations this way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from dsq.sbatch.service.engine import Answer
from dsq.sbatch.service.httprequest import HTTPError, parse_json

SUBPROTOCOLS = ("graphql-transport-ws", "graphql-ws")

INIT_SECONDS = 10.0
"""How long a client may take to begin."""

IDLE_SECONDS = 600.0
"""How long it may be silent after that."""

BAD_MESSAGE, UNAUTHORISED, INIT_TIMEOUT, ID_TAKEN, INIT_TWICE = 4400, 4401, 4408, 4409, 4429
MAX_OPERATIONS = 10
"""Most operations of one socket at once."""

NORMAL = 1000
TOO_MANY = 1013


class Conversation:
    """One client's socket, already accepted.

    Args:
        answer: Runs the request in a payload.
        legacy: Speak ``graphql-ws``.
    """

    def __init__(
        self,
        socket: WebSocket,
        answer: Callable[[object], Awaitable[Answer]],
        *,
        legacy: bool,
    ) -> None:
        self._socket = socket
        self._answer = answer
        self._legacy = legacy
        self._begun = False
        self._running: dict[str, asyncio.Task[None]] = {}

    async def hold(self) -> None:
        """Talks until one side ends it."""
        try:
            code = await self._talk()
            await self._socket.close(code)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the client went
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _talk(self) -> int:
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS if self._begun else INIT_SECONDS):
                    message = parse_json((await self._receive()).encode(errors="replace"))
            except TimeoutError:
                return NORMAL if self._begun else INIT_TIMEOUT
            except HTTPError:
                return BAD_MESSAGE
            if not isinstance(message, dict):
                return BAD_MESSAGE
            code = await self._take(message)
            if code is not None:
                return code

    async def _receive(self) -> str:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", NORMAL))
        return message.get("text") or ""

    async def _take(self, message: dict[str, Any]) -> int | None:
        """Acts on a message; returns the code to close with, None to go on."""
        kind, name = message.get("type"), message.get("id")
        if kind == "connection_init":
            if self._begun:
                return INIT_TWICE
            self._begun = True
            await self._send({"type": "connection_ack"})
        elif kind == "ping":
            await self._send({"type": "pong"})
        elif kind == "pong":
            pass
        elif kind == "connection_terminate":
            return NORMAL
        elif not isinstance(name, str):
            return BAD_MESSAGE
        elif kind in ("complete", "stop"):
            if task := self._running.pop(name, None):
                task.cancel()
        elif kind == ("start" if self._legacy else "subscribe"):
            return self._start(name, message.get("payload"))
        else:
            return BAD_MESSAGE
        return None

    def _start(self, name: str, payload: object) -> int | None:
        if not self._begun:
            return UNAUTHORISED
        if name in self._running:
            return ID_TAKEN
        if len(self._running) >= MAX_OPERATIONS:
            return TOO_MANY
        self._running[name] = asyncio.create_task(self._run(name, payload))
        return None

    async def _run(self, name: str, payload: object) -> None:
        answer = await self._answer(payload)
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            if answer.status == 200:
                kind = "data" if self._legacy else "next"
                await self._send({"id": name, "type": kind, "payload": answer.body})
                await self._send({"id": name, "type": "complete"})
            else:
                errors: Any = answer.body["errors"]
                shown = errors[0] if self._legacy else errors
                await self._send({"id": name, "type": "error", "payload": shown})
        if self._running.get(name) is asyncio.current_task():
            del self._running[name]

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_json(message)
