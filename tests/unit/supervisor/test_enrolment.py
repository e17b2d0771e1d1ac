"""What a registration would change, in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dsq.core.model import Label
from dsq.supervisor.enrolment import changes, facts
from dsq.supervisor.registration import Registration, wanted
from dsq.supervisor.scheduler.port import ClusterInfo, Node
from tests.support.provider import settings

INFO = ClusterInfo((Node("n1", 8, 32_000, 2), Node("n2", 4, 16_000)), "main", 60, "slurm 22.05.8")


def target(tmp_path: Path) -> Registration:
    return wanted(INFO, settings(tmp_path))


def test_identical_data_changes_nothing(tmp_path: Path) -> None:
    """So it is not registered again."""
    assert changes(target(tmp_path), target(tmp_path)) == []


def test_each_difference_is_one_line(tmp_path: Path) -> None:
    """A label that came, one that went, a price and a node."""
    now = target(tmp_path)
    before = replace(
        now,
        prices=replace(now.prices, cpu_per_min=10**18),
        labels=(*(label for label in now.labels if label.key != "max-minutes"), Label("zone", "a")),
    )
    assert [str(one) for one in changes(before, now)] == [
        "~ price of a CPU 1 -> 0.95",
        "+ label max-minutes 60",
        "- label zone a",
    ]


def test_a_first_registration_is_all_new(tmp_path: Path) -> None:
    """Nodes of one shape are counted together."""
    found = changes(None, target(tmp_path))
    assert all(one.before == "" for one in found)
    assert facts(target(tmp_path))["nodes of 8 CPUs, 32000 MB, 2 GPUs"] == "1"


def test_another_order_of_the_nodes_is_a_difference(tmp_path: Path) -> None:
    """The chain keeps nodes by their place."""
    now = target(tmp_path)
    hardware = replace(
        now.hardware,
        cpus_per_node=now.hardware.cpus_per_node[::-1],
        mem_per_node=now.hardware.mem_per_node[::-1],
        gpus_per_node=now.hardware.gpus_per_node[::-1],
    )
    assert len(changes(replace(now, hardware=hardware), now)) == 1
