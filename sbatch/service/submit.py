"""A submit: check the workflow, make its script, keep it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from dsq.core.clock import Clock
from dsq.core.errors import DsqError
from dsq.core.model import Address
from dsq.sbatch.model import Workflow
from dsq.sbatch.problems import InvalidWorkflow
from dsq.sbatch.service.engine import DomainError
from dsq.sbatch.service.keys import new_key
from dsq.sbatch.service.settings import ServiceSettings
from dsq.sbatch.service.store import (
    IdempotencyError,
    IdempotentSubmit,
    ScriptStore,
    StoredScript,
)
from dsq.sbatch.validation import check, validate_module

log = logging.getLogger("dsq.sbatch.service.submit")

STORE_SECONDS = 30.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who submits.

    Attributes:
        owner: The account that signed the request; None for an unsigned one.
        scope: Whose ``Idempotency-Key`` it is: the account, or the host it came from.
        idempotency_key: The client's name for the submit.
        fingerprint: Digest of the request.
    """

    owner: Address | None
    scope: str
    idempotency_key: str | None = None
    fingerprint: bytes = b""

    def submit_named(self, slot: str) -> IdempotentSubmit | None:
        """The repeatable submit at one place of the request."""
        if self.idempotency_key is None:
            return None
        return IdempotentSubmit(self.scope, f"{self.idempotency_key}\n{slot}", self.fingerprint)


class Submissions:
    """Takes workflows for all callers.

    Args:
        render: Makes the batch script of a workflow.
    """

    def __init__(
        self,
        store: ScriptStore,
        settings: ServiceSettings,
        clock: Clock,
        render: Callable[[Workflow], str],
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._render = render

    def of(self, caller: Caller, loop: asyncio.AbstractEventLoop) -> CallerOperations:
        """The operations of one request, to be called on another thread than ``loop``'s."""
        return CallerOperations(self, caller, loop)

    def script_of(self, job: dict[str, Any]) -> str:
        """Checks a job and renders it.

        Raises:
            DomainError: The job is not valid or too large, or cannot be rendered.
        """
        steps = count_steps(job, self._settings.max_steps)
        if steps > self._settings.max_steps:
            raise limit_error(f"A workflow has at most {self._settings.max_steps} steps here.")
        workflow, problems = check(Workflow, job)
        if workflow is None:
            raise DomainError(
                [(each.graphql_message, dict(each.extensions())) for each in problems]
            )
        try:
            script = self._render(workflow)
        except InvalidWorkflow as error:
            found = [(str(each), each.extensions()) for each in error.details]
            raise DomainError(found) from error
        except DsqError as error:
            raise DomainError([(str(error), {"type": "internal"})]) from error
        if len(script.encode()) > self._settings.max_script_bytes:
            raise limit_error(
                f"The script has more than {self._settings.max_script_bytes} bytes, the limit here."
            )
        return script

    async def earlier(self, submit: IdempotentSubmit) -> str | None:
        """The answer that a repeated submit got before."""
        return await self._store.earlier(submit, self._clock.now())

    async def keep(self, script: str, caller: Caller, submit: IdempotentSubmit | None) -> str:
        """Keeps a script; returns its key."""
        stored = StoredScript(
            key=new_key(),
            text=script,
            owner=caller.owner,
            signed=caller.owner is not None,
            submitted=self._clock.now(),
        )
        key = await self._store.put(stored, submit)
        log.info("script kept signed=%s bytes=%d", stored.signed, len(script))
        return key


class CallerOperations:
    """What the engine may do for one caller."""

    def __init__(
        self, submissions: Submissions, caller: Caller, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._submissions = submissions
        self._caller = caller
        self._loop = loop

    def submit(self, job: dict[str, Any], slot: str) -> str:
        """Keeps the script of a job, or gives the answer that the same submit got before."""
        submit = self._caller.submit_named(slot)
        try:
            if submit is not None:
                known = self._wait(self._submissions.earlier(submit))
                if known is not None:
                    return known
            script = self._submissions.script_of(job)
            return self._wait(self._submissions.keep(script, self._caller, submit))
        except IdempotencyError as error:
            raise DomainError([(str(error), {"type": "idempotency"})]) from error

    def validate(self, module: dict[str, Any]) -> str:
        """Checks a module: "valid", or one line a broken rule."""
        problems = validate_module(module)
        return "\n".join(each.original_message for each in problems) or "valid"

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(timeout=STORE_SECONDS)


def limit_error(message: str) -> DomainError:
    """The workflow is larger than this service takes."""
    return DomainError([(message, {"type": "limit"})])


def count_steps(data: object, limit: int) -> int:
    """Counts the steps of a job at all levels; stops counting above ``limit``.

    Whatever stands in a list under ``steps``, ``catch`` or ``finally`` counts.
    """
    count = 0
    pending = [data]
    while pending and count <= limit:
        current = pending.pop()
        if isinstance(current, list):
            pending += current
        elif isinstance(current, dict):
            for name, value in current.items():
                if name in ("steps", "catch", "finally") and isinstance(value, list):
                    count += len(value)
                pending.append(value)
    return count
