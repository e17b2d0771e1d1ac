"""How users submit, as they would tell it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from dsq.core.errors import (
    ContractError,
    CreditsError,
    TransactionError,
    UnreachableError,
)
from dsq.core.model import Affinity, JobStatus, Label
from dsq.core.units import CREDIT
from tests.screens.states import WORKFLOW
from tests.screens.stories.submits import SMALL, grid, submits, to_last_page
from tests.support.console import jobs_shown
from tests.support.fake_grid import GAIA, job

SECRETS = "secrets:\n  - name: TOKEN\n  - name: KEY\n    description: of the bucket\n"

MODULE = """\
name: hello
description: Says hello
minimumResources: {tasks: 1, cpusPerTask: 1, memPerCpu: 1, gpus: 0}
steps:
  - run:
      command: echo of a module
"""

SWEEP = 'sweep:\n  parameters:\n    - name: RATE\n      values: ["1", "2"]\n'


async def test_submits_the_template_tops_it_up_reads_its_logs_and_cancels_it() -> None:
    """The whole life of a job without leaving the console."""
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.press("s", "f2")
        await robot.sees("hello-world")
        await robot.press("enter")
        await to_last_page(robot)
        await robot.press("enter")
        await robot.sees("42", "◷ PENDING")
        started = job(42, JobStatus.RUNNING, "hello-world", at=GAIA, submit=-60, start=-30)
        on.change(42, status=started.status, provider=GAIA, time=started.time)
        await robot.sees("▶ RUNNING")
        await robot.press("t")
        await robot.type("25")
        await robot.press("enter")
        await robot.until(lambda: ("top_up", (42, 25 * CREDIT)) in on.sent)
        on.write(42, "hello from the cluster")
        await robot.press("l")
        await robot.sees("hello from the cluster", "▼ following")
        await robot.press("escape", "c", "y")
        await robot.until(lambda: ("cancel", 42) in on.sent)
        await robot.sees("(cancelling)")
    assert [call for call, _ in on.sent if call != "close"] == ["submit", "top_up", "cancel"]


async def test_pastes_a_workflow_and_submits_it() -> None:
    """The clipboard is enough; a name is not needed."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.write(SMALL)
        await to_last_page(robot)
        assert not submits(on)
        await robot.press("enter")
        await robot.sees("is submitted")
    [(workflow, wei, name, uses, demands)] = submits(on)
    assert workflow["steps"][0]["run"]["command"] == "echo hello"
    assert (wei, name, uses, demands) == (100 * CREDIT, "", (), ())


async def test_asks_for_a_gpu_by_label_and_demand() -> None:
    """Labels and demands of the field go with the job, and the last page repeats them."""
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.write(WORKFLOW)
        await robot.fill("labels", "gpu=a100 zone!=us")
        await to_last_page(robot)
        await robot.sees("gpu=a100", "zone!=us")
        await robot.press("enter")
        await robot.until(lambda: bool(submits(on)))
    uses, demands = submits(on)[0][3:]
    assert uses == (Label("gpu", "a100"),)
    assert demands == (Affinity("zone", "!=", "us"),)


async def test_changes_the_mind_on_the_last_page() -> None:
    """escape goes back to the text, which is still there."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.write(SMALL)
        await to_last_page(robot)
        await robot.press("escape")
        await robot.sees("echo hello", "● valid")
        assert not submits(on)


async def test_compares_what_credits_buy_before_deciding() -> None:
    """More credits, more time; a workflow with GPUs rules out who has none."""
    async with jobs_shown(size=(120, 40)) as robot:
        await robot.write(WORKFLOW)
        await robot.sees("gaia", "✓ 41 min", "× 4 GPUs, has none")
        await robot.fill("credits", "200")
        await robot.sees("✓ 1 h 23 min")
        await robot.misses("✓ 41 min")


async def test_offers_less_than_the_minimum() -> None:
    """The grid's minimum is said under the field, and ctrl+s leads back there."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.write(SMALL)
        await robot.fill("credits", "12")
        await robot.sees("The grid's minimum is 100.00.")
        await robot.press("f6", "f6", "ctrl+s")
        await robot.until(lambda: getattr(robot.app.focused, "id", "") == "credits")
        assert not submits(on)
        await robot.fill("credits", "120")
        await to_last_page(robot)


async def test_offers_more_than_the_wallet_holds() -> None:
    """What the wallet holds is said; nothing is sent."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.write(SMALL)
        await robot.fill("credits", "99999")
        await robot.sees("The wallet holds 1,284.40 credits.")
        await robot.press("ctrl+s")
        await robot.misses("Submit this job?")
        assert not submits(on)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CreditsError("The wallet holds too little."), "holds too little"),
        (ContractError("The grid takes no jobs now."), "takes no jobs now"),
        (UnreachableError("The chain does not answer."), "does not answer"),
        (TransactionError("It was not mined in time."), "not known whether"),
    ],
    ids=["credits", "refused", "unreachable", "unknown"],
)
async def test_is_told_why_a_submit_failed(error: Any, words: str) -> None:
    """The reason is on the screen, and among the notices to be read again; the text stays."""
    on = grid()
    on.fail["submit"] = error
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.write(SMALL)
        await to_last_page(robot)
        await robot.press("enter")
        await robot.sees(words)
        await robot.press("escape", "6")
        await robot.sees("WHAT", words)
        await robot.press("2")
        await robot.sees("echo hello")
        assert not submits(on)


async def test_submits_the_same_workflow_twice() -> None:
    """Two confirmed submits are two jobs, the second under another number."""
    on = grid()
    async with jobs_shown(on) as robot:
        for number in (42, 43):
            await robot.write(SMALL)
            await to_last_page(robot)
            await robot.press("enter")
            await robot.until(lambda number=number: number in on.known)
            await robot.press("escape")
        await robot.press("1")
        await robot.sees("12 jobs")
    assert len(submits(on)) == 2


async def test_a_second_enter_on_the_last_page_does_not_submit_twice() -> None:
    """An impatient user pays once."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.write(SMALL)
        await to_last_page(robot)
        await robot.press("enter", "enter", "enter")
        await robot.sees("is submitted")
    assert len(submits(on)) == 1


async def test_submits_where_nobody_can_take_it() -> None:
    """The last page warns that credits are locked meanwhile; the user may go on."""
    on = grid()
    on.known_providers = []
    async with jobs_shown(on) as robot:
        await robot.write(SMALL)
        await to_last_page(robot)
        await robot.sees("no provider can take it as it is", "with its credits locked")
        await robot.press("enter")
        await robot.until(lambda: bool(submits(on)))


async def test_gives_a_name_that_is_too_long() -> None:
    """Bytes count, not letters."""
    on = grid()
    async with jobs_shown(on) as robot:
        await robot.write(SMALL)
        await robot.fill("name", "é" * 17)
        await robot.sees("34 bytes")
        await robot.press("ctrl+s")
        await robot.misses("Submit this job?")
        await robot.fill("name", "é" * 16)
        await to_last_page(robot)
        await robot.press("enter")
        await robot.until(lambda: bool(submits(on)))
    assert submits(on)[0][2] == "é" * 16


async def test_writes_a_label_that_is_none() -> None:
    """The field explains what it takes."""
    async with jobs_shown() as robot:
        await robot.write(SMALL)
        await robot.fill("labels", "fast")
        await robot.sees("'fast' is no label.")
        await robot.fill("labels", "gpu=a100")
        await robot.misses("'fast' is no label.")


async def test_submits_a_sweep() -> None:
    """The last page counts jobs and credits; then the table shows the group as one row."""
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.write(SMALL + SWEEP)
        await robot.fill("name", "lr")
        await robot.sees("● valid, 2 jobs", "1,284.40 → 1,084.40  2 jobs")
        await robot.press("ctrl+s")
        await robot.sees("Submit 2 jobs?", "200 credits: 2 jobs × 100", "open at once all")
        assert not submits(on)
        await robot.press("enter")
        await robot.sees("lr ×2", "◷2", "2 jobs of the group")
        selected = robot.app.screen.table.selected  # type: ignore[attr-defined]
        assert selected.id in (42, 43)
    names = [name for _, _, name, _, _ in submits(on)]
    assert [name[:3] for name in names] == ["lr#", "lr#"]
    assert [workflow["env"][0] for workflow, *_ in submits(on)] == [
        {"key": "RATE", "value": "1"},
        {"key": "RATE", "value": "2"},
    ]


async def test_goes_on_with_a_sweep_that_ended_half_way() -> None:
    """The same text submits what is missing, under the same group, and nothing twice."""
    on = grid()
    on.most = 1
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.write(SMALL + SWEEP)
        await robot.sees("● valid, 2 jobs")
        await robot.press("ctrl+s")
        await robot.sees("Submit 2 jobs?")
        await robot.press("enter")
        await robot.sees("1 of 2 jobs of the group")
        on.most = None
        await robot.press("2")
        await robot.sees("● valid, 2 jobs")
        await robot.press("ctrl+s")
        await robot.sees("Submit 1 job?", "1 of 2 are there already; these are the others")
        await robot.press("enter")
        await robot.sees("2 jobs of the group")
    first, second = (name for _, _, name, _, _ in submits(on))
    assert (first[-4:], second[-4:], first[:-3]) == (".1/2", ".2/2", second[:-3])


async def test_a_sweep_with_a_limit_submits_the_next_when_one_ends() -> None:
    """As many credits as may be open are locked at a time; the last page says so."""
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.write(SMALL + SWEEP + "  limit: 1\n")
        await robot.sees("● valid, 2 jobs", "1,284.40 → 1,184.40")
        await robot.press("ctrl+s")
        await robot.sees("1 at most", "at a time; 200 in all", "while this console is open")
        await robot.press("enter")
        await robot.until(lambda: len(submits(on)) == 1)
        on.change(42, status=JobStatus.FINISHED)
        await robot.until(lambda: len(submits(on)) == 2)


async def test_is_asked_for_the_secrets_of_a_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden lines; what the environment has needs no typing; no value is ever on the screen."""
    monkeypatch.setenv("DSQ_SECRET_TOKEN", "of-the-environment")
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.write(SMALL + SECRETS)
        await robot.sees("● valid")
        await robot.press("ctrl+s")
        await robot.sees("Secrets of this workflow", "taken from DSQ_SECRET_TOKEN", "of the bucket")
        await robot.press("enter")
        await robot.sees("The value of the secret KEY is empty.")
        await robot.type("hunter2")
        await robot.press("enter")
        await robot.sees("TOKEN from DSQ_SECRET_TOKEN, KEY typed")
        assert "hunter2" not in robot.text
        await robot.press("enter")
        await robot.until(lambda: bool(submits(on)))
    assert on.given == [{"TOKEN": "of-the-environment", "KEY": "hunter2"}]
    assert "hunter2" not in str(submits(on))


async def test_takes_a_secret_from_a_file(tmp_path: Path) -> None:
    """ctrl+f turns the hidden line into a path, which tab completes."""
    (tmp_path / "key.txt").write_text("of-a-file\n")
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.write(SMALL + SECRETS.replace("  - name: TOKEN\n", ""))
        await robot.sees("● valid")
        await robot.press("ctrl+s")
        await robot.sees("Secrets of this workflow")
        await robot.press("ctrl+f")
        await robot.type(f"{tmp_path}/k")
        await robot.press("tab", "enter")
        await robot.sees("KEY from ", "key.txt")
        await robot.press("enter")
        await robot.until(lambda: on.given == [{"KEY": "of-a-file"}])


async def test_thinks_better_of_giving_a_secret() -> None:
    """escape leads back to the text; nothing is sent, and the value is gone."""
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.write(SMALL + SECRETS.replace("  - name: TOKEN\n", ""))
        await robot.sees("● valid")
        await robot.press("ctrl+s")
        await robot.sees("Secrets of this workflow")
        await robot.type("hunter2")
        await robot.press("escape")
        await robot.sees("echo hello")
        await robot.press("ctrl+s")
        await robot.sees("the value; ctrl+f: of a file")
        assert not submits(on)


async def test_submits_a_workflow_with_a_module(tmp_path: Path) -> None:
    """The module beside the file goes along; the last page names it."""
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "module.yaml").write_text(MODULE)
    (tmp_path / "main.yaml").write_text(SMALL + "  - use:\n      source: ./hello\n")
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.press("2", "ctrl+o")
        await robot.fill("path", str(tmp_path / "main.yaml"))
        await robot.press("enter")
        await to_last_page(robot)
        await robot.sees("modules      ./hello")
        await robot.press("enter")
        await robot.until(lambda: bool(submits(on)))
    use = submits(on)[0][0]["steps"][1]["use"]
    assert use["module"]["steps"][0]["run"]["command"] == "echo of a module"


async def test_thinks_in_hours() -> None:
    """A time becomes the credits that last so long at any provider that takes the job."""
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.write(SMALL.replace("cpusPerTask: 1", "cpusPerTask: 16"))
        await robot.sees("● valid")
        await robot.fill("time", "2h30")
        await robot.sees("2 H 30 MIN COST", "1,284.40 → 1,134.28")
        locked = robot.app.screen.query_one("#credits").value  # type: ignore[attr-defined]
        assert locked == "150.12"
        await to_last_page(robot)
        await robot.sees("150.12 credits", "enough for 2 h 30 min", "2 h 30 min cost 120.12")
        await robot.press("escape")
        await robot.fill("credits", "200")
        await robot.sees("CREDITS BUY")
        assert robot.app.screen.query_one("#time").value == ""  # type: ignore[attr-defined]


async def test_asks_for_a_time_that_cannot_be() -> None:
    """What is no time, and a time that the wallet cannot pay, are said below the fields."""
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.write(SMALL)
        await robot.fill("time", "soon")
        await robot.sees("'soon' is not a duration")
        await robot.fill("time", "900 days")
        await robot.sees("The wallet holds 1,284.40 credits.")
        on.known_providers = []
        await robot.fill("time", "1h")
        await robot.sees("No provider can take the job")
        await robot.press("ctrl+s")
        await robot.until(lambda: getattr(robot.app.focused, "id", "") == "time")
        assert not submits(on)


async def test_sees_the_wallet_shrink_with_a_submit() -> None:
    """What is locked leaves the balance in the top line at once."""
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.sees("1,284.40 cr")
        await robot.write(SMALL)
        await robot.fill("credits", "284.4")
        await to_last_page(robot)
        await robot.sees("1,284.40 → 1,000.00")
        await robot.press("enter")
        await robot.until(lambda: bool(submits(on)))
        on.heartbeat()
        await robot.sees("1,000.00 cr")


async def test_prices_change_while_the_form_is_open() -> None:
    """A provider that leaves the grid leaves the estimates."""
    on = grid()
    async with jobs_shown(on, (120, 40)) as robot:
        await robot.write(SMALL)
        await robot.sees("gaia", "iris")
        on.known_providers = [
            dataclasses.replace(each) for each in on.known_providers if each.name == "iris"
        ]
        await robot.fill("credits", "101")
        await robot.until(lambda: "gaia" not in robot.text and "iris" in robot.text)
