"""What Slurm's commands print, as values. Nothing here does I/O.

Tested on captured output. A row that does not have the expected form is left out, never
guessed at.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Final

from dsq.supervisor.scheduler.port import (
    ENDED_STATES,
    LIVE_STATES,
    SlurmJob,
)
from dsq.supervisor.scheduler.slurm_commands import QUEUE_COLUMNS, SACCT_COLUMNS

_LOST_LINE: Final = (
    "unable to contact slurm controller",
    "unable to contact",
    "socket timed out",
    "connection refused",
    "connection timed out",
    "connection reset",
    "communication",
    "zero bytes were transmitted or received",
    "unexpected message received",
    "transport endpoint",
    "resource temporarily unavailable",
    "temporarily unable to accept job",
    "slurm backup controller in standby mode",
    "protocol authentication error",
    "munge",
    "could not establish a configuration source",
    "problem talking to the database",
    "failed to open persistent connection",
    "no such host",
    "unknown host",
)
"""Words of Slurm's own tools that say the request got no answer from the controller."""

PUT_BACK: Final = "CANCELLED"
"""How the accounting's record of a run is read that an operator ended by putting the job back into
the queue. The next run has a record of its own, with another time of submission."""

_DENIED: Final = ("access/permission denied", "invalid user id", "permission denied")
_GONE: Final = ("invalid job id", "already completing or completed", "already finished")


# ---- jobs ----------------------------------------------------------------------------------


def jobs_by_id(jobs: Iterable[SlurmJob]) -> dict[str, list[SlurmJob]]:
    """Groups records by id; an id may have several when a cluster was set up anew."""
    grouped: dict[str, list[SlurmJob]] = {}
    for job in jobs:
        grouped.setdefault(job.id, []).append(job)
    return grouped


def parse_submitted(stdout: str) -> str:
    """The job id that ``sbatch --parsable`` printed (``123`` or ``123;cluster``), or ""."""
    for line in reversed(stdout.strip().splitlines()):
        word = line.strip().split(";")[0]
        if _is_number(word) and int(word) > 0:
            return word
    return ""


def parse_squeue(stdout: str) -> list[SlurmJob]:
    """Reads what ``squeue`` printed. Malformed rows are left out."""
    return [job for line in stdout.splitlines() if (job := queue_row(line)) is not None]


def queue_row(line: str) -> SlurmJob | None:
    """Reads one row of ``squeue``; None if it is malformed."""
    cells = [cell.strip() for cell in line.split("|", len(QUEUE_COLUMNS))]
    if len(cells) != len(QUEUE_COLUMNS) + 1:
        return None
    job_id, submit, user, state, reason, start, end, code, limit, nodes, restarts, rest = cells
    return _job(
        job_id=job_id,
        submit=submit,
        user=user,
        state=state,
        reason="" if reason == "None" else reason,
        start=start,
        end=end,
        code=code,
        limit=parse_minutes(limit),
        nodes=nodes,
        restarts=int(restarts) if _is_number(restarts) else 0,
        output=rest.removesuffix("|").strip(),
    )


def parse_sacct(stdout: str) -> list[SlurmJob]:
    """Reads what ``sacct`` printed; ``output`` is the working directory. Steps are left out."""
    jobs = []
    for line in stdout.splitlines():
        cells = [cell.strip() for cell in line.split("|", len(SACCT_COLUMNS))]
        if len(cells) < len(SACCT_COLUMNS):
            continue
        job_id, submit, user, state, start, end, code, limit, nodes = cells[: len(SACCT_COLUMNS)]
        state = state.split(" ")[0]
        if state == "REQUEUED" and parse_time(end):
            state = PUT_BACK
        job = _job(
            job_id=job_id,
            submit=submit,
            user=re.sub(r"\(\d+\)$", "", user),
            state=state,
            reason="",
            start=start,
            end=end,
            code=code,
            limit=int(limit) if _is_number(limit) else None,
            nodes=nodes,
            output=cells[-1] if len(cells) > len(SACCT_COLUMNS) else "",
        )
        if job is not None:
            jobs.append(job)
    return jobs


def _job(
    *,
    job_id: str,
    submit: str,
    user: str,
    state: str,
    reason: str,
    start: str,
    end: str,
    code: str,
    limit: int | None,
    nodes: str,
    output: str,
    restarts: int = 0,
) -> SlurmJob | None:
    """Builds a record from cells, or None if they cannot be a job's."""
    state = state.rstrip("+")
    if not _is_number(job_id) or (state not in ENDED_STATES and state not in LIVE_STATES):
        return None
    nodes = "" if nodes in ("(null)", "None assigned", "n/a", "None") else nodes
    done = state in ENDED_STATES or state == "COMPLETING"
    # A waiting job shows when it may start, and one cancelled while it waited shows the time of
    # that as its start: only a job that got nodes has started.
    started = bool(nodes) and state not in ("PENDING", "CONFIGURING")
    exit_code, signal = parse_exit(code)
    return SlurmJob(
        id=job_id,
        submit_time=parse_time(submit),
        user=user,
        state=state,
        reason=reason,
        start=parse_time(start) if started else 0,
        end=parse_time(end) if done else 0,
        exit_code=exit_code,
        signal=signal,
        nodes=nodes,
        time_limit_minutes=limit or 0,
        restarts=restarts,
        output=output,
    )


def parse_time(text: str) -> int:
    """Unix seconds, or 0 for none. Reads ISO times too (in this machine's time zone)."""
    if _is_number(text):
        return int(text)
    try:
        return int(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S")))
    except (ValueError, OverflowError):
        return 0


def parse_minutes(text: str) -> int | None:
    """Minutes of ``[days-]hours:minutes:seconds`` or ``minutes:seconds``, rounded up.

    None means that there is no limit, or no number.
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if match is None:
        return None
    days, first, second, third = match.groups()
    if days is not None:  # D-HH[:MM[:SS]]
        hours, minutes, seconds = first, second or 0, third or 0
    elif third is not None:  # HH:MM:SS
        hours, minutes, seconds = first, second, third
    else:  # MM[:SS]
        hours, minutes, seconds = "0", first, second or 0
    total = ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(seconds)
    return -(-total // 60)


def parse_exit(text: str) -> tuple[int, int]:
    """Exit code and signal, from ``3:0`` or from a wait status (768)."""
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if match is not None:
        return int(match[1]) & 0xFF, int(match[2]) & 0x7F
    if _is_number(text):
        status = int(text)
        return (status >> 8) & 0xFF, status & 0x7F
    return 0, 0


# ---- errors --------------------------------------------------------------------------------


def first_line(stderr: str) -> str:
    """The sentence of an error message, without the program's name in front."""
    for line in stderr.splitlines():
        text = re.sub(r"^\w+: (error|fatal): ", "", line.strip())
        if text:
            return text
    return ""


def refusal(stderr: str) -> str:
    """Slurm's reason for not taking a job."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for line in reversed(lines):
        match = re.search(r"Batch job submission failed: (.*)", line)
        if match is not None:
            return match[1]
    return first_line(stderr) or "no reason given"


def is_lost_line(stderr: str) -> bool:
    """Whether a tool failed because the controller did not answer: nothing is certain then."""
    text = stderr.lower()
    return any(words in text for words in _LOST_LINE)


def is_denied(stderr: str) -> bool:
    """Whether the account may not do this."""
    text = stderr.lower()
    return any(words in text for words in _DENIED)


def is_gone(stderr: str) -> bool:
    """Whether there is no such job, or it has ended."""
    text = stderr.lower()
    return any(words in text for words in _GONE)


def accounting_is_off(stderr: str) -> bool:
    """Whether the cluster keeps no accounting of this kind."""
    text = stderr.lower()
    return (
        "accounting storage is disabled" in text
        or "not running a supported" in text
        or ("jobcomp" in text or "job completion" in text)
    )


def _is_number(text: str) -> bool:
    """Plain digits only: ``str.isdigit`` also takes ``²``, which ``int`` does not."""
    return text.isascii() and text.isdigit()
