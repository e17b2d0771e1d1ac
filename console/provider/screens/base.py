"""What every view of dsq-provider shows around its middle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsq.console.provider.view import (
    MODE_WORDS,
    approval_text,
    connection_spans,
    head_text,
)
from dsq.console.widgets.bars import Part
from dsq.console.widgets.frame import Frame
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import duration_text
from dsq.supervisor.snapshot import AgentSnapshot

if TYPE_CHECKING:
    from dsq.console.provider.app import ProviderApp

VIEWS = ("Jobs", "Cluster", "Prices", "Transactions", "Log", "Notices")
"""The views, in the order of their number keys."""

SHORT_BELOW = 110
"""Width below which the services are marks only."""


class ProviderFrame(Frame):
    """A full screen of dsq-provider."""

    VIEWS = VIEWS
    VIEW = "Jobs"

    @property
    def provider_app(self) -> ProviderApp:
        """The app, by its own type."""
        app: ProviderApp = self.app  # type: ignore[assignment]
        return app

    @property
    def snapshot(self) -> AgentSnapshot | None:
        """The last look at the supervisor; None before the first."""
        return self.provider_app.snapshot

    def top_parts(self) -> list[Part]:
        app, snapshot = self.provider_app, self.snapshot
        parts = [Part((("dsq-provider", "bold $primary"),), rank=9)]
        if snapshot is None:
            return [*parts, Part(((app.progress, "$warning"),))]
        words, colour = approval_text(snapshot)
        # The settings' name, else the one on chain; the snapshot has the address for neither.
        known = snapshot.provider.name if snapshot.provider is not None else snapshot.name
        name = one_line(known if snapshot.name == snapshot.address.short else snapshot.name, 20)
        parts.append(Part(((f"{name} ", "bold $foreground"), (words, f"${colour}"))))
        details = {
            "chain": head_text(snapshot, self.moment),
            "cluster": one_line(snapshot.slurm_version.removeprefix("slurm "), 10),
        }
        for rank, connection in enumerate(snapshot.connections, 4):
            detail = details.get(connection.name, "")
            spans = connection_spans(connection, detail, short=self.size.width < SHORT_BELOW)
            # A service that is down must not be the one that does not fit.
            parts.append(Part(spans, rank=0 if connection.ok is False else rank))
        parts.append(Part((self._arming(),), right=True))
        return parts

    def _arming(self) -> tuple[str, str]:
        left = self.provider_app.armed_for
        if left > 0:
            return f" ARMED {duration_text(left)} ", "bold $background on $error"
        return "UNARMED (A)", "$muted"

    def tab_badges(self) -> dict[str, str]:
        unread = self.provider_app.notices_unread
        return {"Notices": f"({unread})"} if unread else {}

    def tab_note(self) -> str:
        if self.snapshot is None:
            return ""
        return MODE_WORDS.get(self.snapshot.mode, (str(self.snapshot.mode), ""))[0]

    def banner_text(self) -> str:
        return self.provider_app.banner
