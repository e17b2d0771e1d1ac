"""What the console knows: jobs, providers, money, the link to the grid, notices.

No screen in here. The feed writes, the screens read; each part has a revision number, so
that a screen can see at its next tick whether there is anything to paint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from dsq.console.user.job_store import JobStore
from dsq.console.user.outbox import Outbox
from dsq.console.user.port import BalanceLike, HeadLike, MovementLike, OverviewLike, WhyLike
from dsq.console.user.sources import Sources
from dsq.console.user.track_record import TrackRecord
from dsq.console.widgets.notice import NoticeBook
from dsq.core.model import Address, Constants, Job, JobDefinition, Provider
from dsq.core.readmodel.spending import Spent


@dataclass(frozen=True)
class Link:
    """The connection to the grid.

    Attributes:
        state: ``connecting``, ``online`` or ``offline``; ``none`` before a grid is chosen.
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
    """Everything the screens show.

    Attributes:
        loaded: The jobs are known, if only from the last time.
        to_read: Jobs still to be read from the chain, while it is being read.
        movements: Credits that came and went, oldest first; read when the wallet is looked at.
        contracts: The grid's contracts and their names.
        contacts: The user's names for accounts.
        overview: The whole grid, while it is looked at.
        locked: The key is to be opened with its passphrase before anything is signed.
        records: What the chain tells of the past of providers that were looked at.
        may_admit: The account may approve, remove and ban providers.
        wanted: The job in the submit view and the wei for it, while it is valid.
        outbox: Submits that wait for the link.
        sources: The workflows of jobs that were submitted here.
        spent: Sums of what jobs cost, by what they are added up by; as of ``spent_at``.
    """

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
    to_read: int = 0
    movements: list[MovementLike] = field(default_factory=list)
    contracts: Mapping[Address, str] = field(default_factory=dict)
    contacts: Mapping[str, Address] = field(default_factory=dict)
    overview: OverviewLike | None = None
    spent: dict[str, list[Spent]] = field(default_factory=dict)
    spent_at: dict[str, int] = field(default_factory=dict)
    locked: bool = False
    records: dict[Address, TrackRecord] = field(default_factory=dict)
    may_admit: bool = False
    wanted: tuple[JobDefinition, int] | None = None
    outbox: Outbox = field(default_factory=Outbox)
    sources: Sources = field(default_factory=Sources)
    notices: NoticeBook = field(default_factory=NoticeBook)
    revision: int = 0

    def use(self, store: JobStore) -> None:
        """Takes what was known last time, for the first picture."""
        self.jobs = store
        self.movements, self.spent, self.spent_at = [], {}, {}
        self.providers = store.model.providers()
        self.constants = store.model.constants
        self.loaded = self.loaded or store.model.anchor is not None
        self.touch()

    def forget(self, grid_name: str) -> None:
        """Begins anew for another grid or account; the notices stay."""
        self.jobs.close()
        fresh = ConsoleState(grid_name)
        for each in fields(self):
            if each.name not in ("notices", "contacts", "revision"):
                setattr(self, each.name, getattr(fresh, each.name))
        self.touch()

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
