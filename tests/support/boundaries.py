"""The kinds of moments at which a process can die, and how often each was met.

A boundary's name tells a job or a number (``before sbatch 00a 3f…``); its kinds are what
is left without them. A write of the journal has one kind for each phase that it writes.
"""

from __future__ import annotations

import re

WRITES = ("claimed", "planned", "sent", "seen", "ended", "final", "meta", "top-up")
"""What a write of the journal is about: phases of records, or what lies beside them."""

CALLS = (
    "claimNextJob",
    "claimNextJobs",
    "claimNextCancellingJob",
    "claimNextTopUpJob",
    "refuseJob",
    "reportJobs",
    "providerSetJobStatus",
)
"""What a supervisor sends about jobs."""

KINDS = (
    *(f"{when} journal {what}" for when in ("before", "after") for what in WRITES),
    *(f"{when} tx {call}" for when in ("before", "sent", "mined") for call in CALLS),
    *(
        f"{when} {effect}"
        for when in ("before", "after")
        for effect in ("sbatch", "scancel", "limit", "log", "cursor")
    ),
)
"""Every kind of boundary of journal and effect."""

_CALL = re.compile(r"\w+")


def kinds_of(name: str) -> tuple[str, ...]:
    """The kinds of a boundary.

    Args:
        name: When, what, and which: ``before journal planned,seen 3:submitting``.
    """
    when, what, *rest = name.split(maxsplit=2)
    about = rest[0] if rest else ""
    if what == "journal":
        return tuple(f"{when} journal {part}" for part in about.split()[0].split(","))
    if what == "tx":
        found = _CALL.match(about)
        return (f"{when} tx {found[0] if found else about}",)
    return (f"{when} {what}",)
