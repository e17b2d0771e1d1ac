"""The nodes of a cluster as a map: one cell group a node, lettered and coloured by state. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dsq.console.widgets.lines import Line
from dsq.console.widgets.safe import fit, one_line
from dsq.supervisor.snapshot import NodeRow


@dataclass(frozen=True)
class NodeState:
    """How a state of a node is shown.

    Attributes:
        word: How Slurm's word for it begins.
        glyph: One cell, another one for each.
        colour: Name of the theme's variable.
        letter: Its letter in the map.
    """

    word: str
    glyph: str
    colour: str
    letter: str


NODE_STATES = (
    NodeState("idle", "○", "success", "i"),
    NodeState("mixed", "◑", "status-running", "m"),
    NodeState("allocated", "●", "status-placed", "a"),
    NodeState("completing", "◑", "status-placed", "c"),
    NodeState("planned", "◷", "status-pending", "p"),
    NodeState("drain", "▼", "warning", "D"),
    NodeState("reserved", "‖", "warning", "R"),
    NodeState("maint", "‖", "warning", "M"),
    NodeState("down", "×", "error", "X"),
)
OTHER = NodeState("other", "!", "error", "?")

LETTERS = 8
"""Cells for the parts of a node that are in use."""


def node_state(row: NodeRow) -> NodeState:
    """How the state of a node is shown."""
    word = row.state.lower()
    # Slurm joins a state with what is to become of the node: "idle+drain".
    for part in ("drain", "down", "maint"):
        if part in word:
            word = part
    return next((each for each in NODE_STATES if word.startswith(each.word)), OTHER)


def used_parts(row: NodeRow, cells: int = LETTERS) -> int:
    """How many of ``cells`` parts of a node are in use; one at least if anything is."""
    busy = max(0, row.cpus - row.free_cpus) if node_state(row).word != "down" else 0
    return min(cells, max(1, round(busy / row.cpus * cells))) if busy else 0


def map_lines(nodes: Sequence[NodeRow], width: int, height: int) -> list[Line]:
    """The map with a line that explains it; nothing when it does not fit or there are no nodes.

    A node is its name, the letter of its state, and its CPUs in use: ``█`` where jobs of the grid
    run (perhaps beside others), ``▒`` where only others do, ``·`` free.
    """
    if not nodes:
        return []
    name = min(16, max(len(row.name) for row in nodes))
    cell = name + 1 + 2 + LETTERS + 2
    across = max(1, width // cell)
    if -(-len(nodes) // across) > height:
        return []
    lines: list[Line] = []
    for start in range(0, len(nodes), across):
        line: list[tuple[str, str]] = []
        for row in nodes[start : start + across]:
            line += _node(row, name)
        lines.append(line)
    counts = Counter(node_state(row) for row in nodes)
    states = [
        (f"{state.letter} {state.glyph} {state.word} {counts[state]}  ", state.colour)
        for state in (*NODE_STATES, OTHER)
        if counts[state]
    ]
    return [*lines, [*states, ("█ with jobs of the grid  ▒ others only  · free CPUs", "muted")]]


def _node(row: NodeRow, name: int) -> list[tuple[str, str]]:
    state = node_state(row)
    busy, grid = used_parts(row), row.grid_jobs > 0
    return [
        (fit(one_line(row.name, 60), name) + " ", "foreground"),
        (f"{state.letter} ", f"bold {state.colour}"),
        (("█" if grid else "▒") * busy, "primary" if grid else "muted"),
        ("·" * (LETTERS - busy) + "  ", "faint"),
    ]
