"""``dsq demo``: one job's whole course on a throwaway grid, told as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dsq.console.local.clusters import delete
from dsq.console.local.down import down
from dsq.console.local.home import Home
from dsq.console.local.progress import to_stderr
from dsq.console.local.up import up
from dsq.console.templates import template
from dsq.core.config import read_grid_json
from dsq.core.errors import DsqError
from dsq.core.grid import Grid
from dsq.core.model import Job, JobStatus
from dsq.core.units import CREDIT, format_credits
from dsq.core.wallet import load_wallet
from dsq.sbatch.workflow import load_workflow

DEMO_CREDITS = 100 * CREDIT
EXAMPLE = "hello-world"


def demo(*, tui: bool = False, home: Path | None = None, cluster: str | None = None) -> int:
    """Runs the demo and returns its exit code.

    Args:
        tui: End in the console on the demo's grid; the grid ends with the console.
        home: A home to use and keep; else a temporary one, removed at the end.
        cluster: As for ``dsq up``.
    """
    folder = home or Path(tempfile.mkdtemp(prefix="dsq-demo-"))
    if home is None:
        folder.chmod(0o711)  # jobs may run as another account; what is private has its own mode
    began = time.monotonic()
    try:
        up(folder, {"cluster": cluster}, detach=True)
        to_stderr(f"grid ready after {time.monotonic() - began:.1f} s in {folder}")
        code = asyncio.run(course(folder))
        if tui:
            from dsq.console.console_command import run_console

            run_console(home=folder)
        return code
    finally:
        with contextlib.suppress(DsqError):
            down(folder)
        if home is None:
            delete(Home(folder))


async def course(home: Path) -> int:
    """Submits the sample workflow and prints its course; returns the job's exit code."""
    config = read_grid_json(home)
    workflow = load_workflow(template(EXAMPLE).text, source=EXAMPLE)
    async with await Grid.open(config, load_wallet(config.wallet, prompt=False)) as grid:
        await grid.chain.head()
        say(f"submit {EXAMPLE}: {format_credits(DEMO_CREDITS)} credits of {grid.address} locked")
        began = time.monotonic()
        job = await grid.submit(workflow.to_wire(), DEMO_CREDITS, name="hello")
        say(f"job {job.id} requested, block {(await grid.head()).number}", began)
        output = asyncio.create_task(print_output(grid, job.id))
        async for state in grid.watch(job.id):
            say(f"  {state.status.name}", began)
            job = state
        with contextlib.suppress(DsqError):
            await output
        print_settlement(await settlement(grid, job))
    return 0 if job.status is JobStatus.FINISHED else job.exit_code or 1


async def print_output(grid: Grid, job_id: int) -> None:
    """Streams the job's output to standard output."""
    async for line in grid.logs(job_id, follow=True):
        sys.stdout.write("    | " + line.data.decode(errors="replace") + "\n")
        sys.stdout.flush()


async def settlement(grid: Grid, job: Job) -> dict[str, Any]:
    """Where a job's credits went, in wei, by the token's own transfers in its last block.

    Returns:
        ``locked``, ``cost``, ``provider``, ``fee``, ``refund``; ``locked`` is
        ``provider + fee + refund`` and ``cost`` is ``provider + fee``, to the wei.
    """
    steps = await grid.history(job)
    block = steps[-1].block_number
    transfers = [
        event
        for event in await grid.chain.events(block, block, names=("Transfer",))
        if event.tx_hash == steps[-1].tx_hash
        and event.args["sender"] == grid.chain.addresses.metascheduler
    ]
    paid = sum(t.args["value"] for t in transfers if t.args["recipient"] == job.provider)
    refund = sum(t.args["value"] for t in transfers if t.args["recipient"] == job.customer)
    fee = job.cost.final_cost - paid
    return {
        "locked": job.cost.max_cost,
        "cost": job.cost.final_cost,
        "provider": paid,
        "fee": fee,
        "refund": refund,
    }


def print_settlement(money: dict[str, Any]) -> None:
    """Prints the settlement on standard output.

    Raises:
        DsqError: It does not add up, which no contract of dsq lets happen.
    """
    say("settlement (credits)")
    rows = (
        ("locked", ""),
        ("cost", "what the job used"),
        ("provider", "its share of the cost"),
        ("fee", "the grid's share of the cost"),
        ("refund", "back to the customer"),
    )
    for name, words in rows:
        print(f"    {name:<9}{format_credits(money[name], 18):>25}  {words}".rstrip())  # noqa: T201
    if money["locked"] != money["provider"] + money["fee"] + money["refund"]:
        raise DsqError("The settlement does not add up.")
    print("    locked = provider + fee + refund, to the wei", flush=True)  # noqa: T201


def say(text: str, began: float | None = None) -> None:
    """A line with its time, and the seconds since ``began``."""
    stamp = time.strftime("%H:%M:%SZ", time.gmtime())
    since = f" +{time.monotonic() - began:5.1f} s" if began is not None else ""
    print(f"{stamp}{since}  {text}", flush=True)  # noqa: T201
