"""One active meta-scheduler a key on a machine; a second one may stand by.

A standby takes over within a second of the other's end. docs/metascheduler.md says what
protects a grid whose key is used on two machines.
"""

from __future__ import annotations

from pathlib import Path

from dsq.core.errors import TryAgainError
from dsq.core.model import Address
from dsq.core.place import Place


class AnotherMetaSchedulerError(TryAgainError):
    """Another meta-scheduler with the same key, or the same state folder, is at work."""

    code = "locked"


def lease(state_dir: Path, chain_id: int, contract: Address, me: Address) -> Place:
    """The place of the active meta-scheduler.

    Args:
        state_dir: Its state folder.
        chain_id: The chain.
        contract: The grid's MetaScheduler.
        me: The account that places jobs.
    """
    return Place("metascheduler", state_dir / "metascheduler.lock", chain_id, contract, me)


def refuse(holder: str) -> AnotherMetaSchedulerError:
    """The error of one that may not stand by."""
    return AnotherMetaSchedulerError(
        f"Another meta-scheduler {holder}.",
        hint="Stop it first, or let this one wait for its end with --standby.",
    )
