"""What the console does about its looks and keys: themes, the key map, preferences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dsq.console.keymap import load_keymap
from dsq.console.preferences import save_preferences
from dsq.console.user.queue_app import QueueApp
from dsq.console.widgets.notice import Notice
from dsq.core.contacts import load_contacts
from dsq.core.errors import SettingsError, UsageError, close_matches
from dsq.core.readmodel import Order
from dsq.themes.loader import stamps, user_themes

THEMES_EVERY = 1.0
"""Seconds between two looks at the user's theme files."""


class LookApp(QueueApp):
    """The part of the console about what the user likes: colours, keys, columns."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._themes_seen: dict[Path, int] = {}

    # -- themes and keys ---------------------------------------------------------------------

    def _take_theme(self) -> None:
        """Uses the preferred theme."""
        name = self.preferences.theme
        if name in self.available_themes:
            self.theme = name
            return
        text = f"There is no theme '{name}'.{close_matches(name, self.available_themes)}"
        self.notices.add(Notice(self.now(), "warning", text, "ctrl+t shows them.", "settings"))

    def _take_keys(self) -> None:
        """Uses the user's keys, and looks after the user's themes."""
        if self._folder is None:
            return
        keys, problems = load_keymap(self._folder)
        try:
            self.state.contacts = load_contacts(self._folder)
        except SettingsError as error:
            problems.append(error)
        for problem in problems:
            self.notices.add(Notice.of_error(problem, self.now(), "keys"))
        self.user_keys = keys
        self.set_keymap(keys)
        self._themes_seen = stamps(self._folder / "themes")
        self.set_interval(THEMES_EVERY, self._reload_themes)

    def _reload_themes(self) -> None:
        """Takes changed theme files at once; a mistake in one is told, and the old colours stay."""
        assert self._folder is not None
        folder = self._folder / "themes"
        seen = stamps(folder)
        if seen == self._themes_seen:
            return
        self._themes_seen = seen
        themes, problems = user_themes(folder)
        for problem in problems:
            self.report(problem, "theme")
        self.offer_themes(themes)

    def theme_chosen(self, name: str) -> None:
        self.prefer(theme=name)

    # -- preferences -------------------------------------------------------------------------

    def prefer(self, **changes: Any) -> None:
        """Changes preferences, and keeps them for the next start."""
        self.preferences = self.preferences.model_copy(update=changes)
        if self._folder is None:
            return
        try:
            save_preferences(self._folder, self.preferences)
        except OSError as error:
            self.report(error, "save the settings")

    def prefer_jobs(self, **changes: Any) -> None:
        """The same for the table of jobs."""
        self.prefer(jobs=self.preferences.jobs.model_copy(update=changes))

    def order(self) -> Order:
        """What the table of jobs is sorted by, by the preferences."""
        try:
            return Order.parse(self.preferences.jobs.sort)
        except UsageError as error:
            self.notices.add(Notice.of_error(error, self.now(), "settings"))
            return Order()
