"""The terminal as it was before the screen, for a process that has to leave at once.

Textual gives it back by itself where the screen ends as it should; this is for one that hangs.
"""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import threading

PLAIN = (
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l"  # the mouse
    "\x1b[?2004l\x1b[?2048l\x1b[?1004l"  # pastes, sizes and the focus are told no more
    "\x1b[<u\x1b[?7h\x1b[?1049l\x1b[?25h"  # keys, line wrap, the first screen, the cursor
)
"""Takes back what Textual asks of a terminal."""

SECONDS = 0.1
"""A terminal that is stopped (ctrl+S) takes nothing."""


class KeptTerminal:
    """What the terminal was like when this was made."""

    def __init__(self) -> None:
        self._attributes: list[int | list[bytes | int]] | None = None
        with contextlib.suppress(Exception):
            self._attributes = termios.tcgetattr(sys.__stdin__.fileno())  # type: ignore[union-attr]

    def restore(self, words: str = "") -> None:
        """Makes it as it was, and writes some last words; never waits long, never raises."""
        if self._attributes is None:
            return
        thread = threading.Thread(target=self._restore, args=(words,), daemon=True)
        thread.start()
        thread.join(SECONDS)

    def _restore(self, words: str) -> None:
        with contextlib.suppress(Exception):
            termios.tcsetattr(
                sys.__stdin__.fileno(),  # type: ignore[union-attr]
                termios.TCSANOW,
                self._attributes,  # type: ignore[arg-type]
            )
            text = f"{PLAIN}{words}\n" if words else PLAIN
            os.write(sys.__stderr__.fileno(), text.encode())  # type: ignore[union-attr]
