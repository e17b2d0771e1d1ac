"""What is told of a job when the queue and the accounting disagree."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from dsq.core.errors import UnreachableError
from dsq.supervisor.scheduler.line import Completed
from dsq.supervisor.scheduler.port import UNTOLD, SlurmJob, SlurmJobId
from dsq.supervisor.scheduler.slurm_commands import QUEUE_COLUMNS
from dsq.supervisor.scheduler.slurm_poll import PATIENCE, Poll
from dsq.supervisor.scheduler.slurm_tools import SILENCE_PAUSE, Accounting, SlurmTools

JOB = SlurmJobId("14", 1000)
RUN = SlurmJob("14", 1000, user="u", state="RUNNING", start=1010, nodes="n1", time_limit_minutes=5)
END = SlurmJob("14", 1010, user="u", state="COMPLETED", start=1010, end=1020, nodes="n1")


class Books(Accounting):
    """An accounting with given records."""

    def __init__(self, *records: SlurmJob, completion: bool = True) -> None:
        self.kept = records
        self.asked = 0
        self.is_silent = False
        self._completion = completion
        self.has_answered = self.is_answering = True

    async def records(
        self,
        *,
        jobs: Sequence[str] = (),
        name: str = "",
        seconds: int | None = None,
        user: str = "",
        output: bool = False,
    ) -> list[SlurmJob]:
        self.asked += 1
        if self.is_silent:
            raise UnreachableError("The data base does not answer.")
        return [record for record in self.kept if record.id in jobs]


class Queue(SlurmTools):
    """Programs whose squeue shows given jobs, or does not answer."""

    def __init__(self, *jobs: SlurmJob) -> None:
        self.jobs = jobs
        self.is_down = False

    def program(self, name: str) -> str:
        return name

    async def run(self, argv: Sequence[str]) -> Completed:
        if self.is_down:
            raise UnreachableError("down")
        return Completed(0, "".join(map(row, self.jobs)).encode(), b"")


def row(job: SlurmJob) -> str:
    """A job as squeue prints it."""
    cells = [job.id, job.submit_time, job.user, job.state, "None", job.start, job.end]
    cells += [job.exit_code * 256, "5:00", job.nodes]
    cells += [job.restarts]
    assert len(cells) == len(QUEUE_COLUMNS)
    return "|".join(str(cell or "N/A") for cell in cells) + "|\n"


def told(*records: SlurmJob, queue: SlurmJob = RUN, completion: bool = True) -> SlurmJob:
    """What a first poll tells of the job."""
    poll = Poll(Queue(queue), Books(*records, completion=completion), one_account=False)
    return asyncio.run(poll.poll([JOB]))["14"]


def test_an_end_in_the_accounting_stands_against_a_queue_that_goes_on() -> None:
    """The controller forgot the end: it shows RUNNING for minutes."""
    found = told(END)
    assert (found.state, found.start, found.end) == ("COMPLETED", 1010, 1020)
    assert found.job_id == JOB


@pytest.mark.parametrize(
    "queue",
    [
        replace(RUN, state="PENDING", start=0, nodes=""),
        replace(RUN, start=1030),
        replace(RUN, state="FAILED", start=1030, end=1031, exit_code=75),
    ],
    ids=["waits again", "runs again", "ran again"],
)
def test_the_first_run_is_the_one_that_counts(queue: SlurmJob) -> None:
    """A second one is ended by the script's fence before it does anything."""
    again = SlurmJob("14", 1030, user="u", state="FAILED", start=1030, end=1031, exit_code=75)
    assert told(END, again, queue=queue).state == "COMPLETED"


@pytest.mark.parametrize(
    "record",
    [
        replace(END, state="NODE_FAIL"),
        replace(END, state="PREEMPTED"),
        replace(END, state="CANCELLED"),
        replace(END, start=990, end=995),
        replace(END, id="15"),
    ],
    ids=["node failed", "preempted", "put back", "an earlier life of the id", "another job"],
)
def test_other_records_leave_the_queue_right(record: SlurmJob) -> None:
    """What ended otherwise may rightly run again; an id may have belonged to another job."""
    assert told(record) == RUN


def test_the_data_base_tells_jobs_of_one_id_apart_by_their_submission() -> None:
    """It has the time of submission itself."""
    assert told(replace(END, submit_time=1000), completion=False).state == "COMPLETED"
    assert told(replace(END, submit_time=1001), completion=False).state == "RUNNING"


def test_it_is_asked_once_and_again_after_each_silence() -> None:
    """A poll costs one command while nothing is wrong."""

    async def story() -> list[int]:
        queue, books = Queue(RUN), Books()
        poll = Poll(queue, books, one_account=False)
        counts = []
        for queue.is_down in (False, False, True, False, False):
            try:
                await poll.poll([JOB])
            except UnreachableError:
                assert queue.is_down
            counts.append(books.asked)
        return counts

    assert asyncio.run(story()) == [1, 1, 1, 2, 2]


def test_an_end_belongs_to_the_newest_job_that_has_the_id() -> None:
    """A killed controller gives an id again; the earlier job with it has no record any more."""

    async def story() -> tuple[dict[str, SlurmJob], dict[str, SlurmJob]]:
        newer = SlurmJobId("14", 1018)
        record = replace(END, start=1018, submit_time=1018)
        poll = Poll(Queue(), Books(record), one_account=False)
        return await poll.poll([newer]), await poll.poll([JOB])

    newer, older = asyncio.run(story())
    assert newer["14"].state == "COMPLETED"
    assert older == {}


def test_an_accounting_that_is_shut_for_a_moment_is_waited_for() -> None:
    """A controller that starts shuts its completion log: until it is open nothing is known, and
    nothing is told. One that stays shut is done without."""

    async def story(silent: int) -> list[str]:
        books = Books(END)
        poll = Poll(Queue(RUN), books, one_account=False)
        found = []
        for turn in range(PATIENCE + 2):
            books.is_answering = turn >= silent
            books.kept = (END,) if books.is_answering else ()
            try:
                found.append((await poll.poll([JOB]))["14"].state)
            except UnreachableError:
                found.append("")
        return found

    assert asyncio.run(story(3))[:5] == ["", "", "", "COMPLETED", "COMPLETED"]
    assert asyncio.run(story(1000))[-2:] == ["RUNNING", "RUNNING"]


def test_a_silent_accounting_hides_no_job_that_the_queue_shows() -> None:
    """What has left the queue is untold until it answers: neither gone nor ended."""
    gone = SlurmJobId("15", 1000)
    end = replace(END, id="15", submit_time=1000)

    async def story() -> list[dict[str, str]]:
        books = Books(end, completion=False)
        poll = Poll(Queue(RUN), books, one_account=False)
        await poll.poll([JOB])
        found = []
        for books.is_silent in (True, True, False):
            told = await poll.poll([JOB, gone])
            found.append({job_id: job.state for job_id, job in told.items()})
            assert told["15"].job_id == gone
        return found

    silent = {"14": "RUNNING", "15": UNTOLD}
    assert asyncio.run(story()) == [silent, silent, {"14": "RUNNING", "15": "COMPLETED"}]


def test_a_silent_accounting_is_waited_for_in_doubt_and_not_for_ever() -> None:
    """A queue that may have forgotten an end is not believed at once. In the end it is, and what
    the accounting says counts as soon as it speaks again."""

    async def story() -> list[str]:
        books = Books(replace(END, submit_time=1000), completion=False)
        books.is_silent = True
        poll = Poll(Queue(RUN), books, one_account=False)
        for _ in range(PATIENCE):
            with pytest.raises(UnreachableError):
                await poll.poll([JOB])
        states = []
        for books.is_silent in (True, True, False):
            states.append((await poll.poll([JOB]))["14"].state)
        return states

    assert asyncio.run(story()) == ["RUNNING", "RUNNING", "COMPLETED"]


class Programs(SlurmTools):
    """Programs whose sacct fails, or prints nothing; each of its calls takes some seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.takes = 1.0
        self.calls = 0
        self.stderr = "sacct: error: Problem talking to the database: Connection refused"
        monkeypatch.setattr("dsq.supervisor.scheduler.slurm_tools.time.monotonic", lambda: self.now)

    def program(self, name: str) -> str:
        return name

    async def run_any(self, argv: Sequence[str]) -> Completed:
        self.calls += 1
        self.now += self.takes
        return Completed(1 if self.stderr else 0, b"", self.stderr.encode())


@pytest.mark.parametrize("takes", [0.01, 20.0])
def test_an_accounting_that_does_not_answer_is_not_asked_at_every_poll(
    monkeypatch: pytest.MonkeyPatch, takes: float
) -> None:
    """It is left alone for some seconds, or for four times as long as it was waited for."""
    programs = Programs(monkeypatch)
    programs.takes = takes
    books = Accounting(programs)

    async def ask() -> bool:
        try:
            await books.records(jobs=["1"])
        except UnreachableError:
            return False
        return True

    pause = max(SILENCE_PAUSE, 4 * takes)
    assert not asyncio.run(ask())
    programs.now += pause - 0.01
    assert not asyncio.run(ask())
    assert programs.calls == 1
    programs.now += 0.02
    programs.stderr = ""
    assert asyncio.run(ask())
    assert asyncio.run(ask())
    assert programs.calls == 3
