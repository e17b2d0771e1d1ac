"""One job: why it is where it is, its script, its ids."""

from __future__ import annotations

import pytest

from dsq.console.placement import others, reason_words, where_words
from dsq.console.user.screens.job import JobScreen
from dsq.console.widgets.script_lines import script_lines
from dsq.core.errors import WalletError
from dsq.core.model import JobStatus, WhyNot
from dsq.core.units import CREDIT
from tests.support.console import WIDE, jobs_shown
from tests.support.fake_grid import GAIA, IRIS, FakeGrid, some_jobs

SCRIPT = """\
#!/bin/bash
#SBATCH --job-name=dsq
set -euo pipefail
if [ "$1" = 'x' ]; then
    echo "loss: $LOSS" # [bold]not markup[/bold]
fi
cat <<'EOF'
  kept as it is
EOF
printf '\x1b[31m%s' 42
"""


def grid() -> FakeGrid:
    made = FakeGrid().add(*some_jobs())
    made.scripts[41] = SCRIPT
    return made


async def test_a_placed_job_says_why_there() -> None:
    """Where it is, the rule and the price that decided, and what the others are like now."""
    async with jobs_shown(grid(), size=WIDE) as robot:
        await robot.press("enter")
        await robot.sees("Runs on gaia.", "It was the cheapest that could start it")
        await robot.sees("could start it (2.40 a minute).", "iris: needs 4 GPUs, has none")
        await robot.press("escape", "j", "j", "j", "enter")
        await robot.sees("Claimed by gaia; waits in its Slurm.")
        await robot.press("escape", "j", "enter")
        await robot.sees("Placed on iris, which has not claimed it yet.")


def test_words_of_a_placement() -> None:
    """The others stand with their reason or their price; one that is cheaper now was not able."""
    assert where_words(JobStatus.RUNNING, "gaia") == "Runs on gaia."
    assert reason_words(None) == "It was the cheapest that could start it."
    rows = [
        WhyNot(IRIS, "iris", "", 50, CREDIT),
        WhyNot(GAIA, "gaia", "", 20, 3 * CREDIT),
        WhyNot(IRIS, "dear", "", 10, 5 * CREDIT),
        WhyNot(IRIS, "aion", "busy: 8 of 8 CPUs in use", 9, CREDIT),
    ]
    assert others(GAIA, rows) == [
        ("iris", "1.00 credits a minute for 50 min; could not start it then"),
        ("dear", "5.00 credits a minute for 10 min"),
        ("aion", "busy: 8 of 8 CPUs in use"),
    ]


async def test_reads_the_script_of_a_job() -> None:
    """S shows it in colours and as text only; y copies the whole of it."""
    async with jobs_shown(grid(), size=WIDE) as robot:
        await robot.press("enter", "S")
        await robot.sees("Script of job 41", "#SBATCH --job-name=dsq", "[bold]not markup[/bold]")
        await robot.sees("  kept as it is")
        assert "\x1b" not in robot.text
        await robot.press("y")
        assert robot.app.clipboard == SCRIPT
        await robot.press("escape")
        await robot.sees("TIMELINE")


async def test_a_script_that_is_not_kept() -> None:
    """One sentence among the notices, and nothing opens."""
    made = grid()
    async with jobs_shown(made, size=WIDE) as robot:
        await robot.press("j", "enter", "S")
        await robot.sees("The grid keeps no script of job 40 any more.")
        made.fail["script"] = WalletError("The signature was refused.")
        await robot.press("S")
        await robot.sees("The signature was refused.")


def test_the_parts_of_a_script_have_colours() -> None:
    """Comments, words of the shell, texts; nothing is lost, nothing is obeyed."""
    lines = script_lines(SCRIPT)
    assert len(lines) == len(SCRIPT.splitlines())
    styles = {text.strip(): style for line in lines for text, style in line}
    assert styles["#SBATCH --job-name=dsq"] == "syntax-comment"
    assert styles["if"] == "syntax-key"
    assert styles["'x'"] == "syntax-string"
    text = ["".join(part for part, _ in line) for line in lines]
    assert text[4] == '    echo "loss: $LOSS" # [bold]not markup[/bold]'
    assert "\x1b" not in text[9]
    assert len("".join(part for part, _ in script_lines("x" * 5000)[0])) < 420


async def test_copies_any_id_of_a_job() -> None:
    """Y offers number, id, key, accounts and transactions, and copies the chosen one."""
    async with jobs_shown(grid(), size=WIDE) as robot:
        await robot.press("enter")
        await robot.sees("◑ scheduled")
        await robot.press("Y")
        await robot.sees("job number", "job id", "0x" + "0" * 62 + "29", "customer")
        await robot.sees("tx: submitted")
        await robot.press("down", "down", "enter")
        assert robot.app.clipboard == str(GAIA)
        await robot.press("Y", "end", "enter")
        assert robot.app.clipboard == "0x" + "12" * 32


@pytest.mark.parametrize("key", ["S", "Y"])
async def test_a_job_that_is_unknown(key: str) -> None:
    """Nothing can be copied of it; its script is asked for all the same."""
    async with jobs_shown(grid(), size=WIDE) as robot:
        robot.app.push_screen(JobScreen(99))
        await robot.sees("Job 99 is not known yet.")
        await robot.press(key)
        await robot.sees("There is no job 99." if key == "S" else "Job 99 is not known yet.")
