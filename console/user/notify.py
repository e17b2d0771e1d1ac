"""Telling the user outside the screen that a job has ended."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable

from dsq.console.preferences import Notify
from dsq.console.widgets.safe import one_line

LONGEST = 200
"""Characters of a notification."""


def terminal_sequences(title: str, text: str) -> str:
    """OSC 9 and OSC 777: each terminal takes the one it knows and drops the other.

    Nothing of the texts can end the sequence early: control characters are taken out, and
    so is ``;``, which parts the fields of OSC 777.
    """
    head, body = (one_line(each, LONGEST).replace(";", ",") for each in (title, text))
    return f"\x1b]9;{head}: {body}\x07\x1b]777;notify;{head};{body}\x07"


async def tell_outside(
    title: str,
    text: str,
    wanted: Notify,
    *,
    bell: Callable[[], None],
    write: Callable[[str], None],
) -> None:
    """Rings, writes to the terminal and calls the desktop, as far as that is wanted.

    Args:
        bell: Rings the terminal's bell.
        write: Writes to the terminal.
    """
    if wanted.bell:
        bell()
    if wanted.terminal:
        write(terminal_sequences(title, text))
    program = shutil.which("notify-send") if wanted.desktop else None
    if program is not None:
        # A desktop that is not there must not hold anything up.
        with contextlib.suppress(OSError, TimeoutError):
            child = await asyncio.create_subprocess_exec(
                program,
                "--app-name=dsq",
                "--",
                one_line(title, LONGEST),
                one_line(text, LONGEST),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            await asyncio.wait_for(child.wait(), 5)
