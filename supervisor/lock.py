"""One supervisor a key: two would run jobs twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from dsq.core.errors import TryAgainError
from dsq.core.model import Address
from dsq.core.place import Place

LOCK_FILE = "supervisor.lock"
"""In the state folder."""


class AnotherSupervisorError(TryAgainError):
    """Another supervisor with the same key, or the same journal, is at work."""

    code = "locked"


class RivalError(AnotherSupervisorError):
    """Another supervisor with the same key works on another machine, and was there first."""

    code = "rival"
    exit_code = 71


@contextlib.contextmanager
def only_supervisor(
    state_dir: Path, chain_id: int, contract: Address, me: Address
) -> Iterator[None]:
    """Holds the place of the one supervisor of a key, for the length of a ``with``.

    Raises:
        AnotherSupervisorError: The key, or the journal in ``state_dir``, is in use.
        SettingsError: The state folder cannot be used.
    """
    place = Place("provider", state_dir / LOCK_FILE, chain_id, contract, me)
    holder = place.take()
    if holder:
        raise AnotherSupervisorError(
            f"Another supervisor {holder}.", hint="Stop it first; two would run jobs twice."
        )
    try:
        yield
    finally:
        place.release()
