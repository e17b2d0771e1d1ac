"""Getting the EVM node: from PATH, from the cache, through npm."""

from __future__ import annotations

import os
import platform
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from dsq.core.chain import fetch_anvil
from dsq.core.chain.fetch_anvil import VERSION, Package, find_anvil, npm_environment
from dsq.core.errors import TryAgainError, UnreachableError

PROGRAM = f"#!/bin/sh\necho anvil {VERSION}\n"


def _program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def _archive(folder: Path, text: str = PROGRAM) -> tuple[Path, str]:
    """An npm archive with a program in it, and its hash."""
    import base64
    import hashlib

    _program(folder / "package" / "bin" / "anvil", text)
    path = folder / "anvil.tgz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder / "package", "package")
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    return path, f"sha512-{digest}"


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with a program ``npm`` that packs the archive beside it, and nothing else."""
    folder = tmp_path / "bin"
    archive, integrity = _archive(tmp_path / "made")
    script = (
        '#!/bin/sh\nfor word in "$@"; do case $word in --pack-destination=*)'
        f' /bin/cp {archive} "${{word#*=}}/anvil.tgz";; esac; done\n'
    )
    _program(folder / "npm", script)
    monkeypatch.setenv("PATH", str(folder))
    here = (sys.platform, platform.machine())
    package = Package("@foundry-rs/anvil-linux-amd64", integrity)
    monkeypatch.setattr(fetch_anvil, "PACKAGES", {here: package})
    return folder


def test_program_on_path_is_taken(npm: Path, tmp_path: Path) -> None:
    """What is on PATH is not fetched."""
    program = _program(npm / "anvil", "#!/bin/sh\n")
    assert find_anvil(tmp_path / "cache") == program


def test_fetched_once(npm: Path, tmp_path: Path) -> None:
    """The first call fetches into the cache, the second finds it there without npm."""
    cache = tmp_path / "cache"
    program = find_anvil(cache)
    assert program.read_text() == PROGRAM
    assert program.is_relative_to(cache)
    (npm / "npm").unlink()
    assert find_anvil(cache, allow_fetch=False) == program
    assert [path.name for path in program.parent.iterdir()] == ["anvil"]


def test_wrong_hash_is_not_run(npm: Path, tmp_path: Path) -> None:
    """An archive with another hash is refused before anything of it runs."""
    trace = tmp_path / "ran"
    _archive(tmp_path / "made", f"#!/bin/sh\n: > {trace}\n")
    with pytest.raises(TryAgainError, match="has another hash than it should"):
        find_anvil(tmp_path / "cache")
    assert not trace.exists()
    assert not list((tmp_path / "cache").rglob("anvil.tgz"))


def test_program_that_does_not_run_here(
    npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that says something else is not put into the cache."""
    _, integrity = _archive(tmp_path / "made", "#!/bin/sh\necho too old\n")
    package = Package("x", integrity)
    monkeypatch.setattr(fetch_anvil, "PACKAGES", {(sys.platform, platform.machine()): package})
    with pytest.raises(UnreachableError, match="does not run on this machine: too old"):
        find_anvil(tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("anvil"))[1:]


def test_npm_that_fails(npm: Path, tmp_path: Path) -> None:
    """npm's reason is one sentence."""
    words = "npm error code E404\\nnpm error 404 Not Found - GET it\\n"
    _program(npm / "npm", f"#!/bin/sh\nprintf '{words}' >&2\nexit 1\n")
    with pytest.raises(UnreachableError) as caught:
        find_anvil(tmp_path / "cache")
    assert caught.value.message == (
        f"The EVM node anvil {VERSION} cannot be fetched: npm says: 404 Not Found - GET it."
    )


def test_npm_that_hangs(npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch that hangs ends in time."""
    assert fetch_anvil.FETCH_SECONDS < 30
    monkeypatch.setattr(fetch_anvil, "FETCH_SECONDS", 0.5)
    _program(npm / "npm", "#!/bin/sh\nexec /bin/sleep 30\n")
    begun = time.monotonic()
    with pytest.raises(UnreachableError, match="did not finish"):
        find_anvil(tmp_path / "cache")
    assert time.monotonic() - begun < 5


def test_not_here_and_not_to_fetch(npm: Path, tmp_path: Path) -> None:
    """Without leave to fetch, or for a platform without a package, the sentence says so."""
    with pytest.raises(UnreachableError, match="no anvil on PATH or in the cache"):
        find_anvil(tmp_path / "cache", allow_fetch=False)
    fetch_anvil.PACKAGES.clear()  # type: ignore[attr-defined]
    with pytest.raises(UnreachableError, match="none to fetch for"):
        find_anvil(tmp_path / "cache")


def test_two_fetches_at_once(npm: Path, tmp_path: Path) -> None:
    """Fetches side by side both end with the program in place."""
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(find_anvil(tmp_path / "cache")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert found[0].read_text() == PROGRAM


def test_npm_sees_no_secrets() -> None:
    """npm gets no key and no setting of ours, and the system's certificates."""
    env = npm_environment(
        {"PATH": os.environ["PATH"], "ETH_PRIVATE_KEY": "s", "DSQ_PASSPHRASE_FILE": "p"}
    )
    assert not {"ETH_PRIVATE_KEY", "DSQ_PASSPHRASE_FILE"} & set(env)
    own = npm_environment({"NODE_EXTRA_CA_CERTS": "mine"})
    assert own == {"NODE_EXTRA_CA_CERTS": "mine"}
