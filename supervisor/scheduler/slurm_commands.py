"""Slurm's commands as argument lists. Nothing here does I/O.

The plain output is asked for: the JSON of newer versions changes its shape from one to the
next. A query that decides about time or state asks only for columns that a job's user cannot
edit: name, comment and paths could hold line breaks and forge a row. Times are asked for as
unix seconds, so that no time zone matters.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dsq.supervisor.scheduler.port import OUTPUT_FILE, JobSpec

TIME_FORMAT: Final = {"SLURM_TIME_FORMAT": "%s"}
"""Environment of every query."""

PATH_WIDTH: Final = 1024
NAME_WIDTH: Final = 128
"""Longest output path that squeue is asked to print."""

QUEUE_COLUMNS: Final = (
    ("JobID", 20),
    ("SubmitTime", 20),
    ("UserName", 64),
    ("State", 20),
    ("Reason", 48),
    ("StartTime", 20),
    ("EndTime", 20),
    ("exit_code", 16),
    ("TimeLimit", 20),
    ("NodeList", 128),
    ("RestartCnt", 12),
)
SACCT_COLUMNS: Final = (
    *("JobIDRaw", "Submit", "User", "State", "Start", "End", "ExitCode", "TimelimitRaw"),
    "NodeList",
)


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """What a site adds to each job."""

    partition: str = ""
    account: str = ""
    extra: tuple[str, ...] = ()


def attempt_dir(workdir: str, name: str, token: str) -> str:
    """Folder of one attempt on the cluster: its working directory and its output."""
    return posixpath.join(workdir, name, token)


def output_path(workdir: str, name: str, token: str) -> str:
    """Output file of one attempt."""
    return posixpath.join(attempt_dir(workdir, name, token), OUTPUT_FILE)


# ---- argument lists ------------------------------------------------------------------------


def sbatch(program: str, spec: JobSpec, workdir: str, options: SubmitOptions) -> list[str]:
    """Submits a script from stdin.

    ``--export=ALL`` because each other form makes Slurm log the user in on the node
    (``su - USER``), which fails for accounts without a shell; the caller gives sbatch a
    whitelisted environment instead. ``--open-mode=append`` because a controller that lost its last
    seconds starts a job again, and would empty its output before the script can say no. GPUs are
    left out at zero: a cluster without GresTypes refuses even that.
    """
    folder = attempt_dir(workdir, spec.name, spec.token)
    argv = [
        program,
        "--parsable",
        f"--job-name={spec.name}",
        f"--output={posixpath.join(folder, OUTPUT_FILE)}",
        f"--error={posixpath.join(folder, OUTPUT_FILE)}",
        f"--chdir={folder}",
        f"--ntasks={spec.ntasks}",
        f"--cpus-per-task={spec.cpus_per_task}",
        f"--mem-per-cpu={spec.mem_per_cpu}M",
        f"--time={spec.minutes}",
        "--no-requeue",
        "--open-mode=append",
        "--export=ALL",
    ]
    if spec.gpus > 0:
        argv.append(f"--gpus={spec.gpus}")
    if spec.nodes > 0:
        argv.append(f"--nodes={spec.nodes}")
    if options.partition:
        argv.append(f"--partition={options.partition}")
    if options.account:
        argv.append(f"--account={options.account}")
    if spec.comment:
        argv.append(f"--comment={spec.comment}")
    return [*argv, *options.extra]


def squeue(
    program: str,
    *,
    user: str = "",
    jobs: Sequence[str] = (),
    name: str = "",
    output: bool = False,
    named: bool = False,
) -> list[str]:
    """Lists jobs in the queue and those that ended within Slurm's MinJobAge.

    Args:
        program: The program.
        user: Only this account's jobs.
        jobs: Only these ids; Slurm answers with an error if none of them is known.
        name: Only jobs of this name.
        output: Also ask for the output's path. A user chooses it, so never for money.
        named: Ask for the name in the path's place; the same holds.
    """
    last = [("STDOUT", PATH_WIDTH)] if output else [("NAME", NAME_WIDTH)] if named else []
    columns = [*QUEUE_COLUMNS, *last]
    argv = [program, "--noheader", "--states=all"]
    argv.append("--Format=" + ",".join(f"{column}:{width}|" for column, width in columns))
    if user:
        argv.append(f"--user={user}")
    if jobs:
        argv.append("--jobs=" + ",".join(jobs))
    if name:
        argv.append(f"--name={name}")
    return argv


def sacct(
    program: str,
    *,
    completion: bool,
    jobs: Sequence[str] = (),
    name: str = "",
    seconds: int | None = None,
    user: str = "",
    output: bool = False,
) -> list[str]:
    """Asks the accounting for jobs that left the queue.

    All runs of a job are asked for, and all jobs that had an id: without ``--duplicates`` the
    data base shows only the latest, and ids come again when a controller lost its state.

    Args:
        program: The program.
        completion: Read the job completion log instead of the data base.
        jobs: Only these ids.
        name: Only this name (the completion log ignores that).
        seconds: How far to look back from now.
        user: Only this account's jobs.
        output: Also ask for the working directory. A user chooses it, so never for money.
    """
    columns = ",".join([*SACCT_COLUMNS, *(["WorkDir"] if output else [])])
    argv = [program, "--noheader", "--parsable2", "--allocations", "--duplicates"]
    argv.append(f"--format={columns}")
    if completion:
        argv.append("--completion")
    if jobs:
        argv.append("--jobs=" + ",".join(jobs))
    if name:
        argv.append(f"--name={name}")
    if seconds is not None:
        argv.append(f"--starttime=now-{max(1, seconds)}seconds")
    if user:
        argv.append(f"--user={user}")
    return argv


def scancel(program: str, job_id: str) -> list[str]:
    """Cancels one job by its id."""
    return [program, job_id]


def update_limit(program: str, job_id: str, minutes: int) -> list[str]:
    """Sets a job's whole limit. Absolute, so that doing it twice is harmless."""
    return [program, "update", f"JobId={job_id}", f"TimeLimit={minutes}"]


def show_nodes(program: str) -> list[str]:
    """All nodes, one a line, with the GPUs in use."""
    return [program, "--details", "--oneliner", "show", "nodes"]


def show_partitions(program: str) -> list[str]:
    """All partitions, one a line."""
    return [program, "--oneliner", "show", "partition"]


def show_config(program: str) -> list[str]:
    """The controller's configuration; also proves that the controller answers."""
    return [program, "show", "config"]


def show_admin_level(program: str, user: str) -> list[str]:
    """The account's rank in the accounting."""
    return [program, "--noheader", "--parsable2", "show", "user", user, "format=AdminLevel"]
