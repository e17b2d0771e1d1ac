"""Writing jobs to a file, as JSON or CSV: the objects that ``dsq jobs --json`` prints."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from dsq.core.errors import UsageError
from dsq.core.model import Job
from dsq.core.views import job_to_dict

FORMATS = (".json", ".csv")


def export_jobs(path: Path, jobs: Iterable[Job]) -> int:
    """Writes jobs and returns how many; the file's ending tells the form.

    Raises:
        UsageError: The ending is neither ``.json`` nor ``.csv``, or the file exists.
        OSError: The file cannot be written.
    """
    if path.suffix not in FORMATS:
        raise UsageError(
            f"'{path.name}' ends with neither .json nor .csv.", hint="The ending tells the form."
        )
    try:
        with path.open("x", newline="", encoding="utf-8") as file:
            rows = [job_to_dict(job) for job in jobs]
            if path.suffix == ".json":
                json.dump(rows, file, indent=2, sort_keys=True)
                file.write("\n")
            else:
                _write_csv(file, rows)
    except FileExistsError:
        raise UsageError(f"{path} exists already.", hint="Choose another name.") from None
    return len(rows)


def _write_csv(file: TextIO, rows: list[dict[str, Any]]) -> None:
    fields = sorted(rows[0]) if rows else ["id"]
    writer = csv.DictWriter(file, fields)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: object) -> object:
    if isinstance(value, list):
        return " ".join(map(str, value))
    # A spreadsheet must not take a stranger's text for a formula.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
