"""A submission counts once Slurm shows the job under the id that it gave."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dsq.core.errors import UnreachableError
from dsq.supervisor.scheduler.accounts import RemoteAccount
from dsq.supervisor.scheduler.line import Completed
from dsq.supervisor.scheduler.port import JobSpec, SlurmJobId
from dsq.supervisor.scheduler.slurm import SlurmScheduler
from dsq.supervisor.scheduler.submissions import Outcome
from dsq.supervisor.scheduler.transport import LocalTransport

NAME = "0x" + "7" * 64
SPEC = JobSpec(NAME, "token", 1, 1, 100, 0, 5)


def row(name: str) -> str:
    """Job 16 as squeue prints it, with its name at the end."""
    return f"16|1000|u|PENDING|None|N/A|N/A|0|5:00||0|{name}|\n"


class Taken:
    """Submissions of which sbatch always says that the job is 16."""

    def __init__(self, queue: str) -> None:
        self.queue = queue

    async def submit(self, *_args: Any) -> Outcome:
        return Outcome(Completed(0, b"16\n", b""), self.queue)


def submit(path: Path, monkeypatch: pytest.MonkeyPatch, queue: str, later: str) -> SlurmJobId:
    """What a submission gives, if the queue says this with it and that when asked again."""

    async def account(*_args: Any) -> RemoteAccount:
        return RemoteAccount.parse("uid=7(u) gid=7(u)", f"HOME={path}\0", ("HOME",))

    async def run(*_args: Any, **_options: Any) -> Completed:
        return Completed(0, later.encode(), b"")

    async def story() -> SlurmJobId:
        scheduler = SlurmScheduler(LocalTransport())
        monkeypatch.setattr(scheduler, "_job_account", account)
        monkeypatch.setattr(scheduler, "_submissions_of", lambda _tools: Taken(queue))
        monkeypatch.setattr(scheduler._tools, "run", run)
        return await scheduler.submit(SPEC, "true")

    return asyncio.run(story())


@pytest.mark.parametrize(("queue", "later"), [(row(NAME), ""), ("", row(NAME))])
def test_the_time_of_submission_comes_from_the_jobs_own_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queue: str, later: str
) -> None:
    """With the answer, or asked for after it."""
    assert submit(tmp_path, monkeypatch, queue, later) == SlurmJobId("16", 1000)


@pytest.mark.parametrize(
    ("queue", "later"),
    [(row("0x" + "8" * 64), ""), ("", row("0x" + "8" * 64)), ("", "")],
    ids=["another job's", "another job's, later", "nowhere"],
)
def test_an_id_that_shows_another_job_or_none_is_an_unknown_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queue: str, later: str
) -> None:
    """A controller was killed in between: the attempt is searched for by its token."""
    with pytest.raises(UnreachableError, match="does not show it"):
        submit(tmp_path, monkeypatch, queue, later)
