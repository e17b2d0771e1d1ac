"""Operators let providers in and keep them out; nobody else is offered that."""

from __future__ import annotations

import dataclasses

from dsq.core.errors import ContractError
from dsq.core.model import Address, Label, ProviderPrices
from dsq.core.units import CREDIT
from tests.support.console import WIDE, jobs_shown
from tests.support.fake_grid import GAIA, FakeGrid, provider, some_jobs

AION = Address(b"\x22" * 20)


def grid(**options: bool) -> FakeGrid:
    made = FakeGrid(**{"operator": True, **options}).add(*some_jobs())
    made.propose(provider(AION, "aion", nodes=3))
    return made


async def test_approves_what_is_proposed() -> None:
    """The question shows the offer; the table shows the new standing at once."""
    made = grid()
    async with jobs_shown(made, size=WIDE) as robot:
        await robot.press("3")
        await robot.sees("◷ WAITING", "aion", "a approve")
        await robot.press("a")
        await robot.sees("Approve aion?", "96", "label", "+ zone=eu")
        await robot.press("escape")
        assert made.sent == []
        await robot.press("a", "y")
        await robot.misses("◷ WAITING")
        await robot.sees("aion is approved.")
        assert made.sent == [("approve", AION)]


async def test_a_proposal_that_changes_meanwhile_is_not_approved() -> None:
    """What was not looked at is not let in."""
    made = grid()
    async with jobs_shown(made, size=WIDE) as robot:
        await robot.press("3", "a")
        await robot.sees("Approve aion?")
        made.propose(provider(AION, "aion", cpu_price=9 * CREDIT))
        await robot.press("y")
        await robot.sees("approve failed", "has changed")
        assert made.sent == []


async def test_sees_what_a_new_proposal_changes() -> None:
    """Beside what holds now: prices and labels that change are marked."""
    made = grid()
    gaia = made.known_providers[0]
    dearer = dataclasses.replace(gaia.prices, cpu_per_min=CREDIT)
    labels = (*gaia.labels, Label("gpu", "h100"))
    made.propose(dataclasses.replace(gaia, prices=dearer, labels=labels))
    async with jobs_shown(made, size=WIDE) as robot:
        await robot.press("3", "j")
        await robot.sees("Has proposed other data")
        await robot.press("a")
        await robot.sees("Approve gaia?", "0.05 → 1.00", "+ gpu=h100", "takes the place of")
        await robot.press("y")
        await robot.sees("gaia is approved.")
    assert isinstance(dearer, ProviderPrices)
    assert made.known_providers[0].prices == dearer


async def test_bans_and_ends_the_ban() -> None:
    """The question says what becomes of its jobs; only what makes sense is offered."""
    made = grid()
    async with jobs_shown(made, size=WIDE) as robot:
        await robot.press("3", "j")
        await robot.sees("b ban")
        await robot.press("b")
        await robot.sees("Ban gaia?", "It gets no more jobs.", "It has 2 of your own jobs now.")
        await robot.press("y")
        await robot.sees("∅ BANNED", "gaia is banned.", "u unban")
        assert "b ban" not in robot.text
        await robot.press("u", "y")
        await robot.misses("∅ BANNED")
        await robot.press("x")
        await robot.sees("Remove gaia?", "has to register again")
        await robot.press("y")
        await robot.sees("gaia is removed.")
        assert made.sent == [("ban", GAIA), ("unban", GAIA), ("remove", GAIA)]


async def test_a_refusal_is_told() -> None:
    """The contract's sentence among the notices; the table stays as it was."""
    made = grid()
    made.fail["ban"] = ContractError("The provider is banned already.")
    async with jobs_shown(made, size=WIDE) as robot:
        await robot.press("3", "j", "b", "y")
        await robot.sees("ban failed", "The provider is banned already.", "● OPEN")


async def test_others_are_not_offered_it() -> None:
    """Without the role, or read-only, the keys are not there and do nothing."""
    for made, options in ((grid(operator=False), {}), (grid(), {"read_only": True})):
        async with jobs_shown(made, size=WIDE, **options) as robot:
            await robot.press("3")
            await robot.sees("◷ WAITING")
            assert "approve" not in robot.text
            await robot.press("a", "b", "u", "x", "y")
            assert made.sent == []
