"""Prints the rules about jobs as tables: ``python -m dsq.supervisor.table FILE`` renews them there.

What stands in a cell is what the rule does with a plain record of that kind; what depends
on more (a cancel, a limit, a grace) is in the row's words.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dsq.core.model import Address, JobDefinition
from dsq.supervisor import actions as do
from dsq.supervisor import states
from dsq.supervisor.ends import end_of
from dsq.supervisor.observe import (
    ALIVE_STATES,
    LEAVING_STATES,
    WAITING_STATES,
    Sight,
    SlurmView,
    observe,
)
from dsq.supervisor.records import JobRecord, Phase
from dsq.supervisor.rules import RULES, Case
from dsq.supervisor.scheduler.port import ENDED_STATES, LIVE_STATES, SlurmJob
from dsq.supervisor.states import BodyState, ChainState, Policy

NOW = 1_000_000

WORDS: dict[type, str] = {
    do.FetchScript: "fetch the script",
    do.Submit: "submit",
    do.Find: "search by its token",
    do.Refuse: "hand back",
    do.ReportRunning: "report RUNNING",
    do.ReportEnd: "report the end",
    do.CancelSlurm: "cancel in Slurm",
    do.SetLimit: "set the limit",
    do.ShipLogs: "deliver output",
    do.Reopen: "take up again",
    do.Finish: "close",
}
"""What an action is called in the tables."""


def _record(phase: Phase, **fields: object) -> JobRecord:
    base = JobRecord(7, Address(bytes(20)), JobDefinition(1, 1, 100, 0, "hash"), bought_minutes=60)
    known = {"limit_minutes": 60, "limit_bought": 60, "attempt": 1, "slurm_id": "41"}
    return replace(base, phase=phase, **{**known, **fields})  # type: ignore[arg-type]


def plain_record(body: BodyState) -> JobRecord:
    """A record of a kind, with nothing special about it."""
    if body in (BodyState.NOTHING, BodyState.NOTHING_DARK):
        return _record(Phase.CLAIMED, slurm_id="", attempt=0)
    if body is BodyState.UNSURE:
        return _record(Phase.PLANNED, slurm_id="")
    if body is BodyState.NEVER:
        return _record(Phase.PLANNED, slurm_id="", missing_count=1)
    if body is BodyState.ENDED:
        ended = {"started_at": NOW - 90, "ended_at": NOW - 5, "end_state": "COMPLETED"}
        return _record(Phase.ENDED, **ended)
    if body is BodyState.UNRUN:
        return _record(Phase.ENDED, end_state="CANCELLED", ended_at=NOW - 5)
    if body is BodyState.CLOSED:
        return _record(Phase.FINAL)
    unseen = (BodyState.WAITING, BodyState.DOOMED, BodyState.VANISHED, BodyState.LOST_UNSEEN)
    started = int(body not in unseen)
    return _record(Phase.SEEN, started_at=started * (NOW - 90), last_alive_at=started * (NOW - 20))


def cell(chain: ChainState, body: BodyState) -> str:
    """What is done about a job in this pair of states."""
    case = Case(plain_record(body), SlurmView(Sight.NONE, at=NOW), NOW, Policy())
    found: list[str] = []
    for action in RULES[chain, body](case):
        if isinstance(action, do.Wait):
            found.append(f"wait ({action.why})" if not found else "wait")
        elif isinstance(action, do.ReportEnd):
            end = action.end
            found.append("report the end" if end.start else f"report {end.status.name}")
        else:
            found.append(WORDS[type(action)])
    return ", ".join(found) or "nothing"


def rules_table() -> list[str]:
    """The table of rules."""
    rows = [[body.value, *(cell(chain, body) for chain in ChainState)] for body in BodyState]
    return _table(["", *(chain.value for chain in ChainState)], rows)


def slurm_table() -> list[str]:
    """A row for each state of Slurm."""
    rows = []
    for state in sorted(LIVE_STATES | ENDED_STATES):
        body, end = _after(state)
        rows.append([f"`{state}`", body.value, _meaning(state), end])
    return _table(["Slurm says", "that is", "meaning", "end on chain"], rows)


def _after(state: str) -> tuple[BodyState, str]:
    """What a running job is after Slurm shows it in a state, and how that ends."""
    job = SlurmJob("41", NOW - 100, state=state, start=NOW - 90, nodes="n1", exit_code=0)
    before = _record(Phase.SEEN, slurm_state="RUNNING")
    if state in WAITING_STATES:
        before, job = _record(Phase.SENT), replace(job, start=0, nodes="")
    if state in ENDED_STATES:
        job = replace(job, end=NOW - 5, exit_code=int(state == "FAILED"))
    look = SlurmView(Sight.FOUND, job, NOW)
    record, _ = observe(before, None, look, NOW)
    body = states.body_state(look, record, NOW, Policy())
    if body is BodyState.ENDED:
        end = end_of(record)
        return body, f"`{end.status.name}`" + (f', "{end.last_error}"' if end.last_error else "")
    return body, "none: it is handed back" if body is BodyState.UNRUN else ""


def _meaning(state: str) -> str:
    if state in WAITING_STATES:
        return (
            "its script does not run yet; if it has run before: requeued, and it may not run again"
        )
    if state in ALIVE_STATES:
        return "its script runs, or is stopped on the nodes it holds"
    if state in LEAVING_STATES:
        return "its script has ended; the record is not final"
    if state == "BOOT_FAIL":
        return "its nodes did not start: it never ran"
    if state in ("CANCELLED", "DEADLINE", "REVOKED"):
        return "it ended; without nodes it never ran, and is handed back"
    return "it ended"


def states_table() -> list[str]:
    """What the names of states mean."""
    rows = [
        [side, f"{state.value}", meaning]
        for side, kind in (("chain", ChainState), ("processes", BodyState))
        for state, meaning in _documented(kind)
    ]
    return _table(["of", "name", "meaning"], rows)


State = ChainState | BodyState


def _documented(kind: type[ChainState] | type[BodyState]) -> Iterable[tuple[State, str]]:
    """Members with the text behind them in the source."""
    source = inspect.getsource(kind)
    for state in kind:
        found = re.search(rf'    {state.name} = "[^"]*"\n    """(.*?)"""', source, re.DOTALL)
        text = " ".join(found[1].split()) if found else PLAIN[state]
        yield state, re.sub(r":(?:data|func):`~?(?:[a-z_]+\.)*([A-Za-z_]+)`", r"`\1`", text)


PLAIN: dict[State, str] = {
    ChainState.SCHEDULED: "Claimed by us.",
    ChainState.RUNNING: "Reported as running.",
    BodyState.NOTHING_DARK: "Nothing was sent to Slurm, which does not answer.",
    BodyState.WAITING: "In Slurm's queue.",
    BodyState.ALIVE: "It runs.",
    BodyState.LEAVING: "It has ended; Slurm cleans up behind it.",
}
"""States whose name says all in the code."""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def renewed(text: str) -> str:
    """A page with its tables as the code has them."""
    for name, table in (
        ("slurm", slurm_table()),
        ("states", states_table()),
        ("rules", rules_table()),
    ):
        begin, end = f"<!-- {name} begin -->\n", f"<!-- {name} end -->"
        head, rest = text.split(begin, 1)
        _, tail = rest.split(end, 1)
        text = head + begin + "\n".join(table) + "\n" + end + tail
    return text


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(renewed(page.read_text()))
