"""The door to other hosts: what passes, what does not, and what is pinned."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from dsq.core.errors import UnreachableError
from dsq.sbatch.outbound import Outbound, OutboundPolicy, OutboundRefused, is_public, pin

POLICY = OutboundPolicy(hosts=("ghcr.io", "*.docker.io", "git.example.org:8443"))


@pytest.mark.parametrize(
    "url",
    [
        "https://ghcr.io/v2/",
        "https://GHCR.io./v2/",
        "https://auth.docker.io/token?a=b",
        "https://a.b.docker.io:443/",
        "https://git.example.org:8443/x",
    ],
)
def test_hosts_of_the_list_are_asked(url: str) -> None:
    """By name in any case, below a pattern, and at the port that the list names."""
    assert POLICY.target(url).tls


@pytest.mark.parametrize(
    "url",
    [
        "http://ghcr.io/",
        "https://ghcr.io:444/",
        "https://ghcr.io.evil.org/",
        "https://evilghcr.io/",
        "https://docker.io/",
        "https://evildocker.io/",
        "https://git.example.org/",
        "https://user:word@ghcr.io/",
        "https://ghcr.io@evil.org/",
        "https://evil.org#@ghcr.io/",
        "https://evil.org\\@ghcr.io/",
        "file:///etc/passwd",
        "gopher://ghcr.io/",
        "https:///x",
        "https://[::1",
        "https://ghcr.io:99999/",
        "https://ghcr.\uff49o/",
        "https://ghcr.io/" + "x" * 5000,
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    """Other hosts, ports and schemes, and addresses that two readers read differently."""
    with pytest.raises(OutboundRefused) as caught:
        POLICY.target(url)
    assert "word" not in str(caught.value)


def test_an_empty_list_switches_requests_off() -> None:
    """Which the refusal says."""
    with pytest.raises(OutboundRefused, match="outbound requests are off"):
        OutboundPolicy().target("https://ghcr.io/")


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "2002:101:101::1"])
def test_public_addresses(address: str) -> None:
    """Addresses of the Internet, also inside of IPv6 ones."""
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
        *("2002:7f00:1::1", "2002:a00:1::1", "nonsense"),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    """Loopback, private, link-local, shared, multicast and reserved ones, in any disguise."""
    assert not is_public(address)


async def test_one_private_address_is_enough_to_refuse_a_host() -> None:
    """A name that resolves to both would otherwise be asked by chance."""

    async def both(host: str, port: int) -> list[str]:
        return ["1.1.1.1", "127.0.0.1"]

    with pytest.raises(OutboundRefused, match="not public"):
        await pin(POLICY.target("https://ghcr.io/"), both)


async def test_an_unknown_host_is_unreachable() -> None:
    """Not an error of the policy."""

    async def none(host: str, port: int) -> list[str]:
        raise OSError

    with pytest.raises(UnreachableError):
        await pin(POLICY.target("https://ghcr.io/"), none)


Answer = Callable[[str, dict[str, str]], bytes]
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A real HTTP server on loopback; ``answer`` makes the reply of path and headers."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Who does not like the certificate goes without a word.
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            writer.write(answer(head[0].split()[1], headers))
            await writer.drain()

    async with listening(handle, tls) as port:
        yield port


@asynccontextmanager
async def listening(handle: Handle, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on loopback; its connections end with it, not some turns of the loop later."""
    server: Any = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]
    async with asyncio.timeout(5):
        while server._active_count:
            await asyncio.sleep(0)


def reply(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def allowing(port: int, **limits: float) -> OutboundPolicy:
    """A policy that allows the server of the test, by two names."""
    hosts = (f"inside.test:{port}", f"other.test:{port}")
    return OutboundPolicy(hosts=hosts, private_hosts=hosts, **limits)  # type: ignore[arg-type]


async def loopback(host: str, port: int) -> list[str]:
    """Every name is this machine."""
    return ["127.0.0.1"]


async def test_a_request_keeps_its_name_and_gets_its_answer() -> None:
    """The connection goes to the pinned address, the header names the host."""
    seen: list[dict[str, str]] = []

    def answer(path: str, headers: dict[str, str]) -> bytes:
        seen.append(headers)
        return reply(path.encode(), "404 Not Found", www_authenticate="Bearer")

    async with served(answer) as port, Outbound(allowing(port), lookup=loopback) as outbound:
        got = await outbound.get(f"http://inside.test:{port}/a?b=c#d", headers={"Accept": "x/y"})
    assert (got.status, got.body, got.headers["www-authenticate"]) == (404, b"/a?b=c", "Bearer")
    assert (seen[0]["host"], seen[0]["accept"]) == (f"inside.test:{port}", "x/y")


async def test_redirects_pass_the_same_door() -> None:
    """A host that is not on the list is not reached by a detour."""

    def answer(path: str, headers: dict[str, str]) -> bytes:
        return reply(b"", "302 Found", location="http://127.0.0.1:22/")

    async with served(answer) as port, Outbound(allowing(port), lookup=loopback) as outbound:
        with pytest.raises(OutboundRefused, match="not one of the hosts"):
            await outbound.get(f"http://inside.test:{port}/")


async def test_credentials_stay_with_their_host() -> None:
    """They go along with a redirect to the same host, not to another one."""
    seen: list[tuple[str, bool]] = []

    def answer(path: str, headers: dict[str, str]) -> bytes:
        seen.append((path, "authorization" in headers))
        port = headers["host"].partition(":")[2]
        follow = {"/": "/2", "/2": f"http://other.test:{port}/3"}.get(path)
        return reply(b"", "307 Temporary Redirect", location=follow) if follow else reply(b"ok")

    async with served(answer) as port, Outbound(allowing(port), lookup=loopback) as outbound:
        headers = {"Authorization": "Bearer t"}
        got = await outbound.get(f"http://inside.test:{port}/", headers=headers)
    assert got.body == b"ok"
    assert seen == [("/", True), ("/2", True), ("/3", False)]


async def test_redirects_come_to_an_end() -> None:
    """After a few there is an error."""

    def answer(path: str, headers: dict[str, str]) -> bytes:
        return reply(b"", "302 Found", location="/again")

    async with served(answer) as port, Outbound(allowing(port), lookup=loopback) as outbound:
        with pytest.raises(OutboundRefused, match="more than 3 times"):
            await outbound.get(f"http://inside.test:{port}/")


async def test_answers_have_a_size() -> None:
    """A longer one is dropped; a compressed one is too, as its length says nothing."""

    def answer(path: str, headers: dict[str, str]) -> bytes:
        assert headers["accept-encoding"] == "identity"
        return reply(b"x" * 101) if path == "/" else reply(b"x", content_encoding="gzip")

    async with (
        served(answer) as port,
        Outbound(allowing(port, max_bytes=100), lookup=loopback) as outbound,
    ):
        with pytest.raises(OutboundRefused, match="more than 100 bytes"):
            await outbound.get(f"http://inside.test:{port}/")
        with pytest.raises(OutboundRefused, match="compressed"):
            await outbound.get(f"http://inside.test:{port}/gzip")


async def test_answers_have_a_time() -> None:
    """A host that says nothing is given up."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with (
        listening(silent) as port,
        Outbound(allowing(port, seconds=0.05), lookup=loopback) as outbound,
    ):
        with pytest.raises(UnreachableError, match="did not answer within"):
            await outbound.get(f"http://inside.test:{port}/")


async def test_a_name_is_resolved_for_each_request() -> None:
    """A host that moves to a private address between two requests is refused."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])

    async def moving(host: str, port: int) -> list[str]:
        return next(answers)

    def answer(path: str, headers: dict[str, str]) -> bytes:
        return reply(b"ok")

    async with served(answer) as port:
        hosts = (f"inside.test:{port}",)
        async with Outbound(
            OutboundPolicy(hosts=hosts, private_hosts=hosts), lookup=moving
        ) as outbound:
            assert (await outbound.get(f"http://inside.test:{port}/")).status == 200
        with pytest.raises(OutboundRefused, match="not public"):
            await pin(POLICY.target("https://ghcr.io/"), moving)


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server of that name shows, and what a client trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=str(folder / "cert.pem"))


async def test_certificates_are_checked_for_the_name(tmp_path: Path) -> None:
    """The connection goes to an address, the certificate must be the name's all the same."""
    server_side, trust = certificate(tmp_path, "inside.test")

    def answer(path: str, headers: dict[str, str]) -> bytes:
        return reply(headers["host"].encode())

    async with (
        served(answer, server_side) as port,
        Outbound(allowing(port), verify=trust, lookup=loopback) as outbound,
    ):
        got = await outbound.get(f"https://inside.test:{port}/")
        assert got.body == f"inside.test:{port}".encode()
        with pytest.raises(UnreachableError, match="certificate"):
            await outbound.get(f"https://other.test:{port}/")
