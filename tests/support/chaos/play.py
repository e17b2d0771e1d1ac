"""Plays a seed: one supervisor with all faults, or two with one key."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

from dsq.supervisor.lock import RivalError
from tests.support.chaos.ends import check_ends
from tests.support.chaos.story import Story
from tests.support.chaos.tally import Tally
from tests.support.provider import Provider, provider


async def play(seed: int, folder: Path, tally: Tally | None = None) -> list[str]:
    """Plays one seed; raises what did not hold. Returns the trace."""
    if seed % 10 == 9:
        return await play_rivals(seed, folder)
    async with provider(folder) as p:
        story = Story(seed, p, random.Random(seed))
        if tally is not None:
            tally.crashes, tally.faults, tally.met = p.world.crashes, story.faults, p.world.met
        with traced(p):
            story.begin()
            await story.trouble()
            await story.settled()
            check_ends(story)
        return p.world.trace


@contextlib.contextmanager
def traced(p: Provider) -> Iterator[None]:
    """Puts what happened beside an error."""
    try:
        yield
    except Exception as error:
        tail = "\n".join(p.world.trace[-60:])
        raise AssertionError(f"{error}\n{tail}") from error


async def play_rivals(seed: int, folder: Path) -> list[str]:
    """Two supervisors with one key on two machines, one cluster: one of them gives way."""
    chance = random.Random(seed)
    async with provider(folder / "a") as p:
        story = Story(seed, p, chance)
        with traced(p):
            for _ in range(4):
                story.submit()
            await asyncio.sleep(chance.choice((0, 5, 40, 100)))
            began = len(p.chain.log)
            rival = p.rival(folder / "b")
            story.watch(rival)
            task = rival.start_task()
            for _ in range(6):
                await asyncio.sleep(chance.expovariate(1 / 30))
                story.submit()
                story.check_now()
            await asyncio.sleep(400)
            stopped = [one for one in (p, rival) if one.has_stopped]
            assert len(stopped) <= 1, "both supervisors stopped"
            for one in stopped:
                assert isinstance(one.error(), RivalError), one.error()
            # One that never got a claim through has not been heard of.
            makers = {
                p.sender.knows(event.tx_hash)
                for event in p.chain.log[began:]
                if event.name == "ClaimJobEvent"
            }
            assert stopped or len(makers) < 2, "two supervisors work with one key"
            if not rival.has_stopped:
                await rival.stop()
            with contextlib.suppress(BaseException):
                await task
            story.may_stop = True
            await story.settled()
            # A job may have met two supervisors: its bill is checked, its end is not.
            story.check_now()
        return p.world.trace
