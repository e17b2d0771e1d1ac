"""Grids for the end-to-end tests: real anvil, real Slurm, real services."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsq.console.local.minislurm import MiniSlurm
from dsq.core.chain import find_anvil
from dsq.core.config import cache_dir
from dsq.core.errors import DsqError
from tests.support.grid import GridHome
from tests.support.standins import Standins

DEAR = {"gpu_per_min": "10", "cpu_per_min": "60", "mem_per_min": "0"}
"""Prices at which the grid's minimum of 100 credits buys one minute."""


@pytest.fixture(scope="session")
def anvil_here() -> None:
    """Skips when there is no EVM node and none can be fetched."""
    try:
        find_anvil(cache_dir())
    except DsqError as error:
        pytest.skip(f"no anvil: {error}")


@pytest.fixture(scope="session")
def slurm_here() -> None:
    """Skips when Slurm's programs are missing."""
    if reason := MiniSlurm.missing():
        pytest.skip(f"no Slurm: {reason}; apt-get install slurm-wlm munge")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that jobs of another account can reach."""
    path = Path(tempfile.mkdtemp(prefix="dsq-e2e-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def slurm_grid(anvil_here: None, slurm_here: None) -> Iterator[GridHome]:
    """Two providers with a two-node Slurm each: p1 is cheap, p2 dear.

    Recording stand-ins for apptainer and enroot are on the jobs' PATH of both.
    """
    path = Path(tempfile.mkdtemp(prefix="dsq-e2e-"))
    path.chmod(0o711)
    standins = Standins(path / "standins", real=("srun", "scontrol", "wget", "curl"))
    standins.records.chmod(0o777)
    job_path = f"{standins.bin}:/usr/local/bin:/usr/bin:/bin"
    home = GridHome(path)
    home.configure_provider("p1", {"cluster": {"job_path": job_path, "claim_ahead": 4}})
    home.configure_provider("p2", {"cluster": {"job_path": job_path}, "prices": DEAR})
    try:
        home.standins = standins
        home.up("--cluster", "mini-slurm", "--providers", "2")
        yield home
    finally:
        home.dsq("down", check=False, timeout=180)
        shutil.rmtree(path, ignore_errors=True)
