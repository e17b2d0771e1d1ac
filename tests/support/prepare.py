"""Gets what the tests need beside Python: Slurm with a data base for its accounting, sshd, Redis
and programs of networks from Debian, anvil from npm.

Debian packages are installed only where that was asked for (``CI`` or ``DSQ_APT=1``)
and where no Slurm of the site's own could be disturbed; otherwise the one line to
run is printed. Tests of what is missing are then skipped, and say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
PACKAGES = {
    "slurmctld": "slurm-wlm",
    "munged": "munge",
    "slurmdbd": "slurmdbd",
    "mariadbd": "mariadb-server-core",
    "my_print_defaults": "mariadb-client-core",
    "sshd": "openssh-server",
    "tmux": "tmux",
    "redis-server": "redis-server",
    "slirp4netns": "slirp4netns",
    "pasta": "passt",
    "wg-quick": "wireguard-tools",
    "wireguard-go": "wireguard-go",
    "ip": "iproute2",
}
SITE_FILES = ("/etc/slurm/slurm.conf", "/etc/slurm-llnl")
"""A site that has these is left alone: Debian's packages would start a second Slurm there."""


def missing_packages() -> list[str]:
    """Debian packages whose programs are not on this machine."""
    return [
        package
        for program, package in PACKAGES.items()
        if shutil.which(program, path=SEARCH_PATH) is None
    ]


def install(packages: list[str]) -> None:
    """Installs Debian packages, or says the line that does."""
    line = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    site_slurm = any(Path(name).exists() for name in SITE_FILES)
    allowed = bool(os.environ.get("CI") or os.environ.get("DSQ_APT") == "1")
    if not allowed or site_slurm or os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"not on this machine: {', '.join(packages)}; their tests are skipped.")
        print(f"to run them, as root: {line}")
        return
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=False, env=env)
    result = subprocess.run([*line.split(), "-qq"], env=env, capture_output=True, text=True)
    if result.returncode:
        print(f"could not install {', '.join(packages)}: {result.stderr.strip().splitlines()[-1:]}")


def fetch_anvil() -> None:
    """Finds the EVM node, or fetches it once into the cache."""
    from dsq.core.chain import find_anvil
    from dsq.core.config import cache_dir
    from dsq.core.errors import DsqError

    try:
        find_anvil(cache_dir())
    except DsqError as error:
        print(f"no EVM node, its tests are skipped: {error}")


if __name__ == "__main__":
    if names := missing_packages():
        install(names)
    fetch_anvil()
