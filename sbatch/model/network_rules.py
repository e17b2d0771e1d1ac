"""The rules of values that name places in a network: hosts, addresses, ranges, URLs.

They are rules like those of :mod:`dsq.sbatch.model.rules`. Patterns match the whole text.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dsq.sbatch.model.rules import Rule


@dataclass(frozen=True, slots=True)
class Hostname(Rule):
    """A host by name, and a port if it has one of its own; no address.

    The name begins with a letter, ends with a letter or digit, has single dots, and its
    first label has two characters or more. The reference's pattern accepts the same
    names but may take for ever on a long one, and no port.
    """

    tag = "hostname"

    def words(self) -> str:
        return "be the name of a host, as in 'ghcr.io' or 'registry.example.org:5000'"

    def holds(self, value: Any) -> bool:
        value, colon, port = value.partition(":")
        if colon and not _is_port(port):
            return False
        if re.fullmatch(r"[a-zA-Z][a-zA-Z0-9.-]*[a-zA-Z0-9]", value, re.ASCII) is None:
            return False
        return ".." not in value and value[1] != "."


def _is_port(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) is not None and 1 <= int(text) <= 65535


_HOST_LABELS = r"[a-zA-Z0-9][a-zA-Z0-9-]{0,62}(?:\.[a-zA-Z0-9][a-zA-Z0-9-]{0,62})*"
_HOST = re.compile(_HOST_LABELS, re.ASCII)
_FQDN = re.compile(_HOST_LABELS + r"\.[a-zA-Z][a-zA-Z0-9]{0,62}\.?", re.ASCII)


@dataclass(frozen=True, slots=True)
class HostnamePort(Rule):
    """``host:port``; the host may be empty, IPv6 literals are refused."""

    tag = "hostname_port"

    def words(self) -> str:
        return "be a host and a port, as in 'example.org:443'"

    def holds(self, value: Any) -> bool:
        host, colon, port = value.rpartition(":")
        if not colon or not _is_port(port):
            return False
        return not host or _HOST.fullmatch(host) is not None


@dataclass(frozen=True, slots=True)
class Ip(Rule):
    """An IPv4 or IPv6 address."""

    tag = "ip"

    def words(self) -> str:
        return "be an IP address"

    def holds(self, value: Any) -> bool:
        return _is_ip(value)


@dataclass(frozen=True, slots=True)
class IpOrFqdn(Rule):
    """An IP address or a name with a dot."""

    tag = "ip|fqdn"

    def words(self) -> str:
        return "be an IP address or a full host name such as 'bore.example.org'"

    def holds(self, value: Any) -> bool:
        return _is_ip(value) or _FQDN.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Cidr(Rule):
    """An address and a prefix length; host bits may be set."""

    tag = "cidr"

    def words(self) -> str:
        return "be an address with a prefix length, as in '10.0.0.2/24'"

    def holds(self, value: Any) -> bool:
        address, slash, prefix = value.partition("/")
        if not slash or re.fullmatch(r"0|[1-9][0-9]{0,2}", prefix, re.ASCII) is None:
            return False
        if "%" in address or not _is_ip(address):
            return False
        return int(prefix) <= ipaddress.ip_address(address).max_prefixlen


@dataclass(frozen=True, slots=True)
class Url(Rule):
    """An absolute URL with a host, of one of ``schemes`` (any when there are none).

    The reference takes ``javascript:`` and ``file:`` too; what is never fetched
    anyway is refused here.
    """

    schemes: tuple[str, ...] = ("http", "https")
    tag = "url"

    def words(self) -> str:
        shown = " or ".join(f"{scheme}://" for scheme in self.schemes)
        return f"be a URL with {shown}" if shown else "be a URL"

    def holds(self, value: Any) -> bool:
        if re.search(r"[\x00-\x20\x7f]", value):
            return False
        try:
            parts = urlsplit(value)
        except ValueError:
            return False
        known = not self.schemes or parts.scheme.lower() in self.schemes
        return known and bool(parts.scheme and parts.netloc)


def _is_ip(text: str) -> bool:
    """Parseable as Go's ``net.ParseIP`` does: no zone, no leading zeros."""
    if "%" in text:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
