"""CPU of the programs that work on a job, by what they are.

On a shared machine rates say little; what a job costs in CPU hardly changes with the load, and
bounds the rate: cores / seconds of CPU a job.
"""

from __future__ import annotations

import os

import psutil

SLURM = {"slurmctld", "slurmd", "slurmstepd", "munged"}


def spent(supervisor: int | None) -> dict[str, float]:
    """Seconds of CPU so far, ended children included.

    Args:
        supervisor: Process id of the supervisor, if it runs.
    """
    found = dict.fromkeys(("sshd, sbatch, squeue", "Slurm", "supervisor", "node", "services"), 0.0)
    for process in psutil.process_iter(["name", "ppid"]):
        kind = _kind(process, supervisor)
        if kind:
            try:
                found[kind] += sum(process.cpu_times()[:4])
            except psutil.Error:
                continue
    return found


def _kind(process: psutil.Process, supervisor: int | None) -> str:
    name = process.info["name"]
    if process.pid == supervisor:
        return "supervisor"
    if process.pid == os.getpid():
        return "services"
    if name == "anvil" and process.info["ppid"] == os.getpid():
        return "node"
    if name in SLURM:
        return "Slurm"
    return "sshd, sbatch, squeue" if name.startswith("sshd") else ""


def each(before: dict[str, float], after: dict[str, float], count: int) -> dict[str, float]:
    """Milliseconds a job between two looks, and their sum."""
    parts = {name: max(0.0, 1000 * (after[name] - before[name]) / count) for name in after}
    return {**parts, "all together": sum(parts.values())}
