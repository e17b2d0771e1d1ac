"""A TCP way to a service on this machine, which breaks, loses or hangs as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit


class Way:
    """A way to a port of this machine, open in an ``async with``.

    Attributes:
        lose: The next requests are carried there, and no answer back.
        taken: Connections that came in.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._is_cut = False
        self.port = 0
        self.lose = False
        self.taken = 0

    @classmethod
    def to(cls, address: str) -> Way:
        """The way to ``host:port`` or a URL."""
        port = urlsplit(address if "//" in address else f"//{address}").port
        assert port is not None
        return cls(port)

    @property
    def url(self) -> str:
        """Where it begins."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Way:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        self._flows.set()

    def cut(self) -> None:
        """Breaks every connection, and takes no new one."""
        self._is_cut = True
        for writer in self._open:
            writer.close()

    def hang(self) -> None:
        """Takes connections and what comes in on them, and answers nothing."""
        self._flows.clear()

    def flow(self) -> None:
        """Carries what was held back, and goes on."""
        self._flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        await self._flows.wait()
        if self._is_cut:
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._open |= {writer, back}
        await asyncio.gather(self._pump(reader, back, False), self._pump(there, writer, True))

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, is_answer: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                await self._flows.wait()
                if is_answer and self.lose:
                    break
                sink.write(data)
                await sink.drain()
        sink.close()
