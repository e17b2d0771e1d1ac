"""Workflow templates: the examples of the documentation, as they are packaged."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from dsq.core.errors import NotFoundError, close_matches


@dataclass(frozen=True)
class Template:
    """A workflow to start from.

    Attributes:
        name: The file's stem.
        title: Its first comment.
    """

    name: str
    title: str
    text: str


def templates() -> list[Template]:
    """All templates by name."""
    folder = resources.files("dsq.examples")
    return sorted(
        (
            Template(entry.name.removesuffix(".yaml"), _title(text), text)
            for entry in folder.iterdir()
            if entry.name.endswith(".yaml")
            for text in [entry.read_text(encoding="utf-8")]
        ),
        key=lambda template: template.name,
    )


def template(name: str) -> Template:
    """One template by its name.

    Raises:
        NotFoundError: There is none; names the close match.
    """
    known = {found.name: found for found in templates()}
    if name not in known:
        raise NotFoundError(f"There is no template '{name}'.{close_matches(name, known)}")
    return known[name]


def _title(text: str) -> str:
    for line in text.splitlines():
        words = line.lstrip("#").strip()
        if line.startswith("#") and words and not words.startswith("yaml-language-server"):
            return words
        if line and not line.startswith("#"):
            break
    return ""
