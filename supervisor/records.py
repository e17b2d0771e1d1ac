"""What the journal knows about one job: the record and how far it was taken.

Life of a record (``phase``)::

    CLAIMED   the chain gave us the job; nothing went to Slurm
    PLANNED   token and time of an sbatch are written; its outcome is unknown
    SENT      sbatch gave an id (or the token was found in Slurm)
    SEEN      a poll has shown the job
    ENDED     Slurm's end is on record; the chain may not know it yet
    FINAL     nothing is left to do
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from dsq.core.model import Address, JobDefinition, JobStatus, job_hex_id


class Phase(enum.StrEnum):
    """How far this supervisor has taken a job; see the module's text."""

    CLAIMED = "claimed"
    PLANNED = "planned"
    SENT = "sent"
    SEEN = "seen"
    ENDED = "ended"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class JobRecord:
    """All that the journal knows about one claimed job. Times are Unix seconds, 0: not yet.

    Attributes:
        claim_time: When it was claimed by the chain's clock; 0 if that is not known.
        claims: How often this provider has claimed the job (a refused one can come again).
        bought_minutes: Minutes that the credits buy, top-ups included.
        limit_minutes: Time limit last given to Slurm, 0 before a submission.
        limit_bought: ``bought_minutes`` when that limit was given.
        limit_denied: The cluster did not let the limit of the running job be raised.
        logging: The script asks for its output in the log service; None before it was read.
        attempt: Number of planned sbatch calls of this claim.
        token: Random name of the attempt, part of its output path.
        planned_at: When the attempt was planned.
        submit_time: Slurm's, which with ``slurm_id`` identifies the job for good.
        last_alive_at: Last sighting of the running job, the end of last resort for the bill.
        missing_count, missing_since: Sightings of the job's absence in a row.
        stranger_count, stranger_since: Readings in a row in which the job was not ours.
        requeued: Slurm put the job back into its queue after it may have begun.
        end_state: Slurm's word for the end, ``LOST`` if Slurm forgot the job.
        cancel_requested: The customer wants the job to stop.
        cancel_cause: Why this supervisor cancelled it in Slurm, if the customer did not ask.
        refuse_reason: Why the job is to be handed back; "" while it is not.
        handed_back: The last claim ended by refusing the job.
        reported: Last status this supervisor saw confirmed on chain.
        proved_at: When the chain last heard from us that the job runs.
        final_cost, earned: Wei, of the settled job.
        log_line: Index of the next line at the log service.
        log_note: Words of the supervisor for the job's log, not yet delivered.
    """

    job_id: int
    customer: Address
    definition: JobDefinition
    claim_tx: bytes = b""
    claimed_at: int = 0
    claim_time: int = 0
    claims: int = 1
    bought_minutes: int = 0
    limit_minutes: int = 0
    limit_bought: int = 0
    limit_denied: bool = False
    logging: bool | None = None
    fetch_failed_since: int = 0
    attempt: int = 0
    token: str = ""
    planned_at: int = 0
    slurm_id: str = ""
    submit_time: int = 0
    phase: Phase = Phase.CLAIMED
    slurm_state: str = ""
    slurm_reason: str = ""
    nodes: str = ""
    last_alive_at: int = 0
    missing_count: int = 0
    missing_since: int = 0
    stranger_count: int = 0
    stranger_since: int = 0
    started_at: int = 0
    ended_at: int = 0
    end_state: str = ""
    exit_status: int = 0
    requeued: bool = False
    cancel_requested: bool = False
    cancel_cause: str = ""
    cancel_sent_at: int = 0
    refuse_reason: str = ""
    handed_back: bool = False
    reported: JobStatus | None = None
    proved_at: int = 0
    final_cost: int = 0
    earned: int = 0
    log_offset: int = 0
    log_line: int = 0
    log_done: bool = False
    log_note: str = ""
    last_error: str = ""
    last_event: str = ""
    last_event_at: int = 0

    @property
    def hex_id(self) -> str:
        return job_hex_id(self.job_id)

    @property
    def is_open(self) -> bool:
        """Something is left to do about the job itself."""
        return self.phase is not Phase.FINAL

    @property
    def log_is_due(self) -> bool:
        """Output or words of ours are not yet at the log service."""
        return not self.log_done and bool(self.log_note or (self.logging and self.slurm_id))

    @property
    def has_slurm_id(self) -> bool:
        return bool(self.slurm_id)


@dataclass(frozen=True, slots=True)
class Note:
    """One line of a job's history."""

    at: int
    text: str
