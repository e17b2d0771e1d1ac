"""Amounts of credits that are typed into dialogs."""

from __future__ import annotations

from dsq.console.user.state import ConsoleState
from dsq.console.widgets.words import credits_text
from dsq.core.errors import UsageError
from dsq.core.units import parse_credits


def amount_problem(text: str, state: ConsoleState) -> str:
    """Why the typed amount will not do; "" if it will, or if nothing is typed yet."""
    if not text.strip():
        return ""
    try:
        wei = parse_credits(text)
    except UsageError as error:
        return str(error)
    if wei == 0:
        return "Nothing would be given."
    if state.balance is not None and wei > state.balance.balance_wei:
        return f"The wallet holds {credits_text(state.balance.balance_wei)} credits."
    return ""
