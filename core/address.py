"""The address of an account or contract. Everybody takes it from :mod:`dsq.core.model`."""

from __future__ import annotations

from dsq.core.errors import UsageError
from dsq.core.keccak import checksum_text


class Address(bytes):
    """An account or contract: 20 bytes, compared as bytes, shown with its checksum (EIP-55)."""

    __slots__ = ()

    def __new__(cls, raw: bytes) -> Address:
        if len(raw) != 20:
            raise UsageError(f"An address has 20 bytes, this one has {len(raw)}.")
        return super().__new__(cls, raw)

    @classmethod
    def parse(cls, text: str | bytes) -> Address:
        """Reads ``0x`` and 40 hexadecimal digits, any case; mixed case must be the checksum.

        Raises:
            UsageError: The text is no address, or its checksum does not fit.
        """
        if isinstance(text, bytes):
            return cls(text)
        digits = text[2:] if text[:2] in ("0x", "0X") else ""
        try:
            address = cls(bytes.fromhex(digits)) if len(digits) == 40 else None
        except ValueError:
            address = None
        if address is None:
            raise UsageError(
                f"'{text}' is not an address.", hint="Write 0x and 40 hexadecimal digits."
            )
        mixed = digits not in (digits.lower(), digits.upper())
        if mixed and str(address) != "0x" + digits:
            raise UsageError(
                f"The checksum of address '{text}' is wrong.", hint="Look for a mistyped digit."
            )
        return address

    @property
    def is_zero(self) -> bool:
        return not any(self)

    @property
    def lower(self) -> str:  # type: ignore[override]
        """``0x`` and 40 lower-case digits: the form signed texts and log names use."""
        return "0x" + self.hex()

    @property
    def short(self) -> str:
        """Its ends only, for narrow columns: ``0x9fD3…41aC``."""
        text = str(self)
        return f"{text[:6]}…{text[-4:]}"

    def __str__(self) -> str:
        return checksum_text(bytes(self))

    def __repr__(self) -> str:
        return f"Address({self})"


ZERO_ADDRESS = Address(bytes(20))
