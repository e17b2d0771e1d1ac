"""How often the supervisor looks into the cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dsq.supervisor.poller import LOAD_FACTOR
from tests.support.provider import provider
from tests.support.virtual import run_virtual

SLOW = 1.5


def test_a_slow_cluster_is_asked_less_often_however_much_is_submitted(tmp_path: Path) -> None:
    """Each submission asks for a look soon; a look that takes long is followed by a pause."""

    async def main() -> None:
        async with provider(tmp_path, claim_ahead=100) as p:
            await asyncio.sleep(20)
            p.slurm.latency = SLOW
            for _ in range(30):
                p.chain.offer(p.chain.request(script="seconds=2000"))
                await asyncio.sleep(1)
            polls, began = p.slurm.polls, p.world.clock.monotonic()
            for _ in range(60):
                p.chain.offer(p.chain.request(script="seconds=2000"))
                await asyncio.sleep(1)
            took = p.world.clock.monotonic() - began
            assert len(p.slurm.jobs_by_id) > 60
            assert 3 <= p.slurm.polls - polls <= took / (SLOW * (1 + LOAD_FACTOR)) + 2

    run_virtual(main())


def test_a_stop_does_not_wait_for_the_pause(tmp_path: Path) -> None:
    """However slow the cluster was, SIGTERM ends the loop."""

    async def main() -> None:
        async with provider(tmp_path) as p:
            p.chain.offer(p.chain.request(script="seconds=2000"))
            await asyncio.sleep(30)
            p.slurm.latency = 4.0
            await asyncio.sleep(14)
            assert await p.stop() < 5

    run_virtual(main())
