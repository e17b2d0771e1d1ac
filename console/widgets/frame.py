"""The frame of both consoles: top line, tabs, banner, keys, help; the tick that repaints.

:class:`DsqApp` holds themes, the palette of commands and the tick; :class:`Frame` is a full
screen of such an app. What is shown in them the apps say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, ClassVar

from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.notifications import SeverityLevel
from textual.screen import Screen

from dsq.console import quick
from dsq.console.dialogs.choose import Choose
from dsq.console.dialogs.help import Help, help_lines
from dsq.console.widgets.bars import Banner, KeyBar, Part, Tabs, TopBar
from dsq.console.widgets.notice import Notice, NoticeBook
from dsq.console.widgets.palette import (
    default_variables,
    is_high_contrast,
    register_themes,
    to_textual,
)
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.typeahead import TypeAhead
from dsq.console.widgets.words import Moment
from dsq.themes.loader import ThemeFile

TICK = 0.1
"""Seconds between looks at the state: changes are painted ten times a second at most."""


class Frame(Screen[None]):
    """A full screen. Subclasses say what is in the middle and in the lines around it."""

    # Declared as the base class does, which has no ClassVar here.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (130, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-tall")]  # noqa: RUF012

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", tooltip="All keys that work here", id="view.help"),
    ]

    VIEWS: ClassVar[Sequence[str]] = ()
    """All views of the app, in the order of their number keys."""
    VIEW: ClassVar[str] = ""
    """The tab this screen belongs to."""
    ABOUT: ClassVar[str] = ""
    """What the view is for, shown above its keys."""

    _mounted = False

    def compose(self) -> ComposeResult:
        yield TopBar(id="top")
        yield Tabs(self.VIEWS, self.VIEW)
        yield Banner()
        yield from self.compose_view()
        yield KeyBar()

    def compose_view(self) -> ComposeResult:
        """The middle of the screen."""
        yield from ()

    @property
    def moment(self) -> Moment:
        """The present, for drawing."""
        return self.dsq_app.moment()

    @property
    def dsq_app(self) -> DsqApp:
        """The app, by its own type."""
        assert isinstance(self.app, DsqApp)
        return self.app

    @property
    def ready(self) -> bool:
        """It is in front and whole: there is something to bring up to date."""
        return self._mounted and self.app.is_running and self.is_current

    def on_mount(self) -> None:
        # Textual calls this after the subclass's own on_mount.
        self._mounted = True
        self.tick(changed=True)

    def on_screen_resume(self) -> None:
        self.tick(changed=True)

    def tick(self, *, changed: bool) -> None:
        """Called ten times a second at most; ``changed`` when the state has.

        Once a second it is called without a change, for what time alone moves.
        """
        if not self.ready:
            return
        self.query_one("#top", TopBar).show(self.top_parts())
        self.query_one(Tabs).show(self.tab_badges(), self.tab_note())
        self.query_one(Banner).show(self.banner_text())
        self.update_view(changed=changed)

    def top_parts(self) -> list[Part]:
        """The top line."""
        return []

    def tab_badges(self) -> dict[str, str]:
        """Words behind the names of views."""
        return {}

    def tab_note(self) -> str:
        """Words at the right end of the line of tabs."""
        return ""

    def banner_text(self) -> str:
        """What is wrong; nothing hides the banner."""
        return ""

    def update_view(self, *, changed: bool) -> None:
        """Brings the middle of the screen up to date."""

    def action_help(self) -> None:
        self.app.push_screen(Help(help_lines(self.app, self, self.ABOUT)))


class DsqApp(TypeAhead):
    """An app made of :class:`Frame` screens, one mode a view.

    Args:
        now: Unix seconds; tests freeze it.
        zone: Time zone to show times in; the machine's when None.
        themes: The user's own themes.

    Attributes:
        failure: What ended the app; :meth:`run` raises it after the screen has gone.
        user_keys: The user's own keys by the names of bindings.
    """

    TITLE = "dsq"
    COMMAND_PALETTE_BINDING = "ctrl+p"
    NOTIFICATION_TIMEOUT = 4

    CSS = """
    Button.-error { background: $error; color: $background; }
    Button.-primary { background: $primary; color: $background; }
    Button:focus { background: $foreground; color: $background; text-style: bold; }
    Input { background: $panel; }
    Input:focus { background: $cursor; color: $cursor-text; }
    Input > .input--placeholder, Input > .input--suggestion { color: $muted; }
    Toast { background: $panel; color: $foreground; }
    CommandPalette { background: $background 60%; }
    CommandPalette SearchIcon { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "colon,ctrl+p",
            "command_palette",
            "Commands",
            show=False,
            tooltip="All commands, with search",
            id="app.commands",
        ),
        Binding("ctrl+t", "theme", "Theme", show=False, tooltip="Choose a theme", id="app.theme"),
        Binding("q,ctrl+q", "quit", "Quit", show=False, tooltip="Leave", id="app.quit"),
    ]

    def __init__(
        self,
        *,
        now: Callable[[], float],
        zone: tzinfo | None = None,
        themes: Sequence[ThemeFile] = (),
    ) -> None:
        super().__init__()
        register_themes(self, list(themes))
        self.now = now
        self.zone = zone
        self.notices = NoticeBook()
        self.user_keys: Mapping[str, str] = {}
        self.failure: BaseException | None = None
        self._painted: tuple[Hashable, int] = (None, -1)

    def run(self, **options: Any) -> Any:
        """Shows the app until the user leaves.

        Raises:
            DsqError: The app could not do its work, with the reason.
        """
        result = super().run(**options)
        if self.failure is not None:
            raise self.failure
        return result

    def fail(self, error: BaseException) -> None:
        """Ends the app with an error."""
        self.failure = error
        self.exit()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return default_variables()

    def moment(self) -> Moment:
        """The present, for drawing."""
        return Moment(self.now(), self.zone)

    def on_mount(self) -> None:
        self.set_interval(TICK, self.tick)

    def on_ready(self) -> None:
        # Textual says so when the first picture is on the terminal.
        quick.steady()

    def tick(self) -> None:
        """Tells the screen in front that something has changed, or that a second went by."""
        if not self.is_running:
            return
        revision, second = self.revision(), int(self.now())
        changed = revision != self._painted[0]
        screen = self.screen
        if changed or second != self._painted[1]:
            if changed:
                self.on_change()
            if isinstance(screen, Frame) and screen.ready:
                self._painted = (revision, second)
                screen.tick(changed=changed)

    def revision(self) -> Hashable:
        """Differs from its last value when there is something new to show."""
        return None

    def on_change(self) -> None:
        """Called before a change is painted, whatever is in front."""

    # -- what every view can do -------------------------------------------------------

    def tell(self, text: str, subject: str, *, severity: SeverityLevel = "information") -> None:
        """Says something now, and keeps it among the notices."""
        self.notices.add(Notice(self.now(), severity, text, "", subject))
        self._show_toast(one_line(text, 300), severity=severity)

    def report(self, error: BaseException, subject: str) -> Notice:
        """Says what went wrong, and keeps it with its hint among the notices."""
        notice = Notice.of_error(error, self.now(), subject)
        self.notices.add(notice)
        text = one_line(f"{notice.text} {notice.hint}".strip(), 300)
        title = f"{one_line(subject, 40)} failed"
        self._show_toast(text, title=title, severity="error", timeout=8)
        return notice

    def _show_toast(
        self,
        text: str,
        *,
        severity: SeverityLevel,
        title: str = "",
        timeout: float | None = None,
    ) -> None:
        # One at a time: a pile of them would hide the screen, and the notices keep them all.
        self.clear_notifications()
        self.notify(text, title=title, severity=severity, timeout=timeout, markup=False)

    def copy(self, text: str, what: str) -> None:
        """Puts text into the clipboard of the terminal (OSC 52)."""
        self.copy_to_clipboard(text)
        self.notify(f"Copied {what}.", timeout=2, markup=False)

    def action_view(self, name: str) -> None:
        self.switch_mode(name)

    async def action_back(self) -> None:
        if len(self.screen_stack) > 1:
            self.pop_screen()

    def action_theme(self) -> None:
        names = sorted(self.available_themes)

        def chosen(index: int | None) -> None:
            if index is not None:
                self.theme = names[index]
                self.theme_chosen(names[index])

        choices = [(name, self._theme_words(name)) for name in names]
        self.push_screen(Choose("Theme", choices), chosen)

    def theme_chosen(self, name: str) -> None:
        """Called when the user has chosen a theme."""

    def offer_themes(self, themes: Sequence[ThemeFile]) -> None:
        """Offers the user's themes as they are now; the one in use changes at once."""
        for theme in themes:
            self.register_theme(to_textual(theme))
        if self.theme in {theme.name for theme in themes}:
            self._watch_theme(self.theme)

    def _theme_words(self, name: str) -> str:
        theme = self.available_themes[name]
        kind = "dark" if theme.dark else "light"
        if is_high_contrast(theme):
            kind = f"{kind}, high contrast"
        return f"{kind}, in use" if name == self.theme else kind

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The commands of the palette: every key that works now, by its words."""
        seen: set[str] = set()
        for node, binding, enabled, _ in screen.active_bindings.values():
            known = binding.action in seen or binding.action == "command_palette"
            moves = (binding.id or "table.").startswith(("table.", "log.")) and not binding.show
            if known or moves or not enabled or not binding.description:
                continue
            seen.add(binding.action)
            words = f"{binding.tooltip or binding.description}  ({self.get_key_display(binding)})"
            yield SystemCommand(binding.description, words, self._runner(binding.action, node))

    def _runner(self, action: str, node: DOMNode) -> Callable[[], Awaitable[bool]]:
        return lambda: self.run_action(action, node)


def number_keys(views: Sequence[str]) -> list[BindingType]:
    """Bindings that switch views by their numbers."""
    return [
        Binding(
            str(number),
            f"view('{name.lower()}')",
            name,
            show=False,
            tooltip=f"Go to {name}",
            id=f"app.{name.lower()}",
        )
        for number, name in enumerate(views, 1)
    ]
