"""Adds credits to a job, and shows first what they buy."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Input

from dsq.console.dialogs.amounts import amount_problem
from dsq.console.dialogs.base import Dialog
from dsq.console.user.accounting import account, minutes_bought
from dsq.console.user.details import job_name
from dsq.console.user.state import ConsoleState
from dsq.console.widgets.lines import Line, Lines
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import Moment, credits_text
from dsq.core.model import Job
from dsq.core.units import UINT64_MAX, format_minutes, parse_credits


def top_up_lines(job: Job, wei: int, state: ConsoleState, moment: Moment) -> list[Line]:
    """What ``wei`` more would do: time bought, new limit, wallet after."""
    provider = state.provider_of(job)
    minutes = minutes_bought(job, provider, wei)
    reckoned = account(job, provider, moment.now)
    lines: list[Line] = []
    if minutes is not None and provider is not None:
        bought = "no limit" if minutes == UINT64_MAX else format_minutes(minutes)
        name = one_line(provider.name, 30)
        lines.append([("buys        ", "muted"), (f"{bought} more on {name}", "bold foreground")])
        if reckoned.ends_at and minutes < UINT64_MAX:
            until = f"{moment.at(reckoned.ends_at)} → {moment.at(reckoned.ends_at + minutes * 60)}"
            lines.append([("limit       ", "muted"), (until, "foreground")])
    locked = f"{credits_text(job.cost.max_cost)} → {credits_text(job.cost.max_cost + wei)}"
    lines.append([("locked      ", "muted"), (locked, "foreground")])
    if state.balance is not None:
        after = state.balance.balance_wei - wei
        text = f"{credits_text(state.balance.balance_wei)} → {credits_text(max(0, after))}"
        lines.append([("wallet      ", "muted"), (text, "foreground")])
    lines.append([("What the job does not use comes back.", "muted")])
    return lines


class TopUp(Dialog[int]):
    """Asks for credits; enter adds them. Returns wei."""

    def __init__(self, job: Job, state: ConsoleState, moment: Moment) -> None:
        super().__init__()
        self._job = job
        self._state = state
        self._moment = moment

    def title_text(self) -> str:
        return f"Top up job {self._job.id}, {job_name(self._job)}"

    def compose_box(self) -> ComposeResult:
        yield Lines([[("Credits to add:", "muted")]])
        yield Input(placeholder="100", compact=True, id="amount")
        yield Lines(id="sentence", classes="sentence")
        yield Lines(id="effect", classes="sentence")

    def on_mount(self) -> None:
        self._show("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._show(event.value)

    def _show(self, text: str) -> None:
        problem = amount_problem(text, self._state)
        sentence: list[Line] = [[(problem, "error")]] if problem else [[("", "muted")]]
        self.query_one("#sentence", Lines).show(sentence)
        wei = 0 if problem or not text.strip() else parse_credits(text)
        lines: list[Line] = [[("Enter adds them, escape leaves.", "muted")]]
        if wei:
            lines = top_up_lines(self._job, wei, self._state, self._moment)
        self.query_one("#effect", Lines).show(lines)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() and not amount_problem(event.value, self._state):
            self.dismiss(parse_credits(event.value))
        else:
            self.app.bell()
