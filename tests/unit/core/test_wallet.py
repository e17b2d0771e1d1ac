"""Keys stay secret and open with their passphrase."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest

from dsq.core.errors import WalletError
from dsq.core.model import Address
from dsq.core.wallet import (
    KeyRef,
    Wallet,
    create_key_file,
    key_file_address,
    load_wallet,
    read_key_file,
    recover_signer,
)

KEY = "4f3edf983ac636a65a842ce7c78d9aa706d3b113bce9c46f30d7d21715b23b1d"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A key file that opens with 'open'."""
    path = tmp_path / "keys" / "k.json"
    create_key_file(path, Wallet.from_key(KEY), "open", light=True)
    return path


def test_a_key_file_opens_with_its_passphrase_only(key_file: Path) -> None:
    """Private to its owner, named by its address, and closed to others."""
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(key_file.parent.stat().st_mode) == 0o700
    wallet = read_key_file(key_file, "open")
    assert wallet.address == Wallet.from_key(KEY).address == key_file_address(key_file)
    with pytest.raises(WalletError, match="does not open"):
        read_key_file(key_file, "shut")


def test_a_key_file_is_never_overwritten(key_file: Path) -> None:
    """A lost key is lost credits."""
    with pytest.raises(WalletError, match="there already"):
        create_key_file(key_file, Wallet.generate(), "x", light=True)


def test_keys_never_show(key_file: Path) -> None:
    """Not in repr, not in the error of a bad key."""
    assert KEY not in repr(Wallet.from_key(KEY))
    with pytest.raises(WalletError) as caught:
        Wallet.from_key(KEY + "ff")
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_where_a_wallet_is_found(
    key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The raw key wins, then the flag, the environment, the settings; else the sentence."""
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("open\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("shut\n")
    address = Wallet.from_key(KEY).address
    other = Wallet.generate()
    ref = KeyRef(None, key_file, wrong)
    raw = {"ETH_PRIVATE_KEY": KEY}
    assert load_wallet(None, env=raw).address == address != other.address
    assert load_wallet(ref, passphrase_file=passphrase, env={}).address == address
    assert load_wallet(ref, env={"DSQ_PASSPHRASE_FILE": str(passphrase)}).address == address
    with pytest.raises(WalletError, match="does not open"):
        load_wallet(ref, env={})
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(WalletError, match="--passphrase-file"):
        load_wallet(KeyRef(None, key_file), env={})
    with pytest.raises(WalletError, match="no wallet"):
        load_wallet(None, env={})


@pytest.mark.parametrize("shift", [0, 27])
def test_signatures_of_both_kinds(shift: int) -> None:
    """v may be 0 or 1, or 27 or 28."""
    wallet = Wallet.from_key(KEY)
    signature = bytearray(wallet.sign_text("text"))
    signature[64] = signature[64] - 27 + shift
    assert recover_signer("text", bytes(signature)) == wallet.address


@pytest.mark.parametrize("signature", [b"", bytes(64), bytes(65)[:-1] + b"\x05", bytes(65)])
def test_malformed_signatures(signature: bytes) -> None:
    """Any bytes are an error, none a crash."""
    with pytest.raises(WalletError):
        recover_signer("text", signature)


def test_the_signer_is_the_one_that_the_library_finds() -> None:
    """Of texts of all lengths, signatures of both forms, and of what nobody signed."""
    from eth_account import Account
    from eth_account.messages import encode_defunct

    wallet = Wallet.generate()
    for length in (0, 1, 9, 10, 99, 100, 5000):
        text = b"\xff" * length
        signature = wallet.sign_text(text)
        for made in (signature, signature[:64] + bytes([signature[64] - 27])):
            assert recover_signer(text, made) == wallet.address
        # Another s fits another key; another r may fit none.
        other = signature[:40] + b"0123456789" + signature[50:]
        found = Account.recover_message(encode_defunct(primitive=text), signature=other)
        assert recover_signer(text, other) == Address.parse(str(found))


def test_signing_leaves_the_recursion_limit_alone() -> None:
    """A library of the signer raises it; parsers of untrusted text need it low."""
    import subprocess
    import sys

    code = (
        "import sys; from dsq.core.wallet import Wallet; Wallet.generate().sign_text('x');"
        "print(sys.getrecursionlimit())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(out.stdout) == 1000
