"""What all tests of screens share."""

from __future__ import annotations

import pytest
from textual.widgets import Input, TextArea

from tests.support.still import make_still


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing depends on how long something took, or on the phase of a blinking cursor.

    Keys cost nothing to open.
    """
    make_still(monkeypatch)
    monkeypatch.setattr("dsq.core.wallet.SCRYPT_N", 2)
    for widget in (Input, TextArea):
        monkeypatch.setattr(widget.cursor_blink, "_default", False)
