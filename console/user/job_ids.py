"""Numbers of jobs in rising order, found by bisection: eight bytes a job."""

from __future__ import annotations

import bisect
from array import array


def place_of(ids: array[int], job_id: int) -> int | None:
    """Where a number stands; None if it does not."""
    at = bisect.bisect_left(ids, job_id)
    return at if at < len(ids) and ids[at] == job_id else None


def add(ids: array[int], job_id: int) -> None:
    """Puts a number that is not there yet where it belongs, mostly at the end."""
    at = bisect.bisect_left(ids, job_id) if ids and ids[-1] > job_id else len(ids)
    ids.insert(at, job_id)


def keep(ids: array[int], job_id: int, *, wanted: bool) -> None:
    """Lets a number be there, or not be there, whatever was before."""
    at = place_of(ids, job_id)
    if wanted and at is None:
        add(ids, job_id)
    elif not wanted and at is not None:
        del ids[at]
