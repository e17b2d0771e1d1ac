"""All settings on one page: what is set, what it means; enter changes it, at once and for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from dsq.console.dialogs.ask_text import AskText
from dsq.console.dialogs.base import Dialog
from dsq.console.preferences import FILE, LONGEST_LOCK, Preferences
from dsq.console.widgets.lines import Lines
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import plural

if TYPE_CHECKING:
    from dsq.console.user.look_app import LookApp


@dataclass(frozen=True)
class Setting:
    """A line of the page.

    Attributes:
        key: Its name in ``console.toml``; "" for what is only done.
        words: What it means, one sentence.
        value: What it is now, in words.
        change: What enter does.
    """

    key: str
    words: str
    value: str
    change: Callable[[], None]


def on_off(value: bool) -> str:
    """In words, with a sign beside them."""
    return "● on" if value else "○ off"


class Settings(Dialog[None]):
    """The page. What is chosen is used at once and kept in ``console.toml``."""

    TITLE_TEXT = "Settings"

    DEFAULT_CSS = """
    Settings > .box { width: 100; max-height: 95%; }
    Settings OptionList { height: auto; max-height: 14; background: $surface; border: none;
                          padding: 0; margin-bottom: 1; text-wrap: nowrap;
                          text-overflow: ellipsis; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "change", "Change", tooltip="Change the setting",
                id="settings.change"),
    ]  # fmt: skip

    def __init__(self, app: LookApp) -> None:
        super().__init__()
        self._of = app
        self._rows: list[Setting] = []

    def compose_box(self) -> ComposeResult:
        yield OptionList(compact=True)
        yield Lines(id="about", classes="sentence")

    def on_mount(self) -> None:
        self._show()

    def on_screen_resume(self) -> None:
        self._show()

    def settings(self) -> list[Setting]:
        """The lines of the page, in their order."""
        app, now = self._of, self._of.preferences
        lock = f"after {plural(now.lock_minutes, 'minute')}" if now.lock_minutes else "never"
        columns = plural(len(now.jobs.columns), "column") if now.jobs.columns else "the usual"
        sort = f"{now.jobs.sort.lstrip('-')} {'↓' if now.jobs.sort.startswith('-') else '↑'}"
        return [
            Setting("theme", "colours, also ctrl+t", now.theme, app.action_theme),
            Setting("lock_minutes", "lock the wallet when no key was pressed so long", lock,
                    self._ask_lock),
            Setting("jobs.columns", "the table of jobs: which columns", columns, app.ask_columns),
            Setting("jobs.sort", "the table of jobs: sorted by", sort, app.ask_sort),
            Setting("jobs.fold", "the table of jobs: one row for a sweep", on_off(now.jobs.fold),
                    lambda: app.prefer_jobs(fold=not now.jobs.fold)),
            self._telling("bell", "a job ends: ring the terminal's bell"),
            self._telling("terminal", "a job ends: the terminal's notification"),
            self._telling("desktop", "a job ends: the desktop's notification, if any"),
            Setting("", "tell now, as at the end of a job", "try it", app.try_telling),
        ]  # fmt: skip

    def _telling(self, name: str, words: str) -> Setting:
        now: bool = getattr(self._of.preferences.notify, name)

        def turn() -> None:
            notify = self._of.preferences.notify.model_copy(update={name: not now})
            self._of.prefer(notify=notify)

        return Setting(f"notify.{name}", words, on_off(now), turn)

    def _show(self) -> None:
        options = self.query_one(OptionList)
        at = options.highlighted or 0
        self._rows = self.settings()
        options.clear_options()
        for row in self._rows:
            value = one_line(row.value, 18)
            text = Content.assemble((f"{value:<18} ", "bold"), row.words)
            options.add_option(Option(text))
        options.highlighted = min(at, len(self._rows) - 1)
        options.focus()
        self._about()

    def _about(self) -> None:
        """Where it is kept, and what else can be written there."""
        folder = self._of.settings_folder
        if folder is None:
            lines = [[("Kept until the end only: there is no settings folder.", "warning")]]
        elif not self._of.keeps:
            text = f"{FILE} has a mistake (see the notices): what is changed here is not kept."
            lines = [[(text, "warning")]]
        else:
            lines = [[(f"Kept in {one_line(str(folder / FILE), 200)}", "muted")]]
        beside = "Beside it: keys.toml, contacts.toml, themes/. A change in a file counts at once."
        self.query_one("#about", Lines).show([*lines, [(beside, "muted")]])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self._rows[event.option_index].change()
        if self.is_current:
            self._show()

    def action_change(self) -> None:
        self.query_one(OptionList).action_select()

    def _ask_lock(self) -> None:
        def answered(text: str | None) -> None:
            if text is None:
                return
            if text.strip().isdecimal() and int(text) <= LONGEST_LOCK:
                self._of.prefer(lock_minutes=int(text))
                self._show()
                return
            words = f"'{one_line(text, 20)}' is no number of minutes from 0 to {LONGEST_LOCK}."
            self._of.tell(words, "settings", severity="warning")

        title = "Lock after how many minutes without a key pressed? 0 never locks."
        now = str(self._of.preferences.lock_minutes)
        self.app.push_screen(AskText(title, now, str(Preferences().lock_minutes)), answered)
