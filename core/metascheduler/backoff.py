"""Whom not to ask for a while: refusals, claims that never came, transactions that failed.

Each further fault doubles the time. Pure: callers say what time it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dsq.core.model import Address

FIRST_SECONDS = 60.0
LONGEST_SECONDS = 3600.0
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0

REFUSED = "refused this job"
UNCLAIMED = "did not claim a job in time"


@dataclass(frozen=True, slots=True)
class Fault:
    """How often it happened, and until when (Unix seconds) it holds."""

    count: int
    until: float
    what: str


def _again(
    before: Fault | None,
    now: float,
    what: str,
    *,
    first: float = FIRST_SECONDS,
    longest: float = LONGEST_SECONDS,
) -> Fault:
    count = before.count + 1 if before else 1
    # The exponent is bounded before the power is: a provider may fail for years.
    return Fault(count, now + min(first * 2 ** min(count - 1, 16), longest), what)


class BackOff:
    """Remembers refusals by job and provider, providers that do not claim, failed sends."""

    def __init__(self) -> None:
        self._failures: dict[int, Fault] = {}
        self._refusals: dict[int, dict[Address, Fault]] = {}
        self._providers: dict[Address, Fault] = {}

    def refused(self, job_id: int, provider: Address, now: float, what: str = REFUSED) -> None:
        """A provider handed a job back: it does not get this job for a while."""
        by_provider = self._refusals.setdefault(job_id, {})
        by_provider[provider] = _again(by_provider.get(provider), now, what)

    def unclaimed(self, job_id: int, provider: Address, now: float) -> None:
        """A provider let a job lie: it gets no job at all for a while."""
        self.refused(job_id, provider, now, UNCLAIMED)
        self._providers[provider] = _again(self._providers.get(provider), now, UNCLAIMED)

    def failed(self, job_id: int, now: float) -> None:
        """A job's placement could not be sent: it is not tried again for some seconds."""
        self._failures[job_id] = _again(
            self._failures.get(job_id),
            now,
            "failed",
            first=FIRST_RETRY_SECONDS,
            longest=LONGEST_RETRY_SECONDS,
        )

    def placed(self, job_id: int) -> None:
        """A job's placement is on chain: failed sends are forgotten."""
        self._failures.pop(job_id, None)

    def held(self, job_id: int, now: float) -> bool:
        """Whether it is too early to try a job's placement again."""
        fault = self._failures.get(job_id)
        return fault is not None and fault.until > now

    def claimed(self, provider: Address) -> None:
        """A provider claims again: what it let lie is forgotten."""
        self._providers.pop(provider, None)

    def forget(self, job_id: int) -> None:
        """A job ended: nobody will be asked for it again."""
        self._refusals.pop(job_id, None)
        self._failures.pop(job_id, None)

    def reason(self, job_id: int, provider: Address, now: float) -> str:
        """Why a provider is not asked for a job now, or ""."""
        for fault in (self._refusals.get(job_id, {}).get(provider), self._providers.get(provider)):
            if fault is not None and fault.until > now:
                again = datetime.fromtimestamp(fault.until, UTC)
                return f"{fault.what}: it is asked again at {again:%H:%M:%S} UTC"
        return ""

    def is_clear(self, job_id: int) -> bool:
        """Whether no refusal of this job is remembered, held or past."""
        return job_id not in self._refusals

    def next_end(self, now: float) -> float | None:
        """When the next of the faults that hold now stops to hold."""
        ends = [fault.until for fault in self._faults() if fault.until > now]
        return min(ends, default=None)

    def _faults(self) -> Iterator[Fault]:
        for by_provider in self._refusals.values():
            yield from by_provider.values()
        yield from self._providers.values()
        yield from self._failures.values()

    def to_json(self) -> dict[str, object]:
        """What a restart must remember; :meth:`from_json` reads it."""
        return {
            "refusals": [
                [job_id, provider.lower, fault.count, fault.until, fault.what]
                for job_id, by_provider in sorted(self._refusals.items())
                for provider, fault in sorted(by_provider.items())
            ],
            "providers": [
                [provider.lower, fault.count, fault.until]
                for provider, fault in sorted(self._providers.items())
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BackOff:
        """Reads what :meth:`to_json` wrote."""
        found = cls()
        for job_id, provider, count, until, what in data["refusals"]:
            fault = Fault(int(count), float(until), str(what))
            found._refusals.setdefault(int(job_id), {})[Address.parse(provider)] = fault
        for provider, count, until in data["providers"]:
            found._providers[Address.parse(provider)] = Fault(int(count), float(until), UNCLAIMED)
        return found
