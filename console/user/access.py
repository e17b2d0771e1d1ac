"""Which grid the console uses, through which key, and whether that key is open.

A key that needs its passphrase is opened when something is to be signed, and can be dropped
from memory again; looking needs only its address. No screen in here.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dsq.core.config import GridConfig, load_grid, load_settings, state_dir
from dsq.core.errors import DsqError, SettingsError, UnreachableError, WalletError
from dsq.core.model import Address
from dsq.core.wallet import (
    KeyRef,
    Wallet,
    key_file_address,
    load_wallet,
    read_key_file,
    read_passphrase,
)

if TYPE_CHECKING:
    from dsq.console.user.port import GridPort

OpenGrid = Callable[[GridConfig, Wallet | None], Awaitable["GridPort"]]
Told = Callable[[str], None]
StartLocal = Callable[[Path, Told], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class GridChoice:
    """A grid that one can use.

    Attributes:
        name: What the top line calls it.
        words: A sentence about it.
        config: Where it is; None for a local grid that does not run yet.
        home: The folder of a local grid.
    """

    name: str
    words: str
    config: GridConfig | None
    home: Path | None = None


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """A key that one can use."""

    name: str
    words: str
    ref: KeyRef


def default_home(env: Mapping[str, str] | None = None) -> Path:
    """The folder of the local grid that ``dsq up`` makes without a flag."""
    named = (os.environ if env is None else env).get("DSQ_HOME")
    return Path(named).expanduser() if named else state_dir(env) / "local"


def known_grids() -> list[GridChoice]:
    """The grids of the settings and the address books, then the default local one.

    A grid whose settings are wrong is left out: its own name tells why.

    Raises:
        SettingsError: The settings file cannot be read.
    """
    found: list[GridChoice] = []
    for name in load_settings().grids:
        try:
            config = load_grid(name)
        except DsqError:
            continue
        where = f"local, in {config.home}" if config.home is not None else config.rpc_url
        found.append(GridChoice(name, where, config, config.home))
    home = default_home()
    if home.absolute() not in {choice.home for choice in found}:
        try:
            local = load_grid(home=home)
        except DsqError:
            pass
        else:
            found.append(GridChoice("local", f"local, in {home}", local, local.home))
    return found


def known_keys(folder: Path, config: GridConfig | None = None) -> list[KeyChoice]:
    """The key of a grid itself, then the key files of the settings folder.

    A file that is no key file is left out.
    """
    found: list[KeyChoice] = []
    own = config.wallet if config is not None else None
    seen: set[Path] = set()
    if own is not None and own.key_file is not None and own.key_file.exists():
        address = address_of(own)
        if address is not None:
            kind = "the grid's own" if config is not None and config.home else "settings"
            found.append(KeyChoice(own.key_file.stem, f"{address}  {kind}", own))
            seen.add(own.key_file.absolute())
    for path in sorted((folder / "keys").glob("*.json")):
        address = address_of(KeyRef(None, path, None))
        if address is not None and path.absolute() not in seen:
            found.append(KeyChoice(path.stem, str(address), KeyRef(address, path, None)))
    return found


def address_of(ref: KeyRef) -> Address | None:
    """The account of a key, as far as its file tells."""
    try:
        return ref.address or (key_file_address(ref.key_file) if ref.key_file else None)
    except DsqError:
        return None


def find_config(grid: str | None, home: Path | None) -> GridConfig | None:
    """The grid that is meant; None if none is named anywhere, so that one has to be chosen.

    Raises:
        SettingsError: One is named, and it cannot be used.
    """
    try:
        return load_grid(grid, home)
    except SettingsError:
        variables = ("DSQ_HOME", "DSQ_GRID", "DSQ_RPC_URL")
        if grid is not None or home is not None or any(os.environ.get(name) for name in variables):
            raise
        settings = load_settings()  # what is wrong in the file is told, not asked
        if settings.default_grid is not None or len(settings.grids) == 1:
            raise
        return None


async def open_grid(config: GridConfig, wallet: Wallet | None) -> GridPort:
    """Connects. The import takes up to a second, so it must not stop the screen."""
    await asyncio.to_thread(importlib.import_module, "dsq.core.grid")
    from dsq.core.grid import Grid

    return await Grid.open(config, wallet)


async def start_local(home: Path, tell: Told) -> None:
    """Starts a local grid in the background, by ``dsq up --detach``.

    Whoever stops waiting (by cancelling) does not stop the grid: it goes on starting.

    Args:
        home: The grid's folder.
        tell: Gets a line a step.

    Raises:
        DsqError: It did not start, with the last line it told.
    """
    from dsq.console.local.processes import clean_environment

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dsq.console.cli", "up", "--home", str(home), "--detach"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )
    assert process.stderr is not None
    last = ""
    try:
        async for raw in process.stderr:
            line = raw.decode(errors="replace").strip()
            if line:
                last = line
                tell(line)
        code = await process.wait()
    except BaseException:
        if process.returncode is None:
            process.kill()
        raise
    if code:
        raise DsqError(last or "The local grid could not be started.", hint="See its logs folder.")


class Access:
    """The grid and the key in use.

    Args:
        config: The grid; None until one is chosen.
        passphrase_file: The passphrase of the key that ``config`` names.
        read_only: Nothing will be signed but requests for logs.
        wallet: A key that is open already.
        opener: Connects to a grid.
        starter: Starts a local grid.

    Attributes:
        wallet: The open key; None while it is locked.
    """

    def __init__(
        self,
        config: GridConfig | None,
        *,
        passphrase_file: Path | None = None,
        read_only: bool = False,
        wallet: Wallet | None = None,
        opener: OpenGrid = open_grid,
        starter: StartLocal = start_local,
    ) -> None:
        self.config = config
        self.wallet = wallet
        self.read_only = read_only
        self._opener = opener
        self.starter = starter
        self._passphrase_file = passphrase_file
        self._environment = True

    @property
    def ref(self) -> KeyRef | None:
        """Where the key lies."""
        return self.config.wallet if self.config is not None else None

    @property
    def ready(self) -> bool:
        """A grid and an account are known."""
        if self.config is None:
            return False
        ref = self.ref
        known = ref is not None and (ref.key_file is not None or ref.address is not None)
        return known or self._raw_key or self.wallet is not None

    @property
    def _raw_key(self) -> bool:
        return self._environment and bool(os.environ.get("ETH_PRIVATE_KEY"))

    @property
    def unattended(self) -> bool:
        """The key opens without a question."""
        if self._raw_key:
            return True
        ref = self.ref
        named = ref is not None and ref.passphrase_file is not None
        variable = self._environment and bool(os.environ.get("DSQ_PASSPHRASE_FILE"))
        return named or self._passphrase_file is not None or variable

    @property
    def account(self) -> Address | None:
        """The account, as far as it is known without opening the key."""
        if self.wallet is not None:
            return self.wallet.address
        return None if self.ref is None or self._raw_key else address_of(self.ref)

    @property
    def key_name(self) -> str:
        """What the question for a passphrase calls the key."""
        ref = self.ref
        return ref.key_file.stem if ref is not None and ref.key_file is not None else "wallet"

    def choose(self, config: GridConfig, ref: KeyRef, wallet: Wallet | None = None) -> None:
        """Takes another grid and key from now on; the open key is dropped."""
        same = self.config is not None and self.ref == ref
        self.config = config.model_copy(update={"wallet": ref})
        if not same or wallet is not None:
            self.wallet = wallet
            self._environment, self._passphrase_file = False, None

    async def connect(self) -> GridPort:
        """Connects; opens the key if that needs no question.

        Raises:
            WalletError: The key cannot be opened, and no account is known without it.
            UnreachableError: The grid does not answer.
        """
        if self.config is None:
            raise UnreachableError("No grid is chosen yet.")
        if self.wallet is None and self.unattended:
            try:
                await self.unlock(None)
            except WalletError:
                if not self.read_only or self.account is None:
                    raise
        return await self._opener(self.config, self.wallet)

    async def unlock(self, passphrase: str | None) -> Wallet:
        """Opens the key; it stays open until :meth:`lock`.

        Args:
            passphrase: What the user typed; None takes that of the named file.

        Raises:
            WalletError: It does not open.
        """
        self.wallet = await asyncio.to_thread(self._open, passphrase)
        return self.wallet

    def _open(self, passphrase: str | None) -> Wallet:
        ref = self.ref
        if passphrase is not None:
            if ref is None or ref.key_file is None:
                raise WalletError("There is no key file to open.")
            return read_key_file(ref.key_file, passphrase)
        if self._environment:
            return load_wallet(ref, passphrase_file=self._passphrase_file, prompt=False)
        if ref is None or ref.key_file is None or ref.passphrase_file is None:
            raise WalletError("The wallet needs its passphrase.")
        return read_key_file(ref.key_file, read_passphrase(ref.passphrase_file))

    def lock(self) -> None:
        """Drops the key."""
        self.wallet = None
