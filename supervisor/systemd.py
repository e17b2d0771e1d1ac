"""The systemd unit of a provider: the packaged file, filled in. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from dsq.core.errors import SettingsError
from dsq.supervisor.settings import ProviderSettings

TEMPLATE = "dsq-provider.service"

REMOTE = (
    "ProtectHome=read-only",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "RestrictNamespaces=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "CapabilityBoundingSet=",
    "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM",
)
"""What holds where jobs run elsewhere: over SSH nothing of this machine is needed."""

HERE = ("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",)
"""Slurm's programs and jobs on this machine need its devices, namespaces and sockets."""


def quoted(word: str) -> str:
    """One word of a command line or a path, as systemd reads it: no blanks, % or $ count.

    Raises:
        SettingsError: It holds a line break.
    """
    if re.search(r"[\x00-\x1f]", word):
        raise SettingsError(f"{word!r} cannot stand in a systemd unit.")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[\s'\"\\;]", escaped) else escaped


def unit(
    settings: ProviderSettings,
    *,
    program: str,
    config: Path,
    user: str,
    environment: Iterable[str] = (),
) -> str:
    """The unit of a provider.

    Args:
        settings: Its settings.
        program: Absolute path of ``dsq-provider``.
        config: Absolute path of its settings file.
        user: The account it runs as; root only where ``job_user`` needs it.
        environment: ``NAME=value`` words for its environment.
    """
    cluster = settings.cluster
    as_root = bool(cluster.job_user)
    writable = [settings.state_dir]
    if cluster.kind == "local":
        writable += [Path(path) for path in (cluster.root, cluster.workdir) if path]
    hardening = REMOTE if cluster.kind == "ssh" else HERE
    values = {
        "NAME": (settings.name or config.stem).replace("%", "%%").replace("\n", " "),
        "USER": quoted("root" if as_root else user),
        "EXEC": quoted(program),
        "CONFIG": quoted(str(config)),
        "ENVIRONMENT": "\n".join(f"Environment={quoted(word)}" for word in environment),
        # Jobs of a local cluster go on when the supervisor ends.
        "KILLMODE": "process" if cluster.kind == "local" else "mixed",
        # What jobs do as another account is that account's own affair.
        "NONEWPRIVILEGES": "no" if as_root else "yes",
        "WRITABLE": " ".join(quoted(str(path)) for path in writable),
        "HARDENING": "\n".join(hardening),
    }
    text = resources.files(__package__).joinpath(TEMPLATE).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@\n" if not value else f"@{key}@", value)
    return text
