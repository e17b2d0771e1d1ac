"""How much one address may ask: requests a minute, and streams at once."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import unquote

from dsq.sbatch.service.settings import Network

MAX_ADDRESSES = 100_000
"""So many addresses are remembered; the one that was quiet the longest is forgotten first."""

IPV6_PREFIX = 64
"""Who has one IPv6 address has its whole network: all of it counts as one."""

UNKNOWN = "unknown"


class Budget(Protocol):
    """Requests that addresses may still make (token buckets)."""

    async def take(self, address: str, *, cost: int = 1) -> float:
        """Takes a request from an address's budget.

        Args:
            cost: 0 only asks whether one is left.

        Returns:
            0.0, or the seconds until one is left.
        """
        ...


class NoLimit:
    """A budget that never ends."""

    async def take(self, address: str, *, cost: int = 1) -> float:  # noqa: ARG002
        return 0.0


class LocalBudget:
    """Token buckets in this process.

    Args:
        per_minute: Requests a minute, and as many at once.
        monotonic: A clock in seconds.
    """

    def __init__(self, per_minute: int, monotonic: Clock) -> None:
        self._size = float(per_minute)
        self._rate = per_minute / 60.0
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def take(self, address: str, *, cost: int = 1) -> float:
        now = self._monotonic()
        left, at = self._buckets.pop(address, (self._size, now))
        left = min(self._size, left + (now - at) * self._rate)
        allowed = left >= 1.0
        self._buckets[address] = (left - cost if allowed else left, now)
        while len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._rate


class Clock(Protocol):
    """Seconds that only grow."""

    def __call__(self) -> float: ...


class StreamLimit:
    """Counts open streams, all and by address."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._open: Counter[str] = Counter()
        self.total = 0

    def enter(self, address: str) -> bool:
        """Counts a stream in; False if there are too many."""
        if self.total >= self._most or self._open[address] >= self._most_of_one:
            return False
        self.total += 1
        self._open[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Counts a stream out."""
        self.total -= 1
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]


class Addresses:
    """Tells who asks, behind proxies as well.

    Args:
        trusted: Networks of proxies whose ``X-Forwarded-For`` is believed.
    """

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def of(self, peer: str, forwarded: str = "") -> str:
        """The address that counts for limits.

        Args:
            peer: Address of the connection.
            forwarded: All ``X-Forwarded-For`` fields, joined by commas. It is read from its
                end, as far as trusted proxies wrote it.
        """
        address = peer
        hops = [hop.strip() for hop in forwarded.split(",")] if forwarded else []
        while hops and self.is_trusted(address):
            address = hops.pop() or address
        return _bucket(address)

    def is_trusted(self, address: str) -> bool:
        """Tells whether an address is a trusted proxy's."""
        return is_within(address, self._trusted)


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Tells whether an address lies in one of some networks."""
    try:
        parsed = _parse(address)
    except ValueError:
        return False
    return any(parsed.version == net.version and parsed in net for net in networks)


def grpc_peer(peer: str) -> str:
    """The address in what gRPC says of a connection (``ipv4:1.2.3.4:5``, ``ipv6:[::1]:5``)."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return UNKNOWN
    return rest.rpartition(":")[0].strip("[]")


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    parsed = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped
    return parsed


def _bucket(address: str) -> str:
    try:
        parsed = _parse(address)
    except ValueError:
        # Whoever writes nonsense shares one budget with all who do.
        return UNKNOWN
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))
    return str(parsed)
