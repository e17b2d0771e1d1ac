"""A real OpenSSH server for tests: keys only, on 127.0.0.1, everything in one folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from dsq.core.loopback import free_port

TEST_ACCOUNT = "dsqtest"
HOW_TO_GET = "apt-get install openssh-server"


@dataclass(frozen=True)
class SshServer:
    """A running server.

    Attributes:
        port: Its port on 127.0.0.1.
        user: The account it lets in.
        identity: The private key it takes.
        known_hosts: A file with its host key.
        folder: Its folder, with ``sshd.log``.
        extra: More lines of its configuration.
    """

    port: int
    user: str
    identity: Path
    known_hosts: Path
    folder: Path
    extra: tuple[str, ...] = ()

    @property
    def pid(self) -> int:
        """The process that takes connections."""
        return int((self.folder / "sshd.pid").read_text())

    @property
    def host_key(self) -> str:
        """Its host key, as a known_hosts file has it behind the name."""
        return " ".join((self.folder / "host.pub").read_text().split()[:2])

    def stop(self) -> None:
        """Kills the server; connections it has made live on."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.folder / "sshd.pid").read_text()), signal.SIGTERM)


def sshd_program() -> str:
    """The server's path; skips the test where it is not installed."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"no sshd; {HOW_TO_GET}")
    return found


@contextlib.contextmanager
def ssh_account(name: str = TEST_ACCOUNT) -> Iterator[str]:
    """An ordinary account that one can log in to.

    Root makes one and keeps it (making it takes longer than all the rest); others can only
    log in as themselves.
    """
    if os.geteuid() != 0:
        yield pwd.getpwuid(os.geteuid()).pw_name
        return
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
    # Without PAM sshd takes a new account, whose password is "!", for a locked one.
    subprocess.run(["usermod", "--password", "*", name], check=True)
    yield name


@contextlib.contextmanager
def sshd(
    folder: Path, user: str, *, env: Mapping[str, str] | None = None, extra: Sequence[str] = ()
) -> Iterator[SshServer]:
    """A server that lets ``user`` in with a new key, up while the block runs.

    Args:
        folder: For keys and configuration; made here.
        user: The account, or several with blanks between them.
        extra: More lines of its configuration.
        env: Variables of its sessions; this is how remote commands find a test's Slurm.
    """
    program = sshd_program()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    for key in ("host", "identity"):
        if not (folder / key).exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", folder / key],
                check=True,
            )
    (folder / "authorized_keys").write_text((folder / "identity.pub").read_text())
    (folder / "authorized_keys").chmod(0o644)
    server = SshServer(
        free_port(), user, folder / "identity", folder / "known_hosts", folder, tuple(extra)
    )
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    start(server, program, env=env)
    try:
        yield server
    finally:
        server.stop()


def start(server: SshServer, program: str, *, env: Mapping[str, str] | None = None) -> None:
    """Starts the server (again), on its own port and with its own keys."""
    folder = server.folder
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    config = folder / "sshd_config"
    lines = [
        "ListenAddress 127.0.0.1",
        f"Port {server.port}",
        f"HostKey {folder}/host",
        f"PidFile {folder}/sshd.pid",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        f"AllowUsers {server.user}",
        "Subsystem sftp internal-sftp",
        *server.extra,
        *(["SetEnv " + " ".join(f"{key}={value}" for key, value in env.items())] if env else []),
    ]
    config.write_text("\n".join(lines) + "\n")
    (folder / "sshd.pid").unlink(missing_ok=True)
    subprocess.run([program, "-f", config, "-E", folder / "sshd.log"], check=True)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1):
            return
        time.sleep(0.02)
    raise TimeoutError((folder / "sshd.log").read_text())
