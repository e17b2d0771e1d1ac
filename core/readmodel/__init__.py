"""What a client knows of the grid between two starts: a SQLite file per account and grid.

The chain stays the truth. The read model is a copy of the account's jobs that can be
searched, sorted and counted at once; it may be deleted at any time and is then read anew.
"""

from __future__ import annotations

from dsq.core.readmodel.filters import FIELDS, Filter, parse_filter
from dsq.core.readmodel.model import Anchor, GroupTotals, Order, ReadModel
from dsq.core.readmodel.place import read_model_path

__all__ = [
    "FIELDS",
    "Anchor",
    "Filter",
    "GroupTotals",
    "Order",
    "ReadModel",
    "parse_filter",
    "read_model_path",
]
