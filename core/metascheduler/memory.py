"""What the meta-scheduler keeps over a restart: which jobs were open, who is backed off.

Only a shortcut: with it a start reads the open jobs and the new ones, without it every
job there ever was. It counts only if the chain still has the block it was made at.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsq.core.chain import Head

VERSION = 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state at one block.

    Attributes:
        seen: Highest job number that was looked at; all that are not in ``hot`` have ended.
        hot: Numbers of the jobs that had not ended.
        backoff: :meth:`BackOff.to_json`.
    """

    block_number: int
    block_hash: bytes
    seen: int
    hot: tuple[int, ...]
    backoff: dict[str, Any]


class Memory:
    """One file with the newest snapshot of one grid.

    Args:
        path: The file.
        grid: What tells grids apart (chain id and contract): another grid's file is ignored.
    """

    def __init__(self, path: Path, grid: str) -> None:
        self.path = path
        self.grid = grid

    def load(self) -> Snapshot | None:
        """The snapshot, or None if there is no usable one."""
        try:
            data = json.loads(self.path.read_text())
            if data["version"] != VERSION or data["grid"] != self.grid:
                return None
            return Snapshot(
                int(data["block_number"]),
                bytes.fromhex(data["block_hash"]),
                int(data["seen"]),
                tuple(int(job_id) for job_id in data["hot"]),
                dict(data["backoff"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, head: Head, seen: int, hot: list[int], backoff: dict[str, object]) -> None:
        """Replaces the snapshot, whole or not at all."""
        text = json.dumps(
            {
                "version": VERSION,
                "grid": self.grid,
                "block_number": head.number,
                "block_hash": head.hash.hex(),
                "seen": seen,
                "hot": hot,
                "backoff": backoff,
            },
            sort_keys=True,
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.write_text(text + "\n")
        os.replace(fresh, self.path)  # noqa: PTH105 - the atomic one
