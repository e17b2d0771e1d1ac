"""The guided page of a first start: a grid, a wallet, credits, then the first job.

Nothing is written before grid and wallet are both chosen; a local grid that is started here
goes on starting by itself if the page is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from dsq.console.dialogs.base import Dialog
from dsq.console.dialogs.new_key import MakeKey, NewKey
from dsq.console.user.access import GridChoice, default_home, known_grids, known_keys
from dsq.console.user.setup import free_name, keep_key, remember
from dsq.console.widgets.lines import Line, Lines
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import credits_text
from dsq.core.config import GridConfig, load_grid
from dsq.core.errors import DsqError
from dsq.core.wallet import KeyRef

if TYPE_CHECKING:
    from dsq.console.user.app import ConsoleApp

STEPS = ("Grid", "Wallet", "Credits", "First job")
PROGRESS_LINES = 8
LOOK_EVERY = 0.3

Choice = tuple[str, str, Callable[[], None]]
"""Name, sentence, what it does."""

ABOUT: dict[int, Sequence[str]] = {
    0: (
        "dsq-console submits jobs to a grid, watches them and pays for them.",
        "Which grid do you use? One that others run is known by its address book",
        "or the settings (docs/reference/settings.md); one of your own starts here.",
    ),
    1: (
        "Which wallet pays? It is a key file in your settings folder, closed by a",
        "passphrase. The key of a local grid holds credits already.",
    ),
    2: ("Jobs are paid with credits. What a job does not use comes back at its end.",),
}


class FirstRun(Dialog[bool]):
    """The page. Returns True when the first job may be written, None when it was left.

    Args:
        folder: The settings folder.
    """

    TITLE_TEXT = "Welcome to dsq"

    DEFAULT_CSS = """
    FirstRun > .box { width: 100; height: auto; max-height: 95%; min-height: 18; padding: 1 2; }
    FirstRun OptionList { height: auto; max-height: 12; background: $surface; border: none;
                          padding: 0; margin: 1 0; text-wrap: nowrap; text-overflow: ellipsis; }
    FirstRun #about, FirstRun #facts, FirstRun #progress { height: auto; }
    FirstRun #steps, FirstRun #about { margin-bottom: 1; }
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._step = 0
        self._grid: GridChoice | None = None
        self._choices: list[Choice] = []
        self._progress: list[str] = []
        self._busy = False
        self._credits_for: object = None
        self._asked_grid = False

    @property
    def console_app(self) -> ConsoleApp:
        app: ConsoleApp = self.app  # type: ignore[assignment]
        return app

    def compose_box(self) -> ComposeResult:
        yield Lines(id="steps")
        yield Lines(id="about")
        yield Lines(id="facts")
        yield OptionList(compact=True)
        yield Lines(id="progress")
        yield Lines(id="sentence", classes="sentence")

    def on_mount(self) -> None:
        access = self.console_app.access
        config = access.config if access is not None else None
        if config is not None:
            self._grid = GridChoice(self.console_app.state.grid_name, "", config, config.home)
            self._to_wallet()
        else:
            self._asked_grid = True
            self._to_grid()
        self.set_interval(LOOK_EVERY, self._look)

    # -- painting --------------------------------------------------------------------------

    def _show(self, step: int, choices: list[Choice], facts: Sequence[Line] = ()) -> None:
        self._step, self._choices = step, choices
        spans: list[tuple[str, str]] = []
        for number, name in enumerate(STEPS):
            mark = "✓" if number < step else "▸" if number == step else "·"
            style = "bold foreground" if number == step else "muted"
            spans.append((f"{mark} {number + 1} {name}   ", style))
        self.query_one("#steps", Lines).show([spans])
        about: list[Line] = [[(text, "foreground")] for text in ABOUT[step]]
        self.query_one("#about", Lines).show(about)
        self.query_one("#facts", Lines).show(facts)
        options = self.query_one(OptionList)
        options.clear_options()
        width = max((len(name) for name, _, _ in choices), default=0)
        for name, words, _ in choices:
            text = Content.assemble((f"{name:<{width}}  ", "bold"), words)
            options.add_option(Option(text))
        options.display = bool(choices)
        if choices:
            options.highlighted = 0
            options.focus()

    def _say(self, text: str, style: str = "error") -> None:
        self.query_one("#sentence", Lines).show([[(one_line(text, 300), style)]])

    def _tell(self, text: str) -> None:
        self._progress = [*self._progress, one_line(text, 90)][-PROGRESS_LINES:]
        lines: list[Line] = [[("  ", "muted"), (each, "muted")] for each in self._progress]
        self.query_one("#progress", Lines).show(lines)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if not self._busy:
            self._choices[event.option_index][2]()

    def action_leave(self) -> None:
        """One step back; out of the console before anything is chosen, to its views after."""
        if self._step == 1 and self._asked_grid and not self._busy:
            self._say("", "muted")
            self._progress_done()
            self._to_grid()
        elif self._step < 2:
            self.console_app.exit()
        else:
            self.dismiss(None)

    def _progress_done(self) -> None:
        self._progress = []
        self.query_one("#progress", Lines).show([])

    # -- the grid --------------------------------------------------------------------------

    def _to_grid(self) -> None:
        try:
            grids = known_grids()
        except DsqError as error:
            grids = []
            self._say(str(error))
        home = default_home()
        choices: list[Choice] = [
            (one_line(each.name, 24), one_line(each.words, 70), partial(self._take, each))
            for each in grids
        ]
        if not any(each.home == home.absolute() for each in grids):
            words = f"on this machine, takes some seconds; in {home}"
            choices.append(("start a local grid", words, lambda: self._start("local", home)))
        self._show(0, choices)

    def _take(self, choice: GridChoice) -> None:
        from dsq.console.local.held import is_kept
        from dsq.console.local.home import Home

        if choice.home is not None and not is_kept(Home(choice.home)):
            self._start(choice.name, choice.home)
            return
        self._grid = choice
        self._to_wallet()

    def _start(self, name: str, home: Path) -> None:
        self._busy = True
        self._progress = []
        self._say("Starting the grid. It goes on by itself if you leave.", "muted")
        self.run_worker(self._starting(name, home), exit_on_error=False)

    async def _starting(self, name: str, home: Path) -> None:
        access = self.console_app.access
        assert access is not None
        try:
            await access.starter(home, self._tell)
            config = load_grid(home=home)
        except DsqError as error:
            self._say(str(error))
            return
        finally:
            self._busy = False
        self._progress_done()
        self._say("The local grid runs. 'dsq down' stops it.", "success")
        self._grid = GridChoice(name, "", config, config.home)
        self._to_wallet()

    # -- the wallet ------------------------------------------------------------------------

    def _to_wallet(self) -> None:
        assert self._grid is not None
        keys = known_keys(self._folder, self._grid.config)
        choices: list[Choice] = [
            (one_line(each.name, 24), each.words, partial(self._finish, each.ref, None))
            for each in keys
        ]
        choices.append(("make a new key", "for this user", lambda: self._make(imports=False)))
        choices.append(("import a key", "64 hexadecimal digits", lambda: self._make(imports=True)))
        facts: list[Line] = [[("grid  ", "muted"), (one_line(self._grid.name, 40), "foreground")]]
        self._show(1, choices, facts)

    def _make(self, *, imports: bool) -> None:
        def made(key: NewKey | None) -> None:
            if key is not None:
                self._finish(None, key)

        taken = {path.stem for path in (self._folder / "keys").glob("*.json")}
        self.app.push_screen(MakeKey(free_name(self._folder), taken, imports=imports), made)

    def _finish(self, ref: KeyRef | None, key: NewKey | None) -> None:
        self._busy = True
        self._say("Writing the key file…" if key is not None else "", "muted")
        self.run_worker(self._finishing(ref, key), exit_on_error=False)

    async def _finishing(self, ref: KeyRef | None, key: NewKey | None) -> None:
        grid = self._grid
        assert grid is not None
        assert grid.config is not None
        try:
            ref = await asyncio.to_thread(self._write, grid, grid.config, ref, key)
        except DsqError as error:
            self._say(str(error))
            return
        finally:
            self._busy = False
        app = self.console_app
        self._say("", "muted")
        app.switch(grid.name, grid.config, ref, key.wallet if key is not None else None)
        self._progress_done()
        self._show(2, [], [[("Connecting…", "muted")]])

    def _write(
        self, grid: GridChoice, config: GridConfig, ref: KeyRef | None, key: NewKey | None
    ) -> KeyRef:
        """Keeps both choices, or neither."""
        own = config.wallet
        if key is not None:
            ref = keep_key(self._folder, key.name, key.wallet, key.passphrase)
        assert ref is not None
        chosen = ref.key_file if own is None or own.key_file != ref.key_file else None
        try:
            name = None if grid.name == "environment" else grid.name
            remember(self._folder, grid=name, home=grid.home, key_file=chosen)
        except DsqError:
            if key is not None and ref.key_file is not None:
                ref.key_file.unlink()
            raise
        return ref

    # -- credits ---------------------------------------------------------------------------

    def _look(self) -> None:
        """Shows what the wallet holds, as soon as it is known and when it changes."""
        if self._step != 2 or not self.is_current:
            return
        state = self.console_app.state
        balance = state.balance
        now = (state.link, balance, state.constants)
        if now == self._credits_for:
            return
        self._credits_for = now
        facts: list[Line] = [[("wallet   ", "muted"), (str(state.address), "bold foreground")]]
        if balance is None:
            words = state.link.reason if state.link.state == "offline" else "Connecting…"
            facts.append([(one_line(words, 200), "warning")])
            self._show(2, [], facts)
            return
        money = f"{credits_text(balance.balance_wei)} credits"
        facts.append([("balance  ", "muted"), (money, "foreground")])
        choices: list[Choice] = []
        if balance.faucet_wei:
            words = f"{credits_text(balance.faucet_wei)} credits from the grid's faucet"
            choices.append(("collect", words, self.console_app.claim_faucet))
        least = state.constants.minimum_amount if state.constants is not None else 1
        if balance.balance_wei < least and not balance.faucet_wei:
            text = f"A job locks at least {credits_text(least)}: ask the grid's operator for some."
            facts.append([(text, "warning")])
        choices.append(("go on", "to the first job: hello world", lambda: self._leave_well()))
        self._show(2, choices, facts)

    def _leave_well(self) -> None:
        self.dismiss(True)
