"""The table of states, of which pictures are taken, leaves no screen out."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from textual.screen import Screen

import dsq.console
from dsq.console.dialogs.base import Dialog
from dsq.console.provider.screens.base import ProviderFrame
from dsq.console.provider.screens.filtering import FilteredFrame
from dsq.console.provider.screens.tables import TableView
from dsq.console.user.screens.base import ViewScreen
from dsq.console.user.screens.job_actions import JobActions
from dsq.console.user.screens.logs import LogKeys
from dsq.console.user.screens.submit_sending import SubmitSending
from dsq.console.user.screens.workflow_source import WorkflowSource
from dsq.console.widgets.frame import Frame
from dsq.console.widgets.notices_view import NoticesFrame
from tests.screens.table import SHOWN_BY, STATES

BASES = {
    Dialog, FilteredFrame, Frame, JobActions, LogKeys, NoticesFrame, ProviderFrame, SubmitSending,
    TableView, ViewScreen, WorkflowSource,
}  # fmt: skip
"""What other screens are made of."""


def screens() -> set[type[Screen[object]]]:
    """All screens and dialogs of both consoles."""
    for module in pkgutil.walk_packages(dsq.console.__path__, "dsq.console."):
        if "__main__" not in module.name:
            importlib.import_module(module.name)

    def below(kind: type[Screen[object]]) -> Iterator[type[Screen[object]]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    found = {each for each in below(Screen) if each.__module__.startswith("dsq.")}
    return found - BASES  # type: ignore[operator]


def test_every_screen_and_dialog_has_a_picture() -> None:
    """Each class of a screen is in front of a state; taking its picture checks that it is."""
    found = {each.__name__ for each in screens()}
    assert len(found) > 20
    assert set(SHOWN_BY) == found
    assert set(SHOWN_BY.values()) <= set(STATES)
