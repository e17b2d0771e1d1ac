"""A throwaway Slurm's place is chosen once, and its configuration follows from it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from dsq.console.local.slurm_conf import SlurmConf
from dsq.console.local.slurm_place import LONGEST_ROOT, RECORD, place_of, remove_place


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cluster's folder whose path is too long for sockets; short ones are made beside it."""
    (tmp_path / "short").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "short"))
    return tmp_path / ("long" * (LONGEST_ROOT // 4)) / "slurm"


def test_a_place_is_found_again(root: Path) -> None:
    """The same folder and ports at every start, whatever is asked for then."""
    place = place_of(root, 4)
    assert place.folder.parent.name == "short"
    assert place.folder.stat().st_mode & 0o777 == 0o755
    assert place_of(root, 9, 12_345) == place


def test_a_folder_that_somebody_else_could_have_made_is_not_used(root: Path) -> None:
    """A link in its place means another folder, and the ports stay."""
    place = place_of(root, 4, 23_456)
    place.folder.rename(root / "away")
    place.folder.symlink_to(root / "away")
    again = place_of(root, 4)
    assert again.folder != place.folder
    assert again.port == place.port == 23_456


def test_a_damaged_record_means_a_new_place(root: Path) -> None:
    """It is written anew."""
    root.mkdir(parents=True)
    (root / RECORD).write_text("{")
    place = place_of(root, 4, 23_456)
    assert json.loads((root / RECORD).read_text()) == {
        "place": str(place.folder),
        "base_port": "23456",
    }


def test_nothing_is_left_of_a_removed_cluster(root: Path) -> None:
    """Neither its folder nor the short one beside the temporary files."""
    place = place_of(root, 4)
    remove_place(root)
    assert not root.exists()
    assert not place.folder.exists()
    remove_place(root)


def conf(gpus: int) -> SlurmConf:
    return SlurmConf(
        root=Path("/home/dsq/slurm"),
        place=Path("/place"),
        port=21_000,
        nodes=("n1", "n2"),
        cpus=4,
        mem_mb=2000,
        gpus=gpus,
        partition="batch",
        min_job_age=300,
    )


def values(text: str) -> dict[str, str]:
    """Lines with one setting."""
    lines = [line for line in text.splitlines() if " " not in line]
    return dict(line.split("=", 1) for line in lines)


def test_every_daemon_has_a_port_of_its_own() -> None:
    """The controller the first; each node one after slurmd's usual one."""
    text = conf(0).slurm_conf()
    ports = [word for line in text.splitlines() for word in line.split() if "Port=" in word]
    assert ports == [
        "SlurmctldPort=21000",
        "SlurmdPort=21001",
        "Port=21002",
        "Port=21003",
    ]


def test_state_and_logs_stay_with_the_cluster_and_sockets_go_to_its_place() -> None:
    """So that a path too long for sockets is none too long for the rest."""
    found = values(conf(0).slurm_conf())
    assert found["StateSaveLocation"] == "/home/dsq/slurm/state"
    assert found["SlurmctldLogFile"] == "/home/dsq/slurm/log/slurmctld.log"
    assert found["SlurmdSpoolDir"] == "/place/spool.%n"
    assert found["AuthInfo"] == "socket=/place/run/munge.socket"


def test_a_node_has_as_many_gpus_as_devices_stand_for_them() -> None:
    """Without GPUs Slurm is told of none."""
    with_two, without = conf(2), conf(0)
    assert with_two.slurm_conf().count(" Gres=gpu:a100:2 ") == 2
    assert with_two.gres_conf().count("NodeName=n1,n2 Name=gpu Type=a100 File=/dev/") == 2
    assert values(with_two.slurm_conf())["GresTypes"] == "gpu"
    assert "gpu" not in without.slurm_conf() + without.gres_conf()
