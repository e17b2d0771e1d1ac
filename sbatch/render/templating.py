"""The template engine, set up so that a forgotten value is an error."""

from __future__ import annotations

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
        autoescape=False,  # noqa: S701 - shell, not HTML: values pass through `quote`
    )
    environment.filters["quote"] = quote
    return environment


def fill(template: str, **values: Any) -> str:
    """Renders ``templates/<template>.j2``; no line break at the end."""
    return _environment().get_template(f"{template}.j2").render(**values).rstrip("\n")
