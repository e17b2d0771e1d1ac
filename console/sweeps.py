"""Sweeps at work: their jobs submitted together, finished later, told as one group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dsq.core.errors import UsageError
from dsq.core.grid import Grid, Submission
from dsq.core.groups import Membership, is_group, member_name, membership
from dsq.core.model import Affinity, Job, JobStatus, Label

if TYPE_CHECKING:
    from dsq.console.user.port import GridPort
    from dsq.sbatch.expand import Point

Told = Callable[[Job], None]


@dataclass
class Sweep:
    """The jobs of a sweep, those that are there and those that are not.

    Attributes:
        group: What the names of the jobs share.
        submissions: All jobs, by their number.
        jobs: Those that are on chain, by their number.
        limit: Most jobs that are open at once; 0 for all.
    """

    group: str
    submissions: dict[int, Submission]
    limit: int = 0
    jobs: dict[int, Job] = field(default_factory=dict)

    @property
    def missing(self) -> list[Submission]:
        """What is to be submitted, in order."""
        return [each for number, each in self.submissions.items() if number not in self.jobs]

    @property
    def open(self) -> list[int]:
        """Ids of jobs that have not ended."""
        return [job.id for job in self.jobs.values() if not job.status.is_final]


def plan(points: Iterable[Point], title: str, group: str, *, limit: int | None) -> Sweep:
    """The jobs of a sweep before any is submitted.

    A job is named by its group and number for the service too, so that submitting it again
    submits it once.
    """
    submissions = {
        point.index: Submission(
            point.workflow.to_wire(),
            member_name(title, group, point.index, point.count),
            f"sweep {group} {point.index}/{point.count}",
        )
        for point in points
    }
    return Sweep(group, submissions, limit or 0)


def named_group(text: str) -> str:
    """A group as a user names it.

    Raises:
        UsageError: The text names no group.
    """
    if not is_group(text):
        raise UsageError(f"'{text[:40]}' names no group.", hint="'dsq jobs' shows yours.")
    return text


async def find_members(grid: Grid, group: str) -> dict[int, Job]:
    """The jobs of a group of this account, by their number in it.

    Raises:
        UsageError: The text names no group.
    """
    named_group(group)
    found = {}
    for job in await grid.jobs():
        member = membership(job.name)
        if member is not None and member.group == group:
            # The first one counts: a name can be given to another job by hand.
            found[member.index] = job
    return found


async def resume(grid: Grid, sweep: Sweep) -> None:
    """Notes which jobs of the sweep are there already.

    Raises:
        UsageError: There are none, or they are of another sweep.
    """
    sweep.jobs = await find_members(grid, sweep.group)
    if not sweep.jobs:
        raise UsageError(f"There are no jobs of the group {sweep.group}.")
    for number, job in sweep.jobs.items():
        wanted = sweep.submissions.get(number)
        if wanted is None or wanted.name != job.name:
            raise UsageError(
                f"Job {job.id} '{job.name}' is not of this sweep of {len(sweep.submissions)} jobs.",
                hint="Resume with the file, and the name, that the group was submitted with.",
            )


async def submit_sweep(
    grid: GridPort,
    sweep: Sweep,
    wei: int,
    *,
    uses: Sequence[Label],
    affinity: Sequence[Affinity],
    approve: bool,
    secrets: Mapping[str, str],
    told: Told,
) -> None:
    """Submits what is missing of a sweep.

    With a limit it stays until the last job is submitted, and submits one when one ends.

    Args:
        wei: Credits for each job.
        told: Called with each job as soon as it is there.

    Raises:
        DsqError: One could not be submitted; ``sweep.jobs`` has those that were.
    """
    numbers = {each.name: number for number, each in sweep.submissions.items()}

    def note(submission: Submission, job: Job) -> None:
        sweep.jobs[numbers[submission.name]] = job
        told(job)

    options: dict[str, Any] = {"uses": uses, "affinity": affinity, "approve": approve}
    while sweep.missing:
        room = sweep.limit - len(sweep.open) if sweep.limit else len(sweep.missing)
        if room > 0:
            await grid.submit_many(
                sweep.missing[:room], wei, secrets=secrets, on_job=note, **options
            )
            continue
        await _until_one_ends(grid, sweep)


async def _until_one_ends(grid: GridPort, sweep: Sweep) -> None:
    numbers = {job.id: number for number, job in sweep.jobs.items()}
    before = len(sweep.open)
    async for _ in grid.changes():
        for job in await grid.jobs_by_id(sweep.open):
            sweep.jobs[numbers[job.id]] = job
        if len(sweep.open) < before:
            return


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group as one line.

    Attributes:
        member: The name of one of its jobs, read.
        jobs: Its jobs that are there.
    """

    member: Membership
    jobs: tuple[Job, ...]

    @property
    def ids(self) -> str:
        """First and last id."""
        numbers = [job.id for job in self.jobs]
        return f"{min(numbers)}-{max(numbers)}" if len(numbers) > 1 else str(numbers[0])

    @property
    def name(self) -> str:
        """Title, group, and how many jobs there are of how many."""
        return f"{self.member.title}#{self.member.group} ({len(self.jobs)}/{self.member.count})"

    @property
    def status(self) -> str:
        """How many jobs have which status, the furthest from their end first."""
        counts = Counter(job.status for job in self.jobs)
        return ", ".join(
            f"{counts[status]} {status.name}" for status in JobStatus if counts[status]
        )


def grouped(jobs: Sequence[Job]) -> list[Job | GroupRow]:
    """Jobs with each group as one row, where its first job stands."""
    rows: dict[object, Job | list[Job]] = {}
    members: dict[str, Membership] = {}
    for job in jobs:
        member = membership(job.name)
        if member is None:
            rows[job.id] = job
            continue
        members[member.group] = member
        row = rows.setdefault(member.group, [])
        assert isinstance(row, list)
        row.append(job)
    return [
        GroupRow(members[str(key)], tuple(row)) if isinstance(row, list) else row
        for key, row in rows.items()
    ]
