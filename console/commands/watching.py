"""Following a job to its end: its statuses, its output, its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from dsq.console.output import coloured, has_colour, plain, put_json, say
from dsq.core.errors import DsqError, NotFoundError
from dsq.core.model import Job, JobStatus
from dsq.core.units import format_credits
from dsq.core.views import job_to_dict

if TYPE_CHECKING:
    from dsq.core.grid import Grid

END_CODES = {
    JobStatus.FINISHED: 0,
    JobStatus.CANCELLED: 130,
    JobStatus.OUT_OF_CREDITS: 124,
    JobStatus.PANICKED: 70,
}


def exit_code_of_end(job: Job) -> int:
    """The exit code of ``submit --watch`` for a job that has ended."""
    if job.status is JobStatus.FAILED:
        return job.exit_code or 1
    return END_CODES[job.status]


async def watch_job(grid: Grid, job: Job, *, logs: bool, as_json: bool) -> Job:
    """Follows a job to its end.

    Args:
        grid: The grid, with the customer's wallet.
        job: The job as submitted.
        logs: Stream its output to standard output.
        as_json: Print the job's object at each change instead.

    Returns:
        The job at its end, with its whole output printed.
    """
    output = asyncio.create_task(_stream(grid, job.id)) if logs else None
    try:
        async for state in grid.watch(job.id):
            if as_json and state != job:
                put_json(job_to_dict(state), indent=None)
            await _tell(grid, state)
            job = state
        if output is not None:
            await output
    except asyncio.CancelledError:
        say(
            f"Job {job.id} goes on. 'dsq logs {job.id} --follow' shows its output, "
            f"'dsq cancel {job.id}' ends it."
        )
        raise
    finally:
        if output is not None:
            output.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await output
    return job


async def _stream(grid: Grid, job_id: int) -> None:
    import sys

    printer = LinePrinter(sys.stdout)
    try:
        async for line in grid.logs(job_id, follow=True):
            printer.put(line.data, line.timestamp_ns)
    except NotFoundError:
        say(f"Job {job_id} has printed nothing.")
    except DsqError as error:
        say(f"Its output cannot be shown: {error}")


async def _tell(grid: Grid, job: Job) -> None:
    import sys

    from dsq.console.commands.jobs import provider_name

    text = coloured(job.status.name, sys.stderr)
    if job.status.is_hot:
        where = await provider_name(grid, job.provider)
        text += f" on {plain(where)}" if where else ""
    else:
        back = job.cost.max_cost - job.cost.final_cost
        text += f", exit code {job.exit_code}"
        text += f", {plain(job.last_error)}" if job.last_error else ""
        text += f"; cost {format_credits(job.cost.final_cost)} credits, "
        text += f"{format_credits(back)} came back"
    say(f"{time.strftime('%H:%M:%SZ', time.gmtime())} {text}")


class LinePrinter:
    """Prints lines of a job: as they are into a pipe, harmless ones on a terminal.

    Args:
        stream: Where to.
        timestamps: Begin each line with its time.
    """

    def __init__(self, stream: TextIO, *, timestamps: bool = False) -> None:
        self._stream = stream
        self._timestamps = timestamps
        self._terminal = stream.isatty()
        self._carry = ""

    def put(self, data: bytes, timestamp_ns: int) -> None:
        """Prints one line."""
        line = data.removesuffix(b"\n")
        if self._terminal:
            line = self._harmless(line)
        if self._timestamps:
            at = datetime.fromtimestamp(timestamp_ns / 1e9, UTC)
            line = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z ".encode() + line
        self._stream.buffer.write(line + b"\n")
        self._stream.flush()

    def _harmless(self, line: bytes) -> bytes:
        from dsq.console.widgets.safe import plain_line, terminal_line

        text, self._carry = terminal_line(line.decode(errors="replace"), self._carry)
        if not has_colour(self._stream):
            text = plain_line(text)
        elif "\x1b" in text:
            text += "\x1b[0m"
        return text.encode()
