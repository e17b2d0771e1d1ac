"""Keys and grids: the guided first run, unlocking, locking on idle, switching."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import stat
import tomllib
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from dsq.console.dialogs.first_run import FirstRun
from dsq.console.dialogs.new_key import MakeKey
from dsq.console.dialogs.unlock import Unlock
from dsq.console.preferences import Preferences
from dsq.console.user.access import Access, find_config, known_grids, known_keys
from dsq.console.user.app import ConsoleApp
from dsq.console.user.job_store import JobStore
from dsq.console.user.screens.submit import SubmitScreen
from dsq.console.user.setup import remember
from dsq.core.config import GridConfig, load_grid
from dsq.core.errors import DsqError, SettingsError, UnreachableError
from dsq.core.model import Address
from dsq.core.readmodel import ReadModel
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet, create_key_file
from tests.support.console import Clock, Robot, console, using
from tests.support.fake_grid import NOW, FakeGrid, job, some_jobs

SECRET = "correct horse"
KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
BOOK = {"rpc_url": "http://far.example", "chain_id": 7, "metascheduler": "0x" + "a" * 40}


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings and state of this test alone, and keys that cost nothing to open."""
    for name in ("DSQ_GRID", "DSQ_HOME", "DSQ_RPC_URL", "ETH_PRIVATE_KEY", "DSQ_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DSQ_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("DSQ_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr("dsq.core.wallet.SCRYPT_N", 2)


def settings(folder: Path, *grids: str, key: str = "default") -> Wallet:
    """A settings folder with grids and one key."""
    folder.mkdir(exist_ok=True)
    tables = "".join(
        f"[grids.{name}]\nrpc_url = 'http://{name}.example'\nchain_id = {number}\n"
        f"metascheduler = '0x{'a' * 40}'\n"
        for number, name in enumerate(grids, 1)
    )
    first = f"default_grid = '{grids[0]}'\n" if grids else ""
    (folder / "config.toml").write_text(first + tables)
    return add_key(folder, key)


def add_key(folder: Path, name: str) -> Wallet:
    wallet = Wallet.generate()
    create_key_file(folder / "keys" / f"{name}.json", wallet, SECRET)
    return wallet


class Grids:
    """Opens grids in memory, one an account and a grid, and remembers by whom."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, Wallet | None]] = []
        self.made: dict[tuple[str, Address], FakeGrid] = {}
        self.prepare: Callable[[FakeGrid], object] = lambda grid: None

    async def open(self, config: GridConfig, wallet: Wallet | None) -> FakeGrid:
        self.opened.append((config.name, wallet))
        ref = config.wallet
        assert ref is not None
        account = wallet.address if wallet is not None else Access(config).account
        assert account is not None
        key = (config.name, account)
        if key not in self.made:
            jobs = [dataclasses.replace(each, customer=account) for each in some_jobs()]
            self.made[key] = FakeGrid(address=account).add(*jobs)
            self.prepare(self.made[key])
        return self.made[key]


def app_of(grids: Grids, folder: Path, config: GridConfig | None, **options: Any) -> ConsoleApp:
    starter = options.pop("starter", None)
    access = Access(config, opener=grids.open, **({"starter": starter} if starter else {}))
    options = {"now": lambda: NOW, "zone": UTC, **options}
    name = config.name if config is not None else "no grid yet"
    return ConsoleApp(
        access=access, account=access.account, folder=folder, grid_name=name, **options
    )


async def unlock(robot: Robot, passphrase: str = SECRET) -> None:
    assert isinstance(robot.app.screen, Unlock)
    await robot.type(passphrase)
    await robot.press("enter")


# -- locked and unlocked -------------------------------------------------------------------


async def test_opens_locked_and_looks_without_the_key(tmp_path: Path) -> None:
    """The jobs are there behind the question; escape goes on looking, what signs asks again."""
    wallet = settings(tmp_path / "config", "lab")
    grids = Grids()
    async with using(app_of(grids, tmp_path / "config", load_grid()), (120, 40)) as robot:
        await robot.sees("Passphrase of default")
        await robot.press("escape")
        await robot.sees("train-llm", "locked", "● live")
        assert grids.opened == [("lab", None)]
        await robot.press("c", "y")
        await robot.sees("Passphrase of default", "sign what you asked for")
        grid = grids.made["lab", wallet.address]
        assert not [call for call in grid.sent if call[0] == "cancel"]
        await unlock(robot, "wrong")
        await robot.sees("does not open the key file")
        await unlock(robot)
        await robot.until(lambda: ("cancel", 41) in grid.sent)
        used = next(given for name, given in grid.sent if name == "use")
        assert used.address == wallet.address
        assert SECRET not in robot.text


async def test_locks_when_nobody_presses_a_key(tmp_path: Path) -> None:
    """After lock_minutes the key is dropped, here and in the grid; jobs go on being shown."""
    wallet = settings(tmp_path / "config", "lab")
    grids, clock = Grids(), Clock()
    app = app_of(
        grids, tmp_path / "config", load_grid(), now=clock, preferences=Preferences(lock_minutes=3)
    )
    async with using(app, (120, 40)) as robot:
        await unlock(robot)
        await robot.until(lambda: not app.locked and app.state.link.online)
        clock.now += 179
        app.lock_if_idle()
        assert not app.locked
        await robot.press("j")
        clock.now += 179
        app.lock_if_idle()
        assert not app.locked
        clock.now += 2
        app.busy = 1
        app.lock_if_idle()
        assert not app.locked, "a key in use is not dropped"
        app.busy = 0
        app.lock_if_idle()
        await robot.sees("locked", "The wallet is locked; what signs")
        assert app.access is not None
        assert app.access.wallet is None
        assert grids.made["lab", wallet.address].sent[-1] == ("use", None)
        await robot.press("ctrl+l")
        await unlock(robot)
        await robot.until(lambda: not app.locked)


async def test_zero_minutes_never_lock(tmp_path: Path) -> None:
    """lock_minutes = 0 keeps the key open; ctrl+l locks by hand."""
    settings(tmp_path / "config", "lab")
    clock = Clock()
    app = app_of(
        Grids(), tmp_path / "config", load_grid(), now=clock,
        preferences=Preferences(lock_minutes=0),
    )  # fmt: skip
    async with using(app, (120, 40)) as robot:
        await unlock(robot)
        await robot.until(lambda: not app.locked)
        clock.now += 10**6
        app.lock_if_idle()
        assert not app.locked
        await robot.press("ctrl+l")
        await robot.until(lambda: app.locked)


# -- switching -----------------------------------------------------------------------------


async def test_switches_grid_and_wallet(tmp_path: Path) -> None:
    """Another grid and key, without a restart: other jobs, another file, no old log or job."""
    folder = tmp_path / "config"
    settings(folder, "lab", "far")
    other = add_key(folder, "other")
    grids = Grids()
    stores: list[Address] = []

    def open_store(account: Address) -> JobStore:
        stores.append(account)
        return JobStore(ReadModel(None))

    app = app_of(grids, folder, load_grid(), open_store=open_store)
    async with using(app, (120, 40)) as robot:
        await unlock(robot)
        await robot.sees("train-llm")
        await robot.press("enter")
        await robot.sees("TIMELINE")
        lab = next(iter(grids.made.values()))
        grids.prepare = lambda grid: (
            grid.known.clear()
            or grid.add(job(1, some_jobs()[0].status, "elsewhere", customer=other.address))
        )
        await robot.press("ctrl+w")
        await robot.sees("lab", "far", "http://far.example", "in use")
        await robot.press("down", "enter")
        await robot.sees("Wallet on far", "other", str(other.address), "make a new key")
        await robot.press("down", "enter")
        await robot.sees("elsewhere", "far", "locked")
        assert "train-llm" not in robot.text
        assert "TIMELINE" not in robot.text
        assert ("close", None) in lab.sent
        assert grids.opened[-1] == ("far", None)
        assert stores[-1] == other.address
        assert app.state.balance is not None


async def test_makes_another_wallet_while_it_runs(tmp_path: Path) -> None:
    """A new key from the same dialog: a free name, passphrase twice, in use at once."""
    folder = tmp_path / "config"
    settings(folder, "lab")
    app = app_of(Grids(), folder, load_grid())
    async with using(app, (120, 40)) as robot:
        await robot.press("escape", "ctrl+w", "enter")
        await robot.sees("Wallet on lab")
        await robot.press("down", "enter")
        await robot.sees("Make a new key", "wallet-2")
        await robot.type("one")
        await robot.press("enter")
        await robot.type("two")
        await robot.press("enter")
        await robot.sees("The two passphrases differ")
        assert not (folder / "keys" / "wallet-2.json").exists()
        await robot.press("home", "ctrl+k")
        await robot.type("one")
        await robot.press("enter")
        await robot.until(lambda: (folder / "keys" / "wallet-2.json").exists())
        await robot.until(lambda: app.state.link.online and not app.locked)
        assert known_keys(folder)[1].ref.address == app.state.address


async def test_faucet_and_waiting_payments_are_collected(tmp_path: Path) -> None:
    """f and p are offered while there is something, and gone after."""
    del tmp_path
    grid = FakeGrid().add(*some_jobs())
    grid.money = dataclasses.replace(
        grid.money, faucet_wei=50 * CREDIT, claimable_wei=7 * CREDIT // 2
    )
    async with using(console(grid), (120, 40)) as robot:
        await robot.press("4")
        await robot.sees("50.00 the grid's faucet has promised you", "3.50 of payments to you")
        await robot.press("f")
        await robot.sees("Collected 50.00 credits from the grid's faucet", "1,334.40 ")
        await robot.press("p")
        await robot.sees("Collected 3.50 credits from waiting payments")
        await robot.until(lambda: "promised you" not in robot.text)
        await robot.press("f", "p")
        calls = [name for name, _ in grid.sent if name.startswith(("claim", "withdraw"))]
        assert calls == ["claim_faucet", "withdraw_claimable"]


# -- the first run -------------------------------------------------------------------------


def nothing(folder: Path) -> bool:
    return not folder.exists() or not list(folder.rglob("*"))


async def test_first_run_from_nothing_to_the_first_job(tmp_path: Path) -> None:
    """A grid of an address book, a new key, credits from the faucet, hello world submitted."""
    folder = tmp_path / "config"
    (folder / "grids").mkdir(parents=True)
    for name in ("lab", "far"):
        (folder / "grids" / f"{name}.json").write_text(
            json.dumps({"version": 1, "name": name, **BOOK})
        )
    assert find_config(None, None) is None
    grids = Grids()

    def poor(grid: FakeGrid) -> None:
        grid.known.clear()
        grid.money = dataclasses.replace(grid.money, balance_wei=0, faucet_wei=500 * CREDIT)

    grids.prepare = poor
    app = app_of(grids, folder, None)
    async with using(app, (120, 40)) as robot:
        await robot.sees("Welcome to dsq", "▸ 1 Grid", "far", "http://far.example", "start a local")
        await robot.press("down", "enter")
        await robot.sees("▸ 2 Wallet", "make a new key", "import a key")
        await robot.press("down", "enter")
        await robot.sees("Import a private key")
        await robot.type("12")
        await robot.press("enter")
        await robot.sees("This is not a private key")
        await robot.press("home", "ctrl+k")
        await robot.type(KEY)
        await robot.press("enter", "enter")
        await robot.sees("An empty passphrase protects nothing")
        await robot.type(SECRET)
        await robot.press("enter")
        await robot.type(SECRET)
        assert nothing(folder / "keys")
        await robot.press("enter")
        await robot.sees("▸ 3 Credits", "500.00 credits from the grid's faucet")
        file = folder / "keys" / "default.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert KEY not in file.read_text()
        await robot.press("enter")
        await robot.sees("500.00 credits")
        await robot.until(lambda: "faucet" not in robot.text.split("Collected")[0])
        await robot.press("enter")
        await robot.until(lambda: isinstance(app.screen, SubmitScreen))
        await robot.sees("hello-world", "● valid")
        await robot.press("ctrl+s")
        await robot.sees("Submit this job?")
        await robot.press("enter")
        await robot.sees("is submitted")
    assert load_grid().name == "lab"
    assert tomllib.loads((folder / "config.toml").read_text()) == {"default_grid": "lab"}
    account = load_grid().wallet
    assert account is not None
    assert account.key_file == file


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_leaving_the_guide_writes_nothing(tmp_path: Path, steps: int) -> None:
    """Escape at the grid, at the wallet and in the key's dialog leaves no file behind."""
    folder = tmp_path / "config"
    (folder / "grids").mkdir(parents=True)
    (folder / "grids" / "lab.json").write_text(json.dumps({"version": 1, "name": "lab", **BOOK}))
    app = app_of(Grids(), folder, None)
    async with using(app, (80, 24)) as robot:
        await robot.sees("Welcome to dsq")
        if steps:
            await robot.press("enter")
            await robot.sees("▸ 2 Wallet")
        if steps == 2:
            await robot.press("enter")
            await robot.type(SECRET)
            assert isinstance(app.screen, MakeKey)
            await robot.press("escape")
        assert isinstance(app.screen, FirstRun)
        await robot.pilot.press("escape")
    assert sorted(path.name for path in folder.rglob("*")) == ["grids", "lab.json"]


async def test_escape_goes_a_step_back(tmp_path: Path) -> None:
    """From the wallets to the grids, where another one may be chosen; from there out."""
    folder = tmp_path / "config"
    (folder / "grids").mkdir(parents=True)
    for name in ("far", "lab"):
        book = {"version": 1, "name": name, **BOOK}
        (folder / "grids" / f"{name}.json").write_text(json.dumps(book))
    app = app_of(Grids(), folder, None)
    async with using(app, (80, 24)) as robot:
        await robot.press("enter")
        await robot.sees("▸ 2 Wallet", "grid  far")
        await robot.press("escape")
        await robot.sees("▸ 1 Grid", "start a local")
        await robot.press("down", "enter")
        await robot.sees("▸ 2 Wallet", "grid  lab")
        await robot.press("escape")
        await robot.sees("▸ 1 Grid")
        await robot.pilot.press("escape")
        await robot.pilot.pause()
    assert app.failure is None
    assert app.access is not None
    assert app.access.config is None


async def test_starts_a_local_grid(tmp_path: Path) -> None:
    """Its progress is shown, its own key is offered first, and it becomes the usual grid."""
    folder = tmp_path / "config"
    folder.mkdir()
    homes: list[Path] = []
    ready = asyncio.Event()

    async def starter(home: Path, tell: Callable[[str], None]) -> None:
        homes.append(home)
        if len(homes) == 1:
            tell("chain: starting")
            raise DsqError("Port 8545 is taken.")
        tell("contracts: deployed")
        await ready.wait()
        user = Wallet.generate()
        create_key_file(home / "keys" / "user.json", user, "x")
        (home / "keys" / "passphrase").write_text("x")
        key = {
            "address": str(user.address),
            "key_file": str(home / "keys" / "user.json"),
            "passphrase_file": str(home / "keys" / "passphrase"),
        }
        (home / "grid.json").write_text(json.dumps({**BOOK, "version": 1, "user": key}))

    app = app_of(Grids(), folder, None, starter=starter)
    async with using(app, (80, 24)) as robot:
        await robot.sees("start a local grid")
        await robot.press("enter")
        await robot.sees("Port 8545 is taken", "chain: starting")
        await robot.press("enter")
        await robot.sees("contracts: deployed", "It goes on by itself if you leave")
        ready.set()
        await robot.sees("▸ 2 Wallet", "the grid's own", "The local grid runs")
        await robot.press("enter")
        await robot.sees("▸ 3 Credits", "1,284.40 credits")
        assert not app.locked, "the home brings the passphrase"
        await robot.press("enter")
        await robot.sees("hello-world")
    assert homes[0] == tmp_path / "state" / "local"
    assert load_grid().home == homes[0]
    assert nothing(folder / "keys")


async def test_a_grid_that_does_not_answer_says_so_on_the_page(tmp_path: Path) -> None:
    """The third step names the reason; escape goes to the console."""
    folder = tmp_path / "config"
    settings(folder, "lab", "far")
    (folder / "config.toml").write_text((folder / "config.toml").read_text().split("\n", 1)[1])

    class Silent(Grids):
        async def open(self, config: GridConfig, wallet: Wallet | None) -> FakeGrid:
            raise UnreachableError("The chain at http://lab.example does not answer.")

    app = app_of(Silent(), folder, None)
    async with using(app, (80, 24)) as robot:
        await robot.press("enter")
        await robot.sees("▸ 2 Wallet")
        await robot.press("enter")
        await robot.sees("▸ 3 Credits", "does not answer")
        await robot.press("escape")
        await robot.sees("Offline")


def test_named_grids_that_are_wrong_are_told(tmp_path: Path) -> None:
    """Asking is for who named nothing; a wrong name or file stays an error."""
    settings(tmp_path / "config", "lab")
    with pytest.raises(SettingsError, match="no grid named 'lap'"):
        find_config("lap", None)
    assert find_config(None, None) == load_grid()
    assert [each.name for each in known_grids()] == ["lab"]
    (tmp_path / "config" / "config.toml").write_text("grids = 3")
    with pytest.raises(SettingsError):
        find_config(None, None)


def test_remembering_changes_only_what_is_open(tmp_path: Path) -> None:
    """Comments stay, what is decided stays, the file is right afterwards."""
    file = tmp_path / "config.toml"
    remember(tmp_path, grid="local", home=tmp_path / "a b", key_file=tmp_path / "w.json")
    text = file.read_text()
    assert tomllib.loads(text) == {
        "default_grid": "local",
        "grids": {"local": {"home": str(tmp_path / "a b")}},
        "wallet": {"key_file": str(tmp_path / "w.json")},
    }
    remember(tmp_path, grid="other", home=tmp_path, key_file=tmp_path / "v.json")
    assert file.read_text() == text
    file.write_text("# mine\n[wallet]\nkey_file = 'k'\n")
    remember(tmp_path, grid="lab", key_file=tmp_path / "v.json")
    assert file.read_text() == "default_grid = \"lab\"\n# mine\n[wallet]\nkey_file = 'k'\n"
    file.write_text("[wallet")
    with pytest.raises(SettingsError, match="cannot be read"):
        remember(tmp_path, grid="lab")
