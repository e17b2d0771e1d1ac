"""Fetches modules from git repositories over HTTPS, within limits.

``git`` does the fetching, in a directory of its own that is removed after: it gets the
address that was checked (see :mod:`dsq.sbatch.outbound`) and may resolve nothing itself,
follows no redirect, asks for no password, reads no settings of the user, and checks nothing
out: the one file is read from the repository's objects, so that a link leads nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from dsq.core.errors import NotFoundError, SettingsError, UnreachableError, WorkflowError
from dsq.sbatch.modules.source import Remote
from dsq.sbatch.outbound import OutboundPolicy, Resolve, Target, pin, resolve

MAX_FILE = 256 << 10
"""Longest module, in bytes."""

_OLDEST = (2, 37)
"""The first git that connects to the address it is told to (``http.curloptResolve``)."""

# One word a limit: files in blocks of 512 bytes, seconds of processor time. The rest is git.
_LIMITED = 'ulimit -f "$1"; ulimit -t "$2"; ulimit -c 0; shift 2; exec "$@"'


@dataclass(frozen=True, slots=True)
class Fetched:
    """A module's file.

    Attributes:
        text: Its bytes.
        commit: The commit it is of.
    """

    text: bytes
    commit: str


class Fetcher(Protocol):
    """Gets modules from elsewhere."""

    async def fetch(self, source: Remote) -> Fetched:
        """Gets a module.

        Raises:
            NotFoundError: There is no such module, tag or commit.
            OutboundRefused: The host may not be asked.
            UnreachableError: It does not answer.
        """


class GitModules:
    """Gets modules with ``git``.

    Args:
        policy: Which hosts may be asked, how long it may take (``seconds`` for one module)
            and how much may come (``max_bytes`` for one repository).
        lookup: Gives the addresses of a host.
    """

    def __init__(self, policy: OutboundPolicy, *, lookup: Resolve = resolve) -> None:
        self.policy = policy
        self._lookup = lookup
        self._version_known = False

    async def fetch(self, source: Remote) -> Fetched:
        """Gets a module; errors as :meth:`Fetcher.fetch`."""
        target = self.policy.target(f"https://{source.host}/")
        await self._check_version()
        try:
            async with asyncio.timeout(self.policy.seconds):
                try:
                    return await self._from(target, source)
                except UnreachableError:
                    if not target.private:
                        raise
                    # A host of the site itself may speak plain HTTP.
                    plain = self.policy.target(f"http://{source.host}/")
                    return await self._from(plain, source)
        except TimeoutError:
            raise UnreachableError(
                f"The module at {source.host} did not come within {self.policy.seconds:g} seconds."
            ) from None

    async def _from(self, target: Target, source: Remote) -> Fetched:
        address = await pin(target, self._lookup)
        with tempfile.TemporaryDirectory(prefix="dsq-module-") as folder:
            return await _fetch(_Git(Path(folder), self.policy, target, address), source)

    async def _check_version(self) -> None:
        if self._version_known:
            return
        if shutil.which("git") is None:
            raise SettingsError("Modules are fetched with git, which is not installed.")
        process = await asyncio.create_subprocess_exec(
            "git", "version", stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
        )
        text = (await process.communicate())[0].decode(errors="replace")
        match = re.search(r"(\d+)\.(\d+)", text)
        if match is None or (int(match[1]), int(match[2])) < _OLDEST:
            raise SettingsError(f"Modules are fetched with git {_OLDEST[0]}.{_OLDEST[1]} or newer.")
        self._version_known = True


async def _fetch(git: _Git, source: Remote) -> Fetched:
    url = await git.init(source.repository)
    commit = source.ref if source.is_pinned else await _commit_of(git, url, source)
    if commit is None:
        commit = await git.long_commit(url, source.ref)
    else:
        await git.fetch(url, commit)
    return Fetched(await git.file(commit, source), commit)


async def _commit_of(git: _Git, url: str, source: Remote) -> str | None:
    """The commit that a tag, or the main branch, is now; None for a shortened commit."""
    if not source.ref:
        return (await git.refs(url, "HEAD")).get("HEAD") or git.missing(source)
    # In a repository of several modules a tag is named after the module's folder.
    names = [f"refs/tags/{source.folder}/{source.ref}"] if source.folder else []
    names.append(f"refs/tags/{source.ref}")
    found = await git.refs(url, *names, *(f"{name}^{{}}" for name in names))
    for name in names:
        commit = found.get(f"{name}^{{}}") or found.get(name)
        if commit:
            return commit
    return None if source.may_be_short_commit else git.missing(source)


class _Git:
    """One repository in one temporary directory."""

    def __init__(self, folder: Path, policy: OutboundPolicy, target: Target, address: str) -> None:
        self.folder = folder
        self.policy = policy
        self.target = target
        self.scheme = "https" if target.tls else "http"
        host = f"[{address}]" if ":" in address else address
        self.options = [
            *("-c", f"http.curloptResolve={target.host}:{target.port}:{host}"),
            *("-c", "http.followRedirects=false"),
            *("-c", "http.proxy="),
            *("-c", "credential.helper="),
            *("-c", "protocol.version=2"),
            # Always one file: its size is what is limited.
            *("-c", "fetch.unpackLimit=1"),
            *("-c", "core.bigFileThreshold=1m"),
        ]

    async def init(self, repository: str) -> str:
        """Makes the directory; returns the repository's address."""
        await self.run("init", "--quiet", "--bare", "--template=", ".")
        return f"{self.scheme}://{self.target.authority}/{repository}"

    async def refs(self, url: str, *patterns: str) -> dict[str, str]:
        """Commits by name of tag or branch."""
        output = await self.ask(url, lambda at: ("ls-remote", "--quiet", at, *patterns))
        lines = (line.split("\t", 1) for line in output.decode(errors="replace").splitlines())
        return {line[1]: line[0] for line in lines if len(line) == 2}

    async def fetch(self, url: str, commit: str) -> None:
        """Gets one commit without those before it."""
        await self.ask(
            url,
            lambda at: ("fetch", "--quiet", "--depth=1", "--no-tags", *_FETCH, at, commit),
        )

    async def long_commit(self, url: str, short: str) -> str:
        """Gets the commits of all branches and tags, and with them the one that begins so."""
        names = ("refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")
        await self.ask(url, lambda at: ("fetch", "--quiet", *_FETCH, at, *names))
        found = await self.run("rev-parse", "--verify", "--quiet", f"{short}^{{commit}}", ok=(0, 1))
        if not found:
            raise NotFoundError(f"{self.target.host} has no tag or commit '{short}'.")
        return found.decode().strip()

    async def file(self, commit: str, source: Remote) -> bytes:
        """The module's file in a commit."""
        listed = await self.run("ls-tree", "-z", commit, "--", source.file)
        entry = listed.decode(errors="replace").partition("\t")[0].split()
        if len(entry) != 3:
            raise NotFoundError(
                f"The repository {source.repository} at {source.host} has no {source.file}."
            )
        mode, _, name = entry
        if mode not in ("100644", "100755"):
            raise WorkflowError(f"{source.file} of {source.repository} is no ordinary file.")
        size = int(await self.run("cat-file", "-s", name))
        if size > MAX_FILE:
            raise WorkflowError(f"The module {source.at(commit)} has more than {MAX_FILE} bytes.")
        return await self.run("cat-file", "blob", name)

    def missing(self, source: Remote) -> str:
        """Refuses a ref that is not there."""
        what = f"tag '{source.ref}'" if source.ref else "commit"
        raise NotFoundError(
            f"The repository {source.repository} at {source.host} has no {what}.",
            hint="A module is named by a tag or a commit; branches move and are not taken.",
        )

    async def ask(self, url: str, words: Callable[[str], tuple[str, ...]]) -> bytes:
        """Runs a command that connects; some hosts know a repository by its name and ``.git``."""
        try:
            return await self.run(*words(url), remote=True)
        except UnreachableError:
            return await self.run(*words(f"{url}.git"), remote=True)

    async def run(self, *words: str, remote: bool = False, ok: tuple[int, ...] = (0,)) -> bytes:
        """Runs git; nothing but the one scheme connects, and nothing at all unless ``remote``."""
        seconds = int(self.policy.seconds) + 1
        blocks = max(1, self.policy.max_bytes // 512)
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", _LIMITED, "sh", str(blocks), str(seconds)),
            *("git", *self.options, *words),
            cwd=self.folder,
            env=self._environment(self.scheme if remote else "none"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            output, _ = await process.communicate()
        finally:
            # Helpers of git may outlive it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode in ok:
            return output
        if remote:
            raise UnreachableError(
                f"The repository at {self.target.host} cannot be fetched: it is not there, not "
                f"public, or larger than {self.policy.max_bytes} bytes."
            )
        raise NotFoundError(f"The repository at {self.target.host} has no such commit.")

    def _environment(self, protocol: str) -> dict[str, str]:
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "LC_ALL": "C",
            "GIT_DIR": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": protocol,
        }
        trusted = os.environ.get("SSL_CERT_FILE")
        return {**environment, "GIT_SSL_CAINFO": trusted} if trusted else environment


_FETCH = ("--no-recurse-submodules", "--no-auto-gc", "--no-write-fetch-head")


class CachedModules:
    """Keeps fetched modules in a folder: what a commit holds never changes.

    Args:
        folder: Where they are kept.
        inner: Asked for what is not there; None asks nobody.
    """

    def __init__(self, folder: Path, inner: Fetcher | None) -> None:
        self._folder = folder
        self._inner = inner

    async def fetch(self, source: Remote) -> Fetched:
        """Gets a module from the folder, or from ``inner``; errors as :meth:`Fetcher.fetch`."""
        if source.is_pinned:
            with contextlib.suppress(OSError):
                return Fetched(self._place(source).read_bytes(), source.ref)
        if self._inner is None:
            why = "is not in the cache" if source.is_pinned else "is not pinned to a commit"
            raise UnreachableError(
                f"The module {_shown(source)} {why}, and no host is asked.",
                hint="Let it be fetched, with --fetch.",
            )
        found = await self._inner.fetch(source)
        with contextlib.suppress(OSError):
            self._keep(self._place(replace(source, ref=found.commit)), found.text)
        return found

    def _keep(self, place: Path, text: bytes) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:
            file.write(text)
        Path(file.name).replace(place)

    def _place(self, source: Remote) -> Path:
        host = source.host.replace(":", "_")
        return self._folder / host / source.repository / source.ref / source.file


def _shown(source: Remote) -> str:
    return source.at(source.ref) if source.ref else source.at("").rstrip("@")
