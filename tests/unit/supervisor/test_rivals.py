"""Who made the oldest claim of the last day."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dsq.core.chain import Event
from dsq.supervisor.journal import Journal
from dsq.supervisor.rivals import STRETCH, WINDOW, Rivals
from dsq.supervisor.services import Services
from tests.support.fakes import ME, OTHER

DAY = STRETCH * WINDOW


def claim(block: int, mark: str, provider: Any = ME) -> Event:
    """A claim of ours (mark "a"), of the rival with our key ("b"), or of another provider."""
    tx = f"{mark}{block}".encode().rjust(32, b"\0")
    args = {"job_id": block, "provider": provider}
    return Event("ClaimJobEvent", "MetaScheduler", args, block, b"", tx, 0)


class Log:
    """The claims of a chain."""

    def __init__(self, *events: Event) -> None:
        self.all = events
        self.asked = 0

    async def events(
        self, first: int, last: int, names: Collection[str] | None = None
    ) -> list[Event]:
        self.asked += 1
        assert last - first < STRETCH
        return [event for event in self.all if first <= event.block_number <= last]


def rivals(path: Path, log: Log) -> Rivals:
    """A supervisor whose sender has forgotten what it sent."""
    parts = SimpleNamespace(
        journal=Journal(path), me=ME, chain=log, sender=SimpleNamespace(knows=lambda _tx: False)
    )
    return Rivals(cast("Services", parts))


def who_stays(tmp_path: Path, *events: Event, at: int) -> tuple[bool, bool]:
    """Whether "a" stays, and whether "b" does."""
    log = Log(*events)
    found = []
    for name in "ab":
        one = rivals(tmp_path / f"{name}.db", log)
        for event in events:
            if event.tx_hash.strip(b"\0").startswith(name.encode()):
                one.claimed(event)
        found.append(asyncio.run(one.stays(at)))
    return found[0], found[1]


NOISE = claim(5, "c", OTHER)


@pytest.mark.parametrize(
    ("events", "at", "a_stays"),
    [
        ([NOISE, claim(10, "a"), claim(11, "b")], 11, True),
        ([NOISE, claim(10, "b"), claim(11, "a")], 11, False),
        ([claim(10, "a"), claim(DAY - 1, "b"), claim(DAY, "a")], DAY, True),
        ([claim(10, "a"), claim(2 * DAY, "b"), claim(2 * DAY + 5, "a")], 2 * DAY + 5, False),
        ([claim(STRETCH - 1, "b"), claim(STRETCH, "a")], STRETCH, False),
    ],
    ids=["first", "second", "all day", "away for a day", "side by side"],
)
def test_the_oldest_claim_of_the_last_day_decides(
    tmp_path: Path, events: list[Event], at: int, a_stays: bool
) -> None:
    """Both see the same claims: exactly one of them stays."""
    assert who_stays(tmp_path, *events, at=at) == (a_stays, not a_stays)


def test_what_was_claimed_is_known_after_a_restart_and_not_kept_for_ever(tmp_path: Path) -> None:
    """One line for each hour of blocks, a day's worth of them."""
    events = [claim(block, "a") for block in range(0, 3 * DAY, STRETCH // 2)]
    log = Log(*events)
    one = rivals(tmp_path / "a.db", log)
    for event in events:
        one.claimed(event)
    one._s.journal.close()
    again = rivals(tmp_path / "a.db", log)
    assert asyncio.run(again.stays(3 * DAY - 1))
    assert len(again._own) == WINDOW + 1


def test_whoever_never_claimed_gives_way(tmp_path: Path) -> None:
    """Nothing of its own is in sight: the other one works."""
    assert not asyncio.run(rivals(tmp_path / "a.db", Log()).stays(3 * DAY))
