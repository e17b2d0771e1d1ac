"""Keys: keystore v3 files, signatures, and where a command finds its wallet.

A :class:`Wallet` never shows its key: not in ``repr``, not in errors, not in
tracebacks' locals printed by dsq.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsq.core.errors import WalletError
from dsq.core.model import Address

if TYPE_CHECKING:
    from eth_account import Account
    from eth_account.signers.local import LocalAccount

LIGHT_SCRYPT_N = 1 << 12
"""Work factor for keys whose passphrase is random and lies beside them."""

SCRYPT_N = 1 << 18
"""Work factor for passphrases that people choose (geth's default)."""


@dataclass(frozen=True, slots=True)
class KeyRef:
    """Where a key lies: its address (known without the passphrase) and files."""

    address: Address | None = None
    key_file: Path | None = None
    passphrase_file: Path | None = None


def _eth_account() -> type[Account]:
    """The library that signs, loaded late and without its change to Python's recursion limit.

    One of its dependencies raises that limit a hundredfold for the whole process; deeply
    nested input to a parser would then overflow the C stack instead of being refused.
    """
    limit = sys.getrecursionlimit()
    from eth_account import Account

    sys.setrecursionlimit(limit)
    return Account


class Wallet:
    """A private key that can sign."""

    __slots__ = ("_account", "address")

    def __init__(self, account: LocalAccount) -> None:
        self._account = account
        self.address = Address.parse(str(account.address))

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    @classmethod
    def generate(cls) -> Wallet:
        """A new random key."""
        account = _eth_account()

        return cls(account.create())

    @classmethod
    def from_key(cls, key: str | bytes) -> Wallet:
        """A wallet of a raw private key: 32 bytes, or 64 hexadecimal digits with or without 0x.

        Raises:
            WalletError: It is no private key. The message does not repeat it.
        """
        account = _eth_account()

        try:
            raw = key if isinstance(key, bytes) else bytes.fromhex(key.strip().removeprefix("0x"))
            if len(raw) != 32:
                raise ValueError
            return cls(account.from_key(raw))
        except Exception:
            # The cause is dropped: libraries put the key into their messages.
            raise WalletError(
                "This is not a private key.", hint="A key is 64 hexadecimal digits."
            ) from None

    def sign_text(self, text: str | bytes) -> bytes:
        """Signs a personal message (EIP-191): 65 bytes r, s, v with v 27 or 28."""
        raw = text.encode() if isinstance(text, str) else text
        _eth_account()
        from eth_account.messages import encode_defunct

        return bytes(self._account.sign_message(encode_defunct(primitive=raw)).signature)

    def sign_typed_data(
        self, domain: Mapping[str, Any], types: Mapping[str, Any], message: Mapping[str, Any]
    ) -> bytes:
        """Signs typed data (EIP-712): 65 bytes r, s, v with v 27 or 28."""
        signed = self._account.sign_typed_data(dict(domain), dict(types), dict(message))
        return bytes(signed.signature)

    def sign_transaction(self, transaction: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """Signs a transaction.

        Returns:
            The raw transaction to send, and its hash.
        """
        signed = self._account.sign_transaction(dict(transaction))
        return bytes(signed.raw_transaction), bytes(signed.hash)

    def to_keystore(self, passphrase: str, *, light: bool = False) -> dict[str, Any]:
        """The key as a keystore v3 object."""
        n = LIGHT_SCRYPT_N if light else SCRYPT_N
        return dict(self._account.encrypt(passphrase, kdf="scrypt", iterations=n))


def recover_signer(text: str | bytes, signature: bytes) -> Address:
    """The account that signed a personal message; ``v`` may be 0, 1, 27 or 28.

    Raises:
        WalletError: The signature has not 65 bytes or fits no key.
    """
    # The library's own way to the same two calls takes five times as long, and services
    # recover a signer with each request.
    from coincurve import PublicKey
    from eth_utils.crypto import keccak

    if len(signature) != 65 or signature[64] not in (0, 1, 27, 28):
        raise WalletError("The signature is malformed: 65 bytes with v 0, 1, 27 or 28 are due.")
    raw = text.encode() if isinstance(text, str) else text
    digest = keccak(b"\x19Ethereum Signed Message:\n%d" % len(raw) + raw)
    recoverable = signature[:64] + bytes([signature[64] % 27])
    try:
        key = PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    except Exception as error:
        raise WalletError("The signature fits no key.") from error
    return Address(keccak(key.format(compressed=False)[1:])[12:])


def create_key_file(path: Path, wallet: Wallet, passphrase: str, *, light: bool = False) -> None:
    """Writes a keystore v3 file, readable by its owner only; never over an existing one.

    Raises:
        WalletError: The file is there already, or cannot be written.
    """
    text = json.dumps(wallet.to_keystore(passphrase, light=light), sort_keys=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise WalletError(
            f"The key file {path} is there already.", hint="Move it away or choose another name."
        ) from None
    except OSError as error:
        raise WalletError(f"The key file {path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_keystore(path: Path) -> dict[str, Any]:
    """Reads a key file without opening it.

    Raises:
        WalletError: It is not there, or is no keystore v3 file.
    """
    try:
        store = json.loads(path.read_text())
    except OSError as error:
        raise WalletError(
            f"The key file {path} cannot be read: {error.strerror}.",
            hint="'dsq wallet new' makes one.",
        ) from error
    except ValueError:
        store = None
    if not isinstance(store, dict) or "crypto" not in {str(key).lower() for key in store}:
        raise WalletError(
            f"{path} is no key file.", hint="dsq reads Ethereum keystore v3 files (JSON)."
        )
    return store


def read_key_file(path: Path, passphrase: str) -> Wallet:
    """Opens a keystore v3 file.

    Raises:
        WalletError: The file cannot be read, or the passphrase is wrong.
    """
    account = _eth_account()

    store = read_keystore(path)
    try:
        key = bytes(account.decrypt(store, passphrase))
    except Exception:
        raise WalletError(
            f"The passphrase does not open the key file {path}.",
            hint="Check --passphrase-file or type it again.",
        ) from None
    return Wallet.from_key(key)


def key_file_address(path: Path) -> Address | None:
    """The address that a key file names, if it names one."""
    text = read_keystore(path).get("address")
    return Address.parse("0x" + str(text).removeprefix("0x")) if text else None


def read_passphrase(path: Path) -> str:
    """The first line of a passphrase file.

    Raises:
        WalletError: The file cannot be read.
    """
    try:
        return path.read_text().split("\n", 1)[0].rstrip("\r")
    except OSError as error:
        raise WalletError(
            f"The passphrase file {path} cannot be read: {error.strerror}."
        ) from error


def load_wallet(
    ref: KeyRef | None = None,
    *,
    passphrase_file: Path | None = None,
    env: Mapping[str, str] | None = None,
    prompt: bool = True,
) -> Wallet:
    """Finds and opens the wallet of a command.

    ``ETH_PRIVATE_KEY`` wins over everything. Otherwise the key file of ``ref``, with
    the passphrase from ``passphrase_file`` (the flag), ``DSQ_PASSPHRASE_FILE``, the
    settings (``ref.passphrase_file``), or a prompt if standard input is a terminal.

    Raises:
        WalletError: No key, or no passphrase, or they do not fit (exit code 77).
    """
    env = os.environ if env is None else env
    if raw := env.get("ETH_PRIVATE_KEY"):
        return Wallet.from_key(raw)
    if ref is None or ref.key_file is None:
        raise WalletError(
            "There is no wallet.",
            hint="'dsq wallet new' makes one; --home DIR uses that of a local grid.",
        )
    named = env.get("DSQ_PASSPHRASE_FILE")
    file = passphrase_file or (Path(named) if named else ref.passphrase_file)
    if file is not None:
        return read_key_file(ref.key_file, read_passphrase(file))
    read_keystore(ref.key_file)
    if not prompt or not sys.stdin.isatty():
        raise WalletError(
            f"The key file {ref.key_file} needs its passphrase.",
            hint="Name a file with --passphrase-file or DSQ_PASSPHRASE_FILE.",
        )
    return read_key_file(ref.key_file, getpass.getpass(f"Passphrase of {ref.key_file.name}: "))
