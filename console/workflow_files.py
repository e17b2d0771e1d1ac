"""Workflow files as commands use them: read, checked, and with their modules in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dsq.core.errors import WorkflowError

if TYPE_CHECKING:
    from dsq.sbatch.modules.git import Fetcher
    from dsq.sbatch.workflow import Workflow

MODULE_HOSTS = ("github.com", "gitlab.com", "codeberg.org", "bitbucket.org")
"""Hosts that modules are fetched from when no others are named."""

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
