"""The template engine, set up so that a forgotten value is an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dsq.core.quoting import quote


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        comment_start_string="{%#",  # "{#" is bash's ${#name}
        comment_end_string="#%}",
        auto_reload=False,
        autoescape=False,  # noqa: S701 - shell, not HTML: values pass through `quote`
    )
    environment.filters["quote"] = quote
    return environment


MARK = "\0"
"""Begins the lines that :func:`marking` adds; no text of a workflow can hold it."""

_marks: ContextVar[bool] = ContextVar("marks", default=False)


@contextmanager
def marking() -> Iterator[None]:
    """Within it every template that is told ``where`` it stands is put between marks.

    Before its first line stands ``MARK`` with ``where``, behind its last one ``MARK`` alone.
    Without these lines a script is what it is without marks.
    """
    token = _marks.set(True)
    try:
        yield
    finally:
        _marks.reset(token)


def fill(template: str, **values: Any) -> str:
    """Renders ``templates/<template>.j2``; no line break at the end."""
    text = _environment().get_template(f"{template}.j2").render(**values).rstrip("\n")
    if _marks.get() and "where" in values:
        return f"{MARK}{values['where']}\n{text}\n{MARK}"
    return text
