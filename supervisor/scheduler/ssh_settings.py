"""How a machine is reached by SSH, and how the two know each other: settings and key files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""Asked for before the library's others: processors do AES themselves, and each message then
costs a third of what it does with its first choice."""


@dataclass(frozen=True, slots=True)
class SshSettings:
    """How a machine is reached, and how the two know each other.

    Attributes:
        host: The machine's name or address, or a name in the ssh_config if that is used.
        user: The account there; "" is this account's name, or what the ssh_config says.
        port: Its SSH port; 0 is 22, or what the ssh_config says.
        identity_file: Private key; None asks the agent, then the usual keys. A key with a
            passphrase and no ``passphrase_file`` is looked for in the agent.
        passphrase_file: File with the key's passphrase.
        known_hosts: File with the machine's host key; None is this account's own file.
        host_key: The host key itself (``ssh-ed25519 AAAA…``), instead of a file.
        use_ssh_config: Read ~/.ssh/config, for jump hosts and the like.
        ssh_config: Another file to read instead.
        connect_timeout: Seconds for the connection and for the login.
        keepalive: Seconds of silence after which the other side is asked for a sign of life.
    """

    host: str
    user: str = ""
    port: int = 0
    identity_file: Path | None = None
    passphrase_file: Path | None = None
    known_hosts: Path | None = None
    host_key: str = ""
    use_ssh_config: bool = False
    ssh_config: Path | None = None
    connect_timeout: float = 15.0
    keepalive: float = 15.0

    @property
    def where(self) -> str:
        """Account and machine, for people."""
        text = f"{self.user}@{self.host}".removeprefix("@")
        return text + (f":{self.port}" if self.port else "")

    def options(self) -> dict[str, Any]:
        """Arguments of :func:`asyncssh.connect`; reads key and passphrase.

        Raises:
            OSError: A file cannot be read.
            ValueError: A key cannot be read, with what asyncssh says.
        """
        config = (str(self.ssh_config),) if self.ssh_config else ()
        options: dict[str, Any] = {
            "host": self.host,
            "preferred_auth": "publickey",
            "connect_timeout": self.connect_timeout,
            "login_timeout": self.connect_timeout,
            "keepalive_interval": self.keepalive,
            "keepalive_count_max": 3,
            "config": config if self.use_ssh_config or self.ssh_config else None,
            "known_hosts": self._known_hosts(),
        }
        if options["config"] is None:  # else the account's own choice counts
            options["encryption_algs"] = CIPHERS
        if self.user:
            options["username"] = self.user
        if self.port:
            options["port"] = self.port
        if self.identity_file is not None and (keys := self._keys()):
            options["client_keys"] = keys
            options["agent_path"] = None
        return options

    def _known_hosts(self) -> object:
        if self.host_key:
            return asyncssh.import_known_hosts(f"* {self.host_key.strip()}\n")
        return str(self.known_hosts) if self.known_hosts else ()

    def _keys(self) -> list[asyncssh.SSHKey]:
        """The private key; none if it is locked and an agent may have it open."""
        assert self.identity_file is not None
        passphrase = None
        if self.passphrase_file is not None:
            passphrase = self.passphrase_file.read_text().rstrip("\r\n")
        try:
            return [asyncssh.read_private_key(str(self.identity_file), passphrase)]
        except asyncssh.KeyImportError:
            if passphrase is None and os.environ.get("SSH_AUTH_SOCK"):
                return []
            raise
