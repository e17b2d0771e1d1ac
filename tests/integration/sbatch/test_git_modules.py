"""Modules from a real git server: found by tag and commit, within limits, from nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsq.core.errors import NotFoundError, UnreachableError, WorkflowError
from dsq.sbatch.modules.git import CachedModules, GitModules
from dsq.sbatch.modules.resolving import with_modules
from dsq.sbatch.modules.source import Remote, parse_source
from dsq.sbatch.outbound import OutboundPolicy, OutboundRefused
from dsq.sbatch.workflow import parse_workflow
from tests.support.githttp import GitServer, git_server
from tests.unit.sbatch.builders import job

MODULE = """
name: greet
description: greets
minimumResources: {tasks: 1, cpusPerTask: 1, memPerCpu: 1, gpus: 0}
steps:
  - run: {command: echo hello}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """A server with one repository of two versions."""
    with git_server(tmp_path_factory.mktemp("git")) as served:
        served.commit("o/r", {"a/module.yaml": MODULE, "module.yaml": "root"}, tag="a/v1")
        served.commit("o/r", {"a/module.yaml": "second"}, tag="v1")
        served.commit("o/r", {"a/module.yaml": "third", "link/module.yaml": None})
        yield served


def allowed(server: GitServer, **limits: float) -> GitModules:
    """Modules of the test's server, which is private and speaks plain HTTP."""
    hosts = (server.host, f"inside.test:{server.port}")
    return GitModules(
        OutboundPolicy(hosts=hosts, private_hosts=hosts, **limits),  # type: ignore[arg-type]
        lookup=loopback,
    )


async def loopback(host: str, port: int) -> list[str]:
    """Every name is this machine; the system knows none of them."""
    return ["127.0.0.1"]


def remote(server: GitServer, rest: str) -> Remote:
    """A source on the test's server."""
    found = parse_source(f"{server.host}/{rest}")
    assert isinstance(found, Remote)
    return found


async def test_tags_and_commits_are_found(server: GitServer) -> None:
    """A folder's own tag goes before the repository's; no ref is the newest commit."""
    modules = allowed(server)
    texts = [
        (await modules.fetch(remote(server, source))).text.decode()
        for source in ("o/r/a@v1", "o/r@v1", "o/r/a")
    ]
    assert texts == [MODULE, "root", "third"]


async def test_commits_are_found_whole_and_shortened(server: GitServer) -> None:
    """Also one that is not the newest of a branch."""
    commit = server.git(server.root / "o/r", "rev-parse", "v1^{commit}").strip()
    for ref in (commit, commit[:9]):
        found = await allowed(server).fetch(remote(server, f"o/r/a@{ref}"))
        assert (found.text, found.commit) == (b"second", commit)


async def test_the_address_that_was_checked_is_the_one_asked(server: GitServer) -> None:
    """git resolves nothing: the name of the test is known to no resolver."""
    source = parse_source(f"inside.test:{server.port}/o/r@v1")
    assert isinstance(source, Remote)
    assert (await allowed(server).fetch(source)).text == b"root"


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("o/r@v9", NotFoundError, "has no tag 'v9'"),
        ("o/r@main", NotFoundError, "branches move"),
        ("o/r@" + "0" * 40, UnreachableError, "cannot be fetched"),
        ("o/r@0000000", NotFoundError, "no tag or commit '0000000'"),
        ("o/none@v1", UnreachableError, "cannot be fetched"),
        ("o/r/none", NotFoundError, "has no none/module.yaml"),
        ("o/r/link", WorkflowError, "no ordinary file"),
    ],
)
async def test_what_is_not_there_is_said(
    server: GitServer, source: str, error: type[Exception], words: str
) -> None:
    """Each by what is missing; a link is never followed."""
    with pytest.raises(error, match=words):
        await allowed(server).fetch(remote(server, source))


async def test_private_hosts_need_an_allowance(server: GitServer) -> None:
    """A listed host at a private address is refused before git runs."""
    server.paths.clear()
    modules = GitModules(OutboundPolicy(hosts=(server.host,)))
    with pytest.raises(OutboundRefused, match="not public"):
        await modules.fetch(remote(server, "o/r@v1"))
    with pytest.raises(OutboundRefused, match="off"):
        await GitModules(OutboundPolicy()).fetch(remote(server, "o/r@v1"))
    assert server.paths == []


async def test_redirects_are_not_followed(server: GitServer) -> None:
    """Where they lead was never checked."""
    with_target = server.host
    server.redirect = f"http://localhost:{server.port}/elsewhere"
    try:
        server.paths.clear()
        with pytest.raises(UnreachableError):
            await allowed(server).fetch(remote(server, "o/r@v1"))
    finally:
        server.redirect = ""
    assert with_target == server.host
    assert not any(path.startswith("/elsewhere") for path in server.paths)


async def test_repositories_and_files_have_a_size(server: GitServer) -> None:
    """What is larger is given up while it comes, or not read."""
    server.commit("o/large", {"module.yaml": "#" * (300 << 10)})
    noise = "".join(f"{number * 2654435761 % 2**32:08x}" for number in range(60_000))
    server.commit("o/noise", {"module.yaml": MODULE, "noise": noise})
    with pytest.raises(WorkflowError, match="more than 262144 bytes"):
        await allowed(server).fetch(remote(server, "o/large"))
    with pytest.raises(UnreachableError, match="larger than 65536 bytes"):
        await allowed(server, max_bytes=65536).fetch(remote(server, "o/noise"))
    assert (await allowed(server).fetch(remote(server, "o/noise"))).text == MODULE.encode()


async def test_fetching_has_a_time() -> None:
    """A server that says nothing is given up, and git with it."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        policy = OutboundPolicy(hosts=(host,), private_hosts=(host,), seconds=0.3)
        source = parse_source(f"{host}/o/r@v1")
        assert isinstance(source, Remote)
        with pytest.raises(UnreachableError, match="did not come within"):
            await GitModules(policy).fetch(source)


async def test_a_workflow_gets_its_modules_once(server: GitServer, tmp_path: Path) -> None:
    """From the server the first time, from the cache when the commit is named."""
    cached = CachedModules(tmp_path, allowed(server))
    server.paths.clear()
    workflow = parse_workflow(
        job(*({"use": {"source": f"{server.host}/o/r/a@v1"}} for _ in range(2)))
    )
    filled = await with_modules(workflow, cached)
    assert [step.use.module.name for step in filled.steps if step.use and step.use.module] == [
        "greet",
        "greet",
    ]
    asked = len(server.paths)
    commit = server.git(server.root / "o/r", "rev-parse", "a/v1^{commit}").strip()
    pinned = parse_workflow(job({"use": {"source": f"{server.host}/o/r/a@{commit}"}}))
    alone = CachedModules(tmp_path, None)
    again = (await with_modules(pinned, alone)).steps[0].use
    assert again is not None
    assert filled.steps[0].use is not None
    assert again.module == filled.steps[0].use.module
    assert len(server.paths) == asked
    with pytest.raises(UnreachableError, match="not pinned to a commit"):
        await with_modules(workflow, alone)
