"""One-line bars: the top line, the keys, the banner. Each shows what fits, whole words only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.binding import ActiveBinding, Binding
from textual.content import Content
from textual.dom import DOMNode
from textual.geometry import Size
from textual.screen import Screen
from textual.style import Style as ContentStyle
from textual.widget import Widget

from dsq.console.widgets.safe import one_line

FILTER_LEFT = 8
"""Cells of a filter below which it is left out."""


@dataclass(frozen=True)
class Part:
    """A piece of a bar: its spans ``(text, style)``, and when it has to go.

    Attributes:
        rank: Parts of the highest rank go first when there is no room; 0 never goes.
        right: It stands at the right end.
    """

    spans: tuple[tuple[str, str], ...]
    rank: int = 0
    right: bool = False

    @property
    def width(self) -> int:
        return sum(cell_len(text) for text, _ in self.spans)


def fit_parts(parts: Sequence[Part], room: int, gap: int = 3) -> Content:
    """Joins the parts that fit into ``room`` cells, the right ones pushed to the right."""
    kept = [part for part in parts if part.width]

    def need() -> int:
        return sum(part.width for part in kept) + gap * max(0, len(kept) - 1)

    while kept and need() > room:
        last = max(kept, key=lambda part: part.rank)
        if last.rank == 0:
            break
        kept.remove(last)
    left = [part for part in kept if not part.right]
    right = [part for part in kept if part.right]
    filler = max(gap, room - need() + gap) if left and right else 0
    pieces: list[tuple[str, str]] = []
    for group in (left, right):
        if group is right and right:
            pieces.append((" " * filler, ""))
        for number, part in enumerate(group):
            if number:
                pieces.append((" " * gap, ""))
            pieces.extend(part.spans)
    return Content.assemble(*pieces)


class TopBar(Widget):
    """One line of parts, of which those are shown that fit."""

    DEFAULT_CSS = """
    TopBar { height: 1; background: $panel; color: $foreground; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._parts: Sequence[Part] = ()

    def show(self, parts: Sequence[Part]) -> None:
        """Shows other parts; paints only if they differ."""
        if tuple(parts) != tuple(self._parts):
            self._parts = tuple(parts)
            self.refresh()

    def render(self) -> Content:
        return fit_parts(self._parts, self.content_size.width)


class Tabs(Widget):
    """The line of views: number, name, the current one marked; clicks switch."""

    DEFAULT_CSS = """
    Tabs { height: 1; background: $surface; color: $muted; padding: 0 1; }
    """

    def __init__(self, names: Sequence[str], current: str) -> None:
        super().__init__()
        self.names = names
        self.current = current
        self._badges: dict[str, str] = {}
        self._note = ""

    def show(self, badges: dict[str, str], note: str = "") -> None:
        """Shows a badge behind some names, and a note at the right end."""
        if (badges, note) != (self._badges, self._note):
            self._badges, self._note = dict(badges), note
            self.refresh()

    def render(self) -> Content:
        line = self._line(" ")
        if line.cell_length + cell_len(self._note) + 2 > self.content_size.width:
            line = self._line("")
        room = self.content_size.width - line.cell_length
        note = fit_note(self._note, room - 1)
        return line + Content.styled(" " * max(0, room - cell_len(note)) + note, "$muted")

    def _line(self, before: str) -> Content:
        """The views, with so much before each; the current one stands out anyway."""
        pieces: list[Content] = []
        for number, name in enumerate(self.names, 1):
            badge = self._badges.get(name, "")
            label = f"{before}{number} {name}{' ' + badge if badge else ''} "
            if name == self.current:
                pieces.append(Content.styled(label, "bold $background on $primary"))
                continue
            style = ContentStyle.from_meta({"view": name.lower()})
            pieces.append(Content.styled(label, "$warning" if badge else "$muted").stylize(style))
        return Content("").join(pieces)

    async def on_click(self, event: events.Click) -> None:
        view = event.style.meta.get("view")
        if view is not None:
            await self.run_action(f"app.view({view!r})")


def fit_note(note: str, room: int) -> str:
    """A note in so many cells: closer together, then a filter's end only, then fewer words.

    Args:
        note: Its parts, two blanks apart; the first ones say most. A filter begins with ``/``.
        room: Cells.
    """
    if cell_len(note) <= room:
        return note
    parts = note.split("  ")
    long = next((part for part in parts if part.startswith("/")), "")
    while parts:
        text = " ".join(parts)
        spare = room - cell_len(text)
        if spare >= 0:
            return text
        at = parts.index(long) if long in parts else -1
        if at >= 0 and cell_len(long) + spare >= FILTER_LEFT:
            # The end of a long filter says most.
            parts[at] = f"…{long[1 - spare :]}"
            long = ""
            continue
        if at >= 0:
            parts.pop(at)
            continue
        parts.pop()
    return ""


class KeyBar(Widget):
    """The keys that work now, as many as fit; clicks press them."""

    DEFAULT_CSS = """
    KeyBar { height: 1; dock: bottom; background: $panel; color: $muted; padding: 0 1; }
    """

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_unmount(self) -> None:
        self.screen.bindings_updated_signal.unsubscribe(self)

    def _changed(self, screen: Screen[object]) -> None:
        if self.is_attached and screen is self.screen:
            self.refresh()

    def render(self) -> Content:
        keys: dict[str, tuple[str, str, str]] = {}
        for node, binding, enabled, _ in self._ordered():
            if binding.show and enabled and binding.action not in keys:
                key = first_key(node, binding)
                shown = self.app.get_key_display(binding.with_key(key))
                keys[binding.action] = (shown, binding.description, key)
        enter = getattr(self.screen, "enter_word", "")
        if enter and all(key != "enter" for _, _, key in keys.values()):
            shown = self.app.get_key_display(Binding("enter", ""))
            keys = {"enter": (shown, enter, "enter"), **keys}
        last = {action: keys.pop(action) for action in ("app.help", "help") if action in keys}
        room = self.content_size.width
        tail = self._pieces(next(iter(last.values()))) if last else Content("")
        line, used = [], tail.cell_length
        for entry in keys.values():
            piece = self._pieces(entry)
            if used + piece.cell_length + 2 > room:
                break
            line.append(piece)
            used += piece.cell_length + 2
        return Content("  ").join([*line, tail])

    def _ordered(self) -> list[ActiveBinding]:
        """Enter first, then the keys of the screen's own class, then all others."""
        declared = type(self.screen).__dict__.get("BINDINGS", ())
        own = [binding.action for binding in Binding.make_bindings(declared)]

        def rank(active: ActiveBinding) -> int:
            if active.binding.key == "enter":
                return -1
            return own.index(active.binding.action) if active.binding.action in own else len(own)

        return sorted(self.screen.active_bindings.values(), key=rank)

    def _pieces(self, entry: tuple[str, str, str]) -> Content:
        shown, description, key = entry
        click = ContentStyle.from_meta({"key": key})
        piece = Content.assemble((shown, "bold $primary"), " ", (description.lower(), "$muted"))
        return piece.stylize(click)

    def on_click(self, event: events.Click) -> None:
        key = event.style.meta.get("key")
        if key is not None:
            self.app.simulate_key(key)


def first_key(node: DOMNode, binding: Binding) -> str:
    """Of all keys of an action the one that the user, else its class, names first."""
    chosen = getattr(node.app, "user_keys", {}).get(binding.id)
    if chosen:
        return str(chosen).partition(",")[0]
    for owner in type(node).__mro__:
        for declared in Binding.make_bindings(owner.__dict__.get("BINDINGS", ())):
            if declared.action == binding.action:
                return declared.key
    return binding.key


class Banner(Widget):
    """What is wrong with the connection, in one line or two; hidden while nothing is."""

    DEFAULT_CSS = """
    Banner { height: auto; max-height: 2; display: none; background: $warning; color: $background;
             text-style: bold; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    Banner.-shown { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._sentences: tuple[str, ...] = ()

    def show(self, text: str) -> None:
        """Shows a text, nothing hides the banner. Reasons in it come from others.

        Its lines stand side by side where there is room; none of them is broken.
        """
        sentences = tuple(one_line(line) for line in text.split("\n", 1)) if text else ()
        if sentences != self._sentences:
            self._sentences = sentences
            self.set_class(bool(sentences), "-shown")
            self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return len(self._lines(width))

    def _lines(self, width: int) -> tuple[str, ...]:
        joined = " ".join(self._sentences)
        return (joined,) if cell_len(joined) <= width else self._sentences

    def render(self) -> Content:
        return Content("\n".join(self._lines(self.content_size.width)))
