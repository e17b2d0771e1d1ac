"""What the console does about its looks and keys: themes, the key map, preferences."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from dsq.console import keymap, preferences
from dsq.console.dialogs.choose import Choose
from dsq.console.keymap import load_keymap
from dsq.console.preferences import read_preferences, save_preferences
from dsq.console.user.columns import USUAL, all_columns, column_choices
from dsq.console.user.queue_app import QueueApp
from dsq.console.widgets.notice import Notice
from dsq.core import contacts
from dsq.core.contacts import load_contacts
from dsq.core.errors import SettingsError, UsageError, close_matches
from dsq.core.readmodel import Order
from dsq.core.readmodel.model import ORDERS
from dsq.themes.loader import stamps, user_themes

FILES_EVERY = 1.0
"""Seconds between two looks at the user's files."""

UPWARD = frozenset({"id", "name", "status", "provider"})
"""What is sorted upward first; of numbers and times one wants the largest."""

DIGITS = 4
"""Room for a job's number where columns are only chosen."""


class LookApp(QueueApp):
    """The part of the console about what the user likes: colours, keys, columns."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("comma", "settings", "Settings", show=False,
                tooltip="All settings; what is changed is kept", id="app.settings"),
    ]  # fmt: skip

    keeps = True
    """Changes of the preferences are written; not while the file has a mistake."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._themes_seen: dict[Path, int] = {}
        self._files_seen: dict[str, int] = {}

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
        """Uses the user's keys and contacts, and looks after all of the user's files."""
        if self._folder is None:
            return
        self._read_keys(self._note)
        self._read_contacts(self._note)
        self._themes_seen = stamps(self._folder / "themes")
        self._files_seen = self._stamps()
        self.set_interval(FILES_EVERY, self.look_at_files)

    def _note(self, problem: SettingsError) -> None:
        """Keeps what is wrong with a file at the start among the notices."""
        self.notices.add(Notice.of_error(problem, self.now(), "settings"))

    def _report(self, problem: SettingsError) -> None:
        self.report(problem, "settings")

    def _read_keys(self, tell: Callable[[SettingsError], object]) -> None:
        assert self._folder is not None
        keys, problems = load_keymap(self._folder)
        for problem in problems:
            tell(problem)
        self.user_keys = keys
        self.set_keymap(keys)

    def _read_contacts(self, tell: Callable[[SettingsError], object]) -> None:
        assert self._folder is not None
        try:
            self.state.contacts = load_contacts(self._folder)
        except SettingsError as error:
            tell(error)

    def _stamps(self) -> dict[str, int]:
        """When the user's files were written last."""
        assert self._folder is not None
        found: dict[str, int] = {}
        for name in (preferences.FILE, keymap.FILE, contacts.FILE):
            with contextlib.suppress(OSError):
                found[name] = (self._folder / name).stat().st_mtime_ns
        return found

    def look_at_files(self) -> None:
        """Takes what has changed in the user's files at once."""
        self._reload_themes()
        before, self._files_seen = self._files_seen, self._stamps()
        changed = {
            name
            for name in before.keys() | self._files_seen.keys()
            if before.get(name) != self._files_seen.get(name)
        }
        if preferences.FILE in changed:
            self._reload_preferences()
        if keymap.FILE in changed:
            self._read_keys(self._report)
            self.refresh_bindings()
        if contacts.FILE in changed:
            self._read_contacts(self._report)

    def _reload_preferences(self) -> None:
        assert self._folder is not None
        wanted, problem = read_preferences(self._folder)
        self.keeps = problem is None
        if problem is not None:
            self._report(problem)
        if wanted != self.preferences:
            self.preferences = wanted
            self._take_theme()
            self.state.touch()

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

    @property
    def settings_folder(self) -> Path | None:
        """Where the user's files are."""
        return self._folder

    def prefer(self, **changes: Any) -> None:
        """Changes preferences, and keeps them for the next start."""
        self.preferences = self.preferences.model_copy(update=changes)
        self.state.touch()
        if self._folder is None:
            return
        if not self.keeps:
            text = f"{preferences.FILE} has a mistake: this is not kept."
            self.tell(text, "settings", severity="warning")
            return
        try:
            save_preferences(self._folder, self.preferences)
        except OSError as error:
            self.report(error, "save the settings")
        self._files_seen = self._stamps()

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

    def ask_sort(self) -> None:
        """Asks what the jobs are sorted by; the same again turns the order round."""
        now = self.order()
        keys = list(ORDERS)

        def chosen(index: int | None) -> None:
            if index is not None:
                by = keys[index]
                down = not now.descending if by == now.by else by not in UPWARD
                self.prefer_jobs(sort=f"{'-' if down else ''}{by}")

        way = "downward" if now.descending else "upward"
        rows = [(key, f"now, {way}; again turns it round" if key == now.by else "") for key in keys]
        self.push_screen(Choose("Sort by", rows), chosen)

    def ask_columns(self) -> None:
        """Asks for the columns of the table of jobs."""
        from dsq.console.dialogs.columns import ChooseColumns

        def chosen(columns: tuple[str, ...] | None) -> None:
            if columns is not None:
                self.prefer_jobs(columns=() if columns == USUAL else columns)

        known = all_columns(self.state, self.moment, DIGITS)
        choices = column_choices(known, self.preferences.jobs.columns)
        self.push_screen(ChooseColumns(choices), chosen)

    def action_settings(self) -> None:
        """Shows everything that can be set."""
        from dsq.console.dialogs.settings import Settings

        if not isinstance(self.screen, Settings):
            self.push_screen(Settings(self))

    def try_telling(self) -> None:
        """Tells outside the screen as it is done when a job ends."""
