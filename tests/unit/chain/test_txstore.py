"""The sender's memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsq.core.chain import Call, txstore
from dsq.core.chain.fees import Fees
from dsq.core.chain.txstore import Attempt, Pending, TxStore
from dsq.core.errors import DiskError, SettingsError
from dsq.core.model import Address
from tests.support.disk import no_room

ACCOUNT = Address(b"\x01" * 20)
CALL = Call(Address(b"\x02" * 20), b"data", "it()")


def _tx(nonce: int) -> Pending:
    raw = nonce.to_bytes(4, "big")
    return Pending(0, nonce, CALL, 10**30, 21_000, 3, [Attempt(raw * 8, raw, Fees(10**20, 7))])


def test_transaction_is_the_same_in_the_next_process(tmp_path: Path) -> None:
    """Call, value, attempts and fees come back as they were."""
    path = tmp_path / "txs.sqlite"
    store = TxStore(path, "1/a", ACCOUNT)
    tx = _tx(5)
    store.add(tx)
    tx.attempts.append(Attempt(b"\x07" * 32, b"more", Fees(9, None)))
    store.add_attempt(tx)
    store.close()
    (found,) = TxStore(path, "1/a", ACCOUNT).sent()
    assert (found.nonce, found.call, found.value, found.gas) == (5, CALL, 10**30, 21_000)
    assert found.attempts == tx.attempts
    assert found.hash == b"\x07" * 32


def test_chains_and_accounts_are_apart(tmp_path: Path) -> None:
    """Another chain or account sees nothing of it."""
    path = tmp_path / "txs.sqlite"
    TxStore(path, "1/a", ACCOUNT).add(_tx(5))
    assert TxStore(path, "1/b", ACCOUNT).sent() == []
    assert TxStore(path, "1/a", Address(bytes(20))).sent() == []


def test_states() -> None:
    """Ended transactions leave the list of those under way, and can return to it."""
    store = TxStore(None, "1/a", ACCOUNT)
    assert store.highest_ended() == -1
    for nonce in range(4):
        store.add(_tx(nonce))
    one, two, three, four = store.sent()
    store.set_state(one, "mined")
    store.set_state(two, "failed")
    store.set_state(three, "displaced")
    assert [tx.nonce for tx in store.sent()] == [3]
    assert [tx.nonce for tx in store.ended_from(0)] == [0, 1]
    assert [tx.nonce for tx in store.ended_from(1)] == [1]
    assert store.highest_ended() == 1
    assert store.find(one.hash) == "mined"
    assert store.find(b"?") is None
    store.forget(four)
    assert store.sent() == []
    assert store.find(four.hash) is None


def test_old_ones_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store does not grow for ever; what is under way stays."""
    monkeypatch.setattr(txstore, "KEPT", 3)
    store = TxStore(None, "1/a", ACCOUNT)
    for nonce in range(10):
        store.add(_tx(nonce))
    for tx in store.sent()[1:]:
        store.set_state(tx, "mined")
    store.prune()
    assert [tx.nonce for tx in store.ended_from(0)] == [6, 7, 8, 9]
    assert [tx.nonce for tx in store.sent()] == [0]


def test_file_that_is_no_database(tmp_path: Path) -> None:
    """A file of another kind is told, not overwritten."""
    path = tmp_path / "txs.sqlite"
    path.write_text("this is no database at all, but some words" * 40)
    with pytest.raises(SettingsError, match="cannot be used"):
        TxStore(path, "1/a", ACCOUNT)
    assert path.read_text().startswith("this is no")


@pytest.mark.parametrize("is_new", [True, False])
def test_file_without_room(tmp_path: Path, is_new: bool) -> None:
    """A full disk at the start is told as such; with room the file is as it was."""
    path = tmp_path / "txs.sqlite"
    if not is_new:
        TxStore(path, "1/a", ACCOUNT).close()
    with no_room(), pytest.raises(DiskError, match="cannot be used"):
        TxStore(path, "1/a", ACCOUNT)
    TxStore(path, "1/a", ACCOUNT).close()
