"""Keys in their order: each goes to what the one before has put in front.

Textual hands a key to the widget that has the focus when the key comes. What that key then does
(open a filter, show a dialog) happens a few messages later; keys typed right behind it would go
to the widget that had the focus before, and do there what they are bound to. Here a key waits
until the one before has been handled, wherever that was, and what it opened can take keys.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from textual import events
from textual.app import App
from textual.message_pump import MessagePump

PATIENCE = 1.0
"""Seconds after which a key is taken for handled: its widget may be gone, or hang."""


class TypeAhead(App[None]):
    """An app that loses no key of a fast typist, and misdirects none."""

    def __init__(self) -> None:
        super().__init__()
        self._typed: deque[events.Key | events.Paste] = deque()
        self._turn = 0
        self._late: asyncio.TimerHandle | None = None

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
            return
        self._typed.append(event)
        if self._late is None:
            await self._hand_on()

    async def _hand_on(self) -> None:
        """Gives the next key to what has the focus now."""
        event = self._typed.popleft()
        self._turn += 1
        turn, target = self._turn, self.focused or self.screen
        loop = asyncio.get_running_loop()
        self._late = loop.call_later(PATIENCE, self.call_later, self._handled, turn)
        await super().on_event(event)
        self._follow(target, turn)

    def _follow(self, pump: MessagePump, turn: int) -> None:
        """Goes the way of the key, right behind it, from a widget up to the app."""
        above = pump._parent
        if pump is self or above is None:
            # Then behind the focus that it moved, and behind the screen that it opened.
            self._go([self._app, self._app, self._front, self._app], turn)
        elif not pump.call_later(self._follow, above, turn):
            self._follow(above, turn)

    def _app(self) -> MessagePump:
        return self

    def _front(self) -> MessagePump:
        return self._screen_stack[-1] if self._screen_stack else self

    def _go(self, through: Sequence[Callable[[], MessagePump]], turn: int) -> None:
        """Goes through queues of messages, then says that the key was handled."""
        if not through:
            self.call_next(self._handled, turn)
        elif not through[0]().call_later(self._go, through[1:], turn):
            self._go(through[1:], turn)

    async def _handled(self, turn: int) -> None:
        """The key of this turn has done its work: the next one may go."""
        if turn != self._turn or self._late is None:
            return
        self._late.cancel()
        self._late = None
        if self._typed and self.is_running:
            await self._hand_on()
