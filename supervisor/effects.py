"""Carrying out what ``decide`` says for one job: intent into the journal, effect, outcome.

Each method returns True if the job should be judged again at once. Errors of the
outside are raised; the journal then still tells what was intended, and the next look
starts from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from dsq.core.errors import (
    DsqError,
    NotFoundError,
    UnreachableError,
    UsageError,
    WalletError,
)
from dsq.core.model import Job
from dsq.supervisor import actions as do
from dsq.supervisor.observe import ChainView, SlurmView, observe
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.reports import Reporter
from dsq.supervisor.scheduler.port import (
    FORGOTTEN,
    JobSpec,
    NotPermitted,
    SlurmJobId,
    SubmitRefused,
)
from dsq.supervisor.services import Services
from dsq.supervisor.tokens import attempt_token, job_token
from dsq.supervisor.waiting import bounded

if TYPE_CHECKING:
    from dsq.core.chain import Call
    from dsq.core.rpc.sbatch import Script

log = logging.getLogger("dsq.supervisor.effects")

LOGGING_MARK = "# dsq: enable-logging"
"""Line near the top of a script whose output belongs into the log service."""

LOGGING_MARK_LINES = 20

CANCEL_AGAIN_SECONDS = 10
"""A cancelled job that Slurm still shows is cancelled again after so long."""

REFUSED_FOR_GOOD_SECONDS = 5
"""The sbatch service's node may be a block behind ours: its refusal holds after so long."""

SUBMIT_SECONDS = 60.0

TOP_UP_DENIED = (
    "dsq: this provider's cluster does not let the time limit of a running job be raised: it stays "
    "at {minutes} min, and the credits of the top-up come back when the job ends"
)
"""What the customer reads in the job's log."""

FETCHES_AT_ONCE = 32
"""Scripts that are fetched side by side: with more, the first would come as late as the last."""


def wants_logging(script: str) -> bool:
    """Whether a rendered script asks for its output in the log service."""
    return LOGGING_MARK in (line.rstrip() for line in script.splitlines()[:LOGGING_MARK_LINES])


class Effects:
    """The effects of one agent.

    Args:
        services: What they act on.
        reporter: Brings reports to the chain.
        poll_soon: Called when Slurm has something new to show.
        ship: Called when a job's output should be read now.
        deliver_note: Brings a record's ``log_note`` to the log service, or gives up soon.
    """

    def __init__(
        self,
        services: Services,
        reporter: Reporter,
        *,
        poll_soon: Callable[[], None],
        ship: Callable[[int], None],
        deliver_note: Callable[[int], Awaitable[None]],
    ) -> None:
        self._s = services
        self.reporter = reporter
        self._poll_soon = poll_soon
        self._ship = ship
        self._deliver_note = deliver_note
        self._scripts: dict[int, Script] = {}
        self._fetches = asyncio.Semaphore(FETCHES_AT_ONCE)

    async def apply(self, job_id: int, action: do.Action, view: ChainView | None) -> bool:
        """Carries out one action."""
        match action:
            case do.Wait():
                return False
            case do.ShipLogs():
                self._ship(job_id)
                return False
            case do.FetchScript():
                assert view is not None
                await self._fetch(job_id, view.job)
            case do.Submit(minutes):
                await self._submit(job_id, minutes)
            case do.Find():
                return await self._find(job_id)
            case do.Refuse(reason):
                await self._refuse(job_id, reason)
            case do.ReportRunning():
                self.reporter.running(job_id)
                return False
            case do.ReportEnd(end):
                self.reporter.ended(job_id, end)
                return False
            case do.CancelSlurm(cause):
                return await self._cancel(job_id, cause)
            case do.SetLimit(minutes):
                await self._set_limit(job_id, minutes)
            case do.Reopen():
                self._reopen(job_id)
            case do.Finish(why):
                await self._finish(job_id, why, view)
        return True

    def _record(self, job_id: int) -> JobRecord:
        record = self._s.journal.get(job_id)
        assert record is not None
        return record

    # --- script and submission ---------------------------------------------------------

    async def _fetch(self, job_id: int, job: Job) -> None:
        if job_id in self._scripts:
            return
        journal, health = self._s.journal, self._s.health
        try:
            async with self._fetches:
                script = await bounded(self._s.sbatch.fetch(job), "The sbatch service")
        except DsqError as error:
            record = self._record(job_id)
            since = record.fetch_failed_since or int(self._s.clock.now())
            certain = isinstance(error, NotFoundError | WalletError | UsageError)
            if isinstance(error, UnreachableError):
                health.bad("sbatch", error)
            if certain and self._s.clock.now() - since >= REFUSED_FOR_GOOD_SECONDS:
                journal.update(
                    job_id,
                    f"the sbatch service refused the script: {error}",
                    refuse_reason=f"no script: {error}",
                    fetch_failed_since=since,
                )
            elif not record.fetch_failed_since:
                journal.update(job_id, f"script not fetched: {error}", fetch_failed_since=since)
            raise
        health.good("sbatch")
        self._scripts[job_id] = script
        if self._record(job_id).fetch_failed_since:
            journal.update(job_id, fetch_failed_since=0)

    async def _submit(self, job_id: int, minutes: int) -> None:
        script = self._scripts[job_id]
        record = self._record(job_id)
        if not record.claim_time:
            record = await self._learn_claim(record)
        attempt = record.attempt + 1
        token = attempt_token(self._s.token_seed, job_id, record.claim_time, attempt)
        record = self._s.journal.update(
            job_id,
            f"submitting, attempt {attempt}",
            phase=Phase.PLANNED,
            attempt=attempt,
            token=token,
            planned_at=int(self._s.clock.now()),
            limit_minutes=minutes,
            limit_bought=record.bought_minutes,
            logging=wants_logging(script.text),
            slurm_id="",
            submit_time=0,
            slurm_state="",
            missing_count=0,
            missing_since=0,
            log_offset=0,
        )
        spec = JobSpec(
            name=record.hex_id,
            token=token,
            ntasks=record.definition.ntasks,
            cpus_per_task=record.definition.cpus_per_task,
            mem_per_cpu=record.definition.mem_per_cpu,
            gpus=record.definition.gpus,
            minutes=minutes,
            env={**self._s.env, **script.secrets},
            job_path=self._s.job_path,
            comment=f"dsq {self._s.me.lower}",
            once=job_token(self._s.token_seed, job_id),
        )
        await self._s.journal.settled()
        try:
            slurm = await bounded(
                self._s.scheduler.submit(spec, script.text), "The cluster", SUBMIT_SECONDS
            )
        except SubmitRefused as error:
            self._scripts.pop(job_id, None)
            self._s.journal.update(
                job_id,
                f"the cluster refused the job: {error}",
                phase=Phase.CLAIMED,
                refuse_reason=f"the cluster refused the job: {error}",
                log_note=f"the cluster refused the job: {error}",
            )
            return
        self._scripts.pop(job_id, None)
        self._sent(job_id, slurm)

    async def _learn_claim(self, record: JobRecord) -> JobRecord:
        """The chain's time of the claim, which names the attempt."""
        terms = await bounded(self._s.chain.claim_terms([record.job_id]), "The chain")
        known = terms.get(record.job_id)
        if known is None:
            return self._record(record.job_id)
        return self._s.journal.update(record.job_id, claim_time=known.claimed_at)

    def _sent(self, job_id: int, slurm: SlurmJobId) -> None:
        self._s.journal.update(
            job_id,
            f"submitted to Slurm as {slurm.id}",
            phase=Phase.SENT,
            slurm_id=slurm.id,
            submit_time=slurm.submit_time,
        )
        self._poll_soon()

    async def _find(self, job_id: int) -> bool:
        record = self._record(job_id)
        await self._s.journal.settled()
        found = await bounded(
            self._s.scheduler.find(record.hex_id, record.token, record.planned_at),
            "The cluster",
            SUBMIT_SECONDS,
        )
        now = self._s.clock.now()
        record, was_sent = self._record(job_id), record.phase is not Phase.PLANNED
        if was_sent and (found is None or found.state == FORGOTTEN):
            record, event = _vanished(record, found is None, now)
        else:
            record, event = observe(record, None, SlurmView.of(found, now), now)
        if found is None:
            event = event or f"attempt {record.attempt} never reached Slurm"
        else:
            event = event or f"found in Slurm as {found.id}"
        self._s.journal.save(record, event)
        self._poll_soon()
        return True

    # --- the chain ---------------------------------------------------------------------

    async def _refuse(self, job_id: int, reason: str) -> None:
        record = self._record(job_id)
        if record.refuse_reason != reason:
            record = self._s.journal.update(
                job_id, f"handing it back: {reason}", refuse_reason=reason
            )
        await self._s.journal.settled()
        if record.log_note:
            # Once it is handed back, the log service takes nothing more from us.
            await self._deliver_note(job_id)
        await self._send(job_id, self._s.chain.calls.refuse_job(job_id))
        self._scripts.pop(job_id, None)
        self._s.journal.update(
            job_id,
            f"handed back: {reason}",
            phase=Phase.FINAL,
            handed_back=True,
            log_note="",
            log_done=True,
        )

    async def _send(self, job_id: int, call: Call) -> None:
        """Sends; whatever comes of it, the job is read from the chain again."""
        try:
            receipt = await self._s.txs.send(call)
        except DsqError as error:
            self._not_sent(job_id, error)
            raise
        self._s.views.forget(job_id)
        if event := receipt.event("BilledTooMuchEvent"):
            log.warning("job=%d billed=too_much minutes=%s", job_id, event.args["billing_amount"])

    def _not_sent(self, job_id: int, error: DsqError) -> None:
        if isinstance(error, UnreachableError):
            self._s.health.bad("chain", error)
        self._s.views.forget(job_id)

    # --- the cluster -------------------------------------------------------------------

    async def _cancel(self, job_id: int, cause: str) -> bool:
        record, now = self._record(job_id), int(self._s.clock.now())
        if record.cancel_sent_at and now - record.cancel_sent_at < CANCEL_AGAIN_SECONDS:
            return False
        self._s.journal.update(
            job_id,
            "cancelling in Slurm" + (f": {cause}" if cause else ""),
            cancel_cause=record.cancel_cause or cause,
            cancel_sent_at=now,
        )
        await self._s.journal.settled()
        try:
            await bounded(
                self._s.scheduler.cancel(SlurmJobId(record.slurm_id, record.submit_time)),
                "The cluster",
            )
        except BaseException:
            self._s.journal.update(job_id, cancel_sent_at=0)
            raise
        self._poll_soon()
        return False

    async def _set_limit(self, job_id: int, minutes: int) -> None:
        record, journal = self._record(job_id), self._s.journal
        slurm = SlurmJobId(record.slurm_id, record.submit_time)
        await journal.settled()
        try:
            await bounded(self._s.scheduler.set_time_limit(slurm, minutes), "The cluster")
        except NotPermitted as error:
            journal.update(
                job_id,
                f"the limit stays at {record.limit_minutes} min, the top-up comes back: {error}",
                limit_denied=True,
                log_note=TOP_UP_DENIED.format(minutes=record.limit_minutes),
            )
        except NotFoundError:
            journal.update(job_id, "too late for a longer limit", limit_denied=False)
            self._poll_soon()
            raise
        else:
            journal.update(
                job_id,
                f"limit set to {minutes} min",
                limit_minutes=minutes,
                limit_bought=record.bought_minutes,
            )

    # --- the record --------------------------------------------------------------------

    def _reopen(self, job_id: int) -> None:
        record = self._record(job_id)
        phase = Phase.CLAIMED
        if record.end_state:
            phase = Phase.ENDED
        elif record.slurm_id:
            phase = Phase.SENT
        self._s.journal.update(
            job_id, "the chain went back; taken up again", phase=phase, handed_back=False
        )

    async def _finish(self, job_id: int, why: str, view: ChainView | None) -> None:
        self._scripts.pop(job_id, None)
        earned = final_cost = 0
        status = None
        record = self._record(job_id)
        if view is not None and view.job.status.is_final:
            status, final_cost = view.job.status, view.job.cost.final_cost
            why = f"{status.name} on chain"
            if view.mine and final_cost:
                cut = await self._s.fee_percent()
                earned = final_cost - final_cost * cut // 100
        self._s.journal.update(
            job_id,
            why,
            phase=Phase.FINAL,
            reported=status,
            final_cost=final_cost,
            earned=earned,
            ended_at=record.ended_at or int(self._s.clock.now()),
            # The log service takes nothing from a provider that the chain does not name.
            log_done=record.log_done or (view is not None and not view.mine),
        )


def _vanished(record: JobRecord, never_began: bool, now: float) -> tuple[JobRecord, str]:
    """What was found out about a job that the cluster took and forgot."""
    if record.started_at or not never_began:
        return replace(record, slurm_state=FORGOTTEN), "its script began, and the cluster forgot it"
    # Nor will it begin: the search left its mark where the script makes its own.
    words = f"the cluster forgot attempt {record.attempt}, whose script never began"
    return replace(record, phase=Phase.PLANNED, missing_count=1, missing_since=int(now)), words
