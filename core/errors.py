"""Every error that a user of dsq can meet, as one tree.

::

    DsqError                     70  something inside dsq went wrong
    ├── UsageError               64  the command line or a call makes no sense
    ├── WorkflowError            65  the workflow is not valid
    ├── NotFoundError            66  no such file, job, provider or log
    ├── UnreachableError         69  a service of the grid does not answer
    ├── TryAgainError            75  it may work when repeated
    │   └── TransactionError     75  a transaction was not mined in time
    ├── ContractError            75  a contract refused a call
    ├── DiskError                75  the disk does not take what must be on it first
    ├── ReorgError               74  the chain went back further than is allowed
    ├── WrongChainError          76  the endpoint serves another chain
    ├── WalletError              77  key or passphrase
    ├── SettingsError            78  settings file, environment or flag
    └── CreditsError             79  credits or allowance
        └── AllowanceError       79  the allowance is too small

The numbers are the exit codes of the ``dsq`` command; docs/reference/errors.md
lists them and a test compares both.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class DsqError(Exception):
    """An error with a sentence for people and a code for programs.

    Args:
        message: One sentence: what is wrong and where.
        hint: One sentence: what to do about it. Empty when there is nothing to add.
    """

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(DsqError):
    """The command line or a call makes no sense."""

    code = "usage"
    exit_code = 64


class WorkflowError(DsqError):
    """The workflow is not valid.

    ``problems`` holds one sentence a problem, each with its place in the file.
    """

    code = "workflow"
    exit_code = 65

    def __init__(self, message: str, *, hint: str = "", problems: Iterable[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class NotFoundError(DsqError):
    """No such file, job, provider or log."""

    code = "not_found"
    exit_code = 66


class UnreachableError(DsqError):
    """A service of the grid does not answer."""

    code = "unreachable"
    exit_code = 69


class TryAgainError(DsqError):
    """It may work when repeated."""

    code = "try_again"
    exit_code = 75


class TransactionError(TryAgainError):
    """A transaction was not mined in time, or its place was taken by another."""

    code = "transaction"


class ContractError(DsqError):
    """A contract refused a call.

    Attributes:
        name: Name of the Solidity error ("InvalidTransition"), "Panic" or "Error".
        args_by_name: The arguments of the Solidity error.
    """

    code = "contract"
    exit_code = 75

    def __init__(
        self,
        message: str,
        *,
        name: str = "",
        args_by_name: dict[str, object] | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.name = name
        self.args_by_name = dict(args_by_name or {})


class DiskError(DsqError):
    """The disk does not take what must be on it before anything follows from it outside."""

    code = "disk"
    exit_code = 75


class ReorgError(DsqError):
    """The chain went back further than is allowed: its history is another one."""

    code = "reorganisation"
    exit_code = 74


class WrongChainError(DsqError):
    """The endpoint serves another chain than the settings name."""

    code = "wrong_chain"
    exit_code = 76


class WalletError(DsqError):
    """The key file or its passphrase cannot be used."""

    code = "wallet"
    exit_code = 77


class SettingsError(DsqError):
    """A settings file, an environment variable or a flag is wrong."""

    code = "settings"
    exit_code = 78


class CreditsError(DsqError):
    """Too few credits for what was asked."""

    code = "credits"
    exit_code = 79


class AllowanceError(CreditsError):
    """The contract may not take as many credits as were asked for."""

    code = "allowance"


def close_matches(word: str, known: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the names in ``known`` near ``word``, or ""."""
    folded = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), list(folded), n=3, cutoff=0.6)
    if not found:
        return ""
    return " Did you mean " + " or ".join(f"'{folded[name]}'" for name in found) + "?"
