"""Workflow templates: the examples of the documentation, as they are packaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

MINIMAL = """\
# Hello world: one step on one CPU.
enableLogging: true
resources:
  tasks: 1
  cpusPerTask: 1
  memPerCpu: 500
  gpus: 0
steps:
  - name: hello
    run:
      command: echo "Hello world"
"""


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
    """All templates by name; at least a minimal one."""
    found = {template.name: template for template in _packaged()}
    if not found:
        found["hello-world"] = Template("hello-world", "Hello world: one step on one CPU.", MINIMAL)
    return [found[name] for name in sorted(found)]


def _packaged() -> Iterator[Template]:
    for folder in _folders():
        for entry in folder.iterdir():
            name = entry.name
            if not name.endswith((".yaml", ".yml")) or not entry.is_file():
                continue
            text = entry.read_text(encoding="utf-8")
            yield Template(name.rsplit(".", 1)[0], _title(text), text)


def _folders() -> Iterator[Traversable]:
    packaged = resources.files("dsq.sbatch") / "examples"
    beside: Traversable = Path(__file__).resolve().parent.parent / "docs" / "examples"
    for folder in (packaged, beside):
        if folder.is_dir():
            yield folder
            return


def _title(text: str) -> str:
    for line in text.splitlines():
        words = line.lstrip("#").strip()
        if line.startswith("#") and words and not words.startswith("yaml-language-server"):
            return words
        if line and not line.startswith("#"):
            break
    return ""
