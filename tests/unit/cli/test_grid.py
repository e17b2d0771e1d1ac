"""dsq grid."""

from __future__ import annotations

from .conftest import Dsq
from .double import GridDouble


def test_the_grid_at_a_glance(dsq: Dsq, grid: GridDouble) -> None:
    """Chain, nodes, meta-scheduler and totals; every status is in the object."""
    found = dsq("grid", "--json").json
    assert found["metascheduler"] == {
        "status": "ok", "waiting": 2, "placed": 5, "block_number": 1204, "error": "",
    }  # fmt: skip
    assert (found["jobs"]["RUNNING"], found["jobs"]["FAILED"]) == (3, 0)
    assert (found["nodes"], found["cpus"], found["gpus"]) == (1, 8, 2)
    assert found["held_wei"] == str(212 * 10**18)
    text = dsq("grid").out
    for words in ("block 1204, one every 1.0 s", "ok, 2 jobs wait", "3 RUNNING", "node:8545"):
        assert words in text
