"""The read model: an account's jobs in a SQLite file, searched, sorted and counted there."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dsq.core.errors import UsageError, close_matches
from dsq.core.groups import membership
from dsq.core.model import Address, Constants, Job, JobStatus, Provider
from dsq.core.readmodel.filters import NO_FILTER, Filter
from dsq.core.readmodel.records import (
    constants_from_text,
    constants_to_text,
    job_from_text,
    job_to_text,
    provider_from_text,
    provider_to_text,
)
from dsq.core.readmodel.schema import connect, forget
from dsq.core.units import CREDIT

AT_ONCE = 500
"""Values in one SQL list."""

COLUMNS = 20

ONE_EACH = "CASE grp WHEN '' THEN id ELSE grp END"

ORDERS = {
    "id": "id", "name": "name", "status": "status", "provider": "provider", "cost": "cost",
    "locked": "locked", "submitted": "submit", "started": "start", "ended": "end",
    "elapsed": "(CASE WHEN start = 0 THEN 0 WHEN end = 0 THEN :now - start ELSE end - start END)",
    "gpus": "gpus", "cpus": "cpus", "exit": "exit_code",
}  # fmt: skip
"""What jobs can be sorted by, and the SQL for it."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """How far the file agrees with the chain.

    Attributes:
        number: The newest block when it was last brought up to date.
        hash: That block's hash; another hash at that number means another history.
        count: How many jobs the account had.
    """

    number: int
    hash: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Order:
    """What rows are sorted by: a key of :data:`ORDERS`; jobs that are equal by number."""

    by: str = "id"
    descending: bool = True

    @classmethod
    def parse(cls, text: str) -> Order:
        """Reads a key; ``-`` before it turns the order round.

        Raises:
            UsageError: There is no such key; names the close match.
        """
        by = text.removeprefix("-")
        if by not in ORDERS:
            raise UsageError(
                f"Jobs have no '{by}' to sort by.{close_matches(by, ORDERS)}",
                hint=f"Write one of {', '.join(ORDERS)}.",
            )
        return cls(by, descending=text.startswith("-"))

    @property
    def is_plain(self) -> bool:
        """Newest first or oldest first: a place can be found by bisection."""
        return self.by == "id"

    @property
    def sql(self) -> str:
        way = "DESC" if self.descending else "ASC"
        return f"{ORDERS[self.by]} {way}" + ("" if self.is_plain else f", id {way}")


class ReadModel:
    """Jobs, providers and some facts of one account on one grid.

    One process may open a file several times (a second connection reads while the first
    writes), and several processes may share it: each writes the chain's truth.

    Args:
        path: The file; None keeps everything in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._sql = connect(path)

    def close(self) -> None:
        """Closes the file."""
        self._sql.close()

    def interrupt(self) -> None:
        """Ends what is being asked, from another thread: it raises ``sqlite3.OperationalError``."""
        self._sql.interrupt()

    @contextlib.contextmanager
    def second(self) -> Iterator[ReadModel]:
        """Another connection to the same file, for another thread; itself without a file."""
        if self.path is None:
            yield self
            return
        other = ReadModel(self.path)
        try:
            yield other
        finally:
            other.close()

    # -- jobs ----------------------------------------------------------------------------

    @property
    def model(self) -> ReadModel:
        """Itself: without a console jobs go straight into the file."""
        return self

    def hot_ids(self) -> set[int]:
        """Numbers of the jobs that can still change."""
        rows = self._sql.execute("SELECT id FROM jobs WHERE status <= ?", (int(JobStatus.RUNNING),))
        return {row[0] for row in rows}

    def changed_since(self, block: int) -> set[int]:
        """Numbers of the jobs whose state changed in that block or later."""
        rows = self._sql.execute("SELECT id FROM jobs WHERE block >= ?", (block,))
        return {row[0] for row in rows}

    def flush(self) -> None:
        """Nothing waits here; the console's store has something to write."""

    def put_all(self, jobs: Iterable[Job]) -> None:
        """Adds or replaces jobs, all or none."""
        marks = ", ".join("?" * COLUMNS)
        jobs = list(jobs)
        rows, texts = map(_row, jobs), ((job.id, job_to_text(job)) for job in jobs)
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            self._sql.executemany(f"INSERT OR REPLACE INTO jobs VALUES ({marks})", rows)  # noqa: S608
            self._sql.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?)", texts)
        except BaseException:
            self._sql.execute("ROLLBACK")
            raise
        self._sql.execute("COMMIT")

    def reset(self) -> None:
        """Forgets all jobs, and how far they were read."""
        self._sql.executescript(
            "BEGIN; DELETE FROM jobs; DELETE FROM texts; DELETE FROM facts; COMMIT;"
        )

    def get(self, ids: Sequence[int]) -> dict[int, Job]:
        """Those of the jobs that are known, by number."""
        return {
            job_id: job_from_text(text)
            for job_id, text in self._in("SELECT id, data FROM texts WHERE id IN", ids)
        }

    def statuses(self, ids: Sequence[int]) -> dict[int, JobStatus]:
        """The status of those of the jobs that are known."""
        rows = self._in("SELECT id, status FROM jobs WHERE id IN", ids)
        return {job_id: JobStatus(status) for job_id, status in rows}

    def hot(self) -> list[Job]:
        """Jobs that can still change, oldest first."""
        rows = self._sql.execute(
            "SELECT data FROM jobs JOIN texts USING (id) WHERE status <= ? ORDER BY id",
            (int(JobStatus.RUNNING),),
        )
        return [job_from_text(text) for (text,) in rows]

    def counts(self) -> Counter[JobStatus]:
        """How many jobs there are of each status."""
        rows = self._sql.execute("SELECT status, count(*) FROM jobs GROUP BY status")
        return Counter({JobStatus(status): count for status, count in rows})

    def ids(
        self,
        wanted: Filter = NO_FILTER,
        order: Order = Order(),
        *,
        now: float = 0.0,
        limit: int | None = None,
        fold: bool = False,
    ) -> array[int]:
        """Numbers of the jobs that pass a filter, in order.

        Args:
            now: Unix seconds, for what depends on the time.
            fold: Of each group of jobs only the newest.
        """
        if fold:
            newest = f"SELECT max(id) FROM jobs WHERE {wanted.where} GROUP BY {ONE_EACH}"  # noqa: S608
            wanted = Filter(wanted.text, f"id IN ({newest})", wanted.values)
        query = f"SELECT id FROM jobs WHERE {wanted.where} ORDER BY {order.sql}"  # noqa: S608
        if limit is not None:
            query += f" LIMIT {int(limit)}"
        return array("q", (row[0] for row in self._run(query, wanted, now)))

    def group(self, group: str) -> GroupTotals:
        """The jobs of a group, taken together."""
        totals = GroupTotals(Counter(), 0, 0)
        for status, count, high, low, locked in self._sql.execute(
            "SELECT status, count(*), sum(cost_high), sum(cost_low), total(locked)"
            " FROM jobs WHERE grp = ? GROUP BY status",
            (group,),
        ):
            totals.counts[JobStatus(status)] = count
            if JobStatus(status).is_final:
                totals = totals._replace(
                    paid=totals.paid + high * 10**9 + low,
                    locked=totals.locked + round(locked * CREDIT),
                )
        return totals

    def passing(self, ids: Sequence[int], wanted: Filter, *, now: float = 0.0) -> set[int]:
        """Those of the jobs that pass a filter."""
        found: set[int] = set()
        for start in range(0, len(ids), AT_ONCE):
            listed = ", ".join(str(int(job_id)) for job_id in ids[start : start + AT_ONCE])
            query = f"SELECT id FROM jobs WHERE id IN ({listed}) AND ({wanted.where})"  # noqa: S608
            found.update(row[0] for row in self._run(query, wanted, now))
        return found

    def query(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows of a question of another module of this package; never of a user's text."""
        return self._sql.execute(query, values).fetchall()

    def _run(self, query: str, wanted: Filter, now: float) -> sqlite3.Cursor:
        # A number of ours, so it may stand in the text; SQLite does not mix names with '?'.
        return self._sql.execute(query.replace(":now", repr(float(now))), wanted.values)

    def _in(self, query: str, ids: Sequence[int]) -> Iterable[tuple[Any, ...]]:
        for start in range(0, len(ids), AT_ONCE):
            part = ids[start : start + AT_ONCE]
            yield from self._sql.execute(f"{query} ({', '.join('?' * len(part))})", tuple(part))

    # -- what else is known --------------------------------------------------------------

    def put_providers(self, providers: Iterable[Provider]) -> None:
        """Replaces all providers."""
        rows = [
            (bytes(each.address), f"{each.name} {each.address.lower}".casefold(),
             provider_to_text(each))
            for each in providers
        ]  # fmt: skip
        self._sql.execute("BEGIN IMMEDIATE")
        self._sql.execute("DELETE FROM providers")
        self._sql.executemany("INSERT OR REPLACE INTO providers VALUES (?, ?, ?)", rows)
        self._sql.execute("COMMIT")

    def providers(self) -> dict[Address, Provider]:
        """The providers known last."""
        rows = self._sql.execute("SELECT data FROM providers ORDER BY rowid")
        return {each.address: each for each in (provider_from_text(text) for (text,) in rows)}

    @property
    def anchor(self) -> Anchor | None:
        """How far the file agrees with the chain; None if it was never read whole."""
        text = self.fact("anchor")
        if text is None:
            return None
        number, block_hash, count = json.loads(text)
        return Anchor(number, bytes.fromhex(block_hash), count)

    def set_anchor(self, anchor: Anchor) -> None:
        """Says how far the file agrees with the chain."""
        self.put_fact("anchor", json.dumps([anchor.number, anchor.hash.hex(), anchor.count]))

    @property
    def constants(self) -> Constants | None:
        """The grid's parameters known last."""
        text = self.fact("constants")
        return constants_from_text(text) if text is not None else None

    def put_constants(self, constants: Constants) -> None:
        """Keeps the grid's parameters."""
        self.put_fact("constants", constants_to_text(constants))

    def fact(self, name: str) -> str | None:
        """A text kept under a name."""
        row = self._sql.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def put_fact(self, name: str, value: str) -> None:
        """Keeps a text under a name."""
        self._sql.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def delete(self) -> None:
        """Closes and deletes the file."""
        self.close()
        if self.path is not None:
            forget(self.path)


class GroupTotals(NamedTuple):
    """The jobs of a group, taken together.

    Attributes:
        counts: How many there are of each status.
        paid: Wei that those which have ended cost.
        locked: Wei that those had locked, near enough to be shown.
    """

    counts: Counter[JobStatus]
    paid: int
    locked: int


def _row(job: Job) -> tuple[Any, ...]:
    needs, time, group = job.definition, job.time, membership(job.name)
    name, error = job.name.casefold(), job.last_error.casefold()
    hay = f"{job.id} {job.status.name} {SHOWN.get(job.status, '')} {name} {error}".casefold()
    numbers = (
        job.exit_code, needs.gpus, needs.cpus, needs.mem,
        job.cost.max_cost / CREDIT, job.cost.final_cost / CREDIT,
        *divmod(job.cost.final_cost, 10**9),
        time.submit, time.start, time.end, time.block_number_state_change,
    )  # fmt: skip
    return (
        job.id, int(job.status), name, bytes(job.provider), error,
        " ".join(map(str, needs.uses)).casefold(), group.group if group else "",
        *(min(number, LARGEST) for number in numbers), hay,
    )  # fmt: skip


LARGEST = (1 << 63) - 1
"""What SQLite holds; the exact value is in the job's text."""

SHOWN = {JobStatus.META_SCHEDULED: "placed", JobStatus.OUT_OF_CREDITS: "out of credits"}
"""Words that screens use for a status instead of its name."""
