"""What SQLite says of a disk that does not do its work."""

from __future__ import annotations

import sqlite3

REMEDY = "Make room on its disk; if there is room, the disk itself fails."

_PRIMARY = 0xFF
"""The part of SQLite's code that names the kind of error."""


def is_disks_fault(error: sqlite3.Error) -> bool:
    """Whether a file could not be used because its disk is full or fails, not because of what is
    in the file."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
