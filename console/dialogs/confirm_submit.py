"""The last page before credits are locked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from dsq.console.dialogs.base import Dialog
from dsq.console.user.state import ConsoleState
from dsq.console.widgets.lines import Line, Lines, labelled
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import credits_text, exact_credits, plural
from dsq.core.model import JobDefinition, WhyNot
from dsq.core.units import UINT64_MAX, format_minutes

if TYPE_CHECKING:
    from dsq.console.submitting import Order
    from dsq.console.sweeps import Sweep

PROVIDERS = 3
"""Providers that are named."""


@dataclass(frozen=True)
class SubmitPlan:
    """Everything that a submit sends, and what is said about it.

    Attributes:
        order: What is sent.
        definition: What the contract takes.
        estimates: What the providers say.
        source: What the workflow is called.
        text: The workflow as it was written.
        offline: There is no link: it will be queued.
        minutes: The time that was asked for; None when it was credits.
        sweep: The jobs of a sweep, those that are there already too.
        secrets: Where the value of each secret comes from, in words.
        modules: What the workflow uses.
    """

    order: Order
    definition: JobDefinition
    estimates: tuple[WhyNot, ...]
    source: str
    text: str = ""
    offline: bool = False
    minutes: int | None = None
    sweep: Sweep | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()

    @property
    def jobs(self) -> int:
        """How many are submitted now."""
        return len(self.sweep.missing) if self.sweep is not None else 1

    @property
    def at_once(self) -> int:
        """How many of them are open together."""
        limit = self.sweep.limit if self.sweep is not None else 0
        return min(self.jobs, limit or self.jobs)

    @property
    def wei(self) -> int:
        """What is locked together at most."""
        return self.order.wei * self.at_once


def _queue_lines(plan: SubmitPlan) -> list[Line]:
    kept, it = ("they are kept, and each is", "them") if plan.sweep else ("it is kept, and", "it")
    lines = [
        labelled("offline", ("no provider can be asked now", "bold warning")),
        labelled("", (f"{kept} sent once when the link is back;", "foreground")),
        labelled("", (f"until then Q in the jobs view withdraws {it}", "foreground")),
    ]
    if plan.jobs > plan.at_once:
        words = "the next is sent when one ends, while a console is open"
        lines.append(labelled("", (words, "foreground")))
    return lines


def plan_lines(plan: SubmitPlan, state: ConsoleState) -> list[Line]:
    """What will happen, in the order of interest: what, money, place, time, end."""
    wanted, order = plan.definition, plan.order
    resources = (
        f"{plural(wanted.ntasks, 'task')} × {plural(wanted.cpus_per_task, 'CPU')}, "
        f"{wanted.mem:,} MB, {plural(wanted.gpus, 'GPU')}"
    )
    lines = _what_lines(plan)
    lines.append(labelled("workflow", (one_line(plan.source, 50), "foreground")))
    lines.append(labelled("asks for", (resources, "foreground")))
    for label, words in (
        ("only on", " ".join(str(each) for each in (*order.uses, *order.affinity))),
        ("secrets", ", ".join(f"{name} {place}" for name, place in plan.secrets.items())),
        ("modules", ", ".join(plan.modules)),
    ):
        if words:
            lines.append(labelled(label, (one_line(words, 60), "foreground")))
    place = _queue_lines(plan) if plan.offline else _place_lines(plan)
    lines += [[], *_money_lines(plan, state), [], *place]
    if not plan.offline:
        lines.append(labelled("then", (_next_words(plan), "muted")))
    return lines


def _what_lines(plan: SubmitPlan) -> list[Line]:
    sweep = plan.sweep
    if sweep is None:
        return [labelled("job", (one_line(plan.order.title, 40), "bold foreground"))]
    jobs = f"{plural(plan.jobs, 'job')} of {one_line(plan.order.title, 30) or 'a sweep'}"
    lines: list[Line] = [
        labelled("jobs", (jobs, "bold foreground"), (f", the group {sweep.group}", "muted"))
    ]
    if sweep.jobs:
        there = f"{len(sweep.jobs)} of {len(sweep.submissions)} are there already"
        lines.append(labelled("", (f"{there}; these are the others", "foreground")))
    varied = plan.order.workflow.sweep
    if varied is not None:
        names = ", ".join(each.name for each in varied.parameters)
        lines.append(labelled("differ in", (one_line(names, 55), "foreground")))
    at_once = f"{sweep.limit} at most" if sweep.limit else "all"
    lines.append(labelled("open at once", (at_once, "foreground")))
    return lines


def _money_lines(plan: SubmitPlan, state: ConsoleState) -> list[Line]:
    locks = f"{exact_credits(plan.wei)} credits"
    if plan.at_once > 1:
        locks += f": {plan.at_once:,} jobs × {exact_credits(plan.order.wei)}"
    lines: list[Line] = [labelled("locks", (locks, "bold accent"))]
    if plan.jobs > plan.at_once:
        total = f"at a time; {exact_credits(plan.order.wei * plan.jobs)} in all"
        lines.append(labelled("", (total, "foreground")))
    if plan.minutes is not None:
        words = f"enough for {format_minutes(plan.minutes)} wherever it runs"
        lines.append(labelled("", (words, "foreground")))
    if state.balance is not None:
        before, after = state.balance.balance_wei, state.balance.balance_wei - plan.wei
        lines.append(
            labelled(
                "wallet", (f"{credits_text(before)} → {credits_text(max(0, after))}", "foreground")
            )
        )
        if state.balance.allowance_wei < plan.wei:
            whom = "this job" if plan.sweep is None else "these jobs"
            words = f"the grid may take exactly {exact_credits(plan.wei)}, for {whom} only"
            lines.append(labelled("allowance", (words, "foreground")))
    whose = "the job does" if plan.sweep is None else "a job does"
    words = f"what {whose} not use comes back when it ends"
    lines.append(labelled("", (words, "muted")))
    return lines


def _place_lines(plan: SubmitPlan) -> list[Line]:
    able = [row for row in plan.estimates if not row.reason]
    if not able:
        return [
            labelled("runs on", ("no provider can take it as it is", "bold warning")),
            labelled("", ("it would wait, with its credits locked, until one can", "warning")),
        ]
    lines: list[Line] = []
    for number, row in enumerate(able[:PROVIDERS]):
        lines.append(
            labelled(
                "runs on" if not number else "",
                (f"{one_line(row.name, 18):<12} ", "foreground"),
                (_time_there(row, plan.minutes), "muted"),
            )
        )
    if len(able) > PROVIDERS:
        lines.append(labelled("", (f"and {len(able) - PROVIDERS} more", "muted")))
    lines.append(
        labelled("at the limit", ("it is stopped: OUT OF CREDITS; t tops it up in time", "muted"))
    )
    return lines


def _time_there(row: WhyNot, minutes: int | None) -> str:
    """How long the credits last at a provider, and what a minute, or the time, costs there."""
    time = "without limit" if row.minutes == UINT64_MAX else f"up to {format_minutes(row.minutes)}"
    if minutes is None:
        return f"{time}, {credits_text(row.wei_per_minute)} a minute"
    cost = credits_text(row.wei_per_minute * minutes)
    return f"{time}, {format_minutes(minutes)} cost {cost}"


def _next_words(plan: SubmitPlan) -> str:
    if plan.sweep is None:
        return "signed and sent; the job's own view opens"
    if plan.jobs > plan.at_once:
        return "the next is sent when one ends, while this console is open"
    return "signed and sent; the jobs view shows them as one row"


class ConfirmSubmit(Dialog[bool]):
    """Shows the plan; enter locks the credits. Nothing has been sent before."""

    DEFAULT_CSS = """
    ConfirmSubmit > .box { width: 76; }
    ConfirmSubmit VerticalScroll { height: auto; max-height: 100%; scrollbar-size: 1 1; }
    ConfirmSubmit #go { margin-top: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "go", "Submit", tooltip="Lock the credits and submit", id="submit.go"),
        Binding("escape", "leave", "Back", tooltip="Back to the editor", id="submit.back"),
    ]

    TITLE_TEXT = "Submit this job?"

    def __init__(self, plan: SubmitPlan, state: ConsoleState) -> None:
        super().__init__()
        self._plan = plan
        self._state = state

    def title_text(self) -> str:
        if self._plan.sweep is not None:
            verb = "Queue" if self._plan.offline else "Submit"
            return f"{verb} {plural(self._plan.jobs, 'job')}?"
        return "Queue this job?" if self._plan.offline else self.TITLE_TEXT

    def compose_box(self) -> ComposeResult:
        with VerticalScroll(can_focus=False):
            yield Lines(plan_lines(self._plan, self._state), classes="sentence")
        amount = credits_text(self._plan.wei)
        what = f" locks {amount} credits and submits   "
        if self._plan.offline:
            it = "it" if self._plan.sweep is None else "them"
            what = f" queues {it}; nothing is locked yet   "
        yield Lines(
            [
                [
                    ("enter", "bold primary"),
                    (what, "foreground"),
                    ("esc", "bold primary"),
                    (" goes back, spends nothing", "foreground"),
                ]
            ],
            id="go",
        )

    def action_go(self) -> None:
        self.dismiss(True)
