"""Completion while typing: a list at the cursor, and the keys that take from it.

:class:`CompletionList` is what is painted; :class:`Completer` keeps it at one widget that is
typed into. What is offered comes from a function of the text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.geometry import Offset
from textual.message import Message
from textual.widget import Widget

from dsq.console.widgets.safe import fit, one_line

if TYPE_CHECKING:
    _Typed = Widget
else:
    # No base of its own: Textual takes the styles of the first base that is a widget.
    _Typed = object

ROWS = 8
"""Completions shown at once."""

WIDEST = 64
NARROWEST = 20


@dataclass(frozen=True, slots=True)
class Completion:
    """One thing that what was typed can become.

    Attributes:
        word: How it is shown.
        insert: What stands in its place then; may have several lines.
        about: A sentence about it.
        goes_on: After it more can be completed.
    """

    word: str
    insert: str
    about: str = ""
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """All completions at a place of a line.

    Attributes:
        start: Column where what is replaced begins.
        end: Column after it.
        items: The completions, the likeliest first.
        typed: What is typed of the word up to the cursor.
    """

    start: int
    end: int
    items: tuple[Completion, ...]
    typed: str = ""


class CompletionList(Widget, can_focus=False):
    """The list; hidden while there is nothing to offer."""

    DEFAULT_CSS = """
    CompletionList {
        display: none; overlay: screen; constrain: inside inflect; height: auto; width: auto;
        background: $panel; color: $foreground; margin: 1 0;
    }
    CompletionList.-open { display: block; }
    """

    class Chosen(Message):
        """One was clicked."""

        def __init__(self, completion: Completion) -> None:
            super().__init__()
            self.completion = completion

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self.owner: Completer | None = None
        self.items: tuple[Completion, ...] = ()
        self.index = 0
        self.explicit = False

    @property
    def is_open(self) -> bool:
        """It is on the screen."""
        return self.has_class("-open")

    @property
    def current(self) -> Completion | None:
        """The one that would be taken."""
        return self.items[self.index] if self.is_open and self.index < len(self.items) else None

    def show(self, items: tuple[Completion, ...], at: Offset, *, explicit: bool) -> None:
        """Shows completions below a cell of the screen.

        Args:
            explicit: The user asked for it, so that enter takes one.
        """
        if items != self.items or not self.is_open:
            self.items, self.index = items, 0
        self.explicit = explicit
        self.absolute_offset = at
        self.add_class("-open")
        self.refresh(layout=True)

    def hide(self) -> None:
        """Takes it off the screen."""
        self.remove_class("-open")
        self.items, self.explicit = (), False

    def move(self, step: int) -> None:
        """Goes to another completion; from the last to the first."""
        self.index = (self.index + step) % len(self.items)
        self.explicit = True
        self.refresh()

    def _top(self) -> int:
        return max(0, min(self.index - ROWS // 2, len(self.items) - ROWS))

    def _widths(self) -> tuple[int, int]:
        word = max((cell_len(each.word) for each in self.items), default=0)
        about = max((cell_len(each.about) for each in self.items), default=0)
        room = max(NARROWEST, min(WIDEST, self.app.size.width - 4))
        return word, max(0, min(about, room - word - 5))

    def get_content_width(self, container: object, viewport: object) -> int:  # noqa: ARG002
        word, about = self._widths()
        return 2 + word + (2 + about if about else 0) + 1

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002
        return min(ROWS, len(self.items)) + 1

    def render(self) -> Content:
        word, about = self._widths()
        width = 2 + word + (2 + about if about else 0) + 1
        top = self._top()
        lines: list[Content] = []
        for number, each in enumerate(self.items[top : top + ROWS], top):
            chosen = number == self.index
            text = f"{fit(each.word, word)}"
            words = f"  {fit(one_line(each.about, 200), about)}" if about else ""
            ground = " on $cursor" if chosen else ""
            pieces = [("› " if chosen else "  ", f"bold $primary{ground}"),
                      (text, f"bold $cursor-text{ground}" if chosen else "bold $foreground"),
                      (f"{words} ", f"$cursor-text{ground}" if chosen else "$muted")]  # fmt: skip
            lines.append(Content.assemble(*pieces))
        keys = "enter, tab take it" if self.explicit else "tab takes it, ↓ goes on"
        count = f"{self.index + 1}/{len(self.items)}"
        foot = fit(f"{count} {keys}" if width > len(count) + len(keys) else count, width)
        lines.append(Content.styled(foot, "$muted"))
        return Content("\n").join(lines)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        index = self._top() + int(event.y)
        if 0 <= index < len(self.items) and event.y < ROWS and self.owner is not None:
            self.owner.take(self.items[index])


class Completer:
    """Keeps the list at a widget that is typed into.

    Args:
        popup: The list; several widgets may share it.
        look: What can stand at the cursor now; None for nothing.
        put: Writes a completion over what the offer says.
        place: The cell of the screen at a column of the cursor's line.
    """

    def __init__(
        self,
        popup: CompletionList,
        look: Callable[[], Offer | None],
        put: Callable[[Offer, Completion], None],
        place: Callable[[int], Offset],
    ) -> None:
        self._popup = popup
        self._look = look
        self._put = put
        self._place = place

    @property
    def is_open(self) -> bool:
        """The list is shown for this widget."""
        return self._popup.is_open and self._popup.owner is self

    def key(self, key: str) -> bool:
        """Handles a key; False if it means something else now."""
        if not self.is_open:
            return False
        current = self._popup.current
        if key in ("up", "down"):
            self._popup.move(-1 if key == "up" else 1)
        elif key in ("pageup", "pagedown"):
            step = ROWS if key == "pagedown" else -ROWS
            last = len(self._popup.items) - 1
            self._popup.move(max(0, min(self._popup.index + step, last)) - self._popup.index)
        elif current is not None and (key == "tab" or (key == "enter" and self._popup.explicit)):
            self.take(current)
        else:
            return False
        return True

    def take(self, completion: Completion) -> None:
        """Writes a completion."""
        offer = self._look()
        self.close()
        if offer is not None:
            self._put(offer, completion)
        if completion.goes_on:
            self.show(explicit=False)

    def show(self, *, explicit: bool) -> bool:
        """Shows what can stand here; without being asked only what is begun or a choice.

        Returns:
            Whether there is anything.
        """
        offer = self._look()
        if offer is None or not offer.items or self._is_whole(offer, explicit=explicit):
            self.close()
            return False
        self._popup.owner = self
        kept = explicit or (self.is_open and self._popup.explicit)
        self._popup.show(offer.items, self._place(offer.start), explicit=kept)
        return True

    @staticmethod
    def _is_whole(offer: Offer, *, explicit: bool) -> bool:
        """The only completion is there already."""
        (first, *others) = offer.items
        return not explicit and not others and first.insert.strip() == offer.typed.strip()

    def close(self) -> None:
        """Takes the list off the screen if it is shown for this widget."""
        if self._popup.owner is self:
            self._popup.hide()


class Completing(_Typed):
    """What a widget that is typed into adds, before its own class: keys go to the list first."""

    _completer: Completer | None = None
    _by_hand = False

    @property
    def is_completing(self) -> bool:
        """Completions are shown: the word is not written yet."""
        return self._completer is not None and self._completer.is_open

    def action_complete(self) -> None:
        """Shows what can stand here."""
        if self._completer is None or not self._completer.show(explicit=True):
            self.app.bell()

    def close_completion(self) -> bool:
        """Takes the list of completions away; False if there is none."""
        if self._completer is None or not self._completer.is_open:
            return False
        self._completer.close()
        return True

    async def _on_key(self, event: events.Key) -> None:
        if self._completer is not None and self._completer.key(event.key):
            event.stop()
            event.prevent_default()
            return
        again = event.key == "backspace" and self._completer is not None and self._completer.is_open
        self._by_hand = event.is_printable or again
