"""Encryption at rest with the service's own key.

A key file holds 32 random bytes and is made on first use, readable by its owner only.
Without it nothing that the service stored can be read again. A key is replaced by putting
a new file before it: what is kept from then on is sealed with the new one, and the old one
opens the rest until its time is over.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dsq.core.errors import DsqError, SettingsError

log = logging.getLogger("dsq.sbatch.service.sealing")

KEY_BYTES = 32
NONCE_BYTES = 12
OVERHEAD_BYTES = NONCE_BYTES + 16
"""What sealing adds: the nonce before, the tag after."""

KEY_FILE = "service.key"


class Sealer:
    """Seals bytes (AES-256-GCM) and takes fingerprints, with keys derived by purpose.

    Args:
        key: Seals and opens.
        old: Keys that only open what was sealed before they were replaced.
    """

    __slots__ = ("_aeads", "_keys")

    def __init__(self, key: bytes, *old: bytes) -> None:
        self._keys = (key, *old)
        for each in self._keys:
            if len(each) != KEY_BYTES:
                raise SettingsError(f"A service key has {len(each)} bytes, {KEY_BYTES} are due.")
        self._aeads = [AESGCM(each) for each in self._keys]

    def __repr__(self) -> str:
        return "Sealer()"

    @classmethod
    def open(cls, folder: Path, files: Sequence[Path] = ()) -> Sealer:
        """Reads the keys.

        Args:
            folder: Where the key lies if ``files`` names none.
            files: The first one seals, and is made if it is not there; the others only open.

        Raises:
            SettingsError: A file cannot be read or written, or is damaged.
        """
        paths = list(files) or [folder / KEY_FILE]
        path = paths[0]
        try:
            keys = [_read_or_make(path)]
            for path in paths[1:]:
                keys.append(path.read_bytes())
        except OSError as error:
            raise SettingsError(f"The key file {path} cannot be used: {error.strerror}.") from error
        for each in paths:
            if each.stat().st_mode & 0o077:
                log.warning("key file is open to others path=%s", each)
        return cls(*keys)

    def derived(self, purpose: str) -> Sealer:
        """A sealer with keys of its own for one purpose."""
        return Sealer(*(hmac.digest(key, purpose.encode(), "sha256") for key in self._keys))

    def seal(self, data: bytes, context: bytes) -> bytes:
        """Encrypts; ``context`` is not kept but must be given again to open."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aeads[0].encrypt(nonce, data, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypts, with whichever key fits.

        Raises:
            DsqError: The data was changed, or sealed with another key or context.
        """
        for aead in self._aeads:
            try:
                return aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
            except (InvalidTag, ValueError):
                continue
        raise DsqError("Stored data cannot be opened: damaged, or another key.")

    def fingerprints(self, data: bytes) -> tuple[bytes, ...]:
        """Keyed digests, one a key: they tell equal data apart without giving a guess at it.

        The first one is to be kept; data is equal to what any of them was kept for.
        """
        return tuple(hmac.digest(key, data, hashlib.sha256) for key in self._keys)


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
