"""Workflows that were submitted here, kept by the script that the grid made of them.

The chain names a job's script, so that the text is found by the job itself; job numbers begin
anew when a local chain does.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

KEPT = 2_000
"""Files in a folder; the oldest go first."""


class Sources:
    """The texts of one account on one grid.

    Args:
        folder: Where they are kept; None forgets them at the end.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._texts: dict[str, str] = {}

    def keep(self, script: str, text: str) -> None:
        """Keeps the workflow of a script.

        Raises:
            OSError: It cannot be written.
        """
        if not script or not text:
            return
        self._texts[script] = text
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(self._folder, script)
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)
        self._tidy(self._folder)

    def find(self, script: str) -> str | None:
        """The workflow of a script, if it was submitted here."""
        if script in self._texts or self._folder is None or not script:
            return self._texts.get(script)
        try:
            text = self._path(self._folder, script).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        self._texts[script] = text
        return text

    @staticmethod
    def _path(folder: Path, script: str) -> Path:
        # The name comes from a service: it must not name other places.
        return folder / f"{hashlib.sha256(script.encode()).hexdigest()[:32]}.yaml"

    @staticmethod
    def _tidy(folder: Path) -> None:
        files = sorted(folder.glob("*.yaml"), key=lambda path: path.stat().st_mtime)
        for path in files[:-KEPT]:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
