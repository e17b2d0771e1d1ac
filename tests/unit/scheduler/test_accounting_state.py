"""Whether Slurm's accounting answers, as others are told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from dsq.core.errors import UnreachableError
from dsq.supervisor.scheduler import slurm_tools
from dsq.supervisor.scheduler.line import Completed
from dsq.supervisor.scheduler.slurm_tools import Accounting, SlurmTools
from dsq.supervisor.scheduler.stats import AccountingState

LOST = Completed(1, b"", b"sacct: error: slurm_persist_conn_open_without_init: failed to open\n")
DENIED = Completed(1, b"", b"sacct: error: Access/permission denied\n")
OFF = Completed(1, b"", b"Slurm accounting storage is disabled\n")
BROKEN = Completed(1, b"", b"sacct: error: Invalid field requested\n")
ANSWER = Completed(0, b"", b"")


class Sacct(SlurmTools):
    """A sacct that prints what it is told to, or hangs until its time is over."""

    def __init__(self, *answers: Completed | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    def program(self, name: str) -> str:
        return name

    async def run_any(self, argv: Sequence[str]) -> Completed:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise UnreachableError("sacct gave no answer in 20 s.")
        return answer


async def asked(*answers: Completed | None) -> AccountingState:
    """The state after one question for each answer."""
    accounting = Accounting(Sacct(*answers))
    for _ in answers:
        try:
            await accounting.records(jobs=["1"])
        except UnreachableError:
            accounting._silent_until = 0.0
    return accounting.state()


async def test_a_cluster_without_accounting_has_no_state() -> None:
    """Nothing is missing where nothing is kept; nor is it known before the first question."""
    assert Accounting(Sacct(ANSWER)).state() == AccountingState()
    assert await asked(OFF, OFF) == AccountingState()


async def test_silence_is_told_with_its_reason() -> None:
    """Until it answers: also where it has never answered yet."""
    assert await asked(ANSWER) == AccountingState(ok=True)
    silent = await asked(None)
    assert (silent.ok, silent.detail) == (False, "sacct gave no answer in 20 s.")
    assert await asked(None, ANSWER) == AccountingState(ok=True)


@pytest.mark.parametrize("answer", [DENIED, BROKEN], ids=["denied", "broken"])
async def test_an_answer_that_is_an_error_is_no_answer(answer: Completed) -> None:
    """Accounting that worked and now refuses is as good as silent."""
    state = await asked(ANSWER, answer)
    assert state.ok is False
    assert "sacct" in state.detail


async def test_it_is_looked_at_again_though_no_job_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cluster's sign of life asks once more; one that answers is left alone."""
    monkeypatch.setattr(slurm_tools, "SILENCE_PAUSE", 0.0)
    sacct = Sacct(None, ANSWER)
    accounting = Accounting(sacct)
    accounting.look_again()
    assert sacct.asked == 0
    with pytest.raises(UnreachableError):
        await accounting.records(jobs=["1"])
    accounting._silent_until = 0.0
    accounting.look_again()
    accounting.look_again()
    await asyncio.sleep(0)
    while accounting._asking is not None:
        await asyncio.sleep(0)
    assert accounting.state().ok
    accounting.look_again()
    assert sacct.asked == 2
    await accounting.close()
