"""Where a throwaway Slurm lives: a folder that its daemons can use, and ports of its own.

Both are chosen once and remembered in ``ROOT/mini-slurm.json``, so that a cluster that was
killed is found again where it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dsq.console.local.home import write_atomically
from dsq.core.errors import TryAgainError

RECORD = "mini-slurm.json"

LONGEST_ROOT = 60
"""Longest folder for sockets: their path ends at 108 bytes, and Slurm adds names of its own."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster lives.

    Attributes:
        folder: Of its configuration and sockets.
        port: The first of its ports.
    """

    folder: Path
    port: int


def place_of(root: Path, ports: int, base_port: int | None = None) -> Place:
    """The place of a cluster, chosen anew where what was remembered no longer holds.

    Args:
        root: The cluster's folder; made if it is not there.
        ports: How many neighbouring ports it needs.
        base_port: The first of them, if none is remembered; None looks for free ones.

    Raises:
        TryAgainError: There are no free ports.
    """
    known = _remembered(root)
    folder, port = known.get("place", ""), known.get("base_port", "")
    if not (folder and port and _is_mine(Path(folder))):
        root.mkdir(parents=True, exist_ok=True)
        if not folder or not _is_mine(Path(folder)):
            folder = str(_choose(root))
        port = port or str(base_port or _free_ports(ports))
        record = {"place": folder, "base_port": port}
        write_atomically(root / RECORD, json.dumps(record, sort_keys=True) + "\n")
    return Place(Path(folder), int(port))


def remove_place(root: Path) -> None:
    """Deletes a cluster's place and its folder with all that is in them."""
    folder = _remembered(root).get("place", "")
    if folder and _is_mine(Path(folder)):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)


def _remembered(root: Path) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        known = json.loads((root / RECORD).read_text())
        return {key: str(value) for key, value in known.items()}
    return {}


def _choose(root: Path) -> Path:
    closed = os.geteuid() == 0 and not all(
        folder.stat().st_mode & stat.S_IXOTH for folder in (root, *root.parents)
    )
    if len(str(root)) <= LONGEST_ROOT and not closed:
        return root
    place = Path(tempfile.mkdtemp(prefix="dsq-slurm-"))
    place.chmod(0o755)
    return place


def _is_mine(place: Path) -> bool:
    """Whether a folder is there and nobody else could have made it."""
    try:
        info = place.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid()


def _free_ports(count: int) -> int:
    """The first of ``count`` neighbouring TCP ports on which nobody listens now."""
    for _ in range(200):
        first = 20000 + secrets.randbelow(12000)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise TryAgainError("There are no free TCP ports for a mini-slurm.")
