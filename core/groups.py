"""Groups of jobs: what was submitted together, told by the names of the jobs alone.

The chain knows single jobs. What makes them a group is their names, which are public: a
random group, the job's number and how many there are (``train#k3x9f2.07/12``). Nothing that
the jobs do is in them. A group belongs to an account: names of other customers never count.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

NAME_BYTES = 32
"""Longest name of a job on chain."""

# No vowels and nothing that looks like something else: no words, nothing to misread.
ALPHABET = "23456789bcdfghjkmnpqrstvwxz"
GROUP_SIGNS = 6
_NAME = re.compile(r"(.*)#([2-9b-z]{6})\.([0-9]{1,4})/([0-9]{1,4})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Membership:
    """What the name of a job says of its group.

    Attributes:
        title: The name that the jobs of the group share.
        group: The group.
        index: The job's number in it, from 1.
        count: How many jobs it has.
    """

    title: str
    group: str
    index: int
    count: int


def new_group() -> str:
    """A name for a group: six signs, about 28 bits; groups of one account are told apart by it."""
    return "".join(secrets.choice(ALPHABET) for _ in range(GROUP_SIGNS))


def is_group(text: str) -> bool:
    """Tells whether a text can name a group."""
    return len(text) == GROUP_SIGNS and set(text) <= set(ALPHABET)


def member_name(title: str, group: str, index: int, total: int) -> str:
    """The name of a job of a group; a long title is cut, at most 32 bytes in all."""
    tail = f"#{group}.{index:0{len(str(total))}d}/{total}"
    room = NAME_BYTES - len(tail)
    return title.encode()[:room].decode(errors="ignore") + tail


def membership(name: str) -> Membership | None:
    """Reads the name of a job; None when it belongs to no group."""
    match = _NAME.fullmatch(name)
    if match is None or not is_group(match[2]):
        return None
    index, total = int(match[3]), int(match[4])
    return Membership(match[1], match[2], index, total) if 1 <= index <= total else None
