"""The last page before credits are locked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from dsq.console.dialogs.base import Dialog
from dsq.console.user.state import ConsoleState
from dsq.console.widgets.lines import Line, Lines, labelled
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import credits_text, exact_credits, plural
from dsq.core.model import Affinity, JobDefinition, Label, WhyNot
from dsq.core.units import UINT64_MAX, format_minutes


@dataclass(frozen=True)
class SubmitPlan:
    """Everything that a submit sends.

    Attributes:
        text: The workflow as it was written.
        offline: There is no link: it will be queued.
    """

    name: str
    wire: Any
    definition: JobDefinition
    wei: int
    uses: tuple[Label, ...]
    affinity: tuple[Affinity, ...]
    estimates: tuple[WhyNot, ...]
    source: str
    text: str = ""
    offline: bool = False


QUEUE_LINES: list[Line] = [
    labelled("offline", ("no provider can be asked now", "bold warning")),
    labelled("", ("it is kept, and sent once when the link is back;", "foreground")),
    labelled("", ("until then Q in the jobs view withdraws it", "foreground")),
]


def plan_lines(plan: SubmitPlan, state: ConsoleState) -> list[Line]:
    """What will happen, in the order of interest: money, place, time, end."""
    wanted = plan.definition
    resources = (
        f"{plural(wanted.ntasks, 'task')} × {plural(wanted.cpus_per_task, 'CPU')}, "
        f"{wanted.mem:,} MB, {plural(wanted.gpus, 'GPU')}"
    )
    lines: list[Line] = [
        labelled("job", (one_line(plan.name, 40), "bold foreground")),
        labelled("workflow", (one_line(plan.source, 50), "foreground")),
        labelled("asks for", (resources, "foreground")),
    ]
    demands = " ".join(str(each) for each in (*plan.uses, *plan.affinity))
    if demands:
        lines.append(labelled("only on", (one_line(demands, 60), "foreground")))
    place = QUEUE_LINES if plan.offline else _place_lines(plan.estimates)
    lines += [[], *_money_lines(plan, state), [], *place]
    return lines


def _money_lines(plan: SubmitPlan, state: ConsoleState) -> list[Line]:
    lines: list[Line] = [
        labelled("locks", (f"{exact_credits(plan.wei)} credits", "bold accent")),
    ]
    if state.balance is not None:
        before, after = state.balance.balance_wei, state.balance.balance_wei - plan.wei
        lines.append(
            labelled(
                "wallet", (f"{credits_text(before)} → {credits_text(max(0, after))}", "foreground")
            )
        )
        if state.balance.allowance_wei < plan.wei:
            words = f"the grid may take exactly {exact_credits(plan.wei)}, for this job only"
            lines.append(labelled("allowance", (words, "foreground")))
    words = "what the job does not use comes back when it ends"
    lines.append(labelled("", (words, "muted")))
    return lines


def _place_lines(estimates: Sequence[WhyNot]) -> list[Line]:
    able = [row for row in estimates if not row.reason]
    if not able:
        return [
            labelled("runs on", ("no provider can take it as it is", "bold warning")),
            labelled("", ("it would wait, with its credits locked, until one can", "warning")),
        ]
    lines: list[Line] = []
    for number, row in enumerate(able[:4]):
        time = (
            "without limit" if row.minutes == UINT64_MAX else f"up to {format_minutes(row.minutes)}"
        )
        rate = f"{credits_text(row.wei_per_minute)} a minute"
        lines.append(
            labelled(
                "runs on" if not number else "",
                (f"{one_line(row.name, 18):<12} ", "foreground"),
                (f"{time}, {rate}", "muted"),
            )
        )
    if len(able) > 4:
        lines.append(labelled("", (f"and {len(able) - 4} more", "muted")))
    lines.append(
        labelled("at the limit", ("it is stopped: OUT OF CREDITS; t tops it up in time", "muted"))
    )
    return lines


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
        return "Queue this job?" if self._plan.offline else self.TITLE_TEXT

    def compose_box(self) -> ComposeResult:
        with VerticalScroll(can_focus=False):
            yield Lines(plan_lines(self._plan, self._state), classes="sentence")
        amount = credits_text(self._plan.wei)
        what = f" locks {amount} credits and submits   "
        if self._plan.offline:
            what = " queues it; nothing is locked yet   "
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
