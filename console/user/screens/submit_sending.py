"""From a valid workflow to jobs: secrets, the last page, the submit, and where it leads."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from dsq.console.dialogs.ask_secrets import AskSecrets, GivenSecrets, without_asking
from dsq.console.dialogs.confirm_submit import ConfirmSubmit, SubmitPlan
from dsq.console.user.outbox import Queued
from dsq.console.user.screens.job import JobScreen
from dsq.console.user.screens.submit_form import SubmitForm
from dsq.console.user.screens.workflow_source import WorkflowSource
from dsq.console.user.workflow_check import Checked, module_sources
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import plural
from dsq.core.errors import TransactionError, UnreachableError, UsageError
from dsq.core.model import Job, WhyNot

if TYPE_CHECKING:
    from collections.abc import Hashable

    from dsq.console.submitting import Order
    from dsq.console.sweeps import Sweep

QUEUED_JOBS = 500
"""Jobs of a sweep that are queued at most: the file of the queue is written anew each time."""

NO_ANSWER = "It is not known whether the job was submitted; look at the jobs first."
ASK_AGAIN = "Submitting the same again makes no second one."


class SubmitSending(WorkflowSource):
    """The part of the submit view that sends."""

    def __init__(self) -> None:
        super().__init__()
        self._checked = Checked(empty=True)
        self._sending = False
        # What was sent without a known end: the same text is then sent under the same names.
        self._begun: tuple[Hashable, str, Sweep | None] | None = None

    @property
    def form(self) -> SubmitForm:
        return self.query_one(SubmitForm)

    def estimates(self) -> tuple[WhyNot, ...]:
        """What the providers say to the job."""
        return ()

    def field_problems(self) -> dict[str, str]:
        """What is wrong with the fields."""
        return self.form.problems(self.state, self._checked)

    async def check_now(self, *, fetch: bool = False) -> None:
        """Checks what is typed now."""

    def show_fields(self) -> None:
        """Paints what is below the fields."""

    def explain(self, words: str, *, good: bool = False) -> None:
        """Says below the fields what came of a submit."""

    # -- to the last page ------------------------------------------------------------------

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
        if self._checked.away:
            self.explain("Fetching the modules…", good=True)
        await self.check_now(fetch=self.state.link.online)
        problems = self.field_problems()
        if problems:
            # The sentence stands under the field already.
            self.form.query_one(f"#{next(iter(problems))}").focus()
            self.app.bell()
            return
        why_not = self._why_not_yet()
        if why_not:
            self.app.notify(why_not, title="Not submitted", severity="warning", markup=False)
            return
        workflow = self._checked.workflow
        assert workflow is not None
        if not workflow.secrets:
            self._ask_last(GivenSecrets({}, {}))
            return
        try:
            given = without_asking(workflow)
        except UsageError as error:
            self.console_app.report(error, "secrets")
            return
        if given is not None:
            self._ask_last(given)
            return

        def answered(typed: GivenSecrets | None) -> None:
            if typed is not None:
                self._ask_last(typed)

        self.app.push_screen(AskSecrets(workflow), answered)

    def _why_not_yet(self) -> str:
        """Why nothing can be submitted, "" when it can."""
        checked, workflow = self._checked, self._checked.workflow
        if checked.empty:
            return "The workflow is empty."
        if workflow is None:
            return "The workflow is not valid yet."
        if checked.away:
            return f"{checked.away} It is fetched when there is a connection."
        if self.state.link.online:
            return ""
        if workflow.secrets:
            return "Offline, and secrets are kept in no file: submit it when the link is back."
        if checked.jobs > QUEUED_JOBS:
            return (
                f"Offline, and {plural(checked.jobs, 'job')} are more than are queued at a time "
                f"({QUEUED_JOBS}): submit the sweep when the link is back."
            )
        return ""

    def _ask_last(self, given: GivenSecrets) -> None:
        plan = self._plan(given)

        def answered(yes: bool | None) -> None:
            if yes and plan.offline:
                self._queue(plan)
            elif yes and not self._sending:
                self.console_app.sign(lambda: self._begin(plan))

        self.app.push_screen(ConfirmSubmit(plan, self.state), answered)

    def _plan(self, given: GivenSecrets) -> SubmitPlan:
        order = self._order(given)
        begun = self._begun
        same = begun is not None and begun[0] == self._print(order)
        sweep = begun[2] if begun is not None and same else None
        if order.is_sweep and sweep is None:
            sweep = order.sweep()
        return SubmitPlan(
            order,
            definition=self._checked.definition(order.uses, order.affinity),
            estimates=self.estimates(),
            source=self._source,
            text=self.editor.text,
            offline=not self.state.link.online,
            minutes=self.form.read_minutes(),
            sweep=sweep,
            secrets=given.places,
            modules=tuple(module_sources(order.workflow)),
        )

    def _order(self, given: GivenSecrets) -> Order:
        from dataclasses import replace

        from dsq.console.submitting import Order

        workflow = self._checked.workflow
        assert workflow is not None
        uses, affinity = self.form.read_demands()
        order = Order(
            workflow,
            self.form.read_name() or self._stem(),
            self.form.read_wei(self.state, self._checked),
            uses,
            affinity,
            secrets=given.values,
        )
        begun = self._begun
        known = begun is not None and begun[0] == self._print(order)
        return replace(order, key=begun[1] if begun is not None and known else uuid.uuid4().hex)

    def _stem(self) -> str:
        return self._path.stem[:32] if self._path is not None else ""

    def _print(self, order: Order) -> Hashable:
        """What two submits of the same have in common."""
        return (self.editor.text, order.title, order.wei, order.uses, order.affinity)

    # -- sending ---------------------------------------------------------------------------

    def _queue(self, plan: SubmitPlan) -> None:
        from dsq.core.grid import Submission

        app, order, sweep = self.console_app, plan.order, plan.sweep
        jobs = [Submission(order.workflow.to_wire(), order.title, order.key)]
        group, limit = "", 0
        if sweep is not None:
            jobs, group, limit = sweep.missing, sweep.group, sweep.limit
        items = (
            Queued(
                each.name,
                each.workflow,
                order.wei,
                order.uses,
                order.affinity,
                queued_at=int(app.now()),
                source=plan.text,
                group=group,
                limit=limit,
                key=each.key,
            )
            for each in jobs
        )
        if app.queue(*items):
            self._clean = self.editor.text
            app.action_view("jobs")

    def _begin(self, plan: SubmitPlan) -> None:
        if not self._sending:
            self._sending = True
            self.show_fields()
            work = self._send(plan) if plan.sweep is None else self._send_group(plan, plan.sweep)
            self.console_app.act(work)

    async def _send(self, plan: SubmitPlan) -> None:
        app = self.console_app
        try:
            job = await plan.order.submit(app.feed.require_grid())
        except (TransactionError, UnreachableError) as error:
            self._begun = (self._print(plan.order), plan.order.key, None)
            notice = app.report(error, "submit")
            app.tell(f"{NO_ANSWER} {ASK_AGAIN}", "submit", severity="warning")
            self.explain(f"{notice.text} {NO_ANSWER}")
            return
        except Exception as error:  # shown, not raised: the text must not be lost
            self.explain(app.report(error, "submit").text)
            return
        finally:
            self._sending = False
            self.show_fields()
        self._is_there(plan, job)
        name = one_line(plan.order.title, 40)
        app.tell(f"Job {job.id} {name} is submitted.", f"job {job.id}")
        if app.screen is self:
            app.action_view("jobs")
            app.push_screen(JobScreen(job.id))

    def _is_there(self, plan: SubmitPlan, job: Job) -> None:
        self._begun = None
        self._clean = self.editor.text
        self.console_app.feed.put(job)
        self.console_app.submitted(job, plan.text)

    async def _send_group(self, plan: SubmitPlan, sweep: Sweep) -> None:
        """Submits what is missing of a sweep; goes to its row as soon as there is one."""
        app, before = self.console_app, len(sweep.jobs)

        def told(job: Job) -> None:
            self._is_there(plan, job)
            if len(sweep.jobs) == before + 1:
                self._sending = False
                if app.screen is self:
                    app.show_group(sweep.group)

        try:
            await plan.order.submit_missing(app.feed.require_grid(), sweep, told)
        except Exception as error:  # shown, not raised: the rest can be submitted later
            self._begun = (self._print(plan.order), plan.order.key, sweep)
            notice = app.report(error, "submit")
            words = self._rest_words(sweep)
            app.tell(words, f"group {sweep.group}", severity="warning")
            self.explain(f"{notice.text} {words}")
            return
        finally:
            self._sending = False
            if self.ready:
                self.show_fields()
        jobs = plural(len(sweep.submissions), "job")
        app.tell(f"{jobs} of the group {sweep.group} are submitted.", f"group {sweep.group}")

    @staticmethod
    def _rest_words(sweep: Sweep) -> str:
        done = f"{len(sweep.jobs)} of {len(sweep.submissions)} jobs of the group {sweep.group}"
        again = "Submitting the same again submits the others"
        return f"{done} are there. {again}, as 'dsq submit FILE --resume {sweep.group}' does."
