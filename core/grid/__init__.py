"""The grid as a user of the library sees it: submit, watch, pay.

    >>> async with await Grid.open(load_grid(home=home), wallet) as grid:
    ...     job = await grid.submit(workflow, parse_credits("100"), name="hello")
    ...     async for state in grid.watch(job.id):
    ...         print(state.status.name)

Amounts are integer wei (1e-18 credit). Reading needs no wallet; everything that
spends or signs does.
"""

from __future__ import annotations

from dsq.core.grid.history import History, Movement
from dsq.core.grid.many import Many, Submission
from dsq.core.grid.money import Balance, Money
from dsq.core.grid.oracle import Oracle, WhyReport
from dsq.core.grid.output import Output
from dsq.core.grid.overview import Look, Overview
from dsq.core.grid.providers import Providers
from dsq.core.grid.scripts import Scripts

__all__ = ["Balance", "Grid", "Movement", "Overview", "Submission", "WhyReport"]


class Grid(Many, Output, Scripts, Money, Providers, Oracle, History, Look):
    """One grid, through one wallet. Open with :meth:`open`, use as a context manager."""
