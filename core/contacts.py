"""The user's address book: names for accounts, in ``contacts.toml`` of the settings folder."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from dsq.core.errors import NotFoundError, SettingsError, UsageError, close_matches
from dsq.core.model import Address

FILE = "contacts.toml"
_NAME = re.compile(r"[\w.@-]{1,40}")


def load_contacts(folder: Path) -> dict[str, Address]:
    """Names and their accounts; a missing file is an empty book.

    Raises:
        SettingsError: The file cannot be read, or a line holds no address.
    """
    path = folder / FILE
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error
    contacts: dict[str, Address] = {}
    for name, value in data.items():
        try:
            contacts[name] = Address.parse(str(value))
        except UsageError as error:
            raise SettingsError(f"{path}: '{name}': {error.message}") from None
    return contacts


def save_contact(folder: Path, name: str, address: Address | None) -> None:
    """Adds or changes a contact; None removes it. The file is written by rename.

    Raises:
        UsageError: The name has other signs than letters, digits, ``_ . @ -``, or begins
            as an address does.
        NotFoundError: There is no such contact to remove.
        SettingsError: The file that is there cannot be read.
    """
    import tomli_w

    contacts = load_contacts(folder)
    if address is None:
        if name not in contacts:
            raise NotFoundError(f"There is no contact '{name}'.{close_matches(name, contacts)}")
        del contacts[name]
    else:
        if _NAME.fullmatch(name) is None or name[:2].lower() == "0x":
            raise UsageError(
                f"'{name}' is not a name for a contact.",
                hint="Use letters, digits and _ . @ -, and do not begin with 0x.",
            )
        contacts[name] = address
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{FILE}.new"
    fresh.write_text(tomli_w.dumps({key: str(value) for key, value in sorted(contacts.items())}))
    fresh.chmod(0o600)
    fresh.replace(folder / FILE)


def find_account(text: str, contacts: Mapping[str, Address]) -> Address:
    """The account that is meant: a contact's name, or an address.

    Raises:
        UsageError: It is neither; names the close match.
    """
    text = text.strip()
    if text in contacts:
        return contacts[text]
    if text[:2].lower() == "0x":
        return Address.parse(text)
    raise UsageError(
        f"'{text}' is neither an address nor a contact.{close_matches(text, contacts)}",
        hint="'dsq wallet contacts' lists them.",
    )


def contact_name(address: Address, contacts: Mapping[str, Address]) -> str:
    """The name of an account; "" if it has none."""
    return next((name for name, known in contacts.items() if known == address), "")
