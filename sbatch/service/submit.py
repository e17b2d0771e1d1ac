"""A submit: check the workflow, make its script, keep it."""

from __future__ import annotations

import asyncio
import logging
import time
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
from dsq.sbatch.service.metrics import Metrics
from dsq.sbatch.service.prepare import Preparation
from dsq.sbatch.service.settings import ServiceSettings
from dsq.sbatch.service.size import check_size, limit_error
from dsq.sbatch.service.store import (
    IdempotencyError,
    IdempotentSubmit,
    ScriptStore,
    StoredScript,
    StoreUnavailableError,
)
from dsq.sbatch.validation import check, validate_module

log = logging.getLogger("dsq.sbatch.service.submit")

WAIT_SECONDS = 300.0
"""How long a worker waits at most; the store and other hosts have their own, shorter limits."""

MAX_SECRET_BYTES = 64 << 10
"""What all secrets of a workflow may have together: they travel in one environment."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who submits.

    Attributes:
        owner: The account that signed the request; None for an unsigned one.
        scope: Whose ``Idempotency-Key`` it is: the account, or the host it came from.
        idempotency_key: The client's name for the submit.
        fingerprints: Digests of the request.
    """

    owner: Address | None
    scope: str
    idempotency_key: str | None = None
    fingerprints: tuple[bytes, ...] = ()

    def submit_named(self, slot: str) -> IdempotentSubmit | None:
        """The repeatable submit at one place of the request."""
        if self.idempotency_key is None:
            return None
        return IdempotentSubmit(self.scope, f"{self.idempotency_key}\n{slot}", self.fingerprints)


class Submissions:
    """Takes workflows for all callers.

    Args:
        render: Makes the batch script of a workflow.
        preparation: Puts in what the workflow needs from elsewhere; None puts nothing in.
    """

    def __init__(
        self,
        store: ScriptStore,
        settings: ServiceSettings,
        clock: Clock,
        render: Callable[[Workflow], str],
        metrics: Metrics | None = None,
        preparation: Preparation | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._render = render
        self._preparation = preparation
        self.metrics = metrics or Metrics()

    def of(self, caller: Caller, loop: asyncio.AbstractEventLoop) -> CallerOperations:
        """The operations of one request, to be called on another thread than ``loop``'s."""
        return CallerOperations(self, caller, loop)

    def checked(self, job: dict[str, Any]) -> Workflow:
        """Checks a job.

        Raises:
            DomainError: It is not valid or too large.
        """
        check_size(job, self._settings)
        workflow, problems = check(Workflow, job)
        if workflow is None:
            raise DomainError(
                [(each.graphql_message, dict(each.extensions())) for each in problems]
            )
        return workflow

    def completion_of(self, workflow: Workflow) -> Coroutine[Any, Any, Workflow] | None:
        """What gives the workflow with all that it needs from elsewhere; None if it needs
        nothing. It raises DomainError when something is not there."""
        if self._preparation is None or not self._preparation.is_needed(workflow):
            return None
        return self._preparation.complete(workflow)

    def script_of(self, workflow: Workflow) -> str:
        """Renders a workflow.

        Raises:
            DomainError: It cannot be rendered, or its script is too long.
        """
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

    async def keep(
        self,
        script: str,
        secrets: dict[str, str],
        caller: Caller,
        submit: IdempotentSubmit | None,
    ) -> str:
        """Keeps a script; returns its key."""
        stored = StoredScript(
            key=new_key(),
            text=script,
            owner=caller.owner,
            signed=caller.owner is not None,
            submitted=self._clock.now(),
            secrets=secrets,
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

    def submit(self, job: dict[str, Any], secrets: list[dict[str, str]] | None, slot: str) -> str:
        """Keeps the script of a job, or gives the answer that the same submit got before."""
        metrics = self._submissions.metrics
        began = time.perf_counter()
        try:
            key, result = self._submit(job, secrets or [], self._caller.submit_named(slot))
        except DomainError as error:
            kind = str(error.errors[0][1].get("type", "internal")) if error.errors else "internal"
            metrics.submits.labels(kind).inc()
            log.info("submit refused type=%s errors=%d", kind, len(error.errors))
            raise
        except Exception:
            metrics.submits.labels("internal").inc()
            raise
        metrics.submits.labels(result).inc()
        metrics.submit_seconds.observe(time.perf_counter() - began)
        return key

    def _submit(
        self,
        job: dict[str, Any],
        secrets: list[dict[str, str]],
        submit: IdempotentSubmit | None,
    ) -> tuple[str, str]:
        on = self._submissions
        try:
            if submit is not None:
                known = self._wait(on.earlier(submit))
                if known is not None:
                    return known, "repeated"
            workflow = on.checked(job)
            values = secret_values(workflow, secrets, is_signed=self._caller.owner is not None)
            # Each wait costs two changes of thread.
            if (completion := on.completion_of(workflow)) is not None:
                workflow = self._wait(completion)
            script = on.script_of(workflow)
            return self._wait(on.keep(script, values, self._caller, submit)), "kept"
        except IdempotencyError as error:
            raise DomainError([(str(error), {"type": "idempotency"})]) from error
        except StoreUnavailableError as error:
            raise DomainError(
                [(str(error), {"type": "internal", "code": "UNAVAILABLE"})]
            ) from error

    def validate(self, module: dict[str, Any]) -> str:
        """Checks a module: "valid", or one line a broken rule."""
        problems = validate_module(module)
        return "\n".join(each.original_message for each in problems) or "valid"

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(timeout=WAIT_SECONDS)


def secret_values(
    workflow: Workflow, given: list[dict[str, str]], *, is_signed: bool
) -> dict[str, str]:
    """The values of a workflow's secrets by name.

    Raises:
        DomainError: One is missing, nobody asked for it, it comes twice or is too long; or
            nobody signed, so that the script would be the first comer's.
    """
    named = [secret.name for secret in workflow.secrets or ()]
    values = {each["name"]: each["value"] for each in given}
    if (named or given) and not is_signed:
        raise _secret_error("A workflow with secrets is submitted with the customer's signature.")
    if len(values) != len(given):
        raise _secret_error("Each secret has one value.")
    for name in values:
        if name not in named:
            raise _secret_error(f"The workflow names no secret {name[:64]!r}.")
    for name in named:
        if name not in values:
            raise _secret_error(f"The secret {name} has no value.")
    if sum(len(value.encode()) for value in values.values()) > MAX_SECRET_BYTES:
        raise limit_error(f"The secrets have more than {MAX_SECRET_BYTES} bytes together.")
    if any("\0" in value for value in values.values()):
        raise _secret_error("A secret is text without NUL characters.")
    return values


def _secret_error(message: str) -> DomainError:
    field = "Secrets"
    return DomainError(
        [(message, {"type": "validation", "tag": "secret", "namespace": f"Job.{field}",
                    "field": field, "original_message": message})]
    )  # fmt: skip
