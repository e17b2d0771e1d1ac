"""What can be decided about a job, as values."""

from __future__ import annotations

from dataclasses import dataclass

from dsq.supervisor.ends import End


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do now; ``why`` is shown beside the job."""

    why: str


@dataclass(frozen=True, slots=True)
class FetchScript:
    """Get the script from the sbatch service, if it is not at hand."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Plan an attempt in the journal, then sbatch."""

    minutes: int


@dataclass(frozen=True, slots=True)
class Find:
    """Look for the planned attempt by its token."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Hand the job back on chain."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReportRunning:
    """Tell the chain that the job runs."""


@dataclass(frozen=True, slots=True)
class ReportEnd:
    """Tell the chain how the job ended."""

    end: End


@dataclass(frozen=True, slots=True)
class CancelSlurm:
    """Take the job out of Slurm; ``cause`` is "" when the customer asked for it."""

    cause: str = ""


@dataclass(frozen=True, slots=True)
class SetLimit:
    """Give the job in Slurm another limit, in total minutes."""

    minutes: int


@dataclass(frozen=True, slots=True)
class ShipLogs:
    """Have the job's output read now."""


@dataclass(frozen=True, slots=True)
class Reopen:
    """Take a closed record up again: the chain went back to before its end."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Close the record."""

    why: str


Action = (
    Wait
    | FetchScript
    | Submit
    | Find
    | Refuse
    | ReportRunning
    | ReportEnd
    | CancelSlurm
    | SetLimit
    | ShipLogs
    | Reopen
    | Finish
)
