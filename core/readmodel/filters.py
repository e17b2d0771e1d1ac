"""The filter language of jobs, for screens and commands. Pure: text becomes a SQL condition.

Words are joined by *and*: ``status:running gpu !test`` keeps running jobs that have ``gpu``
but not ``test`` somewhere in their id, name, provider, status or error. ``field:value`` looks
into one field, ``a|b`` takes either, ``cost>50`` compares, ``~`` begins a regular expression,
``!`` turns a word round, quotes hold blanks together. docs/console.md describes it for users.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dsq.core.errors import UsageError, close_matches
from dsq.core.model import JobStatus

STATUS_ALIASES: Mapping[str, JobStatus] = {
    **{status.name.casefold(): status for status in JobStatus},
    "placed": JobStatus.META_SCHEDULED,
}
"""What a status may be called in a filter: its name on chain, or the shorter one on screens."""

STATUS_GROUPS: Mapping[str, tuple[JobStatus, ...]] = {
    "hot": tuple(status for status in JobStatus if status.is_hot),
    "open": tuple(status for status in JobStatus if status.is_hot),
    "waiting": tuple(status for status in JobStatus if status < JobStatus.RUNNING),
    "ended": tuple(status for status in JobStatus if status.is_final),
    "bad": tuple(status for status in JobStatus if status > JobStatus.FINISHED),
}
"""Words that stand for several states."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_NUMBER = re.compile(r"\d+(\.\d+)?$")
_DURATION = re.compile(r"(\d+(\.\d+)?)([smhdw])$")
_COMPARE = re.compile(r"(?P<field>\w+)(?P<op><=|>=|!=|=|<|>)(?P<value>.+)$")

_TEXT_FIELDS = {
    "name": "instr(name, ?)",
    "error": "instr(error, ?)",
    "uses": "instr(uses, ?)",
    "group": "grp = ?",
    "provider": "provider IN (SELECT address FROM providers WHERE instr(hay, ?))",
}
_NUMBERS = {
    "id": "id", "exit": "exit_code", "gpus": "gpus", "cpus": "cpus",
    "mem": "mem", "cost": "cost", "locked": "locked",
}  # fmt: skip
_DURATIONS = {
    "age": "(:now - submit)",
    "ran": "(CASE WHEN start = 0 THEN NULL WHEN end = 0 THEN :now - start ELSE end - start END)",
    "waited": "(CASE WHEN start = 0 THEN :now - submit ELSE start - submit END)",
}

FIELDS = ("status", *_TEXT_FIELDS, *_NUMBERS, *_DURATIONS)
"""Fields that a filter may name."""

Term = tuple[str, tuple[object, ...]]
"""A SQL condition and what its question marks stand for."""


@dataclass(frozen=True)
class Filter:
    """A parsed filter.

    Attributes:
        text: What was typed.
        where: A condition on a row of the read model's ``jobs``; ``:now`` in it is Unix seconds.
        values: What its question marks stand for.
        moves: The condition depends on the time, so jobs come and go without an event.
    """

    text: str
    where: str
    values: tuple[object, ...]

    def __bool__(self) -> bool:
        return bool(self.text)

    @property
    def moves(self) -> bool:
        return ":now" in self.where


NO_FILTER = Filter("", "1", ())
"""Keeps every job."""


def parse_filter(text: str) -> Filter:
    """Reads a filter.

    Args:
        text: What was typed; blank keeps every job.

    Raises:
        UsageError: An unknown field or status (names the close match), a wrong value, a
            regular expression that cannot be read.
    """
    terms = [_word(word) for word in _words(text)]
    if not terms:
        return NO_FILTER
    where = " AND ".join(f"({condition})" for condition, _ in terms)
    return Filter(text.strip(), where, tuple(value for _, values in terms for value in values))


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.commenters, lexer.escape, lexer.quotes = True, "", "", '"'
    try:
        return list(lexer)
    except ValueError:
        raise UsageError(
            "A quote in the filter is not closed.", hint='Write "two words".'
        ) from None


def _word(word: str) -> Term:
    if word.startswith("!") and len(word) > 1 and word[1] != "=":
        condition, values = _word(word[1:])
        # What is unknown (NULL) does not match, so its opposite does.
        return f"NOT coalesce(({condition}), 0)", values
    if word.startswith("~") and len(word) > 1:
        return "regexp(?, hay || ' ' || " + _PROVIDER_TEXT + ")", (_regular(word[1:]),)
    compared = _COMPARE.match(word)
    head = word.partition(":")[0]
    if compared and ":" not in head[: compared.start("op")]:
        return _comparison(compared["field"].lower(), compared["op"], compared["value"], word)
    if ":" in word:
        field, _, value = word.partition(":")
        return _field(field.lower(), value)
    needle = word.casefold()
    return "instr(hay, ?) OR " + _TEXT_FIELDS["provider"], (needle, needle)


_PROVIDER_TEXT = "coalesce((SELECT hay FROM providers WHERE address = provider), '')"


def _known(field: str) -> str:
    if field not in FIELDS:
        raise UsageError(
            f"There is no field '{field}' to filter by.{close_matches(field, FIELDS)}",
            hint=f"Fields: {', '.join(FIELDS)}.",
        )
    return field


def _field(field: str, value: str) -> Term:
    _known(field)
    if field == "status":
        return _either(value, _status)
    if field in _NUMBERS or field in _DURATIONS:
        return _either(value, lambda each: _comparison(field, "=", each, f"{field}:{value}"))
    if value.startswith("~") and len(value) > 1:
        column = {"group": "grp", "provider": _PROVIDER_TEXT}.get(field, field)
        return f"regexp(?, {column})", (_regular(value[1:]),)
    return _either(value, lambda each: (_TEXT_FIELDS[field], (each.casefold(),)))


def _either(value: str, term: Callable[[str], Term]) -> Term:
    terms = [term(each) for each in value.split("|")]
    where = " OR ".join(condition for condition, _ in terms)
    return where, tuple(each for _, values in terms for each in values)


def _status(value: str) -> Term:
    word = value.casefold().replace("-", "_")
    if word in ("", "*"):
        return "1", ()
    wanted = STATUS_GROUPS.get(word) or tuple(
        {status for name, status in STATUS_ALIASES.items() if name.startswith(word)}
    )
    if not wanted:
        known = [*STATUS_GROUPS, *STATUS_ALIASES]
        raise UsageError(f"There is no status '{value}'.{close_matches(word, known)}")
    return f"status IN ({', '.join(str(int(status)) for status in sorted(wanted))})", ()


def _comparison(field: str, op: str, value: str, word: str) -> Term:
    _known(field)
    if field in _DURATIONS:
        found = _DURATION.match(value)
        if found is None:
            raise UsageError(
                f"'{word}' compares with '{value}', which is no duration.",
                hint="Write a number and s, m, h, d or w, as in age<2d.",
            )
        return f"{_DURATIONS[field]} {op} ?", (float(found[1]) * _SECONDS[found[3]],)
    if field not in _NUMBERS:
        raise UsageError(
            f"'{field}' cannot be compared with '{op}'.",
            hint=f"Write {field}:{value}, or compare one of {', '.join((*_NUMBERS, *_DURATIONS))}.",
        )
    if field == "id" and value[:2].lower() == "0x":
        value = _hex_id(value)
    if not _NUMBER.match(value):
        raise UsageError(f"'{word}' compares with '{value}', which is no number.")
    return f"{_NUMBERS[field]} {op} ?", (float(value) if "." in value else int(value),)


def _hex_id(value: str) -> str:
    """A ``0x`` id as a decimal number; 0, which no job has, if it is beyond SQLite's integers."""
    try:
        number = int(value, 16)
    except ValueError:
        return value
    return str(number if number < 1 << 63 else 0)


def _regular(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(f"'{pattern}' is no regular expression: {error}.") from None
    return pattern
