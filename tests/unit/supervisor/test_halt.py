"""A chain that went back too far: a halt, also of the next start, until the operator allows it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dsq.core.chain import Cursor
from dsq.core.errors import ReorgError
from dsq.core.model import JobStatus
from tests.support.chaos.faults import EFFECTS
from tests.support.provider import Provider
from tests.unit.supervisor.test_strays import scenario

DEPTH = 8


async def _running_job(p: Provider) -> int:
    """A job that runs, on a chain that is long enough."""
    job_id = p.chain.request(script="seconds=300")
    p.chain.offer(job_id)
    await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 20)
    await asyncio.sleep(40)
    return job_id


async def _halted(p: Provider) -> None:
    for _ in range(20):
        await asyncio.sleep(0.5)
        if p.has_stopped:
            break
    assert isinstance(p.error(), ReorgError)


def test_it_halts_and_goes_on_when_it_may(tmp_path: Path) -> None:
    """Nothing is done to Slurm or the chain, also by the next start; with a greater depth the job
    ends as it should, and Slurm never heard of all this."""

    async def story(p: Provider) -> None:
        await p.stop()
        p.reorg_depth = DEPTH
        p.start()
        job_id = await _running_job(p)
        p.chain.reorganise(30)
        await _halted(p)
        mark = len(p.world.boundaries)
        cursor = p.journal.get_meta("cursor")
        for _ in range(2):
            await asyncio.sleep(40)
            p.journal.close()
            p.start()
            await _halted(p)
        names = p.world.boundaries[mark:]
        assert [name for name in names if name.startswith(EFFECTS)] == []
        assert p.journal.get_meta("cursor") == cursor
        assert [one.state for one in p.accepted(job_id)] == ["RUNNING"]
        p.journal.close()
        p.reorg_depth = 1000
        p.start()
        await p.until_over(job_id)
        assert p.job(job_id).status is JobStatus.FINISHED
        assert [one.state for one in p.accepted(job_id)] == ["COMPLETED"]

    scenario(tmp_path, story)


def test_a_head_of_the_same_height_is_no_place(tmp_path: Path) -> None:
    """The other history is just as long as the one that was read: nothing comes behind it yet."""

    async def story(p: Provider) -> None:
        await p.stop()
        p.reorg_depth = DEPTH
        p.start()
        await asyncio.sleep(45)
        p.chain.reorganise(DEPTH + 4)
        await _halted(p)
        place = Cursor.from_json(p.journal.get_meta("cursor") or "").number
        await p.until(lambda: p.chain.block - 1 == place, 60)
        p.journal.close()
        agent = p.start()
        await _halted(p)
        assert not agent.services.views.is_trusted
        p.journal.close()
        p.reorg_depth = 1000
        p.start()

    scenario(tmp_path, story)


def test_the_place_of_a_halt_is_kept(tmp_path: Path) -> None:
    """Blocks without events are written down seldom; without the last of them a start would find
    the chain only a little way back, and go on."""

    async def story(p: Provider) -> None:
        await p.stop()
        p.reorg_depth = DEPTH
        p.start()
        await asyncio.sleep(45)
        assert p.feed is not None
        read = p.feed.follower.snapshot()
        p.chain.reorganise(DEPTH + 2)
        await _halted(p)
        assert read.committed < read.position - 2
        p.journal.close()
        p.start()
        await _halted(p)
        p.journal.close()
        p.reorg_depth = 1000
        p.start()

    scenario(tmp_path, story)


def test_a_start_looks_at_its_place_before_it_acts(tmp_path: Path) -> None:
    """Until then nothing is sent and no view of the chain is believed; Slurm is read all the same."""

    async def story(p: Provider) -> None:
        job_id = await _running_job(p)
        await p.stop()
        p.chain.is_down = True
        # As another history might have it: a step that believed it would take the job from Slurm.
        p.chain.force(job_id, status=JobStatus.CANCELLED)
        mark = len(p.world.boundaries)
        agent = p.start()
        agent.wake(job_id)
        await asyncio.sleep(20)
        assert not agent.services.views.is_trusted
        assert not agent.poller.is_dark
        names = p.world.boundaries[mark:]
        assert [name for name in names if name.startswith(EFFECTS)] == []
        p.chain.force(job_id, status=JobStatus.RUNNING)
        p.chain.is_down = False
        await p.until_over(job_id)
        assert agent.services.views.is_trusted

    scenario(tmp_path, story)
