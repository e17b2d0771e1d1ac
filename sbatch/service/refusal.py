"""How gRPC calls end that are not served, and the guard around every handler."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import grpc

from dsq.core.errors import DsqError, NotFoundError, UnreachableError
from dsq.sbatch.service.store import StoreUnavailableError

log = logging.getLogger("dsq.sbatch.service.grpc")

CHAIN_SECONDS = 8.0
"""How long the chain may take: supervisors wait 10 s in all."""


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A call that is answered with a status.

    Args:
        status: A ``grpc.StatusCode``.
        reason: One sentence for the caller; holds no secret.
    """

    def __init__(self, status: Any, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def unauthenticated(reason: str) -> Refused:
    """The caller is not who he says, or may not have what he asks for."""
    return Refused(grpc.StatusCode.UNAUTHENTICATED, reason)


def forbidden(reason: str) -> Refused:
    """The caller is known and may not."""
    return Refused(grpc.StatusCode.PERMISSION_DENIED, reason)


def malformed(reason: str) -> Refused:
    """The request makes no sense."""
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, reason)


def not_found(reason: str) -> Refused:
    """What was asked for is not there."""
    return Refused(grpc.StatusCode.NOT_FOUND, reason)


def of_chain(error: DsqError) -> Refused:
    """What a failed question to the chain means for the caller."""
    if isinstance(error, StoreUnavailableError):
        return Refused(grpc.StatusCode.UNAVAILABLE, "The store does not answer; try again.")
    if isinstance(error, NotFoundError):
        return not_found(error.message)
    if not isinstance(error, UnreachableError):
        log.warning("chain query failed error=%s", type(error).__name__)
    return Refused(grpc.StatusCode.UNAVAILABLE, "The chain cannot be asked now; try again.")


@contextlib.asynccontextmanager
async def asking_the_chain() -> AsyncIterator[None]:
    """Bounds the time of what asks the chain; a fault of the chain becomes a refusal.

    Raises:
        Refused: The chain failed, has no such thing, or took over :data:`CHAIN_SECONDS`.
    """
    try:
        async with asyncio.timeout(CHAIN_SECONDS):
            yield
    except DsqError as error:
        raise of_chain(error) from error
    except TimeoutError as error:
        raise Refused(
            grpc.StatusCode.UNAVAILABLE, "The chain does not answer; try again."
        ) from error


async def end_call(context: Any, error: Exception) -> NoReturn:
    """Ends a call with the status that ``error`` means. Never shows more than that.

    Anything but a :class:`Refused` is a fault of the service: its kind is logged, its text
    is not, since it may hold what the caller sent.
    """
    if isinstance(error, Refused):
        await context.abort(error.status, error.reason)
    if isinstance(error, StoreUnavailableError):
        log.warning("store not asked error=%s", error.message)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "The store does not answer; try again.")
    log.error("call failed error=%s", type(error).__name__, exc_info=_trace_of(error))
    await context.abort(grpc.StatusCode.INTERNAL, "The service failed; its log says where.")
    raise AssertionError("abort raises")


def _trace_of(error: Exception) -> Any:
    # The places without the message.
    blank = RuntimeError(type(error).__name__)
    return (RuntimeError, blank, error.__traceback__)
