"""States around the key and the grid: first run, passphrases, switching."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

from textual.app import App

from dsq.console.user.access import Access
from dsq.console.user.app import ConsoleApp
from dsq.console.user.port import GridPort
from dsq.core.config import GridConfig, load_grid
from dsq.core.errors import DsqError, UnreachableError
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet, create_key_file
from tests.screens.states import Act, State, full_grid
from tests.support.console import Robot
from tests.support.fake_grid import NOW, FakeBalance, FakeGrid

SECRET = "correct horse"
KEYS = {name: digit * 64 for name, digit in (("default", "1"), ("savings", "2"))}
BOOK = {"rpc_url": "http://far.example:8545", "chain_id": 7, "metascheduler": "0x" + "a" * 40}

Opens = Callable[[GridConfig, Wallet | None], FakeGrid]
Starts = Callable[[Callable[[str], None]], None]


def settings(*grids: str, keys: tuple[str, ...] = (), default: bool = True) -> Path:
    """The settings folder of this test, with address books and keys."""
    folder = Path(os.environ["DSQ_CONFIG_DIR"])
    (folder / "grids").mkdir(parents=True, exist_ok=True)
    for name in grids:
        book = {"version": 1, "name": name, **BOOK, "rpc_url": f"http://{name}.example:8545"}
        (folder / "grids" / f"{name}.json").write_text(json.dumps(book))
    for name in keys:
        create_key_file(folder / "keys" / f"{name}.json", Wallet.from_key(KEYS[name]), SECRET)
    if grids and default:
        (folder / "config.toml").write_text(f'default_grid = "{grids[0]}"\n')
    return folder


def rich(_config: GridConfig, wallet: Wallet | None) -> FakeGrid:
    """A grid with jobs of whoever looks at it."""
    account = wallet.address if wallet is not None else Wallet.from_key(KEYS["default"]).address
    grid = full_grid()
    grid.address = account
    grid.known = {
        job_id: dataclasses.replace(job, customer=account) for job_id, job in grid.known.items()
    }
    return grid


def poor(config: GridConfig, wallet: Wallet | None) -> FakeGrid:
    """A grid on which the account has nothing, and no faucet."""
    grid = rich(config, wallet)
    grid.known.clear()
    grid.money = FakeBalance(0, 0, CREDIT)
    return grid


def promised(config: GridConfig, wallet: Wallet | None) -> FakeGrid:
    grid = poor(config, wallet)
    grid.money = FakeBalance(0, 0, CREDIT, faucet_wei=500 * CREDIT)
    return grid


def silent(_config: GridConfig, _wallet: Wallet | None) -> FakeGrid:
    raise UnreachableError("The chain at http://lab.example:8545 does not answer.")


def started(tell: Callable[[str], None]) -> None:
    """A local grid is being started, and never gets further."""
    for line in ("chain: answers", "contracts: deployed", "meta-scheduler: starting"):
        tell(line)


def failing(tell: Callable[[str], None]) -> None:
    tell("chain: starting")
    raise DsqError("Port 8545 is taken by another program.", hint="See its logs folder.")


def of_user(
    *grids: str,
    keys: tuple[str, ...] = (),
    chosen: bool = False,
    opens: Opens = rich,
    starts: Starts = started,
    **options: Any,
) -> Callable[[], App[Any]]:
    """The console of a user with a settings folder; ``chosen`` when the grid is decided."""

    def make() -> App[Any]:
        folder = settings(*grids, keys=keys, default=chosen)

        async def opener(config: GridConfig, wallet: Wallet | None) -> GridPort:
            return opens(config, wallet)  # type: ignore[return-value]

        async def starter(_home: Path, tell: Callable[[str], None]) -> None:
            starts(tell)
            await never()

        config = load_grid(grids[0]) if chosen else None
        access = Access(config, opener=opener, starter=starter, **options)
        name = config.name if config is not None else "no grid yet"
        return ConsoleApp(
            access=access, account=access.account, folder=folder, grid_name=name,
            now=lambda: NOW, zone=UTC, read_only=access.read_only,
        )  # fmt: skip

    return make


async def never() -> None:
    """Waits for what does not come."""
    await asyncio.Event().wait()


def enters(*texts: str) -> Act:
    """Types into one field after the other."""

    async def act(robot: Robot) -> None:
        for text in texts:
            await robot.type(text)
            await robot.press("enter")

    return act


def guide(*keys: str, sees: tuple[str, ...], act: Act | None = None, **options: Any) -> State:
    """A step of the first run."""
    grids = options.pop("grids", ("lab", "far"))
    main = options.pop("main", False)
    return State(of_user(*grids, **options), keys, act, sees, main, waits=False)


def at_home(*keys: str, sees: tuple[str, ...], act: Act | None = None, **options: Any) -> State:
    """The console of somebody whose grid and key are decided."""
    options.setdefault("keys", ("default", "savings"))
    main = options.pop("main", False)
    grids = options.pop("grids", ("lab", "far"))
    return State(of_user(*grids, chosen=True, **options), keys, act, sees, main, waits=False)


async def locks(robot: Robot) -> None:
    """Opens the key, then locks it by hand."""
    await enters(SECRET)(robot)
    app: Any = robot.app
    await robot.until(lambda: not app.locked)
    await robot.press("ctrl+l")


ONE_KEY = ("default",)

ACCESS: dict[str, State] = {
    "first-grid": guide(
        sees=("○ not connected", "▸ 1 Grid", "http://far.example:8545", "start a local"), main=True
    ),
    "first-no-grid": guide(grids=(), sees=("▸ 1 Grid", "start a local grid")),
    "first-starting": guide("enter", grids=(), sees=("goes on by itself", "contracts: deployed")),
    "first-start-failed": guide(
        "enter", grids=(), starts=failing, sees=("Port 8545 is taken", "chain: starting")
    ),
    "first-wallet": guide("enter", sees=("▸ 2 Wallet", "make a new key", "import a key")),
    "first-wallet-known": guide(
        "enter", keys=ONE_KEY, sees=("▸ 2 Wallet", "default", "make a new key")
    ),
    "first-new-key": guide("enter", "enter", sees=("Make a new key", "Passphrase:")),
    "first-import-key": guide("enter", "down", "enter", sees=("Import a private key",)),
    "first-key-differs": guide(
        "enter", "enter", act=enters("one", "two"), sees=("The two passphrases differ",)
    ),
    "first-key-wrong": guide(
        "enter", "down", "enter", act=enters("12", SECRET, SECRET),
        sees=("This is not a private key",),
    ),
    "first-credits": guide("enter", "enter", keys=ONE_KEY, sees=("▸ 3 Credits", "1,284.40")),
    "first-faucet": guide(
        "enter", "enter", keys=ONE_KEY, opens=promised, sees=("500.00 credits", "collect")
    ),
    "first-poor": guide(
        "enter", "enter", keys=ONE_KEY, opens=poor, sees=("ask the grid's operator",)
    ),
    "first-silent": guide(
        "enter", "enter", keys=ONE_KEY, opens=silent, sees=("▸ 3 Credits", "does not answer")
    ),
    "unlock": at_home(sees=("Passphrase of default", "looking works without it"), main=True),
    "unlock-wrong": at_home(act=enters("wrong"), sees=("does not open the key file",)),
    "locked": at_home("escape", sees=("locked", "train-llm", "● live")),
    "locked-cancel": at_home(
        "escape", "c", "y", sees=("Passphrase of default", "sign what you asked for")
    ),
    "locked-by-hand": at_home(
        act=locks, sees=("locked", "The wallet is locked; what signs")
    ),
    "switch-grid": at_home(
        "escape", "ctrl+w", sees=("Grid", "http://far.example:8545", "in use"), main=True
    ),
    "switch-wallet": at_home(
        "escape", "ctrl+w", "enter", sees=("Wallet on", "savings", "make a new key")
    ),
    "switch-new-key": at_home(
        "escape", "ctrl+w", "enter", "down", "down", "enter", sees=("Make a new key", "wallet-2")
    ),
}  # fmt: skip
