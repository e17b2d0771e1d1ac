"""Submits that wait for the link: kept in a file beside the read model, each sent once.

Every submit has a key from the moment it is queued. The grid gives the same key the same job for
24 hours (:meth:`dsq.core.grid.Grid.submit`), so that a submit whose answer was lost is asked for
again without being made twice. When it was first tried longer ago than that, nobody can tell any
more, and it is left to the user.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dsq.core.model import Affinity, Label

KEY_SECONDS = 23 * 3600
"""For so long after the first try the same key surely means the same job."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A submit that waits.

    Attributes:
        key: Its name for the grid, for good.
        wire: The workflow with the names of the sbatch API.
        queued_at: When it was queued, in Unix seconds.
        tried_at: When it was first sent; 0 if it never was.
        problem: Why the grid refused it; it is then not sent again by itself.
        source: The text of the workflow.
        group: Of a job of a sweep, the name of its group.
        limit: Jobs of the group that may be open at once; 0 for all.
    """

    name: str
    wire: Mapping[str, Any]
    wei: int
    uses: tuple[Label, ...] = ()
    affinity: tuple[Affinity, ...] = ()
    queued_at: int = 0
    tried_at: int = 0
    problem: str = ""
    source: str = ""
    group: str = ""
    limit: int = 0
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def is_due(self, now: float) -> bool:
        """It may be sent without asking anybody."""
        return not self.problem and not self.is_uncertain(now)

    def is_uncertain(self, now: float) -> bool:
        """It was tried so long ago that sending it again could make a second job."""
        return bool(self.tried_at) and now - self.tried_at > KEY_SECONDS


class Outbox:
    """The queue of one account on one grid.

    Several consoles may share the file; one of them sends at a time.

    Args:
        path: The file; None forgets at the end.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._items: tuple[Queued, ...] = ()
        self._stamp: object = None
        self.items()

    def items(self) -> tuple[Queued, ...]:
        """What waits, in the order of sending; read again when another console changed it."""
        if self.path is None:
            return self._items
        try:
            about = self.path.stat()
        except FileNotFoundError:
            self._items, self._stamp = (), None
            return ()
        stamp = (about.st_mtime_ns, about.st_ino, about.st_size)
        if stamp != self._stamp:
            records = json.loads(self.path.read_text("utf-8"))
            self._items, self._stamp = tuple(_from_json(each) for each in records), stamp
        return self._items

    def add(self, *fresh: Queued) -> None:
        """Puts submits at the end."""
        self._change(lambda items: (*items, *fresh))

    def remove(self, *keys: str) -> tuple[Queued, ...]:
        """Takes submits out: they were sent, or are withdrawn. Returns those that were there."""
        found = tuple(each for each in self.items() if each.key in keys)
        if found:
            self._change(lambda items: (each for each in items if each.key not in keys))
        return found

    def update(self, *keys: str, **changes: Any) -> None:
        """Changes submits that wait."""
        self._change(
            lambda items: (replace(each, **changes) if each.key in keys else each for each in items)
        )

    @contextlib.contextmanager
    def sending(self) -> Iterator[bool]:
        """Whether this console may send now; others then may not until it is done."""
        if self.path is None:
            yield True
            return
        with self._lock_file("sending").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _lock_file(self, what: str) -> Path:
        assert self.path is not None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.path.with_name(f"{self.path.name}.{what}")

    def _change(self, change: Callable[[tuple[Queued, ...]], Iterable[Queued]]) -> None:
        if self.path is None:
            self._items = tuple(change(self._items))
            return
        with self._lock_file("lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            items = tuple(change(self.items()))
            fresh = self.path.with_name(f"{self.path.name}.new")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump([_to_json(each) for each in items], file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)


def _to_json(item: Queued) -> dict[str, Any]:
    return {
        "key": item.key,
        "name": item.name,
        "workflow": item.wire,
        "wei": str(item.wei),
        "uses": [[each.key, each.value] for each in item.uses],
        "affinity": [[each.key, each.op, each.value] for each in item.affinity],
        "queued_at": item.queued_at,
        "tried_at": item.tried_at,
        "problem": item.problem,
        "source": item.source,
        "group": item.group,
        "limit": item.limit,
    }


def _from_json(data: Mapping[str, Any]) -> Queued:
    try:
        return Queued(
            key=str(data["key"]),
            name=str(data["name"]),
            wire=dict(data["workflow"]),
            wei=int(data["wei"]),
            uses=tuple(Label(*each) for each in data["uses"]),
            affinity=tuple(Affinity(*each) for each in data["affinity"]),
            queued_at=int(data["queued_at"]),
            tried_at=int(data["tried_at"]),
            problem=str(data["problem"]),
            source=str(data["source"]),
            group=str(data.get("group", "")),
            limit=int(data.get("limit", 0)),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the queue is damaged: {error!r}") from error
