"""Benchmarks as real jobs: what they find, what is kept, and when they run again."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from dsq.console.local.minislurm import MiniSlurm
from dsq.supervisor.benchmark import kinds
from dsq.supervisor.benchmark.kinds import KINDS, MACHINE
from dsq.supervisor.benchmark.runner import BenchmarkRunner
from dsq.supervisor.benchmark.store import DAY, Result, ResultStore
from dsq.supervisor.scheduler.port import Scheduler
from dsq.supervisor.scheduler.slurm import SlurmScheduler
from dsq.supervisor.scheduler.transport import LocalTransport
from dsq.supervisor.settings import BenchmarkSettings
from tests.support.clusters import Cluster, slurm_here, slurm_settings
from tests.support.slurm import running_slurm

SMALL = BenchmarkSettings(kinds=("storage",), storage_mb=16, minutes=5)


@pytest.fixture
def root(folder: Path) -> Path:
    """A cache root that the jobs' account can write to."""
    path = folder / f"cache-{secrets.token_hex(4)}"
    path.mkdir()
    path.chmod(0o1777)
    return path


def runner(
    scheduler: Scheduler, state: Path, said: list[str], root: Path | None = None, **changes: object
) -> BenchmarkRunner:
    env = {"DSQ_CACHE_ROOT": str(root or "/proc/none")}
    settings = SMALL.model_copy(update=changes)
    return BenchmarkRunner(scheduler, settings, ResultStore(state), env=env, say=said.append)


async def test_a_small_job_tells_what_a_node_is_and_what_the_account_may(
    cluster: Cluster, tmp_path: Path
) -> None:
    """CPU, system and architecture come from a compute node; the limit of the running job was
    raised, or it is known that it cannot be; the job is gone afterwards."""
    said: list[str] = []
    made = runner(cluster.scheduler, tmp_path, said)
    info = await cluster.scheduler.discover()
    await made.run([MACHINE], info)
    result = ResultStore(tmp_path).get(MACHINE)
    assert result is not None
    assert result.error == "", said
    assert result.labels["os"] == "linux"
    assert result.labels["arch"] == os.uname().machine.lower()
    assert result.labels["cpu.microarch"].startswith("x86-64") or result.labels["arch"] != "x86_64"
    assert result.can_raise_limit is await cluster.scheduler.can_raise_limit()
    free = await cluster.scheduler.free()
    assert free.cpus <= sum(node.cpus for node in info.nodes)


async def test_storage_is_measured_where_jobs_have_it(
    cluster: Cluster, tmp_path: Path, root: Path
) -> None:
    """Each of the five storages below the cache's root has four figures; the files are gone."""
    said: list[str] = []
    made = runner(cluster.scheduler, tmp_path, said, root)
    await made.run(["storage"], await cluster.scheduler.discover())
    result = ResultStore(tmp_path).get("storage")
    assert result is not None
    assert result.error == "", said
    figures = {key for key in result.labels if key.startswith("storage.") and "method" not in key}
    assert len(figures) == 20
    assert all(float(result.labels[key]) > 0 for key in figures)
    assert not list(root.glob("**/dsq-bench.*"))


@pytest.mark.slurm
async def test_two_nodes_are_measured_against_each_other(
    folder: Path, slurm: MiniSlurm, tmp_path: Path
) -> None:
    """Without OSU the tasks talk TCP: a latency and a bandwidth between the nodes."""
    said: list[str] = []
    made = runner(slurm_here(folder, slurm), tmp_path, said)
    await made.run(["network"], await made._scheduler.discover())
    result = ResultStore(tmp_path).get("network")
    assert result is not None
    assert result.error == "", said
    assert float(result.labels["network.p2p.latency.us"]) > 0
    assert float(result.labels["network.p2p.bw.mbps"]) > 1


@pytest.mark.slurm
async def test_arithmetic_is_measured_with_what_is_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some figure, with the name of what measured it. HPL's ranks take a CPU each all the time, so
    there are two of them, on one node, with a small matrix."""
    monkeypatch.setattr(kinds, "HPL_SECONDS", 0.01)
    said: list[str] = []
    with running_slurm(nodes=1, cpus=2, mem_mb=1500) as slurm:
        made = runner(slurm_here(folder, slurm), tmp_path, said)
        await made.run(["compute"], await made._scheduler.discover())
    result = ResultStore(tmp_path).get("compute")
    assert result is not None
    assert result.error == "", said
    assert float(result.labels["compute.gflops"]) > 0.1
    assert result.labels["compute.method"].startswith(("hpl", "matrix-"))


@pytest.mark.slurm
async def test_an_account_without_the_right_is_told_by_its_own_job(
    folder: Path, slurm: MiniSlurm, tmp_path: Path
) -> None:
    """Nobody is no operator: the running job's limit stays, and that is what is kept."""
    if os.geteuid() != 0:
        pytest.skip("the only account here is the one that Slurm runs as")
    line = LocalTransport("nobody", env=slurm.env())
    made = runner(SlurmScheduler(line, slurm_settings(folder, "nobody")), tmp_path, [])
    await made.run([MACHINE], await made._scheduler.discover())
    result = ResultStore(tmp_path).get(MACHINE)
    assert result is not None
    assert (result.error, result.can_raise_limit) == ("", False)


async def test_what_cannot_be_measured_says_why_and_stops_nothing(
    folder: Path, tmp_path: Path
) -> None:
    """A cluster of one machine has no network between nodes; no host was named to measure to."""
    from tests.support.clusters import local_cluster

    scheduler = local_cluster(folder / "bench-local")
    said: list[str] = []
    made = runner(scheduler, tmp_path, said)
    info = await scheduler.discover()
    await made.run(["network", "bandwidth", "storage"], info)
    kept = ResultStore(tmp_path).all()
    assert "can be written" in kept["storage"].error
    assert "two nodes" in kept["network"].error
    assert "iperf_host" in kept["bandwidth"].error
    assert made.due(info) == [MACHINE]  # what failed is tried again in some hours
    assert made.due(info, force=True) == list(KINDS)
    await scheduler.close()


async def test_results_are_kept_until_they_are_old_or_the_hardware_is_another(
    folder: Path, tmp_path: Path, root: Path
) -> None:
    """Ninety days, or a node more; a failure is tried again sooner and keeps the old figures."""
    from tests.support.clusters import local_cluster

    scheduler = local_cluster(folder / "bench-age")
    info = await scheduler.discover()
    made = runner(scheduler, tmp_path, [], root, probe=False)
    store = ResultStore(tmp_path)
    assert made.due(info) == ["storage"]
    await made.run(["storage"], info)
    assert made.due(info) == []
    more = replace(info, configured=(*info.configured, info.nodes[0]))
    assert made.due(more) == ["storage"]
    result = store.get("storage")
    assert result is not None
    old = replace(result, at=result.at - 91 * DAY)
    store.put("storage", old)
    assert made.due(info) == ["storage"]
    store.put("storage", Result(result.at, result.hardware, {}, "it broke"))
    assert made.due(info) == []
    assert store.labels() == dict(result.labels)
    assert json.loads(store.path.read_text())["results"]["storage"]["error"] == "it broke"
    await scheduler.close()
