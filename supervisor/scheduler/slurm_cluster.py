"""What Slurm says about nodes, partitions and itself, as values. Nothing here does I/O.

Tested on captured output, as :mod:`.slurm_output`, which reads jobs and errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dsq.supervisor.scheduler.port import ClusterInfo, Free, Node, NodeFree
from dsq.supervisor.scheduler.slurm_output import parse_minutes


def _fields(line: str) -> dict[str, str]:
    """Reads ``Key=Value`` words. Values may hold blanks (OS=Linux 6.1 #1 SMP)."""
    found: dict[str, str] = {}
    for match in re.finditer(
        r"(?:^|\s)([A-Za-z][A-Za-z0-9:_/]*)=(.*?)(?=\s+[A-Za-z]\S*?=|\s*$)", line
    ):
        found.setdefault(match[1], match[2].strip())
    return found


def _number(text: str | None) -> int:
    match = re.match(r"\d+", text or "")
    return int(match[0]) if match else 0


def parse_gres(text: str) -> dict[str, int]:
    """GPUs by type ("" if none is named) from ``gpu:a100:2(S:0-1),gpu:v100:1,fpga:1``."""
    gpus: dict[str, int] = {}
    for entry in re.split(r",(?![^()]*\))", re.sub(r"\s", "", text)):
        match = re.fullmatch(r"gpu(?::([^:()]+?))??(?::(\d+))?(?:\(.*\))?", entry)
        if match is not None:
            kind = match[1] or ""
            gpus[kind] = gpus.get(kind, 0) + (int(match[2]) if match[2] else 1)
    return gpus


_UNUSABLE: Final = frozenset(
    {"DOWN", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILED", "FAILING", "ERROR", "UNKNOWN"}
    | {"FUTURE", "INVAL", "INVALID_REG", "NOT_RESPONDING", "NO_RESPOND", "MAINT", "PERFCTRS"}
    | {"BLOCKED", "REBOOT_ISSUED", "REBOOT_REQUESTED", "POWERING_DOWN", "DYNAMIC_FUTURE"}
)


def usable(state: str) -> bool:
    """Whether a node in this state (``MIXED+PLANNED``, ``DOWN*``) takes new jobs.

    A cloud node that is powered down does: Slurm wakes it.
    """
    words = {word.strip("~#$@^%!-") for word in state.upper().split("+")}
    if any(word.endswith("*") for word in words):  # does not answer
        return False
    return not words & _UNUSABLE


def _partition(stdout: str, name: str) -> dict[str, str]:
    """The named partition, or the default one for ""; {} if there is none."""
    for line in stdout.splitlines():
        fields = _fields(line)
        wanted = fields.get("PartitionName") == name if name else fields.get("Default") == "YES"
        if fields.get("PartitionName") and wanted:
            return fields
    return {}


def partition_names(stdout: str) -> list[str]:
    """Names of all partitions in the output of :func:`show_partitions`."""
    names = (_fields(line).get("PartitionName", "") for line in stdout.splitlines())
    return [name for name in names if name]


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition, for choosing one."""

    name: str
    is_default: bool
    state: str
    max_minutes: int | None
    nodes: str


def parse_partitions(stdout: str) -> list[Partition]:
    """All partitions in the output of :func:`show_partitions`."""
    found = [_fields(line) for line in stdout.splitlines()]
    return [
        Partition(
            fields["PartitionName"],
            fields.get("Default") == "YES",
            fields.get("State", ""),
            parse_minutes(fields.get("MaxTime", "")),
            fields.get("Nodes", ""),
        )
        for fields in found
        if fields.get("PartitionName")
    ]


def _nodes_of(stdout: str, partition: str, *, all_states: bool = False) -> Iterator[dict[str, str]]:
    """Fields of the usable nodes of exactly this partition, or of all its nodes."""
    for line in stdout.splitlines():
        fields = _fields(line)
        if partition in fields.get("Partitions", "").split(",") and (
            all_states or usable(fields.get("State", "UNKNOWN"))
        ):
            yield fields


def _capacity(fields: dict[str, str]) -> tuple[int, int]:
    """CPUs and MB that jobs can have: without cores and memory kept for the system."""
    cpus = _number(fields.get("CPUEfctv")) or _number(fields.get("CPUTot"))
    return cpus, max(0, _number(fields.get("RealMemory")) - _number(fields.get("MemSpecLimit")))


def parse_cluster(nodes: str, partitions: str, partition: str, version: str) -> ClusterInfo | None:
    """Hardware of a partition from :func:`show_nodes` and :func:`show_partitions`.

    Memory comes from RealMemory, which is in MB always (CfgTRES switches units); GPUs from
    Gres, since TRES counts them only with an accounting data base. None: no such partition.
    """
    fields = _partition(partitions, partition)
    if not fields:
        return None
    name = fields["PartitionName"]
    return ClusterInfo(
        nodes=tuple(_node(node) for node in _nodes_of(nodes, name)),
        partition=name,
        max_minutes=parse_minutes(fields.get("MaxTime", "")),
        version=version,
        configured=tuple(_node(node) for node in _nodes_of(nodes, name, all_states=True)),
        max_nodes=_limit(fields.get("MaxNodes")),
        max_cpus_per_node=_limit(fields.get("MaxCPUsPerNode")),
        max_mem_per_node=_limit(fields.get("MaxMemPerNode")),
    )


def _node(fields: dict[str, str]) -> Node:
    cpus, mem = _capacity(fields)
    gres = parse_gres(fields.get("Gres", ""))
    kinds = sorted((kind for kind in gres if kind), key=lambda kind: -gres[kind])
    features = fields.get("ActiveFeatures", "")
    return Node(
        name=fields.get("NodeName", ""),
        cpus=cpus,
        mem_mb=mem,
        gpus=sum(gres.values()),
        gpu_type=kinds[0] if kinds else "",
        state=fields.get("State", ""),
        features=() if features in ("", "(null)") else tuple(features.split(",")),
    )


def _limit(text: str | None) -> int | None:
    """A partition's limit; None for UNLIMITED, 0 and what is no number."""
    return _number(text) or None


def parse_free(nodes: str, partitions: str, partition: str) -> Free:
    """What is not allocated on the partition's usable nodes; nothing if it is not up."""
    fields = _partition(partitions, partition)
    state = fields.get("State", "UP")
    if state != "UP":
        return Free(closed=f"the partition {fields['PartitionName']} is {state}")
    found = []
    for node in _nodes_of(nodes, fields.get("PartitionName", "")):
        if "RESERVED" in node.get("State", ""):
            continue
        cpus, mem = _capacity(node)
        total = sum(parse_gres(node.get("Gres", "")).values())
        used = sum(parse_gres(node.get("GresUsed", "")).values())
        found.append(
            NodeFree(
                name=node.get("NodeName", ""),
                cpus=max(0, cpus - _number(node.get("CPUAlloc"))),
                mem_mb=max(0, mem - _number(node.get("AllocMem"))),
                gpus=max(0, total - used),
            )
        )
    return Free(tuple(found))


@dataclass(frozen=True, slots=True)
class Config:
    """What the supervisor wants to know of slurm.conf.

    Attributes:
        version: Slurm's version.
        slurm_user: The account the controller runs as.
    """

    version: str
    slurm_user: str


def parse_config(stdout: str) -> Config:
    """Reads ``scontrol show config``."""
    found: dict[str, str] = {}
    for line in stdout.splitlines():
        key, mark, value = line.partition("=")
        if mark:
            found.setdefault(key.strip(), value.strip())
    return Config(
        version=found.get("SLURM_VERSION", ""),
        slurm_user=re.sub(r"\(\d+\)$", "", found.get("SlurmUser", "")),
    )
