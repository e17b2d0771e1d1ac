"""What an operator does about providers from the console: approve, ban, unban, remove."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dsq.console.dialogs.confirm import Confirm
from dsq.console.user.port import GridPort, ProposalLike
from dsq.console.user.provider_tables import offer_lines
from dsq.console.user.wallet_app import WalletApp
from dsq.console.widgets.lines import Line
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import plural
from dsq.core.model import Provider

WORDS = {
    "approve": ("Approve {}?", "Approve it", "{} is approved."),
    "ban": ("Ban {}?", "Ban it", "{} is banned."),
    "unban": ("End the ban of {}?", "End the ban", "{} is not banned any more."),
    "remove": ("Remove {}?", "Remove it", "{} is removed."),
}
"""What is done -> the question, the button, the sentence afterwards."""


class ProvidersApp(WalletApp):
    """The part of the console about who may be a provider."""

    def admits(self, provider: Provider) -> tuple[str, ...]:
        """What this account may do about a provider, as the chain knows both."""
        if not self.state.may_admit or self.read_only:
            return ()
        known = provider.is_approved or provider.is_waiting
        allowed = {
            "approve": provider.is_waiting and not provider.is_banned,
            "ban": known and not provider.is_banned,
            "unban": provider.is_banned,
            "remove": known,
        }
        return tuple(what for what, may in allowed.items() if may)

    def ask_admit(self, what: str, provider: Provider) -> None:
        """Asks, saying what it means, then does it."""
        if self.offline_refuses(f"to {what} a provider"):
            return
        if what == "approve":
            self.run_worker(self._ask_approve(provider), exit_on_error=False)
            return
        acts: dict[str, Callable[[GridPort], Awaitable[None]]] = {
            "ban": lambda grid: grid.ban(provider.address),
            "unban": lambda grid: grid.unban(provider.address),
            "remove": lambda grid: grid.remove_provider(provider.address),
        }
        self._confirm_admit(what, provider, self._admit_lines(what, provider), acts[what])

    async def _ask_approve(self, provider: Provider) -> None:
        """Shows what was proposed; exactly that is approved."""
        try:
            proposal: ProposalLike = await self.feed.require_grid().proposal(provider.address)
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, "approve")
            return
        digest = proposal.digest
        self._confirm_admit(
            "approve",
            proposal.offer,
            offer_lines(proposal.offer, provider if provider.is_approved else None),
            lambda grid: grid.approve_provider(provider.address, seen=digest),
        )

    def _admit_lines(self, what: str, provider: Provider) -> list[Line]:
        jobs = [job for job in self.state.jobs.hot() if job.provider == provider.address]
        mine = f" {plural(len(jobs), 'of your own jobs', 'of your own jobs')}" if jobs else ""
        texts = {
            "ban": [
                "It gets no more jobs. What it has not claimed goes back to the queue.",
                "Jobs that it runs go on until their end, or until somebody releases them.",
            ],
            "unban": ["It may be given jobs again, as it is."],
            "remove": [
                "It leaves the grid and has to register again to come back."
                if provider.is_approved
                else "What it proposed is dropped; it may propose again.",
                "Jobs that it runs go on until their end, or until somebody releases them.",
            ],
        }[what]
        lines: list[Line] = [[(str(provider.address), "muted")]]
        lines += [[(text, "foreground")] for text in texts]
        if mine and what != "unban":
            lines.append([(f"It has{mine} now.", "warning")])
        return lines

    def _confirm_admit(
        self,
        what: str,
        provider: Provider,
        lines: list[Line],
        act: Callable[[GridPort], Awaitable[None]],
    ) -> None:
        question, button, done = WORDS[what]
        name = one_line(provider.name, 40)

        def answered(yes: bool | None) -> None:
            if yes:
                self.sign(lambda: self.act(self._admit(what, act, done.format(name))))

        harmless = what in ("approve", "unban")
        self.push_screen(
            Confirm(
                question.format(name), lines, yes=button, no="Leave it as it is",
                danger=not harmless,
            ),
            answered,
        )  # fmt: skip

    async def _admit(
        self, what: str, act: Callable[[GridPort], Awaitable[None]], done: str
    ) -> None:
        try:
            await act(self.feed.require_grid())
            await self.feed.refresh_providers()
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, what)
            return
        self.tell(done, "providers")
