"""``logs --steps`` and ``logs --step``: the output of a job by the steps of its workflow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from dsq.console.output import put_json, put_table, say

if TYPE_CHECKING:
    from dsq.console.commands.watching import LinePrinter
    from dsq.console.steps import Step
    from dsq.core.rpc.logger import LogLine


def _plain(data: bytes) -> str:
    """A line as the markers are looked for in it."""
    return data.removesuffix(b"\n").decode("utf-8", "replace")


async def steps_of(lines: AsyncIterator[LogLine]) -> list[Step]:
    """Every run of a step that an output tells of, in the order of their beginnings."""
    from dsq.console.steps import StepReader

    reader, found, number = StepReader(), list[Any](), 0
    async for line in lines:
        taken = reader.take(number, _plain(line.data))
        number += 1
        if taken.begins is not None:
            found.append(taken.begins)
    return found


def put_steps(steps: Sequence[Step], *, as_json: bool) -> None:
    """Steps as a table or as JSON."""
    if as_json:
        put_json([step_to_dict(step) for step in steps])
    elif not steps:
        say("The output tells of no steps.")
    else:
        rows = [
            ("  " * step.depth + step.path, step.name, step.result or "…", str(step.lines))
            for step in steps
        ]
        put_table(("STEP", "NAME", "RESULT", "LINES"), rows, right=("LINES",))


def step_to_dict(step: Step) -> dict[str, Any]:
    """One run of a step, as docs/reference/json.md describes it."""
    return {
        "path": step.path,
        "name": step.name,
        "depth": step.depth,
        "ended": bool(step.result),
        "exit_code": step.exit_code,
        "seconds": step.seconds,
        "lines": step.lines,
    }


async def put_step(lines: AsyncIterator[LogLine], wanted: str, printer: LinePrinter) -> None:
    """Prints the lines of a step, without its markers.

    Raises:
        NotFoundError: The output tells of no such step.
    """
    from dsq.console.steps import StepReader
    from dsq.core.errors import NotFoundError, close_matches

    reader, known, printed, number = StepReader(), set[str](), False, 0
    async for line in lines:
        taken = reader.take(number, _plain(line.data))
        number += 1
        known |= {text for step in reader.open for text in (step.path, step.name) if text}
        inside = any(wanted in (step.path, step.name) for step in reader.open)
        printed = printed or inside
        marker = taken.begins or taken.ends or taken.names
        if inside and not marker:
            printer.put(line.data, line.timestamp_ns)
    if not printed:
        raise NotFoundError(
            f"The output tells of no step '{wanted}'.{close_matches(wanted, known)}",
            hint="'dsq logs ID --steps' lists them.",
        )
