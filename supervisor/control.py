"""Wishes of whoever runs the supervisor, as a small file beside its journal.

``control.json`` in the state folder holds ``{"mode": "run"}``; ``pause`` stops claiming,
``drain`` does so until no job is left, ``evict`` also ends the jobs on the cluster. The file
counts when it changes, and at the start: a restart does not forget a pause.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from dsq.supervisor.agent import Agent

log = logging.getLogger("dsq.supervisor.control")

CONTROL_FILE = "control.json"
MODES = ("run", "pause", "drain", "evict")


class ControlFile:
    """Follows one control file."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / CONTROL_FILE
        self._seen: tuple[int, int] | None = None

    def apply(self, agent: Agent) -> None:
        """Has the agent do what the file says, if it changed since the last look."""
        try:
            status = self._path.stat()
            mark = (status.st_mtime_ns, status.st_ino)
            if mark == self._seen:
                return
            self._seen = mark
            mode = json.loads(self._path.read_text())["mode"]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("control=unreadable reason=%r", str(error))
            return
        actions = {
            "run": agent.resume,
            "pause": agent.pause,
            "drain": agent.drain,
            "evict": agent.evict,
        }
        if mode not in actions:
            log.warning("control=unknown mode=%r known=%s", mode, ",".join(MODES))
            return
        actions[mode]()
