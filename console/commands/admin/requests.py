"""``admin pause`` and ``admin unpause``: whether the grid takes new jobs."""

from __future__ import annotations

import click

from dsq.console.commands.admin.acting import Step, act, acting
from dsq.console.commands.common import Session


async def _set(call: Session, enabled: bool, yes: bool, as_json: bool) -> None:
    from dsq.core.chain.operations import Right

    words = {True: "taken", False: "paused"}
    async with call.open(operator=True) as grid:
        before = await grid.chain.new_jobs_enabled()
        where = grid.chain.addresses.metascheduler
        effect = (
            "customers can request jobs again"
            if enabled
            else "nobody can request a job; jobs that are there go on"
        )
        step = Step(
            f"New jobs on MetaScheduler {where}: {words[before]} -> {words[enabled]}: {effect}.",
            grid.chain.calls.set_enable_request_new_job(enabled),
            Right("MetaScheduler", "DEFAULT_ADMIN_ROLE"),
        )
        await act(
            grid,
            [] if before == enabled else [step],
            yes=yes,
            as_json=as_json,
            already=f"New jobs are {words[enabled]} already.",
            before=words[before],
            after=words[enabled],
        )


@click.command()
@acting
async def pause(call: Session, yes: bool, as_json: bool) -> None:
    """Take no new jobs. Those that are there go on, end and are paid."""
    await _set(call, False, yes, as_json)


@click.command()
@acting
async def unpause(call: Session, yes: bool, as_json: bool) -> None:
    """Take new jobs again."""
    await _set(call, True, yes, as_json)
