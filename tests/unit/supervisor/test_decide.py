"""The table: what the chain says x what is known of the processes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsq.core.model import JobStatus
from dsq.supervisor import actions as do
from dsq.supervisor.decide import decide
from dsq.supervisor.ends import FREE, UNSEEN
from dsq.supervisor.observe import Sight, SlurmView
from dsq.supervisor.records import Phase
from dsq.supervisor.rules import RULES
from dsq.supervisor.scheduler.port import ENDED_STATES, LIVE_STATES
from dsq.supervisor.states import (
    LONGEST_MINUTES,
    NEVER_REASONS,
    BodyState,
    ChainState,
    Policy,
    body_state,
    chain_state,
    wanted_limit,
)
from tests.unit.supervisor.cases import (
    ABSENT,
    BODIES,
    CHAINS,
    DARK,
    FORGOTTEN_JOB,
    NONE,
    NOW,
    POLICY,
    chain,
    record,
    sent,
    slurm,
)

# One letter or word for each decision; columns in the order of ChainState.
#   w wait   f find   S fetch and submit   X cancel in Slurm   r report RUNNING
#   E report the end   rE both   R refuse   F finish   l ship logs   O reopen   - nothing
TABLE = """
                          unknown  not-mine offered  scheduled running  stopping over
nothing                   w        F        w        S         w        w        lF
nothing,-cluster-silent   w        F        w        w         w        w        lF
unsure                    f        f        f        f         f        f        f
never                     w        F        w        S         E        E        lF
waiting                   w        w        w        w         w        X        X
doomed                    w        w        w        X         w        X        X
alive                     lw       w        w        rlw       lw       X        X
requeued                  w        w        w        X         X        X        X
leaving                   w        w        w        rw        w        w        w
dark                      w        w        w        w         w        w        w
missing                   w        w        w        w         w        w        w
mislaid                   f        f        f        f         f        f        f
lost                      w        F        w        rE        E        E        lF
vanished                  w        F        w        f         E        E        lF
lost-unseen               w        F        w        E         E        E        lF
ended                     lw       lF       w        lrE       lE       lE       lF
unrun                     w        F        w        R         E        E        lF
closed                    -        -        -        O         O        O        -
"""

LETTERS = {
    do.Wait: "w",
    do.Find: "f",
    do.Submit: "S",
    do.CancelSlurm: "X",
    do.ReportRunning: "r",
    do.ReportEnd: "E",
    do.Refuse: "R",
    do.Finish: "F",
    do.ShipLogs: "l",
    do.Reopen: "O",
    do.SetLimit: "L",
}


def cells() -> list[tuple[ChainState, BodyState, str]]:
    """The table's cells."""
    head, *rows = [line.split() for line in TABLE.strip().splitlines()]
    chains = [ChainState(name.replace("-", " ")) for name in head]
    return [
        (chains[column], BodyState(name.replace("-", " ")), cell)
        for name, *decisions in rows
        for column, cell in enumerate(decisions)
    ]


def letters(actions: list[do.Action]) -> str:
    """What was decided, as the table writes it."""
    found = [LETTERS[type(a)] for a in actions if not isinstance(a, do.FetchScript)]
    return "".join(found) or "-"


@pytest.mark.parametrize(("chain_is", "body_is", "expected"), cells())
def test_each_cell_has_its_rule(chain_is: ChainState, body_is: BodyState, expected: str) -> None:
    """The decision for one pair, reached through a real record and a real look."""
    journal, look = BODIES[body_is]
    view = CHAINS[chain_is]
    assert chain_state(view) is chain_is
    assert body_state(look, journal, NOW, POLICY) is body_is
    assert letters(decide(view, look, journal, NOW, POLICY)) == expected


def test_every_pair_is_in_the_table() -> None:
    """No pair of states is left without a rule, or without a test."""
    pairs = {(chain_is, body_is) for chain_is in ChainState for body_is in BodyState}
    assert set(RULES) == pairs
    assert {(chain_is, body_is) for chain_is, body_is, _ in cells()} == pairs


def test_nothing_is_torn_down_while_something_is_unknown() -> None:
    """With a silent chain or a silent cluster no rule cancels, refuses, reports or finishes."""
    harmless = (do.Wait, do.Find, do.ShipLogs)
    for (chain_is, body_is), _ in RULES.items():
        if chain_is is ChainState.UNKNOWN or body_is in (BodyState.DARK, BodyState.UNSURE):
            journal, look = BODIES[body_is]
            actions = decide(CHAINS[chain_is], look, journal, NOW, POLICY)
            assert all(isinstance(action, harmless) for action in actions), (chain_is, body_is)


def test_only_a_job_that_is_ours_and_scheduled_is_submitted() -> None:
    """Submit appears in the SCHEDULED column alone, and never where an attempt may live."""
    for chain_is, body_is, cell in cells():
        if "S" in cell:
            assert chain_is is ChainState.SCHEDULED
            assert body_is in (BodyState.NOTHING, BodyState.NEVER)


@pytest.mark.parametrize("status", list(JobStatus))
@pytest.mark.parametrize("mine", [True, False])
def test_every_status_has_a_chain_state(status: JobStatus, mine: bool) -> None:
    """Final is over, whoever ran it; hot and not ours is not mine."""
    state = chain_state(chain(status, mine=mine))
    if status.is_final:
        assert state is ChainState.OVER
    elif not mine or status is JobStatus.PENDING:
        assert state is ChainState.NOT_MINE
    else:
        assert state.name == {"META_SCHEDULED": "OFFERED"}.get(status.name, status.name)


PHASES = {
    Phase.CLAIMED: record(),
    Phase.PLANNED: record(phase=Phase.PLANNED, attempt=1),
    Phase.SENT: sent(phase=Phase.SENT),
    Phase.SEEN: sent(slurm_state="RUNNING", started_at=NOW - 80),
    Phase.ENDED: sent(phase=Phase.ENDED, started_at=NOW - 80, end_state="FAILED"),
    Phase.FINAL: sent(phase=Phase.FINAL),
}

BODY_OF = {
    # phase: dark, none, absent (once), found
    Phase.CLAIMED: ("nothing, cluster silent", "nothing", "nothing", "nothing"),
    Phase.PLANNED: ("unsure", "unsure", "unsure", "unsure"),
    Phase.SENT: ("dark", "dark", "missing", "dark"),
    Phase.SEEN: ("dark", "dark", "missing", "alive"),
    Phase.ENDED: ("ended", "ended", "ended", "ended"),
    Phase.FINAL: ("closed", "closed", "closed", "closed"),
}


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("column", range(4))
def test_every_phase_and_look_has_a_body_state(phase: Phase, column: int) -> None:
    """Journal phase x kind of look, before anything was folded in."""
    look = (DARK, NONE, ABSENT, slurm("RUNNING"))[column]
    assert body_state(look, PHASES[phase], NOW, POLICY) == BODY_OF[phase][column]


@pytest.mark.parametrize("state", sorted(LIVE_STATES))
def test_every_live_state_of_slurm_is_known(state: str) -> None:
    """Each word that the port can say for a live job leads to waiting, running or leaving."""
    journal = sent(slurm_state=state)
    body = body_state(slurm(state), journal, NOW, POLICY)
    assert body in (BodyState.WAITING, BodyState.ALIVE, BodyState.LEAVING)


def test_a_word_that_is_not_known_is_waited_out() -> None:
    """A state of a newer Slurm tears nothing down."""
    assert body_state(slurm("SHINY"), sent(slurm_state="SHINY"), NOW, POLICY) is BodyState.DARK


def test_an_ended_state_is_never_taken_for_a_live_one() -> None:
    """The two lists of the port do not overlap."""
    assert not LIVE_STATES & ENDED_STATES


def test_lost_needs_two_sightings_and_the_grace() -> None:
    """One sighting, however old, and two sightings without the grace are not enough."""
    policy = Policy(lost_grace=120)
    for count, ago, body in (
        (1, 5000, BodyState.MISSING),
        (2, 119, BodyState.MISSING),
        (2, 120, BodyState.MISLAID),
    ):
        journal = sent(started_at=NOW - 9000, missing_count=count, missing_since=NOW - ago)
        assert body_state(ABSENT, journal, NOW, policy) is body


def test_a_forgotten_job_counts_as_absent() -> None:
    """The cluster knows that it started, no more: missing, then lost, never sent again."""
    journal = sent(missing_count=2, missing_since=NOW - 1000)
    assert body_state(FORGOTTEN_JOB, journal, NOW, POLICY) is BodyState.LOST_UNSEEN


def test_a_planned_attempt_in_the_dark_is_not_taken_for_never() -> None:
    """Known to have failed, but the cluster is silent: no new attempt now."""
    journal = record(phase=Phase.PLANNED, attempt=1, missing_count=1)
    assert body_state(DARK, journal, NOW, POLICY) is BodyState.NOTHING_DARK


@pytest.mark.parametrize("reason", sorted(NEVER_REASONS))
def test_what_can_never_start_is_cancelled_and_then_handed_back(reason: str) -> None:
    """Slurm's reason is definite: out of the queue, then refused on chain."""
    look = slurm("PENDING", reason=reason)
    journal = sent(slurm_state="PENDING", slurm_reason=reason)
    view = CHAINS[ChainState.SCHEDULED]
    (cancel,) = decide(view, look, journal, NOW, POLICY)
    assert cancel == do.CancelSlurm(f"the cluster can never start it ({reason})")
    gone = sent(phase=Phase.ENDED, end_state="CANCELLED", cancel_cause=cancel.cause)
    assert decide(view, NONE, gone, NOW, POLICY) == [do.Refuse(cancel.cause)]


def test_submit_gives_the_lowest_limit() -> None:
    """Bought minutes, partition and settings: the lowest of them."""
    assert wanted_limit(record(bought_minutes=60), Policy()) == 60
    assert wanted_limit(record(bought_minutes=60), Policy(cap_minutes=30)) == 30
    assert wanted_limit(record(bought_minutes=2**64 - 1), Policy()) == LONGEST_MINUTES


def test_reasons_to_hand_back_before_submitting() -> None:
    """A refusal on record, no minute bought, too many attempts, a script that never came."""
    view = CHAINS[ChainState.SCHEDULED]
    for journal, words in (
        (record(refuse_reason="no"), "no"),
        (record(bought_minutes=0), "the credits do not buy one minute here"),
        (record(attempt=3), "the cluster took none of 3 submissions"),
        (record(fetch_failed_since=NOW - 600), "the job's script could not be fetched"),
    ):
        assert decide(view, NONE, journal, NOW, POLICY) == [do.Refuse(words)]
    patient = record(fetch_failed_since=NOW - 599)
    assert letters(decide(view, NONE, patient, NOW, POLICY)) == "S"


def test_a_silent_cluster_is_given_time_before_jobs_go_back() -> None:
    """Never submitted, cluster silent: back on chain after ``hand_back_after`` only."""
    view = CHAINS[ChainState.SCHEDULED]
    look = SlurmView(Sight.DARK, at=NOW - 899)
    assert letters(decide(view, look, record(), NOW, POLICY)) == "w"
    look = SlurmView(Sight.DARK, at=NOW - 900)
    assert letters(decide(view, look, record(), NOW, POLICY)) == "R"


@pytest.mark.parametrize("status", [ChainState.SCHEDULED, ChainState.RUNNING])
@pytest.mark.parametrize("body", [BodyState.WAITING, BodyState.ALIVE])
def test_a_top_up_raises_the_limit_up_to_the_cap(status: ChainState, body: BodyState) -> None:
    """More was bought than Slurm was told: raise, but not beyond the cap, not when denied."""
    journal, look = BODIES[body]
    view = CHAINS[status]
    more = replace(journal, bought_minutes=90)
    assert do.SetLimit(90) in decide(view, look, more, NOW, POLICY)
    assert do.SetLimit(70) in decide(view, look, more, NOW, Policy(cap_minutes=70))
    for one in (more, journal):
        denied = replace(one, limit_denied=True)
        assert "L" not in letters(decide(view, look, denied, NOW, POLICY))
    assert "L" not in letters(decide(view, look, more, NOW, Policy(cap_minutes=60)))


def test_a_job_that_is_not_ours_is_looked_at_twice() -> None:
    """Two readings some time apart before it is taken out of Slurm."""
    view = CHAINS[ChainState.NOT_MINE]
    journal, look = BODIES[BodyState.ALIVE]
    for count, ago, expected in ((1, 900, "w"), (2, 29, "w"), (2, 30, "X")):
        seen = replace(journal, stranger_count=count, stranger_since=NOW - ago)
        assert letters(decide(view, look, seen, NOW, POLICY)) == expected


@pytest.mark.parametrize(
    ("chain_is", "body_is"),
    [(c, b) for c in (ChainState.SCHEDULED, ChainState.RUNNING) for b in ("waiting", "alive")],
)
def test_the_operators_cancel_is_carried_out(chain_is: ChainState, body_is: str) -> None:
    """A cause on record is enough, also after a restart."""
    journal, look = BODIES[BodyState(body_is)]
    actions = decide(CHAINS[chain_is], look, replace(journal, cancel_cause="why"), NOW, POLICY)
    assert do.CancelSlurm("why") in actions


def test_ends_without_evidence_cost_nothing() -> None:
    """Never seen running: free FAILED from SCHEDULED, PANICKED from RUNNING."""
    journal, look = BODIES[BodyState.LOST_UNSEEN]
    assert decide(CHAINS[ChainState.SCHEDULED], look, journal, NOW, POLICY) == [
        do.ReportEnd(UNSEEN)
    ]
    assert decide(CHAINS[ChainState.RUNNING], look, journal, NOW, POLICY) == [do.ReportEnd(FREE)]


def test_a_leaving_job_that_never_started_is_not_reported_running() -> None:
    """COMPLETING without a start (cancelled while its nodes booted) only waits."""
    journal = sent(slurm_state="COMPLETING")
    look = slurm("COMPLETING", start=0)
    assert letters(decide(CHAINS[ChainState.SCHEDULED], look, journal, NOW, POLICY)) == "w"
