"""What batches cost, learnt from those that were mined."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from dsq.supervisor.gas import BASE, BatchGas
from tests.support.fakes import FakeSender
from tests.support.provider import Provider, provider
from tests.support.virtual import run_virtual


def test_the_first_batch_is_tried() -> None:
    """Nothing is known before one was mined, nor after one was refused."""
    gas = BatchGas()
    assert gas.offer(10) is None
    gas.learn(10, 600_000)
    assert gas.offer(20) == 20 * 60_000 * 3 // 2 + BASE
    gas.forget()
    assert gas.offer(20) is None


def test_the_newest_batch_counts_unless_it_was_small() -> None:
    """A batch that found an empty queue would make each claim look as dear as a block."""
    gas = BatchGas()
    gas.learn(64, 64 * 50_000)
    gas.learn(1, 731_162)
    assert gas.offer(1) == 75_000 + BASE
    gas.learn(8, 8 * 70_000)
    assert gas.offer(1) == 105_000 + BASE


def test_batches_are_tried_until_their_cost_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of claims and of reports the first one of some size; later ones go out untried."""
    tried: list[tuple[str, bool]] = []
    submit = FakeSender.submit

    async def seen(self: FakeSender, call: Any, *, gas: int | None = None) -> bytes:
        if found := re.match(r"claimNextJobs|reportJobs", call.label):
            tried.append((found[0], gas is None))
        return await submit(self, call, gas=gas)

    monkeypatch.setattr(FakeSender, "submit", seen)

    async def story(p: Provider) -> None:
        for _ in range(2):
            jobs = [p.chain.request(script="seconds=5") for _ in range(6)]
            for job_id in jobs:
                p.chain.offer(job_id)
            await p.until_over(*jobs)
            await asyncio.sleep(5)

    async def main() -> None:
        async with provider(tmp_path) as made:
            await story(made)

    run_virtual(main())
    for kind in ("claimNextJobs", "reportJobs"):
        ways = [is_tried for name, is_tried in tried if name == kind]
        assert ways[0]
        assert not ways[-1], tried
