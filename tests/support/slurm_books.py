"""Slurm's programs as scripts that show jobs from files: a cluster of any number of jobs.

What they print has the form of the real programs (tests/unit/scheduler/captured).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dsq.core.quoting import quote
from dsq.supervisor.scheduler.port import SlurmJob
from dsq.supervisor.scheduler.slurm_commands import QUEUE_COLUMNS

CAPTURED = Path(__file__).parents[1] / "unit" / "scheduler" / "captured"

PROGRAMS = {
    "squeue": "cat {folder}/squeue.txt",
    "sacct": "for word; do case $word in --jobs=*) ids=${{word#*=}} ;; esac; done\n"
    "awk -F'|' -v ids=\"$ids\" '\n"
    'BEGIN {{ count = split(ids, list, ","); while (count) wanted[list[count--]] }}\n'
    "$1 in wanted' {folder}/sacct.txt",
    "sacctmgr": "echo Administrator",
    "scontrol": 'case "$*" in\n'
    "*node*) cat {captured}/nodes.txt ;;\n"
    "*partition*) cat {captured}/partitions.txt ;;\n"
    "*) cat {captured}/config.txt ;;\n"
    "esac",
}


class SlurmBooks:
    """A cluster whose queue and accounting are files.

    Args:
        folder: Where programs and files are made; ``bin_dir`` of the provider's settings.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        for name, text in PROGRAMS.items():
            lines = text.format(folder=quote(str(folder)), captured=quote(str(CAPTURED)))
            (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
            (folder / name).chmod(0o755)
        self.show([])

    def show(self, jobs: Iterable[SlurmJob]) -> None:
        """Has the cluster hold these jobs, and no others."""
        queue, books = [], []
        for job in jobs:
            start, end = job.start or "N/A", job.end or "N/A"
            cells = [job.id, job.submit_time, job.user, job.state, job.reason or "None", start]
            cells += [end, job.exit_code * 256, f"{job.time_limit_minutes}:00"]
            cells += [job.nodes, job.restarts]
            columns = zip(QUEUE_COLUMNS, cells, strict=True)
            queue.append("".join(f"{cell:<{width}}|" for (_, width), cell in columns))
            books.append(
                f"{job.id}|{job.submit_time}|{job.user}|{job.state}|{job.start or 'Unknown'}|Unknown"
                f"|0:0|{job.time_limit_minutes}|{job.nodes or 'None assigned'}"
            )
        (self.folder / "squeue.txt").write_text("\n".join(queue))
        (self.folder / "sacct.txt").write_text("\n".join(books))
