"""What makes a command start sooner, whatever it then does.

Imports make a few hundred thousand objects that all stay: looking among them for garbage, again
and again, is a tenth of a start. Later it would be a pause at a key.
"""

from __future__ import annotations

import gc
import os

OBJECTS = 50_000
"""New objects between two looks for garbage, while a command starts."""

_usual = gc.get_threshold()
_started = False


def start() -> None:
    """To be called first by a command: leaves out what only costs time."""
    global _started
    gc.set_threshold(OBJECTS, *_usual[1:])
    # Nobody extends our models, and looking for plugins reads the metadata of every package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # A key waits for the next frame; there are as many only while keys are pressed.
    os.environ.setdefault("TEXTUAL_FPS", "240")
    _started = True


def steady() -> None:
    """To be called when a screen stands: what is there now is never looked through again.

    Without :func:`start` before it does nothing, so that tests keep their collector.
    """
    if _started:
        gc.freeze()
        gc.set_threshold(*_usual)
