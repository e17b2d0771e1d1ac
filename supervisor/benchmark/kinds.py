"""Which benchmarks there are, and the job of each. Pure.

A benchmark is a shell script of this package that gets everything it has to know from its
job's variables; the supervisor exports them through the quoting function, as for any job.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from dsq.supervisor.scheduler.port import ClusterInfo, JobSpec, Node
from dsq.supervisor.settings import BenchmarkSettings

MACHINE = "machine"
KINDS = (MACHINE, "compute", "storage", "network", "bandwidth")
"""Names of the benchmarks; ``machine`` is the small job of each registration."""

WITH_MPI = ("compute", "storage", "network")
"""Those whose tools may be MPI programs."""

STORAGES = ("scratch", "shared-world-tmp", "shared-tmp", "disk-world-tmp", "disk-tmp")
"""Storages that ``storage`` measures, by the names of the grid's labels."""

LABELS: Mapping[str, tuple[str, ...]] = {
    MACHINE: ("cpu", "cpu.microarch", "os", "arch", "gpu"),
    "compute": ("compute.gflops",),
    "storage": tuple(
        f"storage.{storage}.{way}.{unit}"
        for storage in STORAGES
        for way in ("read", "write")
        for unit in ("bw.mibps", "iops")
    ),
    "network": (
        "network.p2p.bw.mbps",
        "network.p2p.latency.us",
        "network.all-to-all.latency.us",
    ),
    "bandwidth": ("network.upload.bw.mbps", "network.download.bw.mbps"),
}
"""The 31 benchmark labels of the grid, by the benchmark that measures them."""

MORE_LABELS: Mapping[str, tuple[str, ...]] = {
    MACHINE: ("apptainer.version", "singularity.version", "enroot.version", "pyxis"),
    "compute": ("compute.method",),
    "storage": ("storage.method",),
    "network": ("network.method",),
}
"""Labels of our own: container runtimes, and what the figures were measured with."""

PROBE_MINUTES = 2
PROBE_SECONDS = 30
"""The small job waits so long for the supervisor, which ends it earlier."""

HPL_BLOCK = 192
HPL_SECONDS = 600.0
HPL_FLOPS_PER_CPU = 1e10
"""The size of HPL's matrix aims at ten minutes on CPUs of ten gigaflops."""

MPI_MB = 64
"""Memory that each rank takes beside the matrix."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A benchmark's job; ``skip`` says why there is none."""

    kind: str
    spec: JobSpec | None = None
    script: str = ""
    skip: str = ""


def fingerprint(info: ClusterInfo) -> str:
    """What results are valid for: the nodes by shape, also those that are down now."""
    shapes = sorted(
        (node.cpus, node.mem_mb, node.gpus, node.gpu_type)
        for node in (info.configured or info.nodes)
    )
    return hashlib.sha256(repr((info.partition, shapes)).encode()).hexdigest()[:16]


def plan(
    kind: str,
    info: ClusterInfo,
    settings: BenchmarkSettings,
    token: str,
    env: Mapping[str, str] | None = None,
) -> Plan:
    """The job that measures one kind on a cluster.

    Args:
        kind: One of :data:`KINDS`.
        info: The cluster; its smallest node sets the job's size.
        settings: Limits that the operator set.
        token: Random word of the attempt.
        env: Variables that jobs get here (``DSQ_CACHE_ROOT``…).
    """
    if not info.nodes:
        return Plan(kind, skip="the cluster has no usable node")
    if skip := _skip(kind, info, settings):
        return Plan(kind, skip=skip)
    size = _size(kind, info, settings)
    spec = JobSpec(
        name=f"dsq-benchmark-{kind}",
        token=token,
        ntasks=size["ntasks"],
        cpus_per_task=size["cpus_per_task"],
        mem_per_cpu=size["mem_per_cpu"],
        gpus=size["gpus"],
        minutes=size["minutes"],
        nodes=size["nodes"],
        env={**(env or {}), **_variables(kind, size, settings)},
        comment=f"dsq benchmark {kind}",
    )
    return Plan(kind, spec, script_of(kind))


def script_of(kind: str) -> str:
    """The text of a kind's script."""
    folder = resources.files(__package__)
    parts = ["mpi", kind] if kind in WITH_MPI else [kind]
    return "".join(folder.joinpath(f"{part}.sh").read_text() for part in parts)


def _skip(kind: str, info: ClusterInfo, settings: BenchmarkSettings) -> str:
    if kind == "network" and _node_count(info, settings) < 2:
        return "it needs two nodes"
    outside = settings.iperf_host or settings.download_url or settings.upload_url
    if kind == "bandwidth" and not outside:
        return "neither benchmark.iperf_host nor a download_url or upload_url is set"
    return ""


def _node_count(info: ClusterInfo, settings: BenchmarkSettings) -> int:
    most = [len(info.nodes), *(limit for limit in (settings.nodes, info.max_nodes) if limit)]
    return min(most)


def _size(kind: str, info: ClusterInfo, settings: BenchmarkSettings) -> dict[str, int]:
    """Numbers of the job's specification."""
    cpus, mem = _smallest(info)
    minutes = min(settings.minutes, info.max_minutes or settings.minutes)
    one = {"ntasks": 1, "cpus_per_task": 1, "gpus": 0, "minutes": minutes, "nodes": 0}
    one["mem_per_cpu"] = max(1, min(500, mem // cpus))
    match kind:
        case "compute":
            nodes = _node_count(info, settings)
            half = max(1, mem // 2 // cpus)
            return {
                **one,
                "ntasks": nodes,
                "cpus_per_task": cpus,
                "mem_per_cpu": half,
                "nodes": nodes,
            }
        case "storage":
            return {**one, "ntasks": min(4, cpus), "nodes": 1}
        case "network":
            nodes = _node_count(info, settings)
            return {**one, "ntasks": nodes, "nodes": nodes}
        case "bandwidth":
            return one
    untyped = any(node.gpus and not node.gpu_type for node in info.nodes)
    # One minute below the partition's limit, so that there is one to raise it by.
    few = max(1, min(PROBE_MINUTES, (info.max_minutes or PROBE_MINUTES + 1) - 1))
    return {**one, "minutes": few, "gpus": int(untyped)}


def _smallest(info: ClusterInfo) -> tuple[int, int]:
    """CPUs and MB that every node has."""
    cpus = min(node.cpus for node in info.nodes)
    if info.max_cpus_per_node:
        cpus = min(cpus, info.max_cpus_per_node)
    return max(1, cpus), max(1, min(node.mem_mb for node in info.nodes))


def _variables(kind: str, size: Mapping[str, int], settings: BenchmarkSettings) -> dict[str, str]:
    """What the script of a kind has to know."""
    values: dict[str, object] = {}
    match kind:
        case "compute":
            values = {"NODES": size["nodes"], "CPUS": size["cpus_per_task"], **_hpl(size)}
        case "storage":
            tasks = size["ntasks"]
            values = {"STORAGE_MB": settings.storage_mb, "ROUNDS": 3, "TASKS": tasks}
        case "network":
            values = {"NODES": size["nodes"]}
        case "bandwidth":
            host, _, port = settings.iperf_host.partition(":")
            values = {
                "IPERF_HOST": host,
                "IPERF_PORT": port or "5201",
                "DOWNLOAD_URL": settings.download_url,
                "UPLOAD_URL": settings.upload_url,
            }
        case _:
            values = {"SECONDS": PROBE_SECONDS}
    return {f"DSQ_BENCH_{key}": str(value) for key, value in values.items()}


def _hpl(size: Mapping[str, int]) -> dict[str, int]:
    """HPL's problem: process grid as square as it goes, a matrix that fits and ends in time."""
    ranks = size["ntasks"] * size["cpus_per_task"]
    rows = next(d for d in range(math.isqrt(ranks), 0, -1) if ranks % d == 0)
    matrix = max(1.0, size["mem_per_cpu"] * 0.8 - MPI_MB)
    by_memory = math.sqrt(matrix * ranks * 1e6 / 8)
    by_time = (1.5 * HPL_SECONDS * HPL_FLOPS_PER_CPU * ranks) ** (1 / 3)
    order = int(min(by_memory, by_time)) // HPL_BLOCK * HPL_BLOCK
    return {
        "HPL_N": max(HPL_BLOCK, order),
        "HPL_NB": HPL_BLOCK,
        "HPL_P": rows,
        "HPL_Q": ranks // rows,
    }


def node_features(nodes: tuple[Node, ...]) -> dict[str, int]:
    """How many nodes have each feature."""
    counts: dict[str, int] = {}
    for node in nodes:
        for feature in set(node.features):
            counts[feature] = counts.get(feature, 0) + 1
    return counts
