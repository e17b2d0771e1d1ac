"""The notices view of dsq-console."""

from __future__ import annotations

from dsq.console.user.screens.base import ViewScreen
from dsq.console.widgets.notices_view import NoticesFrame


class NoticesScreen(NoticesFrame, ViewScreen):
    """Errors, warnings and ended jobs, to be read again."""

    VIEW = "Notices"
