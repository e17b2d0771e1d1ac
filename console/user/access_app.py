"""What the console does about keys and grids: unlock, lock on idle, switch, guide a first run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import events

from dsq.console.dialogs.choose import Choose
from dsq.console.dialogs.unlock import Unlock
from dsq.console.preferences import Preferences
from dsq.console.user.access import Access, GridChoice, address_of, known_grids, known_keys
from dsq.console.user.feed import Feed
from dsq.console.user.state import ConsoleState
from dsq.console.widgets.frame import DsqApp
from dsq.console.widgets.safe import one_line
from dsq.core.config import GridConfig
from dsq.core.errors import DsqError
from dsq.core.wallet import KeyRef, Wallet

if TYPE_CHECKING:
    from dsq.console.dialogs.new_key import NewKey

Then = Callable[[], None]
IN_USE = "in use; "


class AccessApp(DsqApp):
    """The part of the console about the key and the grid in use.

    Attributes:
        access: None when the grid was opened by others, as in tests: nothing is locked then.
        generation: Grows with each switch; screens of before then close.
        recorded: What the grid answers is being recorded.
        busy: Actions under way that sign; the key stays open for them.
    """

    access: Access | None
    state: ConsoleState
    feed: Feed
    read_only: bool
    preferences: Preferences
    recorded = False
    generation = 0
    busy = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._folder: Path | None = None
        self._touched = 0.0

    # -- locking ---------------------------------------------------------------------------

    @property
    def locked(self) -> bool:
        """A passphrase is needed before anything can be signed."""
        access = self.access
        return (
            access is not None
            and access.wallet is None
            and access.ready
            and (self.read_only or not access.unattended)
        )

    def sign(self, then: Then, why: str = "The key is needed to sign what you asked for.") -> None:
        """Does something that signs; asks for the passphrase first if the key is locked."""
        if not self.locked:
            then()
            return
        access = self.access
        assert access is not None

        def answered(opened: bool | None) -> None:
            if opened:
                then()

        self.push_screen(Unlock(access.key_name, why, self._unlock), answered)

    def act(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs something that signs; the key stays open meanwhile."""
        self.run_worker(self._acting(work), exit_on_error=False)

    async def _acting(self, work: Coroutine[Any, Any, None]) -> None:
        self.busy += 1
        try:
            await work
        finally:
            self.busy -= 1

    def offline_refuses(self, what: str) -> bool:
        """Says that something needs the grid, while there is no connection to it."""
        if self.state.link.online:
            return False
        text = f"There is no connection to the grid: {what} is not possible now, nothing was done."
        self.tell(text, "connection", severity="warning")
        return True

    async def _unlock(self, passphrase: str) -> None:
        access = self.access
        assert access is not None
        wallet = await access.unlock(passphrase)
        self._touched = self.now()
        try:
            if self.feed.grid is not None:
                await self.feed.grid.use(wallet)
        except DsqError:
            access.lock()
            raise
        self.state.locked = False
        self.state.touch()
        self.logs_again()

    def action_lock(self) -> None:
        if self.locked:
            self.sign(lambda: None, "The key stays open until it is locked.")
        elif self.access is not None and not self.access.unattended:
            self.lock()

    def lock(self) -> None:
        """Drops the key from memory; looking goes on."""
        access = self.access
        if access is None or access.wallet is None:
            return
        access.lock()
        self.state.locked = True
        self.state.touch()
        self.run_worker(self._drop(), group="lock", exit_on_error=False)

    async def _drop(self) -> None:
        if self.feed.grid is not None:
            await self.feed.grid.use(None)
        self.tell("The wallet is locked; what signs asks for the passphrase.", "wallet")

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.InputEvent):
            self._touched = self.now()
        await super().on_event(event)

    def lock_if_idle(self) -> None:
        """Locks when nothing was pressed for as long as the preferences say."""
        minutes, access = self.preferences.lock_minutes, self.access
        if not minutes or access is None or access.wallet is None or access.unattended:
            return
        if not self._touched:
            self._touched = self.now()
        if not self.busy and self.now() - self._touched >= minutes * 60:
            self.lock()

    def logs_again(self) -> None:
        """Reads logs again that could not be read without the key."""

    # -- switching -------------------------------------------------------------------------

    def action_switch(self) -> None:
        """Asks which grid, then which key, and goes there."""
        access = self.access
        if access is None:
            return
        if self.recorded:
            self.tell("A recording is of one wallet on one grid.", "grid", severity="warning")
            return
        try:
            grids = known_grids()
        except DsqError as error:
            self.report(error, "settings")
            return
        used = access.config
        if used is not None and not any(each.config == used for each in grids):
            same = [each for each in grids if each.home is not None and each.home == used.home]
            if not same:
                grids.insert(0, GridChoice(self.state.grid_name, used.rpc_url, used, used.home))

        def named(index: int | None) -> None:
            if index is not None:
                config = grids[index].config
                assert config is not None
                self._ask_key(grids[index].name, config)

        rows = [(one_line(each.name, 24), self._grid_words(each)) for each in grids]
        self.push_screen(Choose("Grid", rows), named)

    def _grid_words(self, choice: GridChoice) -> str:
        used = choice.name == self.state.grid_name
        return (IN_USE if used else "") + one_line(choice.words, 80)

    def _ask_key(self, name: str, config: GridConfig) -> None:
        access, folder = self.access, self._folder
        assert access is not None
        keys = known_keys(folder, config) if folder is not None else []
        rows = []
        for each in keys:
            used = address_of(each.ref) == self.state.address
            rows.append((each.name, (IN_USE if used else "") + each.words))
        more = [("+ new", "make a new key"), ("+ import", "import a private key")]

        def chosen(index: int | None) -> None:
            if index is None:
                return
            if index < len(keys):
                self.switch(name, config, keys[index].ref)
            else:
                self._make_key(name, config, imports=index > len(keys))

        writable = folder is not None and not self.read_only
        title = f"Wallet on {one_line(name, 24)}"
        self.push_screen(Choose(title, rows + (more if writable else [])), chosen)

    def _make_key(self, name: str, config: GridConfig, *, imports: bool) -> None:
        from dsq.console.dialogs.new_key import MakeKey
        from dsq.console.user.setup import free_name

        folder = self._folder
        assert folder is not None

        def made(key: NewKey | None) -> None:
            if key is not None:
                self.run_worker(self._keep(folder, name, config, key), exit_on_error=False)

        taken = {path.stem for path in (folder / "keys").glob("*.json")}
        self.push_screen(MakeKey(free_name(folder), taken, imports=imports), made)

    async def _keep(self, folder: Path, name: str, config: GridConfig, key: NewKey) -> None:
        from dsq.console.user.setup import keep_key

        try:
            ref = await asyncio.to_thread(keep_key, folder, key.name, key.wallet, key.passphrase)
        except DsqError as error:
            self.report(error, "wallet")
            return
        self.switch(name, config, ref, key.wallet)

    def switch(
        self, name: str, config: GridConfig, ref: KeyRef, wallet: Wallet | None = None
    ) -> None:
        """Goes to another grid or wallet: reconnects, and shows what is known of it.

        Args:
            name: What the top line calls the grid.
            config: The grid.
            ref: The key.
            wallet: The key, if it is open.
        """
        access = self.access
        assert access is not None
        if self.busy:
            self.bell()
            return
        access.choose(config, ref, wallet)
        self.generation += 1
        self.workers.cancel_group(self, "feed")
        self.forget_logs()
        self.state.forget(one_line(name, 24))
        self.restart()

    def forget_logs(self) -> None:
        """Drops the logs of the account of before."""

    def restart(self) -> None:
        """Connects to what :attr:`access` names."""
