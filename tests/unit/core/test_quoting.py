"""Shell text arrives byte for byte."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsq.core.errors import UsageError
from dsq.core.quoting import assignments, join, quote

WORDS = st.lists(
    st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",))), max_size=5
)


@settings(max_examples=40, deadline=None)
@given(WORDS)
def test_a_shell_reads_back_what_was_quoted(words: list[str]) -> None:
    """Quotes, newlines, dollars, unicode: all come through, nothing runs."""
    script = f"for word in {join(words)}; do printf '%s\\0' \"$word\"; done"
    out = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    assert out.split(b"\0")[:-1] == [word.encode() for word in words]


def test_what_no_shell_can_carry() -> None:
    """NUL bytes, and keys that are no names."""
    with pytest.raises(UsageError):
        quote("a\0b")
    for key in ("", "1A", "A-B", "A B", "A\nB", "A;id"):
        with pytest.raises(UsageError):
            assignments({key: "x"})
    assert assignments({"A": "b c"}) == "A='b c'"
