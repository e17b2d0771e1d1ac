"""The filter language of the job table. Pure.

Words are joined by *and*: ``status:running gpu !test`` keeps running jobs that have ``gpu``
but not ``test`` somewhere in their id, name, provider, status or error. ``field:value``
looks into one field, ``!`` turns a word round. docs/console.md describes it for users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dsq.console.widgets.words import STATUS_WORDS
from dsq.core.errors import UsageError, close_matches
from dsq.core.model import Address, Job, JobStatus

FIELDS = ("id", "name", "status", "provider", "error", "uses")
"""Fields that ``field:value`` may name."""

STATUS_GROUPS: Mapping[str, Callable[[JobStatus], bool]] = {
    "hot": lambda status: status.is_hot,
    "open": lambda status: status.is_hot,
    "waiting": lambda status: status.is_hot and status is not JobStatus.RUNNING,
    "ended": lambda status: status.is_final,
    "bad": lambda status: status > JobStatus.FINISHED,
}
"""Words that stand for several states."""

ProviderNames = Callable[[Address], str]
Predicate = Callable[[Job], bool]


@dataclass(frozen=True)
class JobFilter:
    """A parsed filter: its text, and the test of a job."""

    text: str
    matches: Predicate

    def __bool__(self) -> bool:
        return bool(self.text)


def parse_filter(text: str, provider_name: ProviderNames) -> JobFilter:
    """Reads a filter.

    Args:
        text: What was typed; blank keeps every job.
        provider_name: The name to show for a provider's address.

    Raises:
        UsageError: An unknown field or status; names the close match.
    """
    tests = [_term(word, provider_name) for word in text.split()]
    return JobFilter(text.strip(), lambda job: all(test(job) for test in tests))


def _term(word: str, provider_name: ProviderNames) -> Predicate:
    if word.startswith("!") and len(word) > 1:
        inner = _term(word[1:], provider_name)
        return lambda job: not inner(job)
    field, colon, value = word.partition(":")
    if not colon:
        return _anywhere(word.casefold(), provider_name)
    if field.lower() not in FIELDS:
        raise UsageError(
            f"There is no field '{field}' to filter by.{close_matches(field, FIELDS)}",
            hint=f"Fields: {', '.join(FIELDS)}.",
        )
    return _field(field.lower(), value.casefold(), provider_name)


def _field(field: str, value: str, provider_name: ProviderNames) -> Predicate:
    if field == "status":
        return _status(value)
    if field == "id":
        return lambda job: value in (str(job.id), job.hex_id)
    if field == "name":
        return lambda job: value in job.name.casefold()
    if field == "provider":
        return lambda job: not job.provider.is_zero and value in _provider_text(job, provider_name)
    if field == "uses":
        return lambda job: any(value in str(label).casefold() for label in job.definition.uses)
    return lambda job: value in job.last_error.casefold()


def _status(value: str) -> Predicate:
    if value in STATUS_GROUPS:
        group = STATUS_GROUPS[value]
        return lambda job: group(job.status)
    if value in ("", "*"):
        return lambda _job: True
    names = {
        shown.word.casefold().replace(" ", "_"): status for status, shown in STATUS_WORDS.items()
    }
    names |= {status.name.casefold(): status for status in JobStatus}
    folded = value.replace("-", "_")
    wanted = {status for name, status in names.items() if name.startswith(folded)}
    if not wanted:
        raise UsageError(
            f"There is no status '{value}'.{close_matches(value, [*STATUS_GROUPS, *names])}"
        )
    return lambda job: job.status in wanted


def _anywhere(needle: str, provider_name: ProviderNames) -> Predicate:
    def test(job: Job) -> bool:
        if needle in job.name.casefold() or needle == str(job.id):
            return True
        status = STATUS_WORDS[job.status].word.casefold()
        if needle in status or needle in job.status.name.casefold():
            return True
        if not job.provider.is_zero and needle in _provider_text(job, provider_name):
            return True
        return bool(job.last_error) and needle in job.last_error.casefold()

    return test


def _provider_text(job: Job, provider_name: ProviderNames) -> str:
    return f"{provider_name(job.provider)} {job.provider.lower}".casefold()
