"""The process dies at every boundary of journal and effect, one after the other.

A rehearsal without a crash counts the boundaries of a story; then the story is played
once for each of them, with a death there and a restart some seconds later. Whatever
the boundary: at most one accepted sbatch a claim, one end on chain, the true minutes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dsq.core.model import JobStatus
from dsq.core.units import CREDIT
from tests.support.provider import Provider, provider
from tests.support.virtual import run_virtual

Story = Callable[[Provider], Awaitable[int]]


async def plain(p: Provider) -> int:
    """Runs to its end."""
    job_id = p.chain.request(script="seconds=70 exit=3")
    p.chain.offer(job_id)
    await p.until_over(job_id)
    assert [end[:2] for end in p.chain.ends[job_id]] == [(JobStatus.FAILED, 1)], p.story()
    assert p.chain.ends[job_id][0][3] == 768
    return job_id


async def cancelled(p: Provider) -> int:
    """Is cancelled while it runs."""
    job_id = p.chain.request(script="seconds=5000")
    p.chain.offer(job_id)
    await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 60)
    p.chain.cancel(job_id)
    await p.until_over(job_id)
    assert [end[:2] for end in p.chain.ends[job_id]] == [(JobStatus.CANCELLED, 1)], p.story()
    return job_id


async def cancelled_while_scheduled(p: Provider) -> int:
    """Is cancelled while it waits in Slurm."""
    p.slurm.start_delay = 10_000
    job_id = p.chain.request(script="seconds=70")
    p.chain.offer(job_id)
    await p.until(lambda: p.accepted(job_id), 60)
    p.chain.cancel(job_id)
    await p.until_over(job_id)
    assert job_id not in p.chain.ends
    assert all(job.state == "CANCELLED" for job in p.accepted(job_id)), p.story()
    return job_id


async def topped_up(p: Provider) -> int:
    """Would run out of credits, and is topped up."""
    job_id = p.chain.request(credits=2, script="seconds=100")
    p.chain.offer(job_id)
    await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 60)
    p.chain.top_up(job_id, 3 * CREDIT)
    await p.until_over(job_id)
    assert [end[:2] for end in p.chain.ends[job_id]] == [(JobStatus.FINISHED, 1)], p.story()
    assert p.accepted(job_id)[0].limit == 3
    return job_id


async def reply_lost(p: Provider) -> int:
    """Slurm takes it, and the answer gets lost."""
    p.slurm.lose_replies = 1
    return await plain(p)


async def refused(p: Provider) -> int:
    """Slurm does not want it; the job goes back to be placed elsewhere."""
    p.slurm.refuses = "no"
    job_id = p.chain.request()
    p.chain.offer(job_id)
    await p.until(lambda: p.job(job_id).status is JobStatus.PENDING, 200)
    assert p.accepted(job_id) == []
    assert job_id not in p.chain.ends
    await p.until(lambda: (r := p.record(job_id)) is not None and not r.is_open, 60)
    return job_id


STORIES = [plain, cancelled, cancelled_while_scheduled, topped_up, reply_lost, refused]


def play(tmp_path: Path, story: Story, crash_at: int) -> list[str]:
    """Plays a story with a death at one boundary; checks what holds for every story."""

    async def main() -> list[str]:
        async with provider(tmp_path, crash_at=crash_at) as p:
            job_id = await story(p)
            assert len(p.accepted(job_id)) <= 1, p.story()
            assert len(p.chain.ends.get(job_id, [])) <= 1, p.story()
            return p.world.boundaries

    return run_virtual(main())


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_crash_at_any_boundary_changes_no_outcome(tmp_path: Path, story: Story) -> None:
    """Killed anywhere and started again, the job ends as it would have ended."""
    names = play(tmp_path / "rehearsal", story, 0)
    last = 0
    for number, name in enumerate(names, start=1):
        if name == "before cursor" and names[number - 2] == name:
            continue  # nothing happened between two moves of the cursor
        play(tmp_path / str(number), story, number)
        last = number
    assert last > 20
