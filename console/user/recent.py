"""Workflow files that were opened last: a file of paths, one a line, the newest on top."""

from __future__ import annotations

import contextlib
from pathlib import Path

KEPT = 20


class RecentFiles:
    """The paths, shared by all consoles of this user.

    Args:
        path: Where they are kept; None forgets them at the end.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._paths: list[Path] = []

    def all(self) -> list[Path]:
        """Those that are still there, the newest first."""
        if self._path is not None:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                lines = self._path.read_text("utf-8").splitlines()
                self._paths = [Path(line) for line in lines if line.startswith("/")][:KEPT]
        return [path for path in self._paths if _is_file(path)]

    def add(self, path: Path) -> None:
        """Puts a file on top. What cannot be kept is forgotten: nothing depends on it."""
        path = path.absolute()
        if "\n" in str(path):
            return
        self._paths = [path, *(each for each in self.all() if each != path)][:KEPT]
        if self._path is None:
            return
        fresh = self._path.with_suffix(".new")
        with contextlib.suppress(OSError, UnicodeEncodeError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh.write_text("".join(f"{each}\n" for each in self._paths), "utf-8")
            fresh.replace(self._path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
