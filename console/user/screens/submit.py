"""The submit view: a workflow, what it would cost where, and the way to send it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.timer import Timer
from textual.widgets import Input, TextArea

from dsq.console.user.completion import about_field, load_language, offer_fields
from dsq.console.user.estimates import PLENTY, credits_for, estimate_columns, in_order
from dsq.console.user.label_words import typed
from dsq.console.user.port import GridPort
from dsq.console.user.screens.submit_form import FIELDS, LabelsInput, SubmitForm
from dsq.console.user.screens.submit_sending import SubmitSending
from dsq.console.user.workflow_check import check_workflow
from dsq.console.widgets.completer import CompletionList, Offer
from dsq.console.widgets.editor import WorkflowEditor
from dsq.console.widgets.lines import Line, Lines
from dsq.console.widgets.rows import ListSource
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.table import LiveTable
from dsq.console.widgets.words import plural
from dsq.core.errors import DsqError, UnreachableError, UsageError
from dsq.core.groups import membership
from dsq.core.model import Affinity, Job, JobDefinition, Label, WhyNot
from dsq.core.units import format_credits, parse_credits

DEBOUNCE = 0.25
Read = TypeVar("Read")


class SubmitScreen(SubmitSending):
    """Writes, checks, estimates and submits a workflow."""

    VIEW = "Submit"
    ABOUT = (
        "Write a workflow, open one (ctrl+o) or take a template (F2). It is checked as you type;\n"
        "ctrl+space (or F4) shows what can stand at the cursor, tab takes it.\n"
        "Nothing is spent before you confirm on the last page."
    )

    DEFAULT_CSS = """
    SubmitScreen #body { layout: horizontal; height: 1fr; }
    SubmitScreen #left { width: 1fr; height: 100%; }
    SubmitScreen #source { height: 1; padding: 0 1; background: $surface; }
    SubmitScreen WorkflowEditor { height: 1fr; }
    SubmitScreen #problems { height: auto; max-height: 5; padding: 0 1; background: $surface; }
    SubmitScreen #meaning { height: auto; max-height: 3; padding: 0 1; background: $surface; }
    SubmitScreen #right { width: 40; height: 100%; border-left: solid $faint; padding: 0 1; }
    SubmitScreen.-wide #right { width: 66; }
    SubmitScreen #estimates { height: 1fr; min-height: 3; }
    SubmitScreen #balance { height: auto; margin-bottom: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "submit", "Submit", priority=True, id="submit.submit",
                tooltip="To the last page before the submit"),
        Binding("ctrl+space,ctrl+@,f4", "complete", "Complete", priority=True,
                id="submit.complete", tooltip="What can stand at the cursor, with its meaning"),
        Binding("ctrl+o", "open", "Open", priority=True, id="submit.open",
                tooltip="Open a workflow file, or one of those opened last"),
        Binding("f2", "templates", "Templates", tooltip="Start from a template",
                id="submit.templates"),
        Binding("ctrl+e", "editor", "$EDITOR", priority=True, id="submit.editor",
                tooltip="Edit in your own editor; what is saved there is read at once"),
        Binding("f3", "save", "Save", priority=True, id="submit.save",
                tooltip="Write the text to a file"),
        Binding("f6", "next_area", "Next field", show=False, priority=True, id="submit.area",
                tooltip="From the editor to the fields and back"),
        Binding("escape", "leave", "Jobs", priority=True, id="submit.leave",
                tooltip="Back to the jobs; the text stays"),
        Binding("f1", "help", "Help", show=False, tooltip="All keys that work here",
                id="submit.help"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._estimates: ListSource[WhyNot] = ListSource()
        self._estimate_words = ""
        self._timer: Timer | None = None
        self._asked_for: object = None

    def compose_view(self) -> ComposeResult:
        with Container(id="body"):
            with Vertical(id="left"):
                yield Lines(id="source")
                yield WorkflowEditor(id="editor")
                yield Lines(id="problems")
                yield Lines(id="meaning")
            with Vertical(id="right"):
                yield SubmitForm(id="form")
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
        yield CompletionList(id="completions")

    def on_mount(self) -> None:
        popup = self.query_one(CompletionList)
        self.editor.complete_with(popup, self._offer)
        self.query_one(LabelsInput).complete_with(popup, self.state)
        self.editor.focus()
        self.run_worker(asyncio.to_thread(load_language), group="language", exit_on_error=False)
        self._show_all()

    # -- what was typed --------------------------------------------------------------------

    def estimates(self) -> tuple[WhyNot, ...]:
        return tuple(self._estimates.rows)

    def suggest_name(self, name: str) -> None:
        self.form.suggest_name(name)

    def _offer(self, lines: Sequence[str], row: int, column: int) -> Offer | None:
        return offer_fields(lines, row, column, self._checked.modules)

    @on(TextArea.Changed)
    def _text_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self.check_soon()

    @on(TextArea.SelectionChanged)
    def _cursor_moved(self, event: TextArea.SelectionChanged) -> None:
        event.stop()
        self._show_meaning()

    @on(SubmitForm.Changed)
    def _field_changed(self, event: SubmitForm.Changed) -> None:
        event.stop()
        self.show_fields()
        self.check_soon()

    def check_soon(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(DEBOUNCE, self._check)
        self._show_source()

    def _check(self) -> None:
        self.run_worker(self.check_now(), group="check", exclusive=True, exit_on_error=False)

    async def check_now(self, *, fetch: bool = False) -> None:
        if self._timer is not None:
            self._timer.stop()
        text, source, path = self.editor.text, self._source, self._path
        checked = await asyncio.to_thread(check_workflow, text, source, path=path, fetch=fetch)
        self._checked = checked
        self.editor.show_problems(checked.problems)
        self._show_all()
        await self._estimate()

    async def _estimate(self) -> None:
        words, rows, minutes = "", list[WhyNot](), None
        self.state.wanted = None
        try:
            if self._checked.workflow is None:
                raise UsageError("a valid workflow is needed first")
            definition = self._checked.definition(*self._typed(self.form.read_demands))
            minutes = await self._price_time(definition)
            wei = self._typed(lambda: parse_credits(self.form.value("credits")))
            self.state.wanted = (definition, wei)
            rows = await self._grid().estimate(definition, wei)
        except DsqError as error:
            words = error.message
        else:
            words = "" if rows else "no provider is on the grid yet"
        self._estimates.rows, self._estimate_words = in_order(rows), words
        table = self.query_one("#estimates", LiveTable)
        table.empty = (words,)
        table.set_columns(estimate_columns(rows, minutes))
        table.rows_changed()
        self.show_fields()

    def _grid(self) -> GridPort:
        """The grid, while there is a link: a submit that is queued must not wait for it."""
        if not self.state.link.online:
            raise UnreachableError("offline: no provider can be asked")
        return self.console_app.feed.require_grid()

    @staticmethod
    def _typed(read: Callable[[], Read]) -> Read:
        try:
            return read()
        except UsageError:
            raise UsageError("fill in the fields above") from None

    async def _price_time(self, definition: JobDefinition) -> int | None:
        """Works out the credits for the time that was asked for; None when it was credits.

        Raises:
            UsageError: Nobody can say what it costs; the field's sentence says why.
        """
        form = self.form
        form.time_problem = ""
        minutes = self._typed(form.read_minutes)
        if minutes is None:
            return None
        constants = self.state.constants
        minimum = constants.minimum_amount if constants is not None else 0
        try:
            rows = await self._grid().estimate(definition, PLENTY)
            form.set_wei(credits_for(rows, minutes, minimum))
        except DsqError as error:
            form.time_problem = error.message
            raise
        return minutes

    # -- painting --------------------------------------------------------------------------

    def update_view(self, *, changed: bool) -> None:
        if changed:
            self.show_fields()
            asked = (id(self.state.providers), self.state.link.online)
            if asked != self._asked_for:
                self._asked_for = asked
                self.check_soon()

    def _show_all(self) -> None:
        self._show_source()
        self._show_problems()
        self._show_meaning()
        self.show_fields()

    def _show_source(self) -> None:
        checked = self._checked
        if checked.empty:
            state: Line = [("ctrl+o file, F2 template", "muted")]
        elif checked.problems:
            state = [(f"× {plural(len(checked.problems), 'problem')}", "bold error")]
        else:
            jobs = f", {plural(checked.jobs, 'job')}" if checked.jobs > 1 else ""
            away = ", modules to be fetched" if checked.away else ""
            state = [("● valid", "bold success"), (f"{jobs}{away}", "foreground")]
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

    def _show_meaning(self) -> None:
        """What the field around the cursor means, unless something is wrong."""
        name, words = "", ""
        if not (self._checked.empty or self._checked.problems):
            row, column = self.editor.cursor_location
            name, words = about_field(self.editor.document.lines, row, column)
        meaning = self.query_one("#meaning", Lines)
        meaning.display = bool(name)
        line: Line = [(f"{name.rpartition('.')[2]}  ", "bold syntax-key"), (words, "muted")]
        meaning.show([line] if name else [])

    def show_fields(self) -> None:
        problems = self.field_problems()
        self.form.show_problems(problems)
        lines = [self.form.money_line(self.state, self._checked, problems)]
        if self._sending:
            lines.append([("Sending… the credits are being locked.", "bold warning")])
        self.query_one("#balance", Lines).show([line for line in lines if line])

    def explain(self, words: str, *, good: bool = False) -> None:
        mark: Line = [] if good else [("× ", "error")]
        line = [*mark, (one_line(words, 400), "muted" if good else "error")]
        self.query_one("#balance", Lines).show([line])

    def load_again(self, job: Job, text: str) -> None:
        """Puts the workflow of an earlier job here, with its name, credits and demands."""
        wanted: list[Label | Affinity] = [*job.definition.uses, *job.definition.affinity]
        demands = " ".join(map(typed, wanted))
        group = membership(job.name)

        def go() -> None:
            self.load(text, f"job {job.id}", None)
            name = group.title if group else job.name
            self.form.fill(name, format_credits(job.cost.max_cost), demands)

        self._unless_modified(go)

    # -- going about -----------------------------------------------------------------------

    def action_next_area(self) -> None:
        ids = ("editor", *FIELDS)
        current = self.focused.id if self.focused is not None else None
        at = ids.index(current) if current in ids else -1
        self.query_one(f"#{ids[(at + 1) % len(ids)]}").focus()

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.action_next_area()

    def action_complete(self) -> None:
        """Offers what can stand at the cursor, where there is something to complete."""
        if isinstance(self.focused, WorkflowEditor | LabelsInput):
            self.focused.action_complete()
        else:
            self.app.bell()

    def action_leave(self) -> None:
        for each in (self.editor, self.query_one(LabelsInput)):
            if each.close_completion():
                self.show_fields()
                return
        self.console_app.action_view("jobs")
