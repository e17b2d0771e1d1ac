"""Encryption at rest with the service's own key.

The key file holds 32 random bytes and is made on first use, readable by its owner
only. Without it nothing that the service stored can be read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dsq.core.errors import DsqError, SettingsError

KEY_BYTES = 32
NONCE_BYTES = 12
OVERHEAD_BYTES = NONCE_BYTES + 16
"""What sealing adds: the nonce before, the tag after."""

KEY_FILE = "service.key"


class Sealer:
    """Seals bytes (AES-256-GCM) and takes fingerprints, with keys derived by purpose."""

    __slots__ = ("_aead", "_key")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise SettingsError(f"The service's key has {len(key)} bytes, {KEY_BYTES} are due.")
        self._key = key
        self._aead = AESGCM(key)

    def __repr__(self) -> str:
        return "Sealer()"

    @classmethod
    def open(cls, folder: Path) -> Sealer:
        """Reads the key file in ``folder``, or makes it.

        Raises:
            SettingsError: The file cannot be read or written, or is damaged.
        """
        path = folder / KEY_FILE
        try:
            return cls(_read_or_make(path))
        except OSError as error:
            raise SettingsError(f"The key file {path} cannot be used: {error.strerror}.") from error

    def derived(self, purpose: str) -> Sealer:
        """A sealer with a key of its own for one purpose."""
        return Sealer(hmac.digest(self._key, purpose.encode(), "sha256"))

    def seal(self, data: bytes, context: bytes) -> bytes:
        """Encrypts; ``context`` is not kept but must be given again to open."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, data, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypts.

        Raises:
            DsqError: The data was changed, or sealed with another key or context.
        """
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
        except (InvalidTag, ValueError) as error:
            raise DsqError("Stored data cannot be opened: damaged, or another key.") from error

    def fingerprint(self, data: bytes) -> bytes:
        """A keyed digest: tells equal data apart without giving a guess at it."""
        return hmac.digest(self._key, data, hashlib.sha256)


def _read_or_make(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    # Written aside and linked into place: a service killed here leaves no half key.
    aside = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink()
    return path.read_bytes()
