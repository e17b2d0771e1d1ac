"""Lines of plain text with style names: what the pure functions hand to the screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Static

from dsq.console.widgets.columns import Span

Line = Sequence[Span]
"""One line: printable texts, each with the name of its style."""


LABEL = 13
"""Width of the words left of the values."""


def labelled(label: str, *spans: tuple[str, str]) -> Line:
    """A line with a word in the left column."""
    return [(f"{label:<{LABEL}}", "muted"), *spans]


def heading(text: str) -> Line:
    """The name of a section."""
    return [(text.upper(), "bold primary")]


def content_of(lines: Iterable[Line]) -> Content:
    """The lines as content. Nothing in them is read as markup."""
    return Content("\n").join(
        Content.assemble(*((text, css_style(name)) for text, name in line)) for line in lines
    )


def width_of(line: Line) -> int:
    """The cells a line takes."""
    return sum(cell_len(text) for text, _ in line)


def css_style(name: str) -> str:
    """``bold status-running`` as Textual writes it: ``bold $status-running``."""
    *words, colour = name.split() or ["foreground"]
    return " ".join([*words, f"${colour}"])


class Lines(Static):
    """Shows lines; painting is skipped when they are the same as before."""

    def __init__(
        self,
        lines: Iterable[Line] = (),
        *,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        self._lines = [list(line) for line in lines]
        super().__init__(content_of(self._lines), id=id, classes=classes, markup=False)

    def show(self, lines: Iterable[Line]) -> None:
        """Shows other lines."""
        kept = [list(line) for line in lines]
        if kept != self._lines:
            before, self._lines = self._lines, kept
            self.update(content_of(kept), layout=not self._same_place(before, kept))

    def _same_place(self, before: Sequence[Line], after: Sequence[Line]) -> bool:
        """Whether other lines take the same room, so that nothing around them moves."""
        if len(before) != len(after) or self.styles.width is not None:
            return False
        room = self.content_size.width
        return all(width_of(line) <= room for line in (*before, *after))
