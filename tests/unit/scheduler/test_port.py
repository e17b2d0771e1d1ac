"""What the types of the port promise."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from dsq.supervisor.scheduler.batch import Batch
from dsq.supervisor.scheduler.port import ENDED_STATES, LIVE_STATES, Free, JobSpec, NodeFree

TWO = Free((NodeFree("a", 8, 16000, 0), NodeFree("b", 4, 8000, 2)))


@pytest.mark.parametrize(
    ("ntasks", "cpus", "mem", "gpus", "fits"),
    [
        (12, 1, 100, 0, True),
        (13, 1, 100, 0, False),
        (2, 8, 100, 0, False),  # a task does not span nodes
        (1, 8, 100, 0, True),
        (2, 4, 100, 2, True),
        (1, 1, 100, 3, False),
        (12, 1, 2000, 0, True),
        (12, 1, 2001, 0, False),
        (1, 1, 16001, 0, False),
    ],
)
def test_fits_counts_whole_tasks_a_node(
    ntasks: int, cpus: int, mem: int, gpus: int, fits: bool
) -> None:
    """CPUs and memory of each task must be on one node, GPUs anywhere in the job."""
    assert TWO.fits(ntasks=ntasks, cpus_per_task=cpus, mem_per_cpu=mem, gpus=gpus) is fits


def test_states_are_live_or_ended_never_both() -> None:
    """No state of Slurm's is read in two ways."""
    assert not LIVE_STATES & ENDED_STATES


def test_a_specification_shows_no_secrets() -> None:
    """Its variables are not in its representation, which logs and tracebacks show."""
    spec = JobSpec("0x1", "t", 1, 1, 1, 0, 1, env={"PASSWORD": "hunter2"})
    assert "hunter2" not in repr(spec)


async def test_questions_asked_during_a_query_share_the_next_one() -> None:
    """Ten callers cause two queries: the first one's, and one for all who came while it ran."""
    asked: list[list[str]] = []
    gate = asyncio.Event()

    async def load(keys: Sequence[str]) -> dict[str, str]:
        asked.append(list(keys))
        await gate.wait()
        return {key: key.upper() for key in keys if key != "x"}

    batch = Batch(load)
    first = asyncio.create_task(batch.get("a"))
    await asyncio.sleep(0.01)
    rest = [asyncio.create_task(batch.get(key)) for key in "bcdefghx"]
    await asyncio.sleep(0.01)
    gate.set()
    assert await asyncio.gather(first, *rest) == [*"ABCDEFGH", None]
    assert asked == [["a"], [*"bcdefghx"]]


async def test_a_failed_query_fails_its_own_callers_only() -> None:
    """The next question is asked anew."""
    answers = iter([OSError("no"), {"a": 1}])

    async def load(keys: Sequence[str]) -> dict[str, int]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    batch = Batch(load)
    with pytest.raises(OSError, match="no"):
        await batch.get("a")
    assert await batch.get("a") == 1
