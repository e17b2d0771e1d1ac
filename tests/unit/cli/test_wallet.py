"""dsq wallet, with real key files."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from dsq.core.grid import Movement
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet, read_key_file

from .conftest import Dsq
from .double import GAIA, NOW, GridDouble, job

KEY = "22" * 32


@pytest.fixture(autouse=True)
def _light_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the tests the second that a strong key takes."""
    monkeypatch.setattr("dsq.core.wallet.SCRYPT_N", 1 << 12)


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text("open sesame\n")
    return path


def keys() -> Path:
    return Path(os.environ["DSQ_CONFIG_DIR"]) / "keys"


def test_new_makes_a_key_and_never_overwrites_one(dsq: Dsq, passphrase: Path) -> None:
    """The file is the owner's only; a second time is refused with 77."""
    result = dsq("wallet", "new", "--passphrase-file", str(passphrase))
    path = keys() / "default.json"
    assert result.code == 0
    assert str(read_key_file(path, "open sesame").address) == result.out.strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    again = dsq("wallet", "new", "--passphrase-file", str(passphrase))
    assert again.code == 77
    assert path.read_bytes() == before
    assert dsq("wallet", "address").out == result.out
    assert dsq("wallet").out == result.out
    other = dsq("wallet", "new", "--name", "second", "--passphrase-file", str(passphrase))
    assert other.code == 0
    assert other.out != result.out


def test_import_reads_the_key_from_standard_input(
    dsq: Dsq, passphrase: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never from an argument; the key is shown nowhere."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"0x{KEY}\n"))
    path = tmp_path / "mine.json"
    result = dsq(
        "wallet", "import", "--key-file", str(path), "--passphrase-file", str(passphrase), "--json"
    )
    assert result.json == {"address": str(Wallet.from_key(KEY).address), "key_file": str(path)}
    assert KEY not in result.out + result.err + path.read_text()
    assert read_key_file(path, "open sesame").address == Wallet.from_key(KEY).address
    assert dsq("wallet", "address", "--key-file", str(path)).out.strip() == result.json["address"]


def test_what_is_no_key_is_77_and_not_repeated(
    dsq: Dsq, passphrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written."""
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2\n"))
    result = dsq("wallet", "import", "--passphrase-file", str(passphrase))
    assert result.code == 77
    assert "hunter2" not in result.err
    assert not keys().exists()


def test_without_a_passphrase_it_is_77(
    dsq: Dsq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No terminal, no passphrase file: nobody can be asked. Empty ones protect nothing."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert dsq("wallet", "new").code == 77
    empty = tmp_path / "empty"
    empty.write_text("\n")
    assert dsq("wallet", "new", "--passphrase-file", str(empty)).code == 77
    assert dsq("wallet", "new", "--passphrase-file", str(tmp_path / "none")).code == 77
    assert not keys().exists()


def test_passphrase_file_of_the_environment(
    dsq: Dsq, passphrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DSQ_PASSPHRASE_FILE works for new keys as for old ones."""
    monkeypatch.setenv("DSQ_PASSPHRASE_FILE", str(passphrase))
    assert dsq("wallet", "new").code == 0


def test_no_wallet_is_77(dsq: Dsq) -> None:
    """With what to do about it."""
    result = dsq("wallet", "address")
    assert result.code == 77
    assert "dsq wallet new" in result.err


def test_the_environments_key_wins(dsq: Dsq, monkeypatch: pytest.MonkeyPatch) -> None:
    """ETH_PRIVATE_KEY is used before any file."""
    monkeypatch.setenv("ETH_PRIVATE_KEY", KEY)
    assert dsq("wallet", "address").out.strip() == str(Wallet.from_key(KEY).address)


def test_the_history_names_each_movement(dsq: Dsq, grid: GridDouble) -> None:
    """Newest first, with a sign for people and signed wei for programs."""
    grid.moved = [
        Movement(NOW, "received", 9 * CREDIT, GAIA, 0, 1, 0, b"\x01" * 32),
        Movement(NOW + 60, "locked", 2 * CREDIT, GAIA, 41, 2, 0, b"\x02" * 32),
    ]
    rows = dsq("wallet", "history", "--json").json
    assert [(each["kind"], each["change_wei"], each["job_id"]) for each in rows] == [
        ("locked", str(-2 * CREDIT), 41),
        ("received", str(9 * CREDIT), None),
    ]
    lines = dsq("wallet", "history", "--limit", "1").out.splitlines()
    assert len(lines) == 2
    assert "-2" in lines[1]
    assert "job 41" in lines[1]


def test_costs_are_added_up_by_day_job_and_provider(dsq: Dsq, grid: GridDouble) -> None:
    """The sums of ended jobs; a mistyped way is refused."""
    grid.add(job(1, JobStatus.FINISHED), job(2, JobStatus.FAILED), job(3))
    day = dsq("wallet", "spent", "--json").json
    assert day == [{"day": "2026-11-18", "jobs": 2, "wei": str(3 * CREDIT)}]
    assert [each["job"] for each in dsq("wallet", "spent", "--by", "job", "--json").json] == [
        "2",
        "1",
    ]
    assert "3" in dsq("wallet", "spent", "--by", "provider").out
    assert dsq("wallet", "spent", "--by", "week").code == 64


def test_an_account_without_a_past_says_so(dsq: Dsq, grid: GridDouble) -> None:
    """Words on stderr, nothing on stdout."""
    for command in ("history", "spent"):
        result = dsq("wallet", command)
        assert (result.code, result.out) == (0, "")
        assert result.err


def test_contacts_are_kept_and_used(dsq: Dsq, grid: GridDouble) -> None:
    """A name stands for an account in a transfer; a misspelt one gets the close match."""
    assert dsq("wallet", "contacts").err.startswith("No contacts yet")
    assert dsq("wallet", "contacts", "add", "gaia", str(GAIA)).code == 0
    assert dsq("wallet", "contacts", "--json").json == {"gaia": str(GAIA)}
    assert str(GAIA) in dsq("wallet", "contacts", "list").out
    assert dsq("credits", "transfer", "gaia", "5").code == 0
    assert ("transfer", GAIA, 5 * CREDIT) in grid.did
    result = dsq("credits", "transfer", "giaa", "5")
    assert result.code == 64
    assert "'gaia'" in result.err
    assert dsq("wallet", "contacts", "remove", "giaa").code == 66
    assert dsq("wallet", "contacts", "remove", "gaia").code == 0
    assert dsq("wallet", "contacts", "--json").json == {}


@pytest.mark.parametrize("name", ["0xabc", "two words", "", "a/b"])
def test_a_contact_needs_a_plain_name(dsq: Dsq, name: str) -> None:
    """Nothing that could be taken for an address or a path."""
    assert dsq("wallet", "contacts", "add", name, str(GAIA)).code == 64


def test_a_damaged_book_is_explained(dsq: Dsq, grid: GridDouble) -> None:
    """The file and the name of the wrong line."""
    folder = Path(os.environ["DSQ_CONFIG_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "contacts.toml").write_text('ann = "0x12"\n')
    result = dsq("wallet", "contacts")
    assert result.code == 78
    assert "'ann'" in result.err
