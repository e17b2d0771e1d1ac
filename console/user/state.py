"""What the console knows: jobs, providers, money, the link to the grid, notices.

No screen and no I/O in here. The feed writes, the screens read; each part has a revision
number, so that a screen can see at its next tick whether there is anything to paint.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from dsq.console.user.filters import JobFilter
from dsq.console.user.port import BalanceLike, HeadLike, WhyLike
from dsq.console.widgets.notice import NoticeBook
from dsq.core.model import Address, Constants, Job, JobStatus, Provider


class JobStore:
    """All known jobs by id, and the ids that pass the filter; newest first.

    Putting a known job is one dictionary entry and, with a filter, two bisections: the cost
    does not grow with what is on the screen.
    """

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._ids: list[int] = []
        self._shown: list[int] | None = None
        self._filter: JobFilter | None = None
        self._counts: Counter[JobStatus] = Counter()
        self.revision = 0

    def __len__(self) -> int:
        """Number of jobs that pass the filter."""
        return len(self._visible)

    @property
    def total(self) -> int:
        """Number of all jobs."""
        return len(self._jobs)

    @property
    def _visible(self) -> list[int]:
        return self._ids if self._shown is None else self._shown

    def put(self, job: Job) -> None:
        """Adds or replaces a job."""
        before = self._jobs.get(job.id)
        if before == job:
            return
        self._jobs[job.id] = job
        self._counts[job.status] += 1
        if before is None:
            bisect.insort(self._ids, job.id)
        else:
            self._counts[before.status] -= 1
        if self._shown is not None and self._filter is not None:
            self._place(job.id, shown=self._filter.matches(job))
        self.revision += 1

    def _place(self, job_id: int, *, shown: bool) -> None:
        assert self._shown is not None
        at = bisect.bisect_left(self._shown, job_id)
        there = at < len(self._shown) and self._shown[at] == job_id
        if shown and not there:
            self._shown.insert(at, job_id)
        elif there and not shown:
            del self._shown[at]

    def replace_all(self, jobs: Iterable[Job]) -> None:
        """Forgets all jobs and takes these."""
        self._jobs = {job.id: job for job in jobs}
        self._ids = sorted(self._jobs)
        self._counts = Counter(job.status for job in self._jobs.values())
        self._refilter()

    def set_filter(self, job_filter: JobFilter | None) -> None:
        """Shows the jobs that pass ``job_filter`` only; all with None or a blank one."""
        self._filter = job_filter or None
        self._refilter()

    def _refilter(self) -> None:
        self._shown = None
        if self._filter is not None:
            matches, jobs = self._filter.matches, self._jobs
            self._shown = [job_id for job_id in self._ids if matches(jobs[job_id])]
        self.revision += 1

    def get(self, job_id: int) -> Job | None:
        """The job with this id, shown or not."""
        return self._jobs.get(job_id)

    def row(self, index: int) -> Job:
        """The ``index``-th shown job, 0 is the newest."""
        visible = self._visible
        return self._jobs[visible[len(visible) - 1 - index]]

    def index_of(self, job_id: int) -> int | None:
        """Place of a shown job, None if it is not shown."""
        visible = self._visible
        at = bisect.bisect_left(visible, job_id)
        if at < len(visible) and visible[at] == job_id:
            return len(visible) - 1 - at
        return None

    @property
    def newest(self) -> int:
        """The highest id, 0 without jobs."""
        return self._ids[-1] if self._ids else 0

    def count(self, *statuses: JobStatus) -> int:
        """How many of all jobs are in one of these states."""
        return sum(self._counts[status] for status in statuses)

    def hot(self) -> list[Job]:
        """Jobs that can still change, newest first."""
        return [job for job_id in reversed(self._ids) if (job := self._jobs[job_id]).status.is_hot]

    def locked(self) -> int:
        """Wei locked in open jobs."""
        return sum(job.cost.max_cost for job in self.hot())


@dataclass(frozen=True)
class Link:
    """The connection to the grid.

    Attributes:
        state: ``connecting``, ``online`` or ``offline``.
        since: When it became so.
        retry_at: When the next attempt is made, while offline.
        reason: Why it is offline.
    """

    state: str = "connecting"
    since: float = 0.0
    retry_at: float = 0.0
    reason: str = ""

    @property
    def online(self) -> bool:
        return self.state == "online"


@dataclass
class ConsoleState:
    """Everything the screens show."""

    grid_name: str
    address: Address | None = None
    jobs: JobStore = field(default_factory=JobStore)
    providers: dict[Address, Provider] = field(default_factory=dict)
    balance: BalanceLike | None = None
    constants: Constants | None = None
    head: HeadLike | None = None
    head_seen_at: float = 0.0
    link: Link = field(default_factory=Link)
    whys: dict[int, WhyLike] = field(default_factory=dict)
    loaded: bool = False
    notices: NoticeBook = field(default_factory=NoticeBook)
    revision: int = 0

    def touch(self) -> None:
        """Says that something but the jobs has changed."""
        self.revision += 1

    @property
    def revisions(self) -> tuple[int, int, int]:
        """Changes whenever anything has."""
        return self.revision, self.jobs.revision, self.notices.revision

    def provider_of(self, job: Job) -> Provider | None:
        """The provider a job was given to, if it is known."""
        return None if job.provider.is_zero else self.providers.get(job.provider)

    def provider_name(self, address: Address) -> str:
        """A provider's name, its short address if it is unknown, nothing for none."""
        if address.is_zero:
            return ""
        known = self.providers.get(address)
        return known.name if known is not None else address.short
