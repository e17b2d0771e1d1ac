"""The store of scripts, and the key that seals it."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from dsq.core.errors import DsqError, SettingsError
from dsq.core.model import Address
from dsq.sbatch.service.sealing import Sealer
from dsq.sbatch.service.store import (
    IdempotencyError,
    IdempotentSubmit,
    SqliteScriptStore,
    StoredScript,
)

ANN, BOB = Address(b"a" * 20), Address(b"b" * 20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scripts.sqlite"


def script(key: str = "k", owner: Address | None = ANN) -> StoredScript:
    """A script with a secret."""
    signed = owner is not None
    return StoredScript(key, "echo hidden", owner, signed, time.time(), {"TOKEN": "hidden"})


async def test_what_is_put_is_got(path: Path) -> None:
    """Text, owner, secrets and time come back, also in another process's store."""
    store = SqliteScriptStore(path, Sealer(bytes(32)))
    kept = script()
    await store.put(kept)
    assert await store.get("k") == kept
    await store.close()
    again = SqliteScriptStore(path, Sealer(bytes(32)))
    assert await again.get("k") == kept
    assert await again.get("other") is None
    assert await again.has(["k", "other"]) == {"k"}


async def test_another_key_opens_nothing(path: Path) -> None:
    """Without the service's key the database is of no use."""
    store = SqliteScriptStore(path, Sealer(bytes(32)))
    await store.put(script())
    stolen = SqliteScriptStore(path, Sealer(b"x" * 32))
    with pytest.raises(DsqError, match="cannot be opened"):
        await stolen.get("k")


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


async def test_a_repeat_keeps_nothing(path: Path) -> None:
    """The second of two equal submits gets the first one's key."""
    store = SqliteScriptStore(path, Sealer(bytes(32)))
    submit = IdempotentSubmit("ann", "1", b"f")
    assert await store.put(script("k"), submit) == "k"
    assert await store.put(script("l"), submit) == "k"
    assert await store.get("l") is None
    with pytest.raises(IdempotencyError):
        await store.put(script("l"), IdempotentSubmit("ann", "1", b"g"))
    assert await store.put(script("l"), IdempotentSubmit("bob", "1", b"g")) == "l"


async def test_jobs_of_an_unsigned_script(path: Path) -> None:
    """The first customer owns it; forgetting the jobs frees it again."""
    store = SqliteScriptStore(path, Sealer(bytes(32)))
    await store.put(script("k", None))
    big = 2**255
    await store.record_job("k", big, ANN)
    await store.record_job("k", 7, BOB)
    await store.record_job("unknown", 8, BOB)
    found = await store.get("k")
    assert found is not None
    assert found.owner == ANN
    assert await store.first_job("k") == big
    await store.forget_jobs([big])
    found = await store.get("k")
    assert found is not None
    assert found.owner is None
    assert await store.first_job("k") is None


async def test_jobs_of_a_signed_script(path: Path) -> None:
    """The signer stays the owner, whatever the chain shows."""
    store = SqliteScriptStore(path, Sealer(bytes(32)))
    await store.put(script("k", ANN))
    await store.record_job("k", 7, BOB)
    await store.forget_jobs()
    found = await store.get("k")
    assert found is not None
    assert found.owner == ANN


async def test_nonces_serve_once(path: Path) -> None:
    """A nonce is taken out by its first use, and expires."""
    store = SqliteScriptStore(path, Sealer(bytes(32)))
    await store.add_nonce("n", 100.0)
    await store.add_nonce("old", 100.0)
    assert await store.take_nonce("n", 50.0)
    assert not await store.take_nonce("n", 50.0)
    assert not await store.take_nonce("old", 100.0)
    assert not await store.take_nonce("never", 50.0)


async def test_nonces_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of challenges drops the oldest: the store does not grow with it."""
    monkeypatch.setattr("dsq.sbatch.service.store.MAX_NONCES", 10)
    store = SqliteScriptStore(path, Sealer(bytes(32)))
    for number in range(50):
        await store.add_nonce(str(number), 100.0)
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM nonces").fetchone() == (10,)
    assert await store.take_nonce("49", 50.0)
    assert not await store.take_nonce("0", 50.0)


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
        assert one.fingerprint(b"x") != other.fingerprint(b"x")
        assert one.fingerprint(b"x") == Sealer(bytes(32)).derived("a").fingerprint(b"x")
        assert "0" not in repr(one)
