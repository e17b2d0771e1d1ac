"""What the service remembers of scripts: the port that every store keeps."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from dsq.core.errors import TryAgainError, UsageError
from dsq.core.model import Address
from dsq.sbatch.service.sealing import Sealer

IDEMPOTENCY_SECONDS = 24 * 3600.0
"""How long a repeated submit gets the first one's answer."""

MAX_NONCES = 100_000
"""Most unanswered challenges; the oldest go first."""


@dataclass(frozen=True, slots=True)
class StoredScript:
    """A script and whose it is.

    Attributes:
        owner: The customer who signed the submit, or the customer of the first job on chain
            that names the script; None while neither is known.
        signed: The submit was signed.
        secrets: Values for the job's environment only.
        submitted: Unix seconds.
    """

    key: str
    text: str = field(repr=False)
    owner: Address | None
    signed: bool
    submitted: float
    secrets: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class IdempotentSubmit:
    """A submit that may be repeated.

    Attributes:
        scope: Whose keys these are.
        key: The client's name for the submit.
        fingerprints: Digests of what was submitted, as the service's keys make them; the
            first one is kept.
    """

    scope: str
    key: str
    fingerprints: tuple[bytes, ...]

    def must_be(self, kept: bytes) -> None:
        """Compares with the digest that was kept for the same key.

        Raises:
            IdempotencyError: That was of something else.
        """
        if kept not in self.fingerprints:
            raise IdempotencyError(
                "This Idempotency-Key was used for another workflow in the last 24 hours.",
                hint="Take a new key for each submit.",
            )


@dataclass(frozen=True, slots=True)
class ScriptUse:
    """A script with the jobs that use it, for the clean-up.

    Attributes:
        submitted: Unix seconds.
        jobs: Job ids on chain, with the Unix seconds at which their end was noticed (0: not).
    """

    key: str
    submitted: float
    jobs: dict[int, float]


class IdempotencyError(UsageError):
    """The same ``Idempotency-Key`` came with another workflow."""


class StoreUnavailableError(TryAgainError):
    """The store does not answer."""


def seal_script(sealer: Sealer, script: StoredScript) -> bytes:
    """What is kept of a script's content."""
    content = json.dumps({"text": script.text, "secrets": script.secrets}).encode()
    return sealer.seal(content, script.key.encode())


def open_script(
    sealer: Sealer, key: str, sealed: bytes, *, owner: bytes, signed: bool, submitted: float
) -> StoredScript:
    """A script from what was kept of it.

    Args:
        owner: 20 bytes, or none.
    """
    content = json.loads(sealer.unseal(sealed, key.encode()))
    return StoredScript(
        key=key,
        text=content["text"],
        owner=Address(owner) if owner else None,
        signed=signed,
        submitted=submitted,
        secrets=content["secrets"],
    )


class ScriptStore(Protocol):
    """Where scripts, challenges and the view of the chain are kept."""

    async def put(self, script: StoredScript, submit: IdempotentSubmit | None = None) -> str:
        """Keeps a script. A repeated submit keeps nothing.

        Returns:
            The key of the script kept: for a repeat the first one's.

        Raises:
            IdempotencyError: The submit's key was used for something else.
        """
        ...

    async def earlier(self, submit: IdempotentSubmit, now: float) -> str | None:
        """The answer that a submit got before, if it is a repeat.

        Raises:
            IdempotencyError: Its key was used for something else.
        """
        ...

    async def get(self, key: str) -> StoredScript | None:
        """The script of that key."""
        ...

    async def has(self, keys: Iterable[str]) -> set[str]:
        """Those of ``keys`` that are kept."""
        ...

    async def record_job(self, key: str, job_id: int, customer: Address) -> None:
        """Notes that a job on chain names a script. The first one owns an unsigned script;
        a job of another customer than the owner changes nothing."""
        ...

    async def first_job(self, key: str) -> int | None:
        """The lowest job id noted for a script."""
        ...

    async def uses(self) -> list[ScriptUse]:
        """All scripts with their jobs."""
        ...

    async def mark_ended(self, job_ids: Iterable[int], now: float) -> None:
        """Notes when jobs were first seen to have ended."""
        ...

    async def forget_jobs(self, job_ids: Iterable[int] | None = None) -> None:
        """Drops what was noted of jobs (all: None), owners of unsigned scripts included."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Removes scripts and what hangs on them."""
        ...

    async def cursor(self) -> int | None:
        """The last job id whose definition was looked at; None before the first look."""
        ...

    async def set_cursor(self, job_id: int) -> None:
        """Keeps :meth:`cursor`."""
        ...

    async def add_nonce(self, nonce: str, expires: float) -> None:
        """Keeps a challenge until ``expires`` (Unix seconds)."""
        ...

    async def take_nonce(self, nonce: str, now: float) -> bool:
        """Takes a challenge out; True if it was there and has not expired."""
        ...

    async def close(self) -> None:
        """Ends the use of the store."""
        ...
