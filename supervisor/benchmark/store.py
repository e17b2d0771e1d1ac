"""Results of benchmarks, kept in the state folder with their date."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

log = logging.getLogger("dsq.supervisor.benchmark")

FILE = "benchmarks.json"
VERSION = 1
RETRY_SECONDS = 6 * 3600.0
"""A benchmark that failed is tried again after so long."""

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Result:
    """What one benchmark gave.

    Attributes:
        at: When it ended, Unix seconds.
        hardware: Fingerprint of the cluster it was measured on.
        labels: What it found; those of an earlier run stay where a later one failed.
        error: Why it gave nothing; "" if it worked.
        can_raise_limit: Whether the limit of the running job could be raised; None if that
            was not tried, or nothing came of it.
    """

    at: float
    hardware: str
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    error: str = ""
    can_raise_limit: bool | None = None

    def is_due(self, now: float, hardware: str, max_age_days: float) -> bool:
        """Whether it is to be run again: too old, other hardware, or a failure some time ago."""
        age = now - self.at
        if self.error:
            return age >= RETRY_SECONDS
        return hardware != self.hardware or age >= max_age_days * DAY


class ResultStore:
    """The results of one provider, read again when another process wrote them.

    Args:
        state_dir: The provider's state folder.
    """

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / FILE
        self._seen: tuple[int, int] | None = None
        self._results: dict[str, Result] = {}

    def all(self) -> dict[str, Result]:
        """The results by kind."""
        self._read()
        return dict(self._results)

    def get(self, kind: str) -> Result | None:
        """The result of one kind."""
        self._read()
        return self._results.get(kind)

    def labels(self) -> dict[str, str]:
        """The labels of all kinds together."""
        found: dict[str, str] = {}
        for _, result in sorted(self.all().items()):
            found.update(result.labels)
        return found

    def put(self, kind: str, result: Result) -> None:
        """Keeps a result; one that failed keeps the labels of the last that did not."""
        old = self.get(kind)
        if result.error and old is not None:
            labels, raised = dict(old.labels), result.can_raise_limit
            raised = old.can_raise_limit if raised is None else raised
            result = Result(result.at, result.hardware, labels, result.error, raised)
        self._results[kind] = result
        data = {name: asdict(one) | {"labels": dict(one.labels)} for name, one in self._all()}
        text = json.dumps({"version": VERSION, "results": data}, indent=1, sort_keys=True)
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self.path.with_name(f"{FILE}.{secrets.token_hex(4)}")
        part.touch(mode=0o600)
        part.write_text(text + "\n")
        part.replace(self.path)
        self._seen = self._mark()

    def _all(self) -> list[tuple[str, Result]]:
        return sorted(self._results.items())

    def _mark(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            status = self.path.stat()
            return status.st_mtime_ns, status.st_ino
        return None

    def _read(self) -> None:
        mark = self._mark()
        if mark == self._seen:
            return
        self._seen = mark
        if mark is None:
            self._results = {}
            return
        try:
            data = json.loads(self.path.read_text())
            if data["version"] != VERSION:
                raise ValueError(f"version {data['version']}")
            self._results = {kind: _result(one) for kind, one in data["results"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("benchmarks=unreadable path=%s reason=%r", self.path, str(error))
            self._results = {}


def _result(data: dict[str, Any]) -> Result:
    labels = {str(key): str(value) for key, value in data["labels"].items()}
    raised = data.get("can_raise_limit")
    return Result(
        float(data["at"]),
        str(data["hardware"]),
        labels,
        str(data.get("error", "")),
        raised if isinstance(raised, bool) else None,
    )
