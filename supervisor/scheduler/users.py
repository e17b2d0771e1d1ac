"""One account of the cluster for each wallet: which one, and the line to it.

A mapping file names accounts; wallets that are not in it get the template's, if there is one.
Whose an account is stays on record, so that two wallets never share one by chance. Nothing
here needs root: over SSH the provider's key logs in as each account.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import tomllib
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

from dsq.core.errors import SettingsError, UsageError
from dsq.core.model import Address
from dsq.supervisor.scheduler.line import Transport
from dsq.supervisor.scheduler.port import SubmitRefused

log = logging.getLogger("dsq.supervisor.users")

OWNERS_FILE = "accounts.json"

MOST_LINES = 32
"""Accounts that have a connection at once; the one that rested longest is closed."""

LEAST_DIGITS = 10
"""Hexadecimal digits of an address that a template must keep: fewer collide too easily."""

ACCOUNT_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_MARK = re.compile(r"\{address(?:\[(\d+):(\d+)\])?\}")
JOB_NAME = re.compile(r"0x[0-9a-f]{64}")
"""Jobs of the grid; benchmarks have other names and run as the service account."""


def check_template(template: str) -> None:
    """Refuses a template that cannot give each wallet an account of its own.

    Raises:
        ValueError: With what is wrong.
    """
    marks = list(_MARK.finditer(template))
    if len(marks) != 1 or "{" in _MARK.sub("", template):
        raise ValueError("write {address} or {address[2:14]} once, as in dsq-{address[2:14]}")
    name = fill(template, Address(bytes(range(20))))
    if not ACCOUNT_NAME.fullmatch(name):
        raise ValueError(
            f"'{name}' is no name of an account: at most 32 small letters, digits, _ and -"
        )
    start, end = (int(part) if part else 0 for part in marks[0].groups(default=""))
    digits = min(end or 42, 42) - max(start, 2)
    if digits < LEAST_DIGITS:
        raise ValueError(f"it must keep {LEAST_DIGITS} digits of the address or more")


def fill(template: str, wallet: Address) -> str:
    """The template's account for a wallet; the address is written small, with its ``0x``."""

    def part(match: re.Match[str]) -> str:
        text = wallet.lower
        return text[int(match[1]) : int(match[2])] if match[1] else text

    return _MARK.sub(part, template)


def read_mapping(path: Path) -> dict[Address, str]:
    """Reads a mapping file: TOML, ``"0x…" = "account"``.

    Raises:
        SettingsError: It cannot be read, or an entry makes no sense.
    """
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(
            f"The file of users {path} cannot be read: {error.strerror}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The file of users {path} does not parse: {error}.") from error
    found: dict[Address, str] = {}
    for text, account in data.items():
        try:
            wallet = Address.parse(text)
        except UsageError as error:
            raise SettingsError(f"{path}: {error}") from None
        if not isinstance(account, str) or not ACCOUNT_NAME.fullmatch(account):
            raise SettingsError(f"{path}: {account!r} of {text} is no name of an account.")
        found[wallet] = account
    return found


class AccountMap:
    """Which account a wallet's jobs run as.

    Args:
        template: Account of wallets without an entry, "" if such wallets may not run here.
        users_file: The mapping file, read again when it changes; None for none.
        store: Where it is kept which wallet an account of the template belongs to.
        forbidden: Accounts that no job may run as, beside root.
    """

    def __init__(
        self,
        template: str,
        users_file: Path | None,
        store: Path,
        forbidden: Collection[str] = (),
    ) -> None:
        self._template = template
        self._users_file = users_file
        self._store = store
        self._forbidden = {"root", *forbidden}
        self._mapping: dict[Address, str] = {}
        self._mark: tuple[int, int] | None = None
        self._owners = self._load()

    def account_of(self, wallet: Address) -> str:
        """The account of a wallet.

        Raises:
            SubmitRefused: It has none, or the one it would get is another's.
            SettingsError: The mapping file cannot be read.
        """
        mapping = self._read_mapping()
        account = mapping.get(wallet, "")
        if not account:
            if not self._template:
                raise SubmitRefused(f"The wallet {wallet} has no account on this cluster.")
            account = fill(self._template, wallet)
            self._own(account, wallet, mapping)
        if account in self._forbidden:
            raise SubmitRefused(f"Jobs may not run as '{account}' on this cluster.")
        return account

    def knows(self, account: str) -> bool:
        """Whether some wallet has this account."""
        is_ours = account in self._owners or account in self._read_mapping().values()
        return is_ours and account not in self._forbidden

    def _own(self, account: str, wallet: Address, mapping: dict[Address, str]) -> None:
        """Notes whose an account of the template is; the first wallet keeps it."""
        owner = self._owners.get(account)
        if owner == wallet.lower and account not in mapping.values():
            return
        if account in mapping.values() or (owner is not None and owner != wallet.lower):
            raise SubmitRefused(
                f"The account '{account}' of wallet {wallet} belongs to another wallet.",
                hint="Give it another account in the file of users.",
            )
        self._owners[account] = wallet.lower
        part = self._store.with_name(f"{self._store.name}.{secrets.token_hex(4)}")
        self._store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.touch(mode=0o600)
        part.write_text(json.dumps(self._owners, indent=1, sort_keys=True) + "\n")
        part.replace(self._store)
        log.info("account=%s wallet=%s", account, wallet)

    def _load(self) -> dict[str, str]:
        try:
            data = json.loads(self._store.read_text())
            return {str(account): str(wallet) for account, wallet in data.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError) as error:
            raise SettingsError(
                f"{self._store} cannot be read: {error}.",
                hint="It says which wallet an account belongs to; restore it from a copy.",
            ) from error

    def _read_mapping(self) -> dict[Address, str]:
        if self._users_file is None:
            return {}
        try:
            status = self._users_file.stat()
            mark = status.st_mtime_ns, status.st_ino
        except OSError:
            mark = None
        if mark is None or mark != self._mark:
            self._mapping, self._mark = read_mapping(self._users_file), mark
        return self._mapping


class JobAccounts(Protocol):
    """Accounts of jobs, and lines to them."""

    def account_of(self, job_name: str) -> str:
        """The account of a job by its name; "" for the service account.

        Raises:
            SubmitRefused: The job may not run here.
        """
        ...

    def line(self, account: str) -> Transport:
        """The line to an account."""
        ...

    def is_known(self, account: str) -> bool:
        """Whether an account that Slurm names is one of ours."""
        ...

    async def close(self) -> None:
        """Closes all lines."""
        ...


class WalletAccounts:
    """One account a wallet, each with a line of its own.

    Args:
        accounts: Which account a wallet has.
        customer_of: The wallet of a job by its name on chain; None if the journal has no such
            job.
        make_line: Makes the line to an account.
    """

    def __init__(
        self,
        accounts: AccountMap,
        customer_of: Callable[[str], Address | None],
        make_line: Callable[[str], Transport],
    ) -> None:
        self._accounts = accounts
        self._customer_of = customer_of
        self._make_line = make_line
        self._lines: OrderedDict[str, Transport] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    def account_of(self, job_name: str) -> str:
        """See :meth:`JobAccounts.account_of`."""
        if not JOB_NAME.fullmatch(job_name):
            return ""
        wallet = self._customer_of(job_name)
        if wallet is None:
            raise SubmitRefused(f"Nobody knows whose job {job_name} is.")
        return self._accounts.account_of(wallet)

    def line(self, account: str) -> Transport:
        """See :meth:`JobAccounts.line`."""
        line = self._lines.pop(account, None) or self._make_line(account)
        self._lines[account] = line
        if len(self._lines) > MOST_LINES:
            self._close_one()
        return line

    def is_known(self, account: str) -> bool:
        """See :meth:`JobAccounts.is_known`."""
        return self._accounts.knows(account)

    def _close_one(self) -> None:
        """Closes the line that rested longest. A line in use is not closed."""
        for account, line in list(self._lines.items())[:-1]:
            if getattr(line, "is_idle", True):
                del self._lines[account]
                task = asyncio.create_task(line.close(), name="dsq-close-line")
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
                return

    async def close(self) -> None:
        """See :meth:`JobAccounts.close`."""
        lines = [*self._lines.values()]
        self._lines.clear()
        await asyncio.gather(*(line.close() for line in lines), *self._closing)
