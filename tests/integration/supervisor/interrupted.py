"""Which jobs a Slurm controller was running when it was killed, from its own log.

The controller writes what it knows within some seconds. Killed in between, it starts again
without the newest jobs, or with older states of them. A job that never began can be sent
again, and the end of one that ended is in the accounting. But a job that ran just then Slurm
may take for one that never began, and begin it again (its script's fence ends that run), or
know no more; and its script may fail, since ``srun`` finds no controller. What becomes of such
a job is Slurm's doing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from dsq.console.local.minislurm import MiniSlurm

_START = re.compile(r"slurmctld version \S+ started")
_BEGUN = re.compile(r"Allocate JobId=(\d+)\b")
_ENDED = re.compile(r"_job_complete: JobId=(\d+) done")
_RECORD = re.compile(r"^JobId=(\d+) .*\bJobState=COMPLETED\b", re.MULTILINE)


def interrupted(lines: Iterable[str], recorded: Collection[str]) -> set[str]:
    """Ids of the jobs that ran at a moment at which the controller died.

    After it an id may come again: then it stands for both jobs. The end of a job comes into the
    accounting only when its nodes are cleaned up, so one that had just ended may be lost, too.

    Args:
        recorded: Ids of the jobs of which the accounting has an end.
    """
    running: set[str] = set()
    ended: set[str] = set()
    found: set[str] = set()
    for line in lines:
        if _START.search(line):
            found |= running | ended.difference(recorded)
            running, ended = set(), set()
        elif match := _BEGUN.search(line):
            running.add(match[1])
        elif match := _ENDED.search(line):
            running.discard(match[1])
            ended.add(match[1])
    return found


def interrupted_in(slurm: MiniSlurm) -> set[str]:
    """The same for a mini-slurm."""
    records = (slurm.place() / "run" / "jobcomp.txt").read_text(errors="replace")
    log = (slurm.root / "log" / "slurmctld.log").read_text(errors="replace")
    return interrupted(log.splitlines(), set(_RECORD.findall(records)))
