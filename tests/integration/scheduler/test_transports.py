"""What a line must do, on this machine and over SSH; and what can go wrong with SSH."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from dsq.core.errors import SettingsError, UnreachableError
from dsq.supervisor.scheduler.line import Transport
from dsq.supervisor.scheduler.ssh import SshTransport
from dsq.supervisor.scheduler.transport import LocalTransport
from tests.support.clusters import connect
from tests.support.slurm import job_folder
from tests.support.sshd import SshServer, sshd, sshd_program, start

NASTY = ["a b", "'", '"', "$HOME", "`id`", "\\", "*", "", "-n", "\n", "é", ";&|<>(){}[]!#~", "%s"]


@pytest.fixture(scope="module")
def own_server(folder: Path, account: str) -> SshServer:
    """A server of these tests alone, which they may stop."""
    with sshd(folder / "own-sshd", account) as server:
        yield server


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.sshd)])
async def line(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    """Each kind of line in turn."""
    transport: Transport
    if request.param == "local":
        transport = LocalTransport()
    else:
        transport = connect(request.getfixturevalue("own_server"))
    yield transport
    await transport.close()


async def test_arguments_arrive_as_they_were(line: Transport) -> None:
    """No shell on the way changes a word."""
    done = await line.run(["printf", "[%s]", *NASTY])
    assert done.returncode == 0
    assert done.stdout.decode() == "".join(f"[{word}]" for word in NASTY)


async def test_stdin_and_both_streams_are_bytes(line: Transport) -> None:
    """Binary input comes out unchanged; the streams stay apart; the exit code is the program's."""
    data = bytes(range(256)) * 2000
    done = await line.run(["cat"], stdin=data)
    assert done.stdout == data
    done = await line.run(["sh", "-c", "echo out; echo err >&2; exit 41"])
    assert (done.returncode, done.stdout, done.stderr) == (41, b"out\n", b"err\n")


async def test_variables_are_added(line: Transport) -> None:
    """Values reach the program as they were."""
    done = await line.run(["sh", "-c", 'printf %s "$GIVEN"'], env={"GIVEN": "it's $HOME"})
    assert done.stdout == b"it's $HOME"


async def test_the_supervisors_secrets_stay_at_home(
    line: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable of this process but a few harmless ones reaches a command."""
    monkeypatch.setenv("ETH_PRIVATE_KEY", "hush")
    monkeypatch.setenv("DSQ_HOME", "hush")
    done = await line.run(["env"])
    assert b"hush" not in done.stdout


async def test_a_program_that_is_not_there_ends_with_127(line: Transport) -> None:
    """The same answer as from a shell."""
    done = await line.run(["no-such-program"])
    assert done.returncode == 127
    assert b"no-such-program" in done.stderr


async def test_a_command_that_takes_too_long_is_ended(line: Transport) -> None:
    """It is an error with an unknown outcome, and the program does not go on."""
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="sleep"):
        await line.run(["sleep", "77.25"], timeout=1)
    assert time.monotonic() - began < 5
    await asyncio.sleep(0.3)
    assert not [
        p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "77.25"]
    ]


async def test_parts_of_files_are_read(line: Transport, folder: Path) -> None:
    """From an offset, at most so much; a file that is not there has nothing."""
    path = folder / "data"
    path.write_bytes(bytes(range(256)) * 1000)
    path.chmod(0o644)
    assert await line.read(str(path), 0, 10) == bytes(range(10))
    assert await line.read(str(path), 255_990, 1000) == bytes(range(246, 256))
    assert len(await line.read(str(path), 0, 1 << 20)) == 256_000
    assert await line.read(str(path), 256_000, 10) == b""
    assert await line.read(str(folder / "nothing"), 0, 10) == b""
    assert await line.read(str(folder / "no" / "thing"), 0, 10) == b""


async def test_what_a_job_puts_in_the_place_of_its_output_is_not_read(
    line: Transport, folder: Path
) -> None:
    """A link is not followed, and a pipe does not make the reader wait."""
    (folder / "secret").write_text("secret")
    (folder / "secret").chmod(0o644)
    link, pipe = folder / "link", folder / "pipe"
    link.unlink(missing_ok=True)
    pipe.unlink(missing_ok=True)
    link.symlink_to(folder / "secret")
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    assert await asyncio.wait_for(line.read(str(link), 0, 10), 5) == b""
    assert await asyncio.wait_for(line.read(str(pipe), 0, 10), 5) == b""
    assert await asyncio.wait_for(line.read(str(folder), 0, 10), 5) == b""


async def test_more_commands_than_a_connection_has_sessions(line: Transport) -> None:
    """Thirty at once all come through: OpenSSH allows ten sessions a connection."""
    done = await asyncio.gather(
        *(line.run(["sh", "-c", f"sleep 0.1; echo {n}"]) for n in range(30))
    )
    assert [each.stdout for each in done] == [f"{n}\n".encode() for n in range(30)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_commands_run_and_files_are_read_as_another_account(folder: Path) -> None:
    """Root's line as ``nobody`` has nobody's rights, groups and home, not root's."""
    line = LocalTransport("nobody")
    done = await line.run(["sh", "-c", "id -un; id -Gn; echo $HOME; echo $USER"])
    assert done.stdout.decode().split() == ["nobody", "nogroup", "/nonexistent", "nobody"]
    (folder / "roots").write_text("secret")
    (folder / "roots").chmod(0o600)
    assert await line.read(str(folder / "roots"), 0, 10) == b""
    work = job_folder(folder, "reading")
    (work / "mine").write_text("0123456789")
    os.chown(work / "mine", line.account.uid, line.account.gid)
    assert await line.read(str(work / "mine"), 3, 4) == b"3456"
    assert await line.read(str(work / "mine"), 30, 4) == b""


def test_an_account_that_does_not_exist_is_named() -> None:
    """The mistake is in the settings."""
    with pytest.raises(SettingsError, match="no-such-account"):
        LocalTransport("no-such-account")


@pytest.mark.sshd
async def test_a_wrong_host_key_is_refused(own_server: SshServer, tmp_path: Path) -> None:
    """Somebody else's machine gets no command; the message says what to look at."""
    known = tmp_path / "known_hosts"
    other = (own_server.folder / "identity.pub").read_text().split()[:2]
    known.write_text(f"[127.0.0.1]:{own_server.port} {' '.join(other)}\n")
    line = SshTransport(
        "127.0.0.1",
        port=own_server.port,
        user=own_server.user,
        identity_file=own_server.identity,
        known_hosts=known,
    )
    with pytest.raises(UnreachableError, match="known_hosts"):
        await line.run(["true"])


@pytest.mark.sshd
async def test_an_unknown_host_is_refused(
    own_server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a known_hosts file the account's own counts, and where that is missing too nothing
    is trusted."""
    monkeypatch.setenv("HOME", str(tmp_path))
    line = SshTransport(
        "127.0.0.1",
        port=own_server.port,
        user=own_server.user,
        identity_file=own_server.identity,
    )
    with pytest.raises(UnreachableError, match="known_hosts"):
        await line.run(["true"])
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(own_server.known_hosts.read_text())
    await asyncio.sleep(1.1)
    assert (await line.run(["echo", "in"])).stdout == b"in\n"
    await line.close()


@pytest.mark.sshd
async def test_a_key_that_is_not_accepted_is_said(own_server: SshServer, tmp_path: Path) -> None:
    """The message names the account and that the key was refused."""
    wrong = own_server.folder / "host"  # a key, but not one it lets in
    line = SshTransport(
        "127.0.0.1",
        port=own_server.port,
        user=own_server.user,
        identity_file=wrong,
        known_hosts=own_server.known_hosts,
    )
    with pytest.raises(UnreachableError, match=f"{own_server.user}@127.0.0.1.*none of the keys"):
        await line.run(["true"])


@pytest.mark.sshd
async def test_files_are_read_without_sftp(own_server: SshServer, folder: Path) -> None:
    """A server that has no SFTP is read through a command."""
    line = connect(own_server)
    line._has_sftp = False
    path = folder / "plain"
    path.write_text("0123456789")
    path.chmod(0o644)
    assert await line.read(str(path), 3, 4) == b"3456"
    assert await line.read(str(folder / "nothing"), 0, 4) == b""
    await line.close()


@pytest.mark.sshd
async def test_the_line_is_made_again_after_it_broke(own_server: SshServer) -> None:
    """A dead server is an error at once; when it is back, so is the line."""
    line = connect(own_server, keepalive=1)
    assert (await line.run(["echo", "1"])).stdout == b"1\n"
    assert line._connection is not None
    own_server.stop()
    line._connection.abort()
    with pytest.raises(UnreachableError):
        await line.run(["echo", "2"])
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="No SSH connection"):
        await line.run(["echo", "3"])  # between attempts it fails without trying
    assert time.monotonic() - began < 0.5
    start(own_server, sshd_program())
    await asyncio.sleep(1.1)
    assert (await line.run(["echo", "4"])).stdout == b"4\n"
    await line.close()


@pytest.mark.sshd
async def test_a_command_whose_line_breaks_has_an_unknown_outcome(own_server: SshServer) -> None:
    """Neither success nor failure: it may have done its work."""
    line = connect(own_server)
    running = asyncio.create_task(line.run(["sleep", "5"]))
    await asyncio.sleep(0.5)
    assert line._connection is not None
    line._connection.abort()
    with pytest.raises(UnreachableError, match="broke"):
        await running
    assert (await line.run(["echo", "back"])).stdout == b"back\n"
    await line.close()
