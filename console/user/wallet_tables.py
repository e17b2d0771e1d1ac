"""What the wallet view shows: its lines on top, and the tables one can go through. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from dsq.console.user.accounting import account
from dsq.console.user.details import job_name
from dsq.console.user.job_store import AT_ONCE
from dsq.console.user.port import MovementLike
from dsq.console.user.state import ConsoleState
from dsq.console.widgets.columns import Cell, Column
from dsq.console.widgets.lines import Line, labelled
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import (
    NONE,
    STATUS_WORDS,
    Moment,
    bar_spans,
    credits_text,
    exact_credits,
    status_text,
    time_text,
)
from dsq.core.contacts import contact_name
from dsq.core.model import Address, Job
from dsq.core.readmodel.spending import Spent, spent_by

SUMS = 400
"""Rows of a table of sums."""

Present = Callable[[], Moment]


def wallet_lines(state: ConsoleState) -> list[Line]:
    """Address and amounts, exact."""
    balance = state.balance
    address = str(state.address) if state.address is not None else "no wallet yet"
    lines: list[Line] = [labelled("address", (address, "bold foreground"))]
    if balance is None:
        return [*lines, labelled("balance", ("not known yet", "muted"))]
    locked = state.jobs.locked()
    held = balance.balance_wei + locked
    part = locked / held if held else 0.0
    lines += [
        labelled(
            "balance",
            (exact_credits(balance.balance_wei, 2), "bold accent"),
            (" credits", "muted"),
        ),
        labelled(
            "locked",
            (f"{exact_credits(locked, 2)} ", "foreground"),
            ("in open jobs  ", "muted"),
            *bar_spans(part, 16, "primary"),
            (f" {part:.0%}", "muted"),
        ),
        labelled(
            "allowance",
            (exact_credits(balance.allowance_wei, 2), "foreground"),
            (" the grid may take; a submit signs for what it needs", "muted"),
        ),
        labelled(
            "fees",
            (f"{credits_text(balance.native_wei, 4)}", "foreground"),
            (" coins to pay transactions with", "muted"),
        ),
    ]
    for label, wei, words in (
        ("faucet", balance.faucet_wei, " the grid's faucet has promised you, f collects them"),
        ("waiting", balance.claimable_wei, " of payments to you that wait, p collects them"),
    ):
        if wei:
            lines.append(labelled(label, (exact_credits(wei, 2), "bold success"), (words, "muted")))
    if not balance.native_wei:
        lines.append(
            [("Without coins no transaction can be sent: ask the grid's operator.", "error")]
        )
    return lines


@dataclass(frozen=True)
class Section:
    """One of the tables.

    Attributes:
        title: Its heading.
        empty: What stands there when it has no rows.
        rows: Reads the rows.
        columns: Makes the columns.
        key: What a row is known by.
        job_id: The job that a row is about; 0 for none.
    """

    title: str
    empty: tuple[str, ...]
    rows: Callable[[ConsoleState], Sequence[Any]]
    columns: Callable[[ConsoleState, Present], list[Column[Any]]]
    key: Callable[[Any], Hashable]
    job_id: Callable[[Any], int]


def section_line(shown: int) -> Line:
    """The headings of all tables, the shown one marked."""
    spans: list[tuple[str, str]] = []
    for number, section in enumerate(SECTIONS):
        mark, style = ("▸ ", "bold foreground") if number == shown else ("  ", "muted")
        spans.append((f"{mark}{section.title}  ", style))
    return spans


def _locked_columns(state: ConsoleState, present: Present) -> list[Column[Job]]:
    def money(job: Job) -> tuple[int, int, int]:
        reckoned = account(job, state.provider_of(job), present().now)
        return reckoned.locked, reckoned.so_far, reckoned.comes_back

    def amount(index: int) -> Callable[[Job, int], Cell]:
        return lambda job, _: [(credits_text(money(job)[index]), "foreground")]

    def status(job: Job, _width: int) -> Cell:
        return [(status_text(job), STATUS_WORDS[job.status].colour)]

    return [
        Column("id", "ID", 4, lambda job, _: [(str(job.id), "muted")], right=True, grow=3),
        Column("name", "NAME", 12, lambda job, _: [(job_name(job), "foreground")], grow=20),
        Column("status", "STATUS", 16, status),
        Column("locked", "LOCKED", 12, amount(0), right=True),
        Column("used", "USED SO FAR", 12, amount(1), right=True),
        Column("back", "IF IT ENDS NOW", 14, amount(2), right=True, rank=1),
    ]


def _movement_columns(state: ConsoleState, present: Present) -> list[Column[MovementLike]]:
    def when(row: MovementLike, _width: int) -> Cell:
        now = present()
        return [(time_text(row.at, now.now, now.zone), "muted")]

    def change(row: MovementLike, _width: int) -> Cell:
        sign, colour = ("+", "success") if row.change_wei > 0 else ("−", "foreground")
        return [(f"{sign}{credits_text(abs(row.change_wei))}", colour)]

    def about(row: MovementLike, _width: int) -> Cell:
        if row.job_id:
            job = state.jobs.get(row.job_id)
            name = f" {job_name(job)}" if job is not None else ""
            return [(f"job {row.job_id}{name}", "foreground")]
        if row.other.is_zero:
            return [(NONE, "faint")]
        name = contact_name(row.other, state.contacts) or state.contracts.get(row.other, "")
        return [(one_line(name, 40) if name else str(row.other), "foreground")]

    return [
        Column("when", "WHEN", 12, when),
        Column("what", "WHAT", 9, lambda row, _: [(row.kind, "foreground")]),
        Column("change", "CREDITS", 13, change, right=True),
        Column("about", "FOR", 20, about, grow=42, eager=1),
        Column("block", "BLOCK", 9, lambda row, _: [(f"#{row.block_number:,}", "muted")], rank=2),
        Column(
            "tx", "TRANSACTION", 14, lambda row, _: [(f"0x{row.tx_hash.hex()[:10]}…", "muted")],
            rank=3,
        ),
    ]  # fmt: skip


def _spent_columns(way: str) -> Callable[[ConsoleState, Present], list[Column[Spent]]]:
    def made(state: ConsoleState, present: Present) -> list[Column[Spent]]:  # noqa: ARG001
        def key(row: Spent, _width: int) -> Cell:
            if way == "provider":
                return [(one_line(state.provider_name(Address.parse(row.key)), 40), "foreground")]
            if way == "job":
                job = state.jobs.get(int(row.key))
                name = f" {job_name(job)}" if job is not None else ""
                return [(f"{row.key}{name}", "foreground")]
            return [(row.key, "foreground")]

        def bar(row: Spent, width: int) -> Cell:
            largest = max((each.wei for each in state.spent.get(way, [])), default=0)
            return bar_spans(row.wei / largest if largest else 0.0, width, "primary")

        return [
            Column(way, way.upper(), 12, key, grow=24, eager=2),
            Column("jobs", "JOBS", 6, lambda row, _: [(f"{row.jobs:,}", "muted")], right=True),
            Column(
                "credits", "CREDITS", 13, lambda row, _: [(credits_text(row.wei), "foreground")],
                right=True,
            ),
            Column("bar", "", 20, bar, grow=40, eager=1),
        ]  # fmt: skip

    return made


def spent_rows(state: ConsoleState, way: str) -> Sequence[Spent]:
    """What jobs have cost; of very many jobs as it was added up last, beside the screen."""
    # Costs change when a job ends; the counts tell cheaply whether one has.
    stamp = state.jobs.ended
    if state.jobs.total <= AT_ONCE and state.spent_at.get(way) != stamp:
        state.jobs.flush()
        state.spent[way] = spent_by(state.jobs.model, way, SUMS)
        state.spent_at[way] = stamp
    return state.spent.get(way, ())


def _spent(way: str, title: str) -> Section:
    return Section(
        title,
        ("No job has cost anything yet.",),
        lambda state: spent_rows(state, way),
        _spent_columns(way),
        lambda row: row.key,
        lambda row: int(row.key) if row is not None and way == "job" else 0,
    )


SECTIONS = (
    Section(
        "locked in open jobs",
        ("No open job holds credits.",),
        lambda state: state.jobs.hot(),
        _locked_columns,
        lambda job: job.id,
        lambda job: job.id if job is not None else 0,
    ),
    Section(
        "history",
        ("Nothing came in and nothing went out yet.",),
        lambda state: state.movements[::-1],
        _movement_columns,
        lambda row: (row.block_number, row.log_index),
        lambda row: row.job_id if row is not None else 0,
    ),
    _spent("day", "spent by day"),
    _spent("job", "by job"),
    _spent("provider", "by provider"),
)
"""The tables in the order of the tab key."""
