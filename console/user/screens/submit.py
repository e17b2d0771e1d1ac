"""The submit view: a workflow, what it would cost where, and the way to send it."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import Input, Label, TextArea

from dsq.console.dialogs.confirm_submit import ConfirmSubmit, SubmitPlan
from dsq.console.user.details import estimate_text
from dsq.console.user.outbox import Queued
from dsq.console.user.screens.job import JobScreen
from dsq.console.user.screens.workflow_source import WorkflowSource
from dsq.console.user.workflow_check import Checked, check_workflow, parse_demands
from dsq.console.widgets.editor import WorkflowEditor
from dsq.console.widgets.lines import Line, Lines
from dsq.console.widgets.rows import ListSource
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.table import Cell, Column, LiveTable
from dsq.console.widgets.words import credits_text, plural
from dsq.core.errors import DsqError, TransactionError, UnreachableError, UsageError
from dsq.core.groups import membership
from dsq.core.model import Affinity, Job, WhyNot, encode_job_name
from dsq.core.model import Label as JobLabel
from dsq.core.units import UINT64_MAX, format_credits, parse_credits

DEBOUNCE = 0.25
DEFAULT_CREDITS = "100"


def estimate_columns() -> list[Column[WhyNot]]:
    """Provider, what the credits buy there (or why not), price a minute."""

    def name(row: WhyNot, _width: int) -> Cell:
        return [(one_line(row.name, 30), "muted" if row.reason else "foreground")]

    def buys(row: WhyNot, _width: int) -> Cell:
        if row.reason:
            return [("× ", "error"), (estimate_text(row), "muted")]
        text = "no limit" if row.minutes == UINT64_MAX else estimate_text(row)
        return [("✓ ", "success"), (text, "foreground")]

    def rate(row: WhyNot, _width: int) -> Cell:
        known = row.wei_per_minute and not row.reason
        return [(credits_text(row.wei_per_minute) if known else "", "foreground")]

    return [
        Column("name", "PROVIDER", 8, name, grow=8),
        Column("buys", "CREDITS BUY", 14, buys, grow=60),
        Column("rate", "CR/MIN", 6, rate, right=True, rank=1),
    ]


def _typed(demand: JobLabel | Affinity) -> str:
    """A label or a demand as it is typed."""
    if isinstance(demand, JobLabel):
        return f"{demand.key}={demand.value}"
    operator = ":in:" if demand.op == "in" else demand.op
    return f"{demand.key}{operator}{demand.value}"


class SubmitScreen(WorkflowSource):
    """Writes, checks, estimates and submits a workflow."""

    VIEW = "Submit"
    ABOUT = (
        "Write a workflow, open one (ctrl+o) or take a template (F2). It is checked as you type.\n"
        "Nothing is spent before you confirm on the last page."
    )

    DEFAULT_CSS = """
    SubmitScreen #body { layout: horizontal; height: 1fr; }
    SubmitScreen #left { width: 1fr; height: 100%; }
    SubmitScreen #source { height: 1; padding: 0 1; background: $surface; }
    SubmitScreen WorkflowEditor { height: 1fr; }
    SubmitScreen #problems { height: auto; max-height: 5; padding: 0 1; background: $surface; }
    SubmitScreen #right { width: 40; height: 100%; border-left: solid $faint; padding: 0 1; }
    SubmitScreen.-wide #right { width: 66; }
    SubmitScreen #estimates { height: 1fr; min-height: 3; }
    SubmitScreen .field { height: 1; }
    SubmitScreen .field Label { width: 9; color: $muted; }
    SubmitScreen .field Input { width: 1fr; }
    SubmitScreen .problem { display: none; color: $error; height: auto; }
    SubmitScreen .problem.-shown { display: block; }
    SubmitScreen #form { height: auto; }
    SubmitScreen #balance { height: auto; margin-bottom: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "ctrl+s",
            "submit",
            "Submit",
            tooltip="To the last page before the submit",
            priority=True,
            id="submit.submit",
        ),
        Binding(
            "ctrl+o",
            "open",
            "Open",
            tooltip="Open a workflow file",
            priority=True,
            id="submit.open",
        ),
        Binding(
            "f2", "templates", "Templates", tooltip="Start from a template", id="submit.templates"
        ),
        Binding(
            "ctrl+e",
            "editor",
            "$EDITOR",
            tooltip="Edit in your own editor",
            priority=True,
            id="submit.editor",
        ),
        Binding(
            "f6",
            "next_area",
            "Next field",
            show=False,
            tooltip="From the editor to the fields and back",
            priority=True,
            id="submit.area",
        ),
        Binding(
            "escape",
            "leave",
            "Jobs",
            tooltip="Back to the jobs; the text stays",
            priority=True,
            id="submit.leave",
        ),
        Binding(
            "f1", "help", "Help", show=False, tooltip="All keys that work here", id="submit.help"
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._checked = Checked(empty=True)
        self._estimates: ListSource[WhyNot] = ListSource()
        self._estimate_words = ""
        self._timer: Timer | None = None
        self._sending = False
        self._named = False
        self._asked_for: object = None

    def compose_view(self) -> ComposeResult:
        with Container(id="body"):
            with Vertical(id="left"):
                yield Lines(id="source")
                yield WorkflowEditor(id="editor")
                yield Lines(id="problems")
            with Vertical(id="right"):
                with Vertical(id="form"):
                    yield from self._field("name", "name", "at most 32 bytes")
                    yield from self._field("credits", "credits", "100", DEFAULT_CREDITS)
                    yield from self._field("labels", "only on", "gpu=a100 mem>=64000")
                yield Lines(id="balance")
                yield LiveTable(
                    self._estimates,
                    estimate_columns(),
                    key=lambda row: row.provider,
                    empty=("",),
                    opens=False,
                    quiet=True,
                    id="estimates",
                )

    def _field(self, key: str, words: str, hint: str, value: str = "") -> ComposeResult:
        with Horizontal(classes="field"):
            yield Label(words)
            yield Input(value, placeholder=hint, compact=True, id=key, select_on_focus=False)
        yield Lines(id=f"{key}-problem", classes="problem")

    def on_mount(self) -> None:
        self.editor.focus()
        self._show_all()

    def _value(self, key: str) -> str:
        return self.query_one(f"#{key}", Input).value.strip()

    # -- what was typed --

    def _read_wei(self) -> int:
        """The credits to lock.

        Raises:
            UsageError: They will not do; the sentence stands under the field.
        """
        wei = parse_credits(self._value("credits"))
        constants, balance = self.state.constants, self.state.balance
        if constants is not None and wei < constants.minimum_amount:
            raise UsageError(f"The grid's minimum is {credits_text(constants.minimum_amount)}.")
        if balance is not None and wei > balance.balance_wei:
            raise UsageError(f"The wallet holds {credits_text(balance.balance_wei)} credits.")
        return wei

    def _read_name(self) -> str:
        name = self._value("name")
        encode_job_name(name)
        return name

    def _read_demands(self) -> tuple[tuple[JobLabel, ...], tuple[Affinity, ...]]:
        return parse_demands(self._value("labels"))

    def _field_problems(self) -> dict[str, str]:
        problems: dict[str, str] = {}
        for key, read in (
            ("credits", self._read_wei),
            ("name", self._read_name),
            ("labels", self._read_demands),
        ):
            try:
                read()
            except UsageError as error:
                # The hint about a name is one for the command line.
                problems[key] = error.message if key == "name" else str(error)
        return problems

    def _stem(self) -> str:
        return self._path.stem[:32] if self._path is not None else ""

    def suggest_name(self, name: str) -> None:
        if not self._named:
            self.query_one("#name", Input).value = name
            self._named = False

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self.check_soon()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.input.id == "name":
            self._named = bool(event.value) and event.value != self._stem()
        self._show_fields()
        self.check_soon()

    def check_soon(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(DEBOUNCE, self._check)
        self._show_source()

    def _check(self) -> None:
        self.run_worker(
            self._check_and_estimate(), group="check", exclusive=True, exit_on_error=False
        )

    async def _check_and_estimate(self) -> None:
        checked = await asyncio.to_thread(check_workflow, self.editor.text, self._source)
        self._checked = checked
        self.editor.show_problems(checked.problems)
        self._show_all()
        await self._estimate()

    async def _estimate(self) -> None:
        checked = self._checked
        words, rows = "", list[WhyNot]()
        self.state.wanted = None
        try:
            wei = parse_credits(self._value("credits"))
            uses, affinity = self._read_demands()
        except UsageError:
            words = "fill in the fields below"
        else:
            if checked.definition is None:
                words = "a valid workflow is needed first"
            else:
                try:
                    definition = checked.definition(uses, affinity)
                    self.state.wanted = (definition, wei)
                    rows = await self.console_app.feed.require_grid().estimate(definition, wei)
                except DsqError as error:
                    words = error.message
                else:
                    words = "" if rows else "no provider is on the grid yet"
        rows.sort(key=lambda row: (bool(row.reason), row.wei_per_minute, row.name))
        self._estimates.rows, self._estimate_words = rows, words
        table = self.query_one("#estimates", LiveTable)
        table.empty = (words,)
        table.rows_changed()

    # -- painting --

    def update_view(self, *, changed: bool) -> None:
        if changed:
            self._show_fields()
            asked = (id(self.state.providers), self.state.link.online)
            if asked != self._asked_for:
                self._asked_for = asked
                self.check_soon()

    def _show_all(self) -> None:
        self._show_source()
        self._show_problems()
        self._show_fields()

    def _show_source(self) -> None:
        checked = self._checked
        if checked.empty:
            state: Line = [("type, ctrl+o opens a file, F2 templates", "muted")]
        elif checked.problems:
            state = [(f"× {plural(len(checked.problems), 'problem')}", "bold error")]
        else:
            state = [("● valid", "bold success")]
        modified = " *" if self.editor.text != self._clean else ""
        name = one_line(self._source, 40) + modified
        self.query_one("#source", Lines).show([[(f"{name}  ", "bold foreground"), *state]])

    def _show_problems(self) -> None:
        marks = self._checked.problems
        lines: list[Line] = []
        for mark in marks[:4]:
            place = f"line {mark.line}: " if mark.line else ""
            lines.append([("× ", "error"), (place, "bold error"), (mark.text, "foreground")])
        if len(marks) > 4:
            lines.append([(f"  and {len(marks) - 4} more", "muted")])
        problems = self.query_one("#problems", Lines)
        problems.display = bool(lines)
        problems.show(lines)

    def _show_fields(self) -> None:
        problems = self._field_problems()
        for key in ("name", "credits", "labels"):
            under = self.query_one(f"#{key}-problem", Lines)
            under.set_class(key in problems, "-shown")
            under.show([[(problems.get(key, ""), "error")]])
        lines: list[Line] = []
        balance = self.state.balance
        if balance is not None:
            spans: list[tuple[str, str]] = [
                ("balance  ", "muted"),
                (credits_text(balance.balance_wei), "foreground"),
            ]
            if "credits" not in problems:
                after = balance.balance_wei - parse_credits(self._value("credits"))
                spans.append((f" → {credits_text(after)}", "foreground"))
            lines.append(spans)
        if self._sending:
            lines.append([("Sending… the credits are being locked.", "bold warning")])
        self.query_one("#balance", Lines).show(lines)

    def load_again(self, job: Job, text: str) -> None:
        """Puts the workflow of an earlier job here, with its name, credits and demands."""
        wanted: list[JobLabel | Affinity] = [*job.definition.uses, *job.definition.affinity]
        demands = " ".join(map(_typed, wanted))
        group = membership(job.name)

        def go() -> None:
            self.load(text, f"job {job.id}", None)
            self.query_one("#name", Input).value = group.title if group else job.name
            self.query_one("#credits", Input).value = format_credits(job.cost.max_cost)
            self.query_one("#labels", Input).value = demands

        self._unless_modified(go)

    # -- going about --

    def action_next_area(self) -> None:
        areas = ("#editor", "#name", "#credits", "#labels")
        current = self.focused.id if self.focused is not None else None
        ids = [area[1:] for area in areas]
        at = ids.index(current) if current in ids else -1
        self.query_one(areas[(at + 1) % len(areas)]).focus()

    def on_input_submitted(self) -> None:
        self.action_next_area()

    def action_leave(self) -> None:
        self.console_app.action_view("jobs")

    # -- sending --

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        if action == "submit":
            return not self.console_app.read_only
        return True

    def action_submit(self) -> None:
        if self._sending:
            self.app.bell()
            return
        self.run_worker(self._prepare(), group="prepare", exclusive=True, exit_on_error=False)

    async def _prepare(self) -> None:
        """Checks what is typed now, not what was checked last, then asks."""
        if self._timer is not None:
            self._timer.stop()
        await self._check_and_estimate()
        checked, problems = self._checked, self._field_problems()
        if problems:
            # The sentence stands under the field already.
            self.query_one(f"#{next(iter(problems))}", Input).focus()
            self.app.bell()
            return
        if checked.wire is None or checked.definition is None:
            words = "The workflow is empty." if checked.empty else "The workflow is not valid yet."
            self.app.notify(words, title="Not submitted", severity="warning", markup=False)
            return
        uses, affinity = self._read_demands()
        plan = SubmitPlan(
            name=self._read_name() or self._stem(),
            wire=checked.wire,
            definition=checked.definition(uses, affinity),
            wei=self._read_wei(),
            uses=uses,
            affinity=affinity,
            estimates=tuple(self._estimates.rows),
            source=self._source,
            text=self.editor.text,
            offline=not self.state.link.online,
        )

        def answered(yes: bool | None) -> None:
            if yes and plan.offline:
                self._queue(plan)
            elif yes and not self._sending:
                self.console_app.sign(lambda: self._begin(plan))

        self.app.push_screen(ConfirmSubmit(plan, self.state), answered)

    def _queue(self, plan: SubmitPlan) -> None:
        app = self.console_app
        item = Queued(
            plan.name,
            plan.wire,
            plan.wei,
            plan.uses,
            plan.affinity,
            queued_at=int(app.now()),
            source=plan.text,
        )
        if app.queue(item):
            self._clean = self.editor.text
            app.action_view("jobs")

    def _begin(self, plan: SubmitPlan) -> None:
        if not self._sending:
            self._sending = True
            self._show_fields()
            self.console_app.act(self._send(plan))

    async def _send(self, plan: SubmitPlan) -> None:
        app = self.console_app
        try:
            grid = app.feed.require_grid()
            job = await grid.submit(
                plan.wire, plan.wei, name=plan.name, uses=plan.uses, affinity=plan.affinity
            )
        except (TransactionError, UnreachableError) as error:
            notice = app.report(error, "submit")
            words = "It is not known whether the job was submitted; look at the jobs first."
            app.tell(words, "submit", severity="warning")
            self._explain(f"{notice.text} {words}")
            return
        except Exception as error:  # shown, not raised: the text must not be lost
            self._explain(app.report(error, "submit").text)
            return
        finally:
            self._sending = False
            self._show_fields()
        app.feed.put(job)
        app.submitted(job, plan.text)
        self._clean = self.editor.text
        app.tell(f"Job {job.id} {one_line(plan.name, 40)} is submitted.", f"job {job.id}")
        if app.screen is self:
            app.action_view("jobs")
            app.push_screen(JobScreen(job.id))

    def _explain(self, words: str) -> None:
        self.query_one("#balance", Lines).show([[("× ", "error"), (one_line(words, 400), "error")]])
