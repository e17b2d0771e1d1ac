"""What both sides of a fake grid share: time, chance, and the moments at which a process dies."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsq.supervisor.journal import Journal
from dsq.supervisor.records import JobRecord
from tests.support.boundaries import kinds_of
from tests.support.virtual import EPOCH, VirtualClock


class Crash(BaseException):
    """The process died here."""


class Life:
    """One start of a process, until it is killed."""

    def __init__(self) -> None:
        self.is_over = False


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)
"""The process whose code runs; None for the world itself."""


@dataclass
class World:
    """What both sides of a fake grid share.

    Attributes:
        clock: The supervisor's clock; it can be set while time goes on.
        crash_at: Number of the boundary at which the process dies; 0 for never.
        crash_kind: It dies at the next boundary of this kind (:mod:`tests.support.boundaries`).
        random: Makes replies late by chance; None has each take its usual time.
        chain_skew, cluster_skew: Seconds by which the clocks of the others differ.
        watch: Called with each step's name: a boundary, a block, a change in the cluster.
        crashes: At how many boundaries of each kind the process died.
        met: How often something that comes seldom was met.
        disk_full: The journal's disk takes nothing more.
        sender_disk_full: The disk of the sender's file takes nothing more.
        violations: What never may happen, and did.
        trace: What happened, for a failed run.
    """

    clock: VirtualClock = field(default_factory=VirtualClock)
    crash_at: int = 0
    crash_kind: str = ""
    random: random.Random | None = None
    chain_skew: float = 0.0
    cluster_skew: float = 0.0
    boundaries: list[str] = field(default_factory=list)
    is_dead: bool = False
    died: asyncio.Event = field(default_factory=asyncio.Event)
    watch: Callable[[str], None] = lambda _name: None
    crashes: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    disk_full: bool = False
    sender_disk_full: bool = False
    violations: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)

    def true_time(self) -> float:
        """Unix seconds, whatever the machines' clocks say."""
        return EPOCH + self.clock.monotonic()

    def say(self, words: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{self.clock.monotonic():9.2f} {words}")

    def violated(self, words: str) -> None:
        """Something happened that never may."""
        self.say(f"VIOLATED {words}")
        self.violations.append(words)

    def has_died(self) -> bool:
        """Whether who asks is a process that is dead, or what is left of one that was killed."""
        life = LIFE.get()
        return self.is_dead or (life is not None and life.is_over)

    def boundary(self, name: str) -> None:
        """A moment at which a crash would matter; a dead process gets no further."""
        if self.has_died():
            raise Crash(name)
        self.boundaries.append(name)
        self.watch(name)
        kinds = kinds_of(name)
        if len(self.boundaries) == self.crash_at or self.crash_kind in kinds:
            self.is_dead = True
            self.died.set()
            self.crashes.update(kinds)
            self.say(f"crash at: {name}")
            raise Crash(name)

    async def delay(self, seconds: float) -> None:
        """A reply takes its time: with ``random``, now less, now much more."""
        if self.random is not None:
            seconds *= self.random.choice((0.0, 0.5, 1.0, 3.0, 20.0))
        await asyncio.sleep(seconds)

    def revive(self) -> None:
        """The process is started again, and does not die any more."""
        self.is_dead = False
        self.crash_at, self.crash_kind = 0, ""
        self.died = asyncio.Event()


class CrashingJournal(Journal):
    """A journal whose every write to the disk is two boundaries."""

    def __init__(self, path: Path, world: World) -> None:
        self._world = world
        super().__init__(path, now=world.clock.now)

    def _write(self) -> None:
        records = [record for record, _ in self._rows.values()]
        about = ",".join(sorted({record.phase for record in records})) or "meta"
        names = ",".join(f"{r.job_id}:{r.last_event or r.phase}" for r in records)
        names = names or ",".join(self._metas)
        self._bounded(f"journal {about} {names}", super()._write)
        if "cursor" in self._metas:
            self._world.watch("cursor on the disk")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with super()._transaction():
            if self._world.disk_full:
                self._world.met["a write of the journal is refused"] += 1
                raise sqlite3.OperationalError("database or disk is full")
            yield

    def is_on_disk(self, query: str, *values: str) -> bool:
        """Whether a query finds anything in what would survive a death now."""
        try:
            return self._db.execute(query, values).fetchone() is not None
        except sqlite3.ProgrammingError:
            return False  # closed

    def die(self) -> None:
        """The process is gone: what was not on the disk is lost."""
        if self._late is not None:
            self._late.cancel()
        self._db.close()

    def top_up(self, job_id: int, minutes: int, tx_hash: bytes) -> JobRecord | None:
        write = super().top_up
        return self._bounded(f"journal top-up {job_id}", lambda: write(job_id, minutes, tx_hash))

    def _bounded(self, name: str, write: Callable[[], Any]) -> Any:
        self._world.boundary(f"before {name}")
        done = write()
        self._world.say(name)
        self._world.boundary(f"after {name}")
        return done
