"""The printed table of rules: docs/reconciliation.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dsq.supervisor import table
from dsq.supervisor.observe import ALIVE_STATES, LEAVING_STATES, WAITING_STATES
from dsq.supervisor.scheduler.port import ENDED_STATES, LIVE_STATES
from dsq.supervisor.states import BodyState, ChainState
from tests.unit.supervisor.test_decide import LETTERS, cells

PAGE = Path(__file__).parents[3] / "docs" / "reconciliation.md"


def test_the_page_is_what_the_code_prints() -> None:
    """``make docs`` has been run."""
    assert table.renewed(PAGE.read_text()) == PAGE.read_text()


@pytest.mark.parametrize(("chain", "body", "expected"), cells())
def test_a_cell_names_what_is_decided(chain: ChainState, body: BodyState, expected: str) -> None:
    """Each printed cell lists the actions that the tested table has, in their order."""
    printed = table.cell(chain, body)
    words = {letter: table.WORDS.get(kind, "wait") for kind, letter in LETTERS.items()}
    if expected == "-":
        assert printed == "nothing"
        return
    bare = re.sub(r" \([^)]*\)", "", printed)
    parts = [part for part in bare.split(", ") if part != "fetch the script"]
    wanted = [words[letter] for letter in expected]
    found = ["report the end" if part in ENDS else part for part in parts]
    assert found == wanted


ENDS = ("report FAILED", "report PANICKED")


@pytest.mark.parametrize("state", sorted(LIVE_STATES | ENDED_STATES))
def test_each_state_of_slurm_has_a_row(state: str) -> None:
    """The row's kind fits the state, and every end has a status on chain."""
    rows = [row for row in table.slurm_table() if row.startswith(f"| `{state}` |")]
    assert len(rows) == 1
    _, _, body, _, end, _ = (cell.strip() for cell in rows[0].split("|"))
    if state in ENDED_STATES:
        assert body in ("ended", "unrun")
        assert end
    else:
        kinds = {"waiting": WAITING_STATES, "alive": ALIVE_STATES, "leaving": LEAVING_STATES}
        assert state in kinds[body]
        assert not end


def test_every_name_of_the_table_is_explained() -> None:
    """No row or column without its meaning."""
    text = "\n".join(table.states_table())
    for state in (*ChainState, *BodyState):
        assert f"| {state.value} |" in text
