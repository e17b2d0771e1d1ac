"""What the console does with the wallet: its history, transfers, what waits to be collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsq.console.dialogs.confirm import Confirm
from dsq.console.user.jobs_app import JobsApp
from dsq.console.widgets.lines import Line
from dsq.console.widgets.words import credits_text
from dsq.core.contacts import contact_name
from dsq.core.model import Address

if TYPE_CHECKING:
    from dsq.console.dialogs.transfer import Sending

TRANSFER_LAST: Line = [("Nobody can take that back.", "warning")]


class WalletApp(JobsApp):
    """The part of the console about the wallet's money."""

    def read_history(self) -> None:
        """Reads what came into the wallet and what left it."""
        if self.state.link.online:
            self.run_worker(self._read_history(), group="history", exit_on_error=False)

    async def _read_history(self) -> None:
        try:
            await self.feed.refresh_movements()
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, "history")

    def ask_transfer(self) -> None:
        """Asks who gets how much, asks again with everything in one picture, then sends."""
        from dsq.console.dialogs.transfer import Transfer, transfer_lines

        state, contacts = self.state, self.state.contacts

        def named(sending: Sending | None) -> None:
            if sending is None:
                return
            to, wei = sending
            lines = [*transfer_lines(to, wei, state, contacts), TRANSFER_LAST]
            title = f"Send {credits_text(wei)} credits for good?"

            def answered(yes: bool | None) -> None:
                if yes:
                    self.sign(lambda: self.act(self._transfer(to, wei)))

            self.push_screen(Confirm(title, lines, yes="Send them", no="Keep them"), answered)

        if not self.offline_refuses("sending credits"):
            self.push_screen(Transfer(state, contacts), named)

    async def _transfer(self, to: Address, wei: int) -> None:
        try:
            await self.feed.require_grid().transfer(to, wei)
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, "transfer")
            return
        name = contact_name(to, self.state.contacts) or to.short
        self.tell(f"Sent {credits_text(wei)} credits to {name}.", "wallet")
        self.read_history()

    def claim_faucet(self) -> None:
        """Collects what the grid's faucet has promised."""
        if not self.offline_refuses("collecting"):
            self.sign(lambda: self.act(self._collect(faucet=True)))

    def collect_payments(self) -> None:
        """Collects payments that did not go through and wait."""
        if not self.offline_refuses("collecting"):
            self.sign(lambda: self.act(self._collect(faucet=False)))

    async def _collect(self, *, faucet: bool) -> None:
        grid = self.feed.require_grid()
        try:
            wei = await (grid.claim_faucet() if faucet else grid.withdraw_claimable())
            await self.feed.refresh_balance()
        except Exception as error:  # shown, not raised: the console goes on
            self.report(error, "collect")
            return
        source = "the grid's faucet" if faucet else "waiting payments"
        self.tell(f"Collected {credits_text(wei)} credits from {source}.", "wallet")
        self.read_history()
