"""The gate before all handlers: limits of addresses, and what is counted of calls."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence

from starlette.requests import HTTPConnection

from dsq.sbatch.service.limits import Addresses, Budget, StreamLimit, is_within
from dsq.sbatch.service.metrics import Metrics
from dsq.sbatch.service.settings import Network

log = logging.getLogger("dsq.sbatch.service.gate")

FORWARDED = "x-forwarded-for"


class Gate:
    """Decides who may come in.

    Args:
        metrics_allow: Networks that may read the metrics.
    """

    def __init__(
        self,
        budget: Budget,
        streams: StreamLimit,
        addresses: Addresses,
        metrics: Metrics,
        metrics_allow: Sequence[Network] = (),
    ) -> None:
        self._budget = budget
        self._streams = streams
        self._addresses = addresses
        self._metrics = metrics
        self._metrics_allow = tuple(metrics_allow)

    def address(self, peer: str, forwarded: str) -> str:
        """The address that counts for limits."""
        return self._addresses.of(peer, forwarded)

    def http_address(self, connection: HTTPConnection) -> str:
        """The same of an HTTP request."""
        peer = connection.client.host if connection.client else ""
        return self.address(peer, ",".join(connection.headers.getlist(FORWARDED)))

    async def take(self, address: str, *, cost: int = 1) -> float:
        """Takes a request of an address; returns 0.0 or the seconds to wait.

        A store that does not answer lets everybody in: what follows needs it too and says so.
        """
        try:
            wait = await self._budget.take(address, cost=cost)
        except Exception as error:
            log.warning("budget not asked error=%s", type(error).__name__)
            return 0.0
        if wait:
            self._metrics.refused.labels("requests").inc()
        return wait

    @contextlib.contextmanager
    def stream(self, method: str, address: str) -> Iterator[bool]:
        """Counts a stream while it is open; gives False if there are too many."""
        if not self._streams.enter(address):
            self._metrics.refused.labels("streams").inc()
            yield False
            return
        self._metrics.streams.labels(method).inc()
        try:
            yield True
        finally:
            self._metrics.streams.labels(method).dec()
            self._streams.leave(address)

    def may_read_metrics(self, connection: HTTPConnection) -> bool:
        """Tells whether a request may have the metrics.

        Who comes through a proxy that is not trusted could be anybody.
        """
        peer = connection.client.host if connection.client else ""
        forwarded = ",".join(connection.headers.getlist(FORWARDED))
        if not forwarded:
            return is_within(peer, self._metrics_allow)
        if not self._addresses.is_trusted(peer):
            return False
        return is_within(self.address(peer, forwarded), self._metrics_allow)
