"""What can go wrong with SSH, on real servers: deaths, silence, wrong keys, few sessions, jumps."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from dsq.core.errors import UnreachableError
from dsq.supervisor.scheduler import ssh
from dsq.supervisor.scheduler.ssh import LoginRefused, SshTransport
from tests.support.clusters import connect
from tests.support.sshd import SshServer, sshd

pytestmark = pytest.mark.sshd


@pytest.fixture(scope="module")
def server(folder: Path, account: str) -> Iterator[SshServer]:
    """A server of these tests alone."""
    with sshd(folder / "ssh-faults", account) as running:
        yield running


@pytest.fixture
async def line(server: SshServer) -> AsyncIterator[SshTransport]:
    made = connect(server)
    yield made
    await made.close()


def sessions(server: SshServer) -> list[psutil.Process]:
    """The server's processes that serve connections."""
    return psutil.Process(server.pid).children(recursive=True)


async def test_a_server_that_is_killed_leaves_the_outcome_open(
    server: SshServer, line: SshTransport
) -> None:
    """kill -9 of the connection's server in the middle of a command; the next one gets through."""
    await line.run(["true"])
    running = asyncio.create_task(line.run(["sleep", "20"]))
    await asyncio.sleep(0.4)
    for process in sessions(server):
        if "sshd" in process.name():
            process.kill()
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="broke"):
        await running
    assert time.monotonic() - began < 2
    assert (await line.run(["echo", "back"])).stdout == b"back\n"
    assert line.stats.connects == 2


async def test_a_connection_that_falls_silent_is_given_up(
    server: SshServer, line: SshTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP: the command's time passes, the connection gets one chance, and a new one is made."""
    monkeypatch.setattr(ssh, "GRACE", 0.5)
    monkeypatch.setattr(ssh, "ALIVE_SECONDS", 0.5)
    await line.run(["true"])
    first = line._connection
    stopped = [process for process in sessions(server) if "sshd" in process.name()]
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(UnreachableError, match="no answer"):
            await line.run(["true"], timeout=0.5)
        deadline = time.monotonic() + 5
        while line._connection is first and first is not None and not first.is_closed():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert (await line.run(["echo", "new"])).stdout == b"new\n"
        assert line._connection is not first
    finally:
        for process in stopped:
            if process.is_running():
                process.send_signal(signal.SIGCONT)


async def test_a_slow_command_does_not_cost_the_connection(
    line: SshTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine answers, only this program does not: other commands go on."""
    monkeypatch.setattr(ssh, "GRACE", -0.7)  # the line's own patience ends first
    other = asyncio.create_task(line.run(["sleep", "2"], timeout=10))
    await line.run(["true"], timeout=10)
    first = line._connection
    with pytest.raises(UnreachableError):
        await line.run(["sleep", "5"], timeout=1)
    assert (await other).returncode == 0
    assert line._connection is first


async def test_a_server_that_takes_connections_and_says_nothing(server: SshServer) -> None:
    """Its listener is stopped: the login has a time limit, and the next call fails at once."""
    line = connect(server, connect_timeout=1.0)
    process = psutil.Process(server.pid)
    process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="No SSH connection"):
            await line.run(["true"])
        assert time.monotonic() - began < 4
        began = time.monotonic()
        with pytest.raises(UnreachableError):
            await line.run(["true"])
        assert time.monotonic() - began < 0.2
    finally:
        process.send_signal(signal.SIGCONT)
    await asyncio.sleep(1.1)
    assert (await line.run(["echo", "1"])).stdout == b"1\n"
    await line.close()


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_a_server_with_few_sessions_gets_few(folder: Path, account: str, most: int) -> None:
    """Twenty commands and a file at once all come through, also where one session is allowed."""
    with sshd(folder / f"few-{most}", account, extra=[f"MaxSessions {most}"]) as server:
        line = connect(server)
        path = folder / "some-data"
        path.write_text("0123456789")
        path.chmod(0o644)
        assert await line.read(str(path), 2, 3) == b"234"
        done = await asyncio.wait_for(
            asyncio.gather(*(line.run(["echo", str(n)]) for n in range(20))), 30
        )
        assert [each.stdout for each in done] == [f"{n}\n".encode() for n in range(20)]
        assert await line.read(str(path), 5, 3) == b"567"
        assert line.stats.connects == 1
        await line.close()


async def test_a_server_without_sessions_is_an_error(folder: Path, account: str) -> None:
    """Not a wait for ever."""
    with sshd(folder / "none", account, extra=["MaxSessions 0"]) as server:
        line = connect(server)
        with pytest.raises(UnreachableError, match="opens no session"):
            await asyncio.wait_for(line.run(["true"]), 20)
        await line.close()


def pinned(server: SshServer, **options: object) -> SshTransport:
    return SshTransport(
        "127.0.0.1",
        port=server.port,
        user=server.user,
        **{"identity_file": server.identity, **options},
    )


async def test_a_host_key_can_stand_in_the_settings(server: SshServer) -> None:
    """The right one lets commands through; another one stops everything, and says which."""
    line = pinned(server, host_key=server.host_key)
    assert (await line.run(["echo", "in"])).stdout == b"in\n"
    await line.close()
    other = " ".join((server.folder / "identity.pub").read_text().split()[:2])
    with pytest.raises(UnreachableError, match="cluster.host_key"):
        await pinned(server, host_key=other).run(["true"])


async def test_a_refused_key_is_an_answer(server: SshServer) -> None:
    """Certain, unlike silence: nothing was done there; again at once while it is not retried."""
    line = pinned(server, host_key=server.host_key, identity_file=server.folder / "host")
    for _ in range(2):
        with pytest.raises(LoginRefused, match="none of the keys"):
            await line.run(["true"])
    assert line.stats.connect_failures == 1


@pytest.fixture
def locked_key(server: SshServer, tmp_path: Path) -> Iterator[Path]:
    """A key with a passphrase that the server takes."""
    path = tmp_path / "locked"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-a", "4", "-N", "open sesame", "-f", path],
        check=True,
    )
    allowed = server.folder / "authorized_keys"
    before = allowed.read_text()
    allowed.write_text(before + path.with_suffix(".pub").read_text())
    yield path
    allowed.write_text(before)


async def test_a_key_with_a_passphrase_is_opened_by_its_file(
    server: SshServer, locked_key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the file, or with a wrong one, the message says what to do; no passphrase shows."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    secret = tmp_path / "passphrase"
    secret.write_text("open sesame\n")
    options = {"host_key": server.host_key, "identity_file": locked_key}
    line = pinned(server, passphrase_file=secret, **options)
    assert (await line.run(["echo", "in"])).stdout == b"in\n"
    await line.close()
    with pytest.raises(UnreachableError, match="identity_passphrase_file"):
        await pinned(server, **options).run(["true"])
    secret.write_text("close sesame\n")
    with pytest.raises(UnreachableError) as caught:
        await pinned(server, passphrase_file=secret, **options).run(["true"])
    assert "sesame" not in str(caught.value)


async def test_a_key_may_be_open_in_an_agent(
    server: SshServer, locked_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real ssh-agent has it; the file may be named or not."""
    sock = Path("/tmp") / f"dsq-agent-{secrets.token_hex(4)}"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.DEVNULL)
    try:
        while not sock.exists():
            await asyncio.sleep(0.02)
        ask = locked_key.with_name("askpass")
        ask.write_text("#!/bin/sh\necho 'open sesame'\n")
        ask.chmod(0o700)
        env = {**os.environ, "SSH_AUTH_SOCK": str(sock), "SSH_ASKPASS": str(ask)}
        env |= {"SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "none"}
        subprocess.run(["ssh-add", "-q", locked_key], env=env, check=True, capture_output=True)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        for identity in (locked_key, None):
            line = pinned(server, host_key=server.host_key, identity_file=identity)
            assert (await line.run(["echo", "in"])).stdout == b"in\n"
            await line.close()
    finally:
        agent.kill()
        agent.wait()
        sock.unlink(missing_ok=True)


async def test_a_jump_host_of_the_ssh_config_is_used(
    server: SshServer, folder: Path, account: str, tmp_path: Path
) -> None:
    """Two servers: the second is reached through the first, both host keys are verified."""
    with sshd(folder / "jump", account) as jump:
        known = tmp_path / "known"
        known.write_text(jump.known_hosts.read_text() + server.known_hosts.read_text())
        config = tmp_path / "config"
        config.write_text(
            f"Host gate\n  HostName 127.0.0.1\n  Port {jump.port}\n  User {account}\n"
            f"  IdentityFile {jump.identity}\n  UserKnownHostsFile {known}\n"
            f"Host inner\n  HostName 127.0.0.1\n  Port {server.port}\n  User {account}\n"
            f"  IdentityFile {server.identity}\n  UserKnownHostsFile {known}\n"
            "  ProxyJump gate\n"
        )
        line = SshTransport("inner", ssh_config=config)
        done = await line.run(["sh", "-c", 'echo "$SSH_CONNECTION"'])
        assert done.stdout.decode().split()[3] == str(server.port)
        log = (jump.folder / "sshd.log").read_text()
        assert "Accepted publickey" in log
        await line.close()
        known.write_text(server.known_hosts.read_text())  # the jump host is unknown now
        with pytest.raises(UnreachableError, match="known_hosts"):
            await SshTransport("inner", ssh_config=config).run(["true"])


@pytest.mark.parametrize(
    ("extra", "cipher"),
    [((), "aes128-gcm@openssh.com"), (("Ciphers aes256-ctr",), "aes256-ctr")],
    ids=["usual", "no GCM"],
)
async def test_the_cheapest_cipher_that_the_server_has(
    folder: Path, account: str, extra: tuple[str, ...], cipher: str
) -> None:
    """AES-GCM where the server has it, for it costs the least; else what both know."""
    with sshd(folder / f"ssh-cipher-{len(extra)}", account, extra=extra) as server:
        line = connect(server)
        try:
            assert (await line.run(["echo", "in"])).stdout == b"in\n"
            assert line._connection is not None
            assert line._connection.get_extra_info("send_cipher") == cipher
        finally:
            await line.close()
