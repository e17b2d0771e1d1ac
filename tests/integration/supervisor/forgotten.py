"""What a Slurm controller that was killed really forgot, from its own log.

The controller writes what it knows within some seconds. Killed in between, it starts again
without the newest jobs, or with older states of them. Which jobs these are its log says: each
submission has a line, and each start lists the jobs that it found in its files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_START = re.compile(r"slurmctld version \S+ started")
_SUBMITTED = re.compile(r"_slurm_rpc_submit_batch_job: JobId=(\d+)")
_FOUND = re.compile(r"Recovered JobId=(\d+)\b")
_REPAIRED = re.compile(
    r"(?:Registered (?:PENDING|UNKNOWN|JobId)|Requeu|[Aa]bort|missing from|Killing).*?JobId=(\d+)"
)


def forgotten(lines: Iterable[str]) -> set[str]:
    """Ids of the jobs that a restart lost, or whose state it had to make up.

    An id that comes again after a restart counts too: nobody can say whose it was.
    """
    known: set[str] = set()
    found: set[str] = set()
    lost: set[str] = set()
    is_starting, starts = False, 0
    for line in lines:
        if _START.search(line):
            starts, is_starting, found = starts + 1, True, set()
        elif is_starting and (match := _FOUND.search(line)):
            found.add(match[1])
        elif is_starting and "Running as primary controller" in line:
            lost |= known - found
            known, is_starting = set(found), False
        elif match := _SUBMITTED.search(line):
            known.add(match[1])
        elif starts > 1 and (match := _REPAIRED.search(line)):
            lost.add(match[1])
    return lost


def forgotten_by(root: Path) -> set[str]:
    """The same for a mini-slurm's folder."""
    return forgotten((root / "log" / "slurmctld.log").read_text(errors="replace").splitlines())
