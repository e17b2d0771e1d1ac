"""What was read at the head of the chain, or heard behind the cursor, may be undone unheard."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

from dsq.core.model import JobStatus
from dsq.core.units import CREDIT
from tests.support.provider import Provider
from tests.unit.supervisor.test_strays import scenario


def test_a_job_closed_on_a_block_that_was_replaced_is_taken_up_again(tmp_path: Path) -> None:
    """The events never reached the block in which it was read as cancelled: no reset is heard."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=200")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        await p.until(lambda: p.is_closed(job_id))
        ends = dict(p.chain.ends)
        # As if the block of its end had been replaced before it was followed.
        p.chain.force(job_id, status=JobStatus.RUNNING)
        p.chain.ends.clear()
        await p.until_over(job_id, seconds=120)
        assert p.chain.ends == ends

    scenario(tmp_path, story)


def test_a_clock_set_ahead_hides_no_closed_job(tmp_path: Path) -> None:
    """What the chain took back is doubted by the order of what was written, not by its times."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(script="seconds=5")
        p.chain.offer(job_id)
        await p.until_over(job_id)
        await asyncio.sleep(90)  # it has been looked at once more
        p.world.clock.step(86_400)
        await asyncio.sleep(5)
        p.chain.force(job_id, status=JobStatus.RUNNING)
        ends = p.chain.ends.pop(job_id)
        p.chain.reorganise(2)
        await p.until(lambda: p.chain.ends.get(job_id) == ends, 60)

    scenario(tmp_path, story)


def test_a_top_up_undone_while_the_process_was_dead_is_taken_back(tmp_path: Path) -> None:
    """It was in the journal, its block behind the cursor: the limit goes down to what is paid."""

    async def story(p: Provider) -> None:
        job_id = p.chain.request(credits=4, script="seconds=900")
        p.chain.offer(job_id)
        await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
        cursor = p.journal.get_meta("cursor")
        p.chain.top_up(job_id, 20 * CREDIT)
        await p.until(lambda: p.accepted(job_id)[0].limit == 21, 20)
        await p.kill()
        with contextlib.closing(sqlite3.connect(p.settings.state_dir / "journal.db")) as file:
            file.execute("UPDATE meta SET value = ? WHERE name = 'cursor'", (cursor,))
            file.commit()
        p.chain.reorganise(6, lambda: True)
        p.start()
        await p.until(lambda: p.accepted(job_id)[0].limit == 3, 90)
        await p.until_over(job_id)
        assert p.chain.ends[job_id] == [(JobStatus.OUT_OF_CREDITS, 3, "", 0)]

    scenario(tmp_path, story)
