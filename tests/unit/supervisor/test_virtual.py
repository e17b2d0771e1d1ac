"""Time in the simulation: it jumps to what is due next, and does not hide endless loops."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.virtual import run_virtual


def test_waiting_takes_no_time_and_keeps_its_order() -> None:
    """An hour passes at once; what is due together comes in the order in which it was asked for."""

    async def main() -> tuple[list[str], float]:
        came: list[str] = []
        loop = asyncio.get_running_loop()
        for name in "abc":
            loop.call_later(3600, came.append, name)
        loop.call_later(1800, came.append, "first")
        loop.call_later(1800, came.append, "never").cancel()
        await asyncio.sleep(3601)
        return came, loop.time()

    came, now = run_virtual(main())
    assert came == ["first", "a", "b", "c"]
    assert now == pytest.approx(3601)


def test_a_wait_for_nothing_is_told() -> None:
    """Where a real program would hang, the simulation ends with an error."""

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="never comes"):
        run_virtual(main())


def test_a_loop_without_end_is_told() -> None:
    """So is one that turns without any time passing, even if it waits for next to nothing."""

    async def main() -> None:
        while True:
            await asyncio.sleep(1e-300)

    with pytest.raises(RuntimeError, match="without end"):
        run_virtual(main())
