"""Unix accounts that commands and jobs run as, on this machine and at the end of a line."""

from __future__ import annotations

import os
import posixpath
import pwd
import re
from collections.abc import Collection
from dataclasses import dataclass

from dsq.core.errors import SettingsError, UnreachableError

SAFE_PATH = "/usr/local/bin:/usr/bin:/bin"
"""PATH of a process when nothing else says one."""


@dataclass(frozen=True, slots=True)
class Account:
    """A unix account with its groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str

    @classmethod
    def named(cls, name: str) -> Account:
        """Looks an account up.

        Raises:
            SettingsError: There is no such account on this machine.
        """
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise SettingsError(f"There is no account '{name}' on this machine.") from None
        return cls._of(entry)

    @classmethod
    def current(cls) -> Account:
        """The account this process runs as."""
        try:
            return cls._of(pwd.getpwuid(os.geteuid()))
        except KeyError:  # a uid without an entry, as in some containers
            uid, gid = os.geteuid(), os.getegid()
            return cls(str(uid), uid, gid, (gid,), os.environ.get("HOME", "/"), "/bin/sh")

    @classmethod
    def _of(cls, entry: pwd.struct_passwd) -> Account:
        groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir, entry.pw_shell)

    @property
    def is_current(self) -> bool:
        """Whether this process already runs as this account."""
        return self.uid == os.geteuid()

    def environment(self) -> dict[str, str]:
        """The variables that a login sets."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell}


@dataclass(frozen=True, slots=True)
class RemoteAccount:
    """Who commands run as at the other end of a line.

    Attributes:
        user: Its name there, or its number if it has none.
        uid: Its number.
        env: The part of its environment that commands get.
    """

    user: str
    uid: int
    env: dict[str, str]

    @property
    def home(self) -> str:
        """Its home folder."""
        return self.env.get("HOME", "/")

    def below_home(self, path: str) -> str:
        """A path that begins with ``~/`` or ``$HOME/``, in its home; any other as it is."""
        for home in ("~/", "$HOME/"):
            if path.startswith(home):
                return posixpath.join(self.home, path.removeprefix(home))
        return path

    def prefix(self) -> list[str]:
        """The front of each command: nothing of the account's login but :attr:`env`.

        Among what it keeps away are SQUEUE_* and SBATCH_*, which change what commands mean.
        """
        return ["env", "-i", *(f"{key}={value}" for key, value in self.env.items())]

    @classmethod
    def parse(cls, ids: str, env: str, keep: Collection[str]) -> RemoteAccount:
        """Reads the output of ``id`` and of ``env -0``.

        Raises:
            UnreachableError: That is not what was printed.
        """
        match = re.search(r"uid=(\d+)(?:\(([^)]*)\))?", ids)
        if match is None:
            raise UnreachableError("The cluster's account cannot be asked who it is.")
        pairs = (entry.split("=", 1) for entry in env.split("\0") if "=" in entry)
        kept = {key: value for key, value in pairs if key in keep}
        return cls(match[2] or match[1], int(match[1]), kept)
