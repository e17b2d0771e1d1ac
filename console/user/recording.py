"""Records what the grid answers into a file: one JSON object a line (docs/console.md).

Keys, passphrases, signatures and workflows never pass through here; the output of jobs that
were looked at does.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TextIO, cast

from dsq.console.user.port import GridPort
from dsq.console.user.tape_codec import encode, encode_error
from dsq.core.errors import UsageError

log = logging.getLogger("dsq.console.recording")

VERSION = 1
ASKED = frozenset(
    {"head", "constants", "job", "job_ids", "jobs_by_id", "block_hash", "history", "why",
     "balance", "providers", "jobs_at", "estimate", "movements", "overview"}
)  # fmt: skip
"""What is asked of the grid and answered at once."""

DONE = frozenset(
    {"submit", "submit_many", "cancel", "top_up", "transfer", "claim_faucet",
     "withdraw_claimable"}
)  # fmt: skip
"""What changes something: only its answer is recorded, not what was sent."""

STREAMS = frozenset({"changes", "logs"})


class Tape:
    """The file of a recording, readable by its owner only.

    Args:
        path: Where; there must be nothing.
        now: Unix seconds.

    Raises:
        UsageError: The file is there already, or cannot be written.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._start = now()
        self._streams = 0
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise UsageError(f"{path} is there already.", hint="Record into a new file.") from None
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
        self._file: TextIO = os.fdopen(descriptor, "w", encoding="utf-8")

    def stream(self) -> int:
        """A number for a stream of answers."""
        self._streams += 1
        return self._streams

    def write(self, **record: Any) -> None:
        """Adds a line, with the time since the beginning; a closed tape takes nothing."""
        if self._file.closed:
            return
        record = {"t": round(self._now() - self._start, 3), **record}
        try:
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:  # a full disk ends the recording, not the console
            log.warning("recording ended error=%s", error)
            with contextlib.suppress(OSError):
                self._file.close()

    def head(self, grid: GridPort, name: str) -> None:
        """Says whose recording it is."""
        self.write(
            dsq_console=VERSION,
            at=self._start,
            grid=name,
            account=encode(grid.address),
            contracts=encode(dict(grid.contracts())),
        )

    def close(self) -> None:
        """Ends the recording."""
        self._file.close()


class Recorder:
    """A grid whose answers are recorded; otherwise it is the grid itself."""

    def __init__(self, grid: GridPort, tape: Tape) -> None:
        self._grid = grid
        self._tape = tape

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._grid, name)
        if name in ASKED or name in DONE:
            return functools.partial(self._call, name, found)
        if name in STREAMS:
            return functools.partial(self._stream, name, found)
        return found

    async def _call(
        self, name: str, ask: Callable[..., Awaitable[Any]], /, *args: Any, **named: Any
    ) -> Any:
        asked = encode([*args, *named.values()]) if name in ASKED else []
        try:
            answer = await ask(*args, **named)
        except Exception as error:
            self._tape.write(call=name, args=asked, error=encode_error(error))
            raise
        self._tape.write(call=name, args=asked, answer=encode(answer))
        return answer

    async def _stream(
        self, name: str, ask: Callable[..., AsyncIterator[Any]], /, *args: Any, **named: Any
    ) -> AsyncIterator[Any]:
        number = self._tape.stream()
        self._tape.write(call=name, args=encode(list(args)), stream=number)
        try:
            async for item in ask(*args, **named):
                self._tape.write(stream=number, item=encode(item))
                yield item
        except Exception as error:
            self._tape.write(stream=number, error=encode_error(error))
            raise
        self._tape.write(stream=number, end=True)


def recording(
    connect: Callable[[], Awaitable[GridPort]], tape: Tape, name: str
) -> Callable[[], Awaitable[GridPort]]:
    """Connects, and records what the grid answers from then on."""

    async def connected() -> GridPort:
        grid = await connect()
        tape.head(grid, name)
        return cast("GridPort", Recorder(grid, tape))

    return connected
