"""What a starting grid tells: a line a step, also across processes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

Tell = Callable[[str], None]


def to_stderr(text: str) -> None:
    """Words go to standard error; standard output is for data."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


class ProgressFile:
    """Progress of a detached grid: written by its keeper, read by ``dsq up --detach``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def clear(self) -> None:
        self.path.write_text("")

    def tell(self, text: str) -> None:
        self._write({"text": text})

    def ready(self) -> None:
        self._write({"ready": True})

    def failed(self, message: str, exit_code: int) -> None:
        self._write({"failed": message, "exit_code": exit_code})

    def _write(self, record: dict[str, object]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({**record, "at": time.time()}) + "\n")

    def read(self, offset: int) -> tuple[list[dict[str, object]], int]:
        """Records after the byte ``offset``, and the offset behind them."""
        raw = self.path.read_bytes()[offset:]
        whole = raw[: raw.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines()], offset + len(whole)
