"""Writing jobs to a file, as JSON or CSV: the objects that ``dsq jobs --json`` prints."""

from __future__ import annotations

import csv
import json
import textwrap
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from dsq.core.errors import UsageError
from dsq.core.model import Job
from dsq.core.views import job_to_dict

FORMATS = (".json", ".csv")


class JobFile:
    """A new file of jobs, written piece by piece; the file's ending tells the form.

    It is used by ``with``. When that is left by an error, there is no file.

    Attributes:
        count: Jobs written so far.

    Raises:
        UsageError: The ending is neither ``.json`` nor ``.csv``, or the file exists.
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix not in FORMATS:
            text = f"'{path.name}' ends with neither .json nor .csv."
            raise UsageError(text, hint="The ending tells the form.")
        self.path = path
        self.count = 0
        self._csv: csv.DictWriter[str] | None = None

    def __enter__(self) -> Self:
        try:
            self._file: TextIO = self.path.open("x", newline="", encoding="utf-8")
        except FileExistsError:
            raise UsageError(f"{self.path} exists already.", hint="Choose another name.") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._end()
        if kind is not None:
            self.path.unlink(missing_ok=True)

    def write(self, jobs: Iterable[Job]) -> None:
        """Adds jobs."""
        for job in jobs:
            row = job_to_dict(job)
            if self.path.suffix == ".json":
                text = json.dumps(row, indent=2, sort_keys=True)
                self._file.write(",\n" if self.count else "[\n")
                self._file.write(textwrap.indent(text, "  "))
            else:
                self._csv_writer(sorted(row)).writerow({name: _cell(row[name]) for name in row})
            self.count += 1

    def _csv_writer(self, fields: list[str]) -> csv.DictWriter[str]:
        if self._csv is None:
            self._csv = csv.DictWriter(self._file, fields)
            self._csv.writeheader()
        return self._csv

    def _end(self) -> None:
        if self.path.suffix == ".json":
            self._file.write("\n]\n" if self.count else "[]\n")
        else:
            self._csv_writer(["id"])


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return " ".join(map(str, value))
    # A spreadsheet must not take a stranger's text for a formula.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
