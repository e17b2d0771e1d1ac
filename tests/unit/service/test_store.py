"""The store of scripts in SQLite, and the keys that seal it."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest

from dsq.core.errors import DsqError, SettingsError
from dsq.sbatch.service.sealing import Sealer
from dsq.sbatch.service.sqlite_store import SqliteScriptStore
from tests.support.store_contract import BOB, Opener, StoreContract, script


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scripts.sqlite"


@pytest.fixture
def opener(path: Path) -> Opener:
    return lambda sealer: SqliteScriptStore(path, sealer)


class TestSqlite(StoreContract):
    """SQLite keeps the contract."""


async def test_a_script_is_tied_to_its_key(path: Path) -> None:
    """Who can write the file cannot hand one customer's script out as another's."""
    store = SqliteScriptStore(path, Sealer(bytes(32)))
    await store.put(script("k"))
    await store.put(script("l", BOB))
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE scripts SET sealed = (SELECT sealed FROM scripts WHERE key = 'k')"
            " WHERE key = 'l'"
        )
    with pytest.raises(DsqError, match="cannot be opened"):
        await store.get("l")


def test_a_file_that_is_no_database(path: Path) -> None:
    """Said in one sentence, before the service starts."""
    path.write_bytes(b"no database" * 100)
    with pytest.raises(SettingsError, match="cannot be used"):
        SqliteScriptStore(path, Sealer(bytes(32)))


class TestSealer:
    def test_the_key_is_made_once(self, tmp_path: Path) -> None:
        """The first use makes the file, readable by its owner only; later ones read it."""
        sealed = Sealer.open(tmp_path).seal(b"data", b"place")
        path = tmp_path / "service.key"
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(path.read_bytes()) == 32
        assert Sealer.open(tmp_path).unseal(sealed, b"place") == b"data"
        assert [file.name for file in tmp_path.iterdir()] == ["service.key"]

    @pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
    def test_a_damaged_key_file(self, tmp_path: Path, content: bytes) -> None:
        """Never used, never replaced."""
        (tmp_path / "service.key").write_bytes(content)
        with pytest.raises(SettingsError, match="32 are due"):
            Sealer.open(tmp_path)
        assert (tmp_path / "service.key").read_bytes() == content

    def test_every_change_is_seen(self) -> None:
        """Another context, a flipped bit or a cut: refused."""
        sealer = Sealer(bytes(32))
        sealed = sealer.seal(b"data", b"place")
        assert b"data" not in sealed
        for wrong in (sealed[:-1], b"", sealed[:5], bytes([sealed[0] ^ 1]) + sealed[1:]):
            with pytest.raises(DsqError):
                sealer.unseal(wrong, b"place")
        with pytest.raises(DsqError):
            sealer.unseal(sealed, b"elsewhere")

    def test_purposes_have_keys_of_their_own(self) -> None:
        """What one purpose sealed, another cannot open; fingerprints differ too."""
        one, other = Sealer(bytes(32)).derived("a"), Sealer(bytes(32)).derived("b")
        with pytest.raises(DsqError):
            other.unseal(one.seal(b"data", b""), b"")
        assert one.fingerprints(b"x") != other.fingerprints(b"x")
        assert one.fingerprints(b"x") == Sealer(bytes(32)).derived("a").fingerprints(b"x")
        assert "0" not in repr(one)

    def test_a_key_is_replaced(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """The first file seals and is made when it is missing; the others open, and must be there."""
        old, new = tmp_path / "old.key", tmp_path / "new.key"
        sealed = Sealer.open(tmp_path, [old]).seal(b"text", b"")
        both = Sealer.open(tmp_path, [new, old])
        assert both.unseal(sealed, b"") == b"text"
        assert (
            both.derived("x").unseal(Sealer.open(tmp_path, [old]).derived("x").seal(b"t", b""), b"")
            == b"t"
        )
        fresh = both.seal(b"text", b"")
        assert Sealer.open(tmp_path, [new]).unseal(fresh, b"") == b"text"
        with pytest.raises(DsqError, match="cannot be opened"):
            Sealer.open(tmp_path, [old]).unseal(fresh, b"")
        with pytest.raises(SettingsError, match=r"gone\.key cannot be used"):
            Sealer.open(tmp_path, [new, tmp_path / "gone.key"])
        new.chmod(0o644)
        with caplog.at_level(logging.WARNING):
            Sealer.open(tmp_path, [new])
        assert "key file is open to others" in caplog.text
