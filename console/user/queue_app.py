"""What the console does with submits that wait for the link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsq.console.dialogs.choose import Choose
from dsq.console.dialogs.confirm import Confirm
from dsq.console.user.access_app import AccessApp
from dsq.console.user.outbox import Queued
from dsq.console.widgets.lines import Line
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import credits_text, plural
from dsq.core.errors import TryAgainError, UnreachableError
from dsq.core.groups import membership
from dsq.core.model import Job

if TYPE_CHECKING:
    from dsq.core.grid import Submission

SEND_AGAIN_SECONDS = 15.0
"""Patience between two tries of what could not be sent."""

SENT_TOGETHER = 32
"""Jobs of a sweep that are sent together."""

UNCERTAIN = "it may have been submitted already: look at the jobs"


class QueueApp(AccessApp):
    """The part of the console about the queue."""

    _sending_queue = False
    _send_at = 0.0
    _told_locked = False

    def queue(self, *items: Queued) -> bool:
        """Keeps a submit, or the jobs of a sweep, until the link is back.

        Returns:
            False if they cannot be kept.
        """
        try:
            self.state.outbox.add(*items)
        except OSError as error:
            self.report(error, "queue")
            return False
        self.state.touch()
        name = _name(items)
        if len(items) > 1:
            text = (
                f"{name}: {plural(len(items), 'job')} are queued, and sent when the link is back."
            )
        else:
            text = f"{name or 'The job'} is queued; it is sent when the link is back."
        self.tell(text, "queue")
        return True

    def send_queue(self) -> None:
        """Sends what waits, if there is a link, a key, and nobody who does it already."""
        state, now = self.state, self.now()
        if not state.link.online or not state.loaded or self.read_only or not state.outbox.items():
            return
        if self._sending_queue or now < self._send_at or not self._next():
            return
        if self.locked:
            if not self._told_locked:
                self._told_locked = True
                self.tell("Queued submits wait for the passphrase: ctrl+l.", "queue")
            return
        self._told_locked = False
        self._sending_queue = True
        self.act(self._send_all())

    def _next(self) -> list[Queued]:
        """What is sent next: a submit, or jobs of one sweep as far as its limit lets them."""
        due = [each for each in self.state.outbox.items() if each.is_due(self.now())]
        full: set[str] = set()
        for item in due:
            if not item.group:
                return [item]
            if item.group not in full:
                room = SENT_TOGETHER
                if item.limit:
                    self.state.jobs.settle()
                    room = min(room, item.limit - len(self.state.jobs.open_of(item.group)))
                if room > 0:
                    return [each for each in due if each.group == item.group][:room]
                full.add(item.group)
        return []

    async def _send_all(self) -> None:
        outbox, done = self.state.outbox, False
        try:
            with outbox.sending() as mine:
                while mine and not done:
                    items = self._next()
                    done = not items
                    if items and not await self._send_next(items):
                        break
        except OSError as error:
            self.report(error, "queue")
        finally:
            self._sending_queue = False
            self._send_at = 0.0 if done else self.now() + SEND_AGAIN_SECONDS
            self.state.touch()

    async def _send_next(self, items: Sequence[Queued]) -> bool:
        """Sends one submit, or jobs of one sweep; False if the rest has to wait."""
        fresh = [each.key for each in items if not each.tried_at]
        if fresh:
            # Written before it is sent: after a crash it must not count as never tried.
            self.state.outbox.update(*fresh, tried_at=int(self.now()))
        if items[0].group:
            return await self._send_group(items)
        return await self._send_one(items[0])

    async def _send_one(self, item: Queued) -> bool:
        outbox = self.state.outbox
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

    async def _send_group(self, items: Sequence[Queued]) -> bool:
        from dsq.core.grid import Submission

        outbox, sources = self.state.outbox, {each.key: each.source for each in items}
        sent: list[str] = []

        def there(submission: Submission, job: Job) -> None:
            sent.append(submission.key)
            self.feed.put(job)
            self.submitted(job, sources[submission.key])

        first = items[0]
        try:
            await self.feed.require_grid().submit_many(
                [Submission(each.wire, each.name, each.key) for each in items],
                first.wei,
                uses=first.uses,
                affinity=first.affinity,
                on_job=there,
            )
        except (TryAgainError, UnreachableError) as error:
            self.report(error, "queued submit")
            return False
        except Exception as error:  # the grid's refusal, shown and kept with the submits
            problem = self.report(error, "queued submit").text
            outbox.update(*(each.key for each in items if each.key not in sent), problem=problem)
            return True
        finally:
            # The grid knows each by its key: those that are sent twice are one job all the same.
            outbox.remove(*sent)
        jobs = f"{plural(len(sent), 'job')} of the group {first.group}"
        are = "is" if len(sent) == 1 else "are"
        self.tell(f"{jobs} {are} submitted.", f"group {first.group}")
        return True

    def submitted(self, job: Job, source: str) -> None:
        """A workflow of this console became a job: its text is kept."""

    def _waiting(self) -> list[list[Queued]]:
        """What waits, the jobs of a sweep together."""
        found: dict[str, list[Queued]] = {}
        for each in self.state.outbox.items():
            found.setdefault(each.group or each.key, []).append(each)
        return list(found.values())

    def queue_line(self) -> Line:
        """One line about what waits; nothing when nothing does."""
        waiting = self._waiting()
        if not waiting:
            return []
        items = [each for together in waiting for each in together]
        names = one_line(_name(waiting[0]), 14) or "unnamed"
        more = f" +{len(waiting) - 1}" if len(waiting) > 1 else ""
        refused = sum(bool(each.problem) for each in items)
        words = f"  {refused} refused" if refused else ""
        waits = "wait" if len(items) > 1 else "waits"
        why = "" if self.state.link.online else " for the link"
        head = f"⇡ {plural(len(items), 'queued submit')} {waits}{why}: "
        return [(head, "bold warning"), (names + more, "foreground"), (words, "error"),
                ("  Q shows them", "muted")]  # fmt: skip

    def action_queue(self) -> None:
        """Shows what waits; a submit that is chosen can be withdrawn."""
        waiting = self._waiting()

        def chosen(index: int | None) -> None:
            if index is not None:
                self._ask_withdraw(waiting[index])

        rows = [(one_line(_name(each), 24) or "unnamed", self._words(each)) for each in waiting]
        self.push_screen(Choose("Queued submits; enter withdraws one", rows), chosen)

    def _words(self, items: Sequence[Queued]) -> str:
        # The one that says most: refused before tried before fresh.
        item = max(items, key=lambda each: (bool(each.problem), each.tried_at))
        amount = f"{credits_text(item.wei)} cr"
        if item.group:
            amount = f"{plural(len(items), 'job')} of a sweep, {amount} each"
        if item.is_uncertain(self.now()):
            return f"{amount}, {UNCERTAIN}"
        if item.problem:
            return f"{amount}, refused: {one_line(item.problem, 100)}"
        if item.tried_at:
            return f"{amount}, sent {self.moment().at(item.tried_at)}, no answer yet; asked again"
        if item.limit and self.state.link.online:
            return f"{amount}, {item.limit} open at most; sent when one ends"
        return f"{amount}, queued {self.moment().at(item.queued_at)}, sent when the link is back"

    def _ask_withdraw(self, items: Sequence[Queued]) -> None:
        lines: list[Line] = [[(self._words(items), "foreground")]]
        if any(each.tried_at and not each.problem for each in items):
            lines.append([("Its answer was lost: a job may exist all the same.", "warning")])
        else:
            lines.append([("Nothing has been sent, no credits are locked.", "foreground")])

        def answered(yes: bool | None) -> None:
            if yes:
                self._withdraw(items)

        title = f"Withdraw {one_line(_name(items), 40) or 'this submit'}?"
        self.push_screen(Confirm(title, lines, yes="Withdraw it"), answered)

    def _withdraw(self, items: Sequence[Queued]) -> None:
        if self._sending_queue:
            self.tell("It is being sent just now.", "queue", severity="warning")
            return
        found: tuple[Queued, ...] = ()
        try:
            with self.state.outbox.sending() as mine:
                if mine:
                    found = self.state.outbox.remove(*(each.key for each in items))
        except OSError as error:
            self.report(error, "queue")
            return
        self.state.touch()
        name = one_line(_name(items), 40) or "The submit"
        if not found:
            self.tell(f"{name} has been sent meanwhile.", "queue", severity="warning")
        elif len(found) < len(items):
            sent = f"{len(items) - len(found)} of {len(items)} jobs were sent meanwhile"
            self.tell(f"{name}: {sent}, the others are withdrawn.", "queue", severity="warning")
        else:
            self.tell(f"{name} is withdrawn.", "queue")


def _name(items: Sequence[Queued]) -> str:
    """What a submit is called; a sweep by its title and group, as the jobs view calls it."""
    member = membership(items[0].name) if items[0].group else None
    return f"{member.title} {member.group}" if member is not None else one_line(items[0].name, 40)
