"""The one door to other hosts: which may be asked, at which addresses, for how much, how long.

Registries and modules are named by whoever submits a workflow, so a request to them could be
made to reach what only this machine reaches. A request therefore goes to a host of the list,
over TLS, and to an address that was resolved here, is public, and is the one that is then
connected to: a name that answers otherwise the second time gains nothing. Redirects pass the
same door, never along with credentials of another host. Proxies of the environment are not used.

::

    policy = OutboundPolicy(hosts=("ghcr.io", "*.docker.io"))
    async with Outbound(policy) as outbound:
        reply = await outbound.get("https://ghcr.io/v2/", headers={"accept": "application/json"})
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from dsq.core.closing import Closing
from dsq.core.errors import SettingsError, UnreachableError

MAX_URL = 4096
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OF_ONE_HOST = frozenset({"authorization", "cookie"})


class OutboundRefused(SettingsError):  # noqa: N818 - reads as a word
    """The policy forbids the request, or its answer."""


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """What may be asked.

    Attributes:
        hosts: Hosts that may be asked: ``ghcr.io``, ``*.docker.io`` (all below, not itself),
            ``git.example.org:8443`` (another port than 443). Empty: outbound requests are off.
        private_hosts: Those of ``hosts`` that may lie at private addresses and speak plain
            HTTP, for registries of the site itself; ``host`` or ``host:port``.
        seconds: Longest time for a request, redirects included.
        max_bytes: Longest answer.
        max_redirects: Most redirects of a request.
    """

    hosts: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    seconds: float = 30.0
    max_bytes: int = 4 << 20
    max_redirects: int = 3

    @property
    def is_off(self) -> bool:
        """No host at all may be asked."""
        return not self.hosts

    def target(self, url: str) -> Target:
        """Reads a URL and says where it leads, if it may be asked.

        Raises:
            OutboundRefused: It may not; the message names the host and never the whole URL.
        """
        try:
            parts = urlsplit(url if len(url) <= MAX_URL else "")
            host, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            raise OutboundRefused("An address that cannot be read is not asked.") from None
        tls = parts.scheme == "https"
        if not host or parts.scheme not in ("http", "https") or not host.isascii():
            raise OutboundRefused("Only https:// addresses are asked.")
        if parts.username is not None or parts.password is not None:
            raise OutboundRefused(f"The address at {host} holds a user name; it is not asked.")
        port = port or (443 if tls else 80)
        private = _listed(self.private_hosts, host, port, default=port)
        if not _listed(self.hosts, host, port, default=port if private else 443):
            if self.is_off:
                raise OutboundRefused(
                    f"{host} is not asked: outbound requests are off.",
                    hint="The operator switches them on with a list of hosts.",
                )
            where = host if port == 443 else f"{host}:{port}"
            raise OutboundRefused(
                f"{where} is not one of the hosts that may be asked.",
                hint="The operator can add it to the list of hosts.",
            )
        if not tls and not private:
            raise OutboundRefused(f"{host} is asked over https:// only.")
        return Target(host, port, tls, private)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads.

    Attributes:
        tls: Encrypted.
        private: May lie at a private address.
    """

    host: str
    port: int
    tls: bool
    private: bool

    @property
    def authority(self) -> str:
        """Host and port as the header ``Host`` has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        headers: Names in lower case; of repeated ones the values joined by commas.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Gives the addresses of a host; raises OSError when there are none."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses that the system knows of a host, without repeats."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Tells whether an address belongs to the Internet: not to this machine, a site or a link.

    An IPv6 address that carries an IPv4 one is judged by both.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if not ip.is_global or ip.is_multicast or ip.is_reserved or ip.is_unspecified:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return True
    inner = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64:
        inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return all(each is None or is_public(str(each)) for each in inner)


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


async def pin(target: Target, lookup: Resolve = resolve) -> str:
    """The address to connect to: the first of the host's, all of which must be public.

    Raises:
        OutboundRefused: One of them is not.
        UnreachableError: The host has none.
    """
    try:
        addresses = await lookup(target.host, target.port)
    except (OSError, UnicodeError):
        addresses = []
    if not addresses:
        raise UnreachableError(f"The host {target.host} is not known.")
    if not target.private and not all(map(is_public, addresses)):
        raise OutboundRefused(
            f"{target.host} has an address that is not public; it is not asked.",
            hint="The operator can allow private addresses for a host.",
        )
    return addresses[0]


class Outbound(Closing):
    """Asks other hosts within a policy. Use as a context manager.

    Args:
        verify: Certificates to trust; None takes the system's.
        lookup: Gives the addresses of a host.
    """

    def __init__(
        self,
        policy: OutboundPolicy,
        *,
        verify: ssl.SSLContext | None = None,
        lookup: Resolve = resolve,
    ) -> None:
        import httpx

        self.policy = policy
        self._lookup = lookup
        self._http = httpx.AsyncClient(
            verify=verify or ssl.create_default_context(),
            trust_env=False,
            follow_redirects=False,
            # A kept connection is known by its address: another host there would be taken
            # for the one whose certificate was checked.
            limits=httpx.Limits(max_keepalive_connections=0),
            timeout=policy.seconds,
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Gets a URL, redirects followed; answers of any status are returned.

        Raises:
            OutboundRefused: The policy forbids it, or what it is redirected to; or the answer
                is too long.
            UnreachableError: The host does not answer, or not in time.
        """
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        target = self.policy.target(url)
        try:
            async with asyncio.timeout(self.policy.seconds):
                for _ in range(self.policy.max_redirects + 1):
                    reply = await self._once(url, target, sent)
                    place = reply.headers.get("location")
                    if reply.status not in REDIRECTS or not place:
                        return reply
                    url = urljoin(url, place)
                    further = self.policy.target(url)
                    if target.tls and not further.tls:
                        raise OutboundRefused(f"{target.host} redirects away from https://.")
                    if (further.host, further.port) != (target.host, target.port):
                        sent = {k: v for k, v in sent.items() if k not in _OF_ONE_HOST}
                    target = further
        except TimeoutError:
            raise UnreachableError(
                f"{target.host} did not answer within {self.policy.seconds:g} seconds."
            ) from None
        raise OutboundRefused(
            f"{target.host} redirects more than {self.policy.max_redirects} times."
        )

    async def _once(self, url: str, target: Target, headers: Mapping[str, str]) -> Reply:
        import httpx

        address = await pin(target, self._lookup)
        there = httpx.URL(url).copy_with(
            scheme="https" if target.tls else "http",
            host=address,
            port=target.port,
            fragment=None,
        )
        try:
            async with self._http.stream(
                "GET",
                there,
                headers={**headers, "host": target.authority, "accept-encoding": "identity"},
                extensions={"sni_hostname": target.host} if target.tls else {},
            ) as response:
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise OutboundRefused(f"The answer of {target.host} is compressed.")
                body = await self._body(response.aiter_raw(), target)
                return Reply(response.status_code, dict(response.headers), body)
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"{target.host} does not answer: {str(error) or type(error).__name__}."
            ) from None

    async def _body(self, chunks: AsyncIterator[bytes], target: Target) -> bytes:
        body = bytearray()
        async for chunk in chunks:
            body += chunk
            if len(body) > self.policy.max_bytes:
                raise OutboundRefused(
                    f"The answer of {target.host} has more than {self.policy.max_bytes} bytes."
                )
        return bytes(body)


def _listed(entries: tuple[str, ...], host: str, port: int, *, default: int) -> bool:
    """Tells whether host and port are on a list; an entry without a port means ``default``."""
    for entry in entries:
        name, colon, wanted = entry.lower().rpartition(":")
        if not colon or not wanted.isdecimal():
            name, wanted = entry.lower(), str(default)
        if int(wanted) != port:
            continue
        if name == host.lower() or (name.startswith("*.") and host.lower().endswith(name[1:])):
            return True
    return False
