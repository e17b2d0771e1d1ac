"""The table: one rule for each pair of what the chain says and what is known of the processes.

:func:`dsq.supervisor.decide.decide` looks the rule up; docs/reconciliation.md prints the
table, and tests walk all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dsq.supervisor.actions import (
    Action,
    CancelSlurm,
    FetchScript,
    Find,
    Finish,
    Refuse,
    Reopen,
    ReportEnd,
    ReportRunning,
    SetLimit,
    ShipLogs,
    Submit,
    Wait,
)
from dsq.supervisor.ends import FREE, UNSEEN, end_of, lost_end
from dsq.supervisor.observe import SlurmView
from dsq.supervisor.records import JobRecord
from dsq.supervisor.states import AWAY_REASONS, BodyState, ChainState, Policy, wanted_limit


@dataclass(frozen=True, slots=True)
class Case:
    """All a rule may look at."""

    record: JobRecord
    slurm: SlurmView
    now: float
    policy: Policy


Rule = Callable[[Case], list[Action]]


def _wait(why: str) -> Rule:
    return lambda _case: [Wait(why)]


def _do(*actions: Action) -> Rule:
    return lambda _case: list(actions)


def _submit(case: Case) -> list[Action]:
    record, policy = case.record, case.policy
    minutes = wanted_limit(record, policy)
    if words := record.refuse_reason or record.cancel_cause:
        return [Refuse(words)]
    if minutes < 1:
        return [Refuse("the credits do not buy one minute here")]
    if record.attempt >= policy.max_attempts:
        return [Refuse(f"the cluster took none of {record.attempt} submissions")]
    failing = record.fetch_failed_since
    if failing and case.now - failing >= policy.fetch_patience:
        return [Refuse("the job's script could not be fetched")]
    return [FetchScript(), Submit(minutes)]


def _hand_back_in_the_dark(case: Case) -> list[Action]:
    if case.record.refuse_reason:
        return [Refuse(case.record.refuse_reason)]
    if case.now - case.slurm.at >= case.policy.hand_back_after:
        return [Refuse("the provider's cluster does not answer")]
    return [Wait("the cluster does not answer")]


def _limit(case: Case) -> list[Action]:
    record = case.record
    wanted = max(1, wanted_limit(record, case.policy))
    # Less than Slurm was told only where the chain took a top-up back.
    is_less = wanted < record.limit_minutes and record.bought_minutes < record.limit_bought
    if record.limit_denied or not (wanted > record.limit_minutes or is_less):
        return []
    return [SetLimit(wanted)]


def _waiting(case: Case) -> list[Action]:
    if case.record.cancel_cause:
        return [CancelSlurm(case.record.cancel_cause)]
    return [*_limit(case), Wait("waits in Slurm")]


def _waiting_scheduled(case: Case) -> list[Action]:
    record, policy = case.record, case.policy
    away = record.slurm_reason.split(",")[0] in AWAY_REASONS
    if away and case.now - record.planned_at >= policy.hand_back_after:
        return [CancelSlurm(f"the cluster starts no jobs ({record.slurm_reason})")]
    return _waiting(case)


def _alive_scheduled(case: Case) -> list[Action]:
    return [ReportRunning(), *_alive_running(case)]


def _alive_running(case: Case) -> list[Action]:
    if case.record.cancel_cause:
        return [ShipLogs(), CancelSlurm(case.record.cancel_cause)]
    return [*_limit(case), ShipLogs(), Wait("runs")]


def _stranger(case: Case) -> list[Action]:
    record = case.record
    sure = record.stranger_count >= 2 and (
        case.now - record.stranger_since >= case.policy.stranger_grace
    )
    if sure:
        return [CancelSlurm("the chain gave the job to another provider")]
    return [Wait("the chain says that the job is not ours; looking again")]


def _end_from_scheduled(case: Case) -> list[Action]:
    # SCHEDULED -> FINISHED does not exist on chain: RUNNING comes first.
    return [ShipLogs(), ReportRunning(), ReportEnd(end_of(case.record))]


def _end_from_running(case: Case) -> list[Action]:
    return [ShipLogs(), ReportEnd(end_of(case.record))]


def _lost_from_scheduled(case: Case) -> list[Action]:
    return [ReportRunning(), ReportEnd(lost_end(case.record))]


def _lost_from_running(case: Case) -> list[Action]:
    return [ReportEnd(lost_end(case.record))]


def _unrun_scheduled(case: Case) -> list[Action]:
    record = case.record
    words = record.refuse_reason or record.cancel_cause
    return [Refuse(words or f"it ended in Slurm as {record.end_state} before it started")]


C = ChainState
B = BodyState

_UNSUBMITTED_WAIT = _wait("the chain does not answer")
_KEEP = _wait("the chain does not answer; the job goes on")
_WATCHED_ELSEWHERE = _wait("runs on chain, but this journal never submitted it")
_DARK = _wait("the cluster does not answer")
_MISSING = _wait("Slurm does not know the job; looking again")
_LEAVING = _wait("ends in Slurm")
_COMES_AGAIN = _wait("its claim was rolled back; it waits for the next claim")
_REQUEUED = _do(CancelSlurm("the cluster requeued the job; it may run only once"))
_OVER = _do(ShipLogs(), Finish("ended on chain"))

RULES: dict[tuple[ChainState, BodyState], Rule] = {
    (C.UNKNOWN, B.NOTHING): _UNSUBMITTED_WAIT,
    (C.UNKNOWN, B.NOTHING_DARK): _UNSUBMITTED_WAIT,
    (C.UNKNOWN, B.UNSURE): _do(Find()),
    (C.UNKNOWN, B.NEVER): _UNSUBMITTED_WAIT,
    (C.UNKNOWN, B.WAITING): _KEEP,
    (C.UNKNOWN, B.DOOMED): _KEEP,
    (C.UNKNOWN, B.ALIVE): _do(ShipLogs(), Wait("the chain does not answer; the job goes on")),
    (C.UNKNOWN, B.REQUEUED): _KEEP,
    (C.UNKNOWN, B.LEAVING): _LEAVING,
    (C.UNKNOWN, B.DARK): _wait("neither the chain nor the cluster answers"),
    (C.UNKNOWN, B.MISSING): _MISSING,
    (C.UNKNOWN, B.MISLAID): _do(Find()),
    (C.UNKNOWN, B.LOST): _wait("lost; the chain does not answer"),
    (C.UNKNOWN, B.VANISHED): _wait("lost; the chain does not answer"),
    (C.UNKNOWN, B.LOST_UNSEEN): _wait("lost; the chain does not answer"),
    (C.UNKNOWN, B.ENDED): _do(ShipLogs(), Wait("ended; the chain does not answer")),
    (C.UNKNOWN, B.UNRUN): _wait("ended; the chain does not answer"),
    (C.UNKNOWN, B.CLOSED): _do(),
    #
    (C.NOT_MINE, B.NOTHING): _do(Finish("not ours any more")),
    (C.NOT_MINE, B.NOTHING_DARK): _do(Finish("not ours any more")),
    (C.NOT_MINE, B.UNSURE): _do(Find()),
    (C.NOT_MINE, B.NEVER): _do(Finish("not ours any more")),
    (C.NOT_MINE, B.WAITING): _stranger,
    (C.NOT_MINE, B.DOOMED): _stranger,
    (C.NOT_MINE, B.ALIVE): _stranger,
    (C.NOT_MINE, B.REQUEUED): _stranger,
    (C.NOT_MINE, B.LEAVING): _LEAVING,
    (C.NOT_MINE, B.DARK): _DARK,
    (C.NOT_MINE, B.MISSING): _MISSING,
    (C.NOT_MINE, B.MISLAID): _do(Find()),
    (C.NOT_MINE, B.LOST): _do(Finish("not ours any more, and lost")),
    (C.NOT_MINE, B.VANISHED): _do(Finish("not ours any more, and lost")),
    (C.NOT_MINE, B.LOST_UNSEEN): _do(Finish("not ours any more, and lost")),
    (C.NOT_MINE, B.ENDED): _do(ShipLogs(), Finish("not ours any more, and ended")),
    (C.NOT_MINE, B.UNRUN): _do(Finish("not ours any more")),
    (C.NOT_MINE, B.CLOSED): _do(),
    #
    (C.OFFERED, B.NOTHING): _COMES_AGAIN,
    (C.OFFERED, B.NOTHING_DARK): _COMES_AGAIN,
    (C.OFFERED, B.UNSURE): _do(Find()),
    (C.OFFERED, B.NEVER): _COMES_AGAIN,
    (C.OFFERED, B.WAITING): _COMES_AGAIN,
    (C.OFFERED, B.DOOMED): _COMES_AGAIN,
    (C.OFFERED, B.ALIVE): _COMES_AGAIN,
    (C.OFFERED, B.REQUEUED): _COMES_AGAIN,
    (C.OFFERED, B.LEAVING): _LEAVING,
    (C.OFFERED, B.DARK): _DARK,
    (C.OFFERED, B.MISSING): _MISSING,
    (C.OFFERED, B.MISLAID): _do(Find()),
    (C.OFFERED, B.LOST): _COMES_AGAIN,
    (C.OFFERED, B.VANISHED): _COMES_AGAIN,
    (C.OFFERED, B.LOST_UNSEEN): _COMES_AGAIN,
    (C.OFFERED, B.ENDED): _COMES_AGAIN,
    (C.OFFERED, B.UNRUN): _COMES_AGAIN,
    (C.OFFERED, B.CLOSED): _do(),
    #
    (C.SCHEDULED, B.NOTHING): _submit,
    (C.SCHEDULED, B.NOTHING_DARK): _hand_back_in_the_dark,
    (C.SCHEDULED, B.UNSURE): _do(Find()),
    (C.SCHEDULED, B.NEVER): _submit,
    (C.SCHEDULED, B.WAITING): _waiting_scheduled,
    (C.SCHEDULED, B.DOOMED): lambda case: [
        CancelSlurm(f"the cluster can never start it ({case.record.slurm_reason})")
    ],
    (C.SCHEDULED, B.ALIVE): _alive_scheduled,
    (C.SCHEDULED, B.REQUEUED): _REQUEUED,
    (C.SCHEDULED, B.LEAVING): lambda case: (
        [ReportRunning(), Wait("ends in Slurm")]
        if case.record.started_at
        else [Wait("ends in Slurm")]
    ),
    (C.SCHEDULED, B.DARK): _DARK,
    (C.SCHEDULED, B.MISSING): _MISSING,
    (C.SCHEDULED, B.MISLAID): _do(Find()),
    (C.SCHEDULED, B.LOST): _lost_from_scheduled,
    (C.SCHEDULED, B.VANISHED): _do(Find()),
    (C.SCHEDULED, B.LOST_UNSEEN): _do(ReportEnd(UNSEEN)),
    (C.SCHEDULED, B.ENDED): _end_from_scheduled,
    (C.SCHEDULED, B.UNRUN): _unrun_scheduled,
    (C.SCHEDULED, B.CLOSED): _do(Reopen()),
    #
    (C.RUNNING, B.NOTHING): _WATCHED_ELSEWHERE,
    (C.RUNNING, B.NOTHING_DARK): _WATCHED_ELSEWHERE,
    (C.RUNNING, B.UNSURE): _do(Find()),
    (C.RUNNING, B.NEVER): _do(ReportEnd(FREE)),
    (C.RUNNING, B.WAITING): _waiting,
    (C.RUNNING, B.DOOMED): _waiting,
    (C.RUNNING, B.ALIVE): _alive_running,
    (C.RUNNING, B.REQUEUED): _REQUEUED,
    (C.RUNNING, B.LEAVING): _LEAVING,
    (C.RUNNING, B.DARK): _DARK,
    (C.RUNNING, B.MISSING): _MISSING,
    (C.RUNNING, B.MISLAID): _do(Find()),
    (C.RUNNING, B.LOST): _lost_from_running,
    (C.RUNNING, B.VANISHED): _do(ReportEnd(FREE)),
    (C.RUNNING, B.LOST_UNSEEN): _do(ReportEnd(FREE)),
    (C.RUNNING, B.ENDED): _end_from_running,
    (C.RUNNING, B.UNRUN): _do(ReportEnd(FREE)),
    (C.RUNNING, B.CLOSED): _do(Reopen()),
    #
    (C.STOPPING, B.NOTHING): _WATCHED_ELSEWHERE,
    (C.STOPPING, B.NOTHING_DARK): _WATCHED_ELSEWHERE,
    (C.STOPPING, B.UNSURE): _do(Find()),
    (C.STOPPING, B.NEVER): _do(ReportEnd(FREE)),
    (C.STOPPING, B.WAITING): _do(CancelSlurm()),
    (C.STOPPING, B.DOOMED): _do(CancelSlurm()),
    (C.STOPPING, B.ALIVE): _do(CancelSlurm()),
    (C.STOPPING, B.REQUEUED): _do(CancelSlurm()),
    (C.STOPPING, B.LEAVING): _LEAVING,
    (C.STOPPING, B.DARK): _wait("to be cancelled; the cluster does not answer"),
    (C.STOPPING, B.MISSING): _MISSING,
    (C.STOPPING, B.MISLAID): _do(Find()),
    (C.STOPPING, B.LOST): _lost_from_running,
    (C.STOPPING, B.VANISHED): _do(ReportEnd(FREE)),
    (C.STOPPING, B.LOST_UNSEEN): _do(ReportEnd(FREE)),
    (C.STOPPING, B.ENDED): _end_from_running,
    (C.STOPPING, B.UNRUN): _do(ReportEnd(FREE)),
    (C.STOPPING, B.CLOSED): _do(Reopen()),
    #
    (C.OVER, B.NOTHING): _OVER,
    (C.OVER, B.NOTHING_DARK): _OVER,
    (C.OVER, B.UNSURE): _do(Find()),
    (C.OVER, B.NEVER): _OVER,
    (C.OVER, B.WAITING): _do(CancelSlurm()),
    (C.OVER, B.DOOMED): _do(CancelSlurm()),
    (C.OVER, B.ALIVE): _do(CancelSlurm()),
    (C.OVER, B.REQUEUED): _do(CancelSlurm()),
    (C.OVER, B.LEAVING): _LEAVING,
    (C.OVER, B.DARK): _wait("ended on chain; the cluster does not answer"),
    (C.OVER, B.MISSING): _MISSING,
    (C.OVER, B.MISLAID): _do(Find()),
    (C.OVER, B.LOST): _OVER,
    (C.OVER, B.VANISHED): _OVER,
    (C.OVER, B.LOST_UNSEEN): _OVER,
    (C.OVER, B.ENDED): _OVER,
    (C.OVER, B.UNRUN): _OVER,
    (C.OVER, B.CLOSED): _do(),
}
"""One rule for each pair of what the chain says and what is known of the processes."""
