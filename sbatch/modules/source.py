"""Where a module comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dsq.core.errors import WorkflowError

FILE = "module.yaml"

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?"
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_REMOTE = re.compile(rf"({_HOST})/({_PART}/{_PART})((?:/{_PART})*)", re.ASCII)
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}", re.ASCII)
_LOCAL = ("./", "../", "/")


@dataclass(frozen=True, slots=True)
class Remote:
    """A module in a git repository.

    Attributes:
        host: ``github.com``, or with a port.
        repository: ``owner/repository``.
        folder: Folder of ``module.yaml``, "" for the repository's root.
        ref: Tag or commit; "" is the newest commit of the main branch.
    """

    host: str
    repository: str
    folder: str
    ref: str

    @property
    def is_pinned(self) -> bool:
        """True for a whole commit id: what it names never changes."""
        return _COMMIT.fullmatch(self.ref) is not None

    @property
    def may_be_short_commit(self) -> bool:
        """True when the ref could be the beginning of a commit id."""
        return _SHORT_COMMIT.fullmatch(self.ref) is not None

    @property
    def file(self) -> str:
        """Path of the module in its repository."""
        return f"{self.folder}/{FILE}" if self.folder else FILE

    def at(self, commit: str) -> str:
        """The source pinned to a commit."""
        folder = f"/{self.folder}" if self.folder else ""
        return f"{self.host}/{self.repository}{folder}@{commit}"


@dataclass(frozen=True, slots=True)
class Local:
    """A module in a file: of the folder that the workflow's file is in, or of the machine."""

    path: str


def parse_source(text: str) -> Remote | Local:
    """Reads ``host/owner/repository[/folder][@tag or commit]``, or a path.

    A path begins with ``./``, ``../`` or ``/``.

    Raises:
        WorkflowError: It is neither.
    """
    if text.startswith(_LOCAL) and "\0" not in text:
        return Local(text)
    place, at, ref = text.partition("@")
    match = _REMOTE.fullmatch(place)
    parts = place.split("/")
    bad_ref = at and (_REF.fullmatch(ref) is None or ".." in ref or ref.endswith((".lock", "/")))
    if match is None or bad_ref or any(part in (".", "..") for part in parts):
        raise WorkflowError(
            f"'{text[:100]}' is no source of a module.",
            hint="Write host/owner/repository[/folder]@commit, or a path that begins with './'.",
        )
    return Remote(match[1].lower(), match[2], match[3].strip("/"), ref)
