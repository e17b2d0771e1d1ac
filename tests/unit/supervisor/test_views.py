"""Jobs as last read from the chain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from dsq.core.errors import UnreachableError
from dsq.core.model import Constants, Job
from dsq.supervisor.connections import Health
from dsq.supervisor.journal import Journal
from dsq.supervisor.observe import ChainView
from dsq.supervisor.services import Services
from dsq.supervisor.views import PART, ChainViews
from tests.support.fakes import ME, FakeChain, FakeScheduler, FakeScripts, FakeSender, World
from tests.support.virtual import run_virtual


class AskedChain(FakeChain):
    """Remembers what was asked."""

    def __init__(self) -> None:
        super().__init__(World())
        self.questions: list[list[int]] = []

    async def jobs(self, ids: Sequence[int]) -> list[Job]:
        self.questions.append(list(ids))
        return await super().jobs(ids)


def views_of(chain: AskedChain) -> ChainViews:
    return ChainViews(chain, ME, chain.world.clock, Health(chain.world.clock))


def test_who_asks_at_the_same_time_shares_a_question() -> None:
    """Forty jobs that become due together cost one request; what is fresh costs none."""

    async def story() -> None:
        chain = AskedChain()
        ids = [chain.request() for _ in range(40)]
        views = views_of(chain)
        found = await asyncio.gather(*(views.get(job_id, 1.0) for job_id in ids))
        assert [view.job.id for view in found if view] == ids
        assert chain.questions == [ids]
        assert await views.get(ids[0], 60.0) == found[0]
        assert len(chain.questions) == 1
        views.forget(ids[0])
        assert await views.get(ids[0], 60.0)
        assert chain.questions[1:] == [[ids[0]]]

    run_virtual(story())


def test_a_job_that_is_not_there_costs_the_others_no_answer() -> None:
    """After a reset of the chain one number may be unknown."""

    async def story() -> None:
        chain = AskedChain()
        job_id = chain.request()
        views = views_of(chain)
        there, absent = await asyncio.gather(views.get(job_id, 1.0), views.get(999, 1.0))
        assert there is not None
        assert there.job.id == job_id
        assert absent is None

    run_virtual(story())


def test_who_goes_away_does_not_take_the_answer_with_him() -> None:
    """A cancelled step leaves the question of the others alone."""

    async def story() -> None:
        chain = AskedChain()
        first, second = chain.request(), chain.request()
        views = views_of(chain)
        gone = asyncio.create_task(views.get(first, 1.0))
        stays = asyncio.create_task(views.get(second, 1.0))
        await asyncio.sleep(0)
        gone.cancel()
        view = await stays
        assert view is not None
        assert view.job.id == second

    run_virtual(story())


def test_the_fee_is_asked_for_once_however_many_jobs_end_together(tmp_path: Path) -> None:
    """Forty at once share one answer; an error reaches them all, and the next one asks again."""

    async def story() -> None:
        chain = FakeChain(World())
        asked = 0
        constants = chain.constants

        async def counted() -> Constants:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.1)
            if asked == 1:
                raise UnreachableError("The node does not answer.")
            return await constants()

        chain.constants = counted  # type: ignore[method-assign]
        services = Services(
            ME, chain, FakeSender(chain), FakeScheduler(chain.world), FakeScripts(chain.world),
            None, Journal(tmp_path / "journal.db"), chain.world.clock,
        )  # fmt: skip
        failed = await asyncio.gather(
            *(services.fee_percent() for _ in range(40)), return_exceptions=True
        )
        assert {type(error) for error in failed} == {UnreachableError}
        assert set(await asyncio.gather(*(services.fee_percent() for _ in range(40)))) == {20}
        assert await services.fee_percent() == 20
        assert asked == 2
        services.journal.close()

    run_virtual(story())


def test_many_jobs_are_read_in_parts_that_others_share() -> None:
    """A start reads all open jobs; the steps that want them meanwhile ask for none once more."""

    async def story() -> None:
        chain = AskedChain()
        ids = [chain.request() for _ in range(2 * PART + 7)]
        views = views_of(chain)
        steps: list[asyncio.Task[ChainView | None]] = []
        parts = []
        async for part in views.read_many(ids):
            if not parts:
                steps = [asyncio.create_task(views.get(job_id, 60.0)) for job_id in ids]
            parts.append(list(part))
        assert parts == [ids[:PART], ids[PART : 2 * PART], ids[2 * PART :]]
        assert [view.job.id for view in await asyncio.gather(*steps) if view] == ids
        assert sorted(map(len, chain.questions)) == [7, PART, PART]

    run_virtual(story())


def test_a_job_that_changes_while_many_are_read_is_read_once_more() -> None:
    """The reading that was under way may be older than the change."""

    async def story() -> None:
        chain = AskedChain()
        ids = [chain.request() for _ in range(3)]
        views = views_of(chain)
        reading = views.read_many(ids)
        first = asyncio.create_task(anext(reading))
        await asyncio.sleep(0)
        views.forget(ids[1])
        assert await views.get(ids[1], 60.0)
        await first
        await reading.aclose()
        assert chain.questions in ([ids, [ids[1]]], [[ids[1]], ids])

    run_virtual(story())
