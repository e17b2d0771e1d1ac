"""The notices view of dsq-provider."""

from __future__ import annotations

from dsq.console.provider.screens.base import ProviderFrame
from dsq.console.widgets.notices_view import NoticesFrame


class NoticesView(NoticesFrame, ProviderFrame):
    """Errors and warnings of the screen, to be read again."""

    VIEW = "Notices"
