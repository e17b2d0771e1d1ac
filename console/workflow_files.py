"""Workflow files as commands use them: read, checked, and with their modules in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from dsq.core.errors import WorkflowError

if TYPE_CHECKING:
    from dsq.sbatch.modules.git import Fetcher
    from dsq.sbatch.workflow import Workflow

MODULE_HOSTS = ("github.com", "gitlab.com", "codeberg.org", "bitbucket.org")
"""Hosts that modules are fetched from when no others are named."""

MOST_MODULES = 200
"""Modules that are offered."""

_ABOUT = re.compile(r"^description: *[\"']?(.+?)[\"']?$", re.MULTILINE)
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)

MODULE_SECONDS = 30.0
MODULE_BYTES = 64 << 20


def source_name(file: str) -> str:
    """A workflow's name in messages."""
    return "standard input" if file == "-" else file


def module_fetcher(*, fetch: bool, hosts: Sequence[str] = ()) -> Fetcher:
    """Gets modules of other hosts: from the cache, and if that is wanted from the hosts.

    Args:
        fetch: Ask the hosts.
        hosts: Further hosts that may be asked.
    """
    from dsq.core.config import cache_dir
    from dsq.sbatch.modules.git import CachedModules, GitModules
    from dsq.sbatch.outbound import OutboundPolicy

    policy = OutboundPolicy(
        hosts=(*MODULE_HOSTS, *hosts), seconds=MODULE_SECONDS, max_bytes=MODULE_BYTES
    )
    return CachedModules(cache_dir() / "modules", GitModules(policy) if fetch else None)


async def completed(
    workflow: Workflow, file: str, *, fetch: bool, hosts: Sequence[str] = ()
) -> Workflow:
    """The workflow with its modules; files are relative to the workflow's own.

    Raises:
        WorkflowError: A module is not valid, or does not fit.
        NotFoundError: There is no such module.
        UnreachableError: It is not in the cache, or its host does not answer.
    """
    from dsq.sbatch.modules.resolving import with_modules

    folder = Path.cwd() if file == "-" else Path(file).absolute().parent
    try:
        return await with_modules(workflow, module_fetcher(fetch=fetch, hosts=hosts), folder=folder)
    except WorkflowError as error:
        error.add_note(source_name(file))
        raise


def known_modules(folder: Path) -> list[tuple[str, str]]:
    """Sources of modules that are at hand, each with what it does: files, and fetched ones.

    Args:
        folder: The folder of the workflow's file.
    """
    from dsq.core.config import cache_dir

    found = [*_local_modules(folder), *_cached_modules(cache_dir() / "modules")]
    return found[:MOST_MODULES]


def _local_modules(folder: Path) -> Iterator[tuple[str, str]]:
    for pattern in ("*/module.yaml", "*/*/module.yaml"):
        for path in islice(sorted(folder.glob(pattern)), MOST_MODULES):
            yield f"./{path.parent.relative_to(folder).as_posix()}", _about(path)


def _cached_modules(cache: Path) -> Iterator[tuple[str, str]]:
    for path in islice(sorted(cache.rglob("module.yaml")), MOST_MODULES):
        parts = path.parent.relative_to(cache).parts
        if len(parts) >= 4 and _COMMIT.fullmatch(parts[3]):
            host, owner, repository, commit, *inner = parts
            place = "/".join((host.replace("_", ":"), owner, repository, *inner))
            yield f"{place}@{commit}", _about(path)


def _about(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            match = _ABOUT.search(file.read(4096))
    except OSError:
        return ""
    return match[1] if match is not None else ""
