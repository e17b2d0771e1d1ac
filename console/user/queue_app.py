"""What the console does with submits that wait for the link."""

from __future__ import annotations

from dsq.console.dialogs.choose import Choose
from dsq.console.dialogs.confirm import Confirm
from dsq.console.user.access_app import AccessApp
from dsq.console.user.outbox import Queued
from dsq.console.widgets.lines import Line
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import credits_text, plural
from dsq.core.errors import TryAgainError, UnreachableError
from dsq.core.model import Job

SEND_AGAIN_SECONDS = 15.0
"""Patience between two tries of what could not be sent."""

UNCERTAIN = "it may have been submitted already: look at the jobs"


class QueueApp(AccessApp):
    """The part of the console about the queue."""

    _sending_queue = False
    _send_at = 0.0
    _told_locked = False

    def queue(self, item: Queued) -> bool:
        """Keeps a submit until the link is back; False if it cannot be kept."""
        try:
            self.state.outbox.add(item)
        except OSError as error:
            self.report(error, "queue")
            return False
        self.state.touch()
        text = (
            f"{one_line(item.name, 40) or 'The job'} is queued; it is sent when the link is back."
        )
        self.tell(text, "queue")
        return True

    def send_queue(self) -> None:
        """Sends what waits, if there is a link, a key, and nobody who does it already."""
        state, now = self.state, self.now()
        due = any(each.is_due(now) for each in state.outbox.items())
        if not due or not state.link.online or not state.loaded or self.read_only:
            return
        if self.locked:
            if not self._told_locked:
                self._told_locked = True
                self.tell("Queued submits wait for the passphrase: ctrl+l.", "queue")
            return
        self._told_locked = False
        if not self._sending_queue and now >= self._send_at:
            self._sending_queue = True
            self.act(self._send_all())

    async def _send_all(self) -> None:
        outbox = self.state.outbox
        try:
            with outbox.sending() as mine:
                while mine:
                    item = next((x for x in outbox.items() if x.is_due(self.now())), None)
                    if item is None or not await self._send_queued(item):
                        break
        except OSError as error:
            self.report(error, "queue")
        finally:
            self._sending_queue = False
            self._send_at = self.now() + SEND_AGAIN_SECONDS
            self.state.touch()

    async def _send_queued(self, item: Queued) -> bool:
        """Sends one; False if the rest has to wait."""
        outbox = self.state.outbox
        if not item.tried_at:
            # Written before it is sent: after a crash it must not count as never tried.
            outbox.update(item.key, tried_at=int(self.now()))
        try:
            job = await self.feed.require_grid().submit(
                item.wire,
                item.wei,
                name=item.name,
                uses=item.uses,
                affinity=item.affinity,
                key=item.key,
            )
        except (TryAgainError, UnreachableError) as error:
            self.report(error, "queued submit")
            return False
        except Exception as error:  # the grid's refusal, shown and kept with the submit
            outbox.update(item.key, problem=self.report(error, "queued submit").text)
            return True
        outbox.remove(item.key)
        self.feed.put(job)
        self.submitted(job, item.source)
        self.tell(f"Job {job.id} {one_line(item.name, 40)} is submitted.", f"job {job.id}")
        return True

    def submitted(self, job: Job, source: str) -> None:
        """A workflow of this console became a job: its text is kept."""

    def queue_line(self) -> Line:
        """One line about what waits; nothing when nothing does."""
        items = self.state.outbox.items()
        if not items:
            return []
        names = one_line(items[0].name, 14) or "unnamed"
        more = f" +{len(items) - 1}" if len(items) > 1 else ""
        refused = sum(bool(each.problem) for each in items)
        words = f"  {refused} refused" if refused else ""
        waits = "wait" if len(items) > 1 else "waits"
        head = f"⇡ {plural(len(items), 'queued submit')} {waits} for the link: "
        return [(head, "bold warning"), (names + more, "foreground"), (words, "error"),
                ("  Q shows them", "muted")]  # fmt: skip

    def action_queue(self) -> None:
        """Shows what waits; a submit that is chosen can be withdrawn, or tried again."""
        items = self.state.outbox.items()

        def chosen(index: int | None) -> None:
            if index is not None:
                self._ask_withdraw(items[index])

        rows = [(one_line(each.name, 24) or "unnamed", self._words(each)) for each in items]
        self.push_screen(Choose("Queued submits; enter withdraws one", rows), chosen)

    def _words(self, item: Queued) -> str:
        amount = f"{credits_text(item.wei)} cr"
        if item.is_uncertain(self.now()):
            return f"{amount}, {UNCERTAIN}"
        if item.problem:
            return f"{amount}, refused: {one_line(item.problem, 100)}"
        if item.tried_at:
            return f"{amount}, sent {self.moment().at(item.tried_at)}, no answer yet; asked again"
        return f"{amount}, queued {self.moment().at(item.queued_at)}, sent when the link is back"

    def _ask_withdraw(self, item: Queued) -> None:
        lines: list[Line] = [[(self._words(item), "foreground")]]
        if item.tried_at and not item.problem:
            lines.append([("Its answer was lost: a job may exist all the same.", "warning")])
        else:
            lines.append([("Nothing has been sent, no credits are locked.", "foreground")])

        def answered(yes: bool | None) -> None:
            if yes:
                self._withdraw(item)

        title = f"Withdraw {one_line(item.name, 40) or 'this submit'}?"
        self.push_screen(Confirm(title, lines, yes="Withdraw it"), answered)

    def _withdraw(self, item: Queued) -> None:
        if self._sending_queue:
            self.tell("It is being sent just now.", "queue", severity="warning")
            return
        try:
            with self.state.outbox.sending() as mine:
                found = self.state.outbox.remove(item.key) if mine else None
        except OSError as error:
            self.report(error, "queue")
            return
        self.state.touch()
        name = one_line(item.name, 40) or "The submit"
        if found is None:
            self.tell(f"{name} has been sent meanwhile.", "queue", severity="warning")
        else:
            self.tell(f"{name} is withdrawn.", "queue")
