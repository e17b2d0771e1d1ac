"""The same parsers on what other versions print, on others' jobs, and on hostile text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.supervisor.scheduler import slurm_cluster as described
from dsq.supervisor.scheduler import slurm_output as output
from dsq.supervisor.scheduler.port import SlurmJob

CAPTURED = Path(__file__).with_name("captured")


def captured(name: str) -> str:
    return (CAPTURED / name).read_text()


def queue(name: str) -> dict[str, SlurmJob]:
    return {job.id: job for job in output.parse_squeue(captured(name))}


def test_the_queue_of_slurm_24_is_read() -> None:
    """Arrays, jobs of several parts, held, ended and killed ones: each by its own number."""
    jobs = queue("squeue_24_11.txt")
    assert {job_id: job.state for job_id, job in jobs.items()} == {
        "63": "FAILED",
        "64": "COMPLETED",
        "65": "CANCELLED",
        "66": "FAILED",
        "67": "COMPLETED",
        "68": "CANCELLED",
        "69": "PENDING",
        "70": "RUNNING",
        "71": "RUNNING",
        "72": "FAILED",
        "73": "RUNNING",
        "74": "PENDING",
        "75": "FAILED",
        "76": "RUNNING",
    }
    assert (jobs["72"].exit_code, jobs["75"].signal) == (3, 9)
    assert jobs["74"].reason == "JobHeldUser"
    assert (jobs["65"].start, jobs["65"].nodes) == (0, "")
    assert jobs["73"].nodes == "n1"


def test_the_nodes_of_slurm_24_are_read() -> None:
    """Its new columns change nothing; memory in other units stands elsewhere."""
    nodes, partitions = captured("nodes_24_11.txt"), captured("partitions_24_11.txt")
    info = described.parse_cluster(nodes, partitions, "", "slurm 24.11.5")
    assert info is not None
    assert [(n.name, n.cpus, n.mem_mb, n.gpus, n.gpu_type) for n in info.nodes] == [
        ("n1", 16, 32000, 2, "a100"),
        ("n2", 16, 32000, 2, "a100"),
    ]
    assert (info.partition, info.max_minutes, info.max_nodes) == ("batch", 7 * 24 * 60, None)
    free = described.parse_free(nodes, partitions, "batch")
    assert [(n.cpus, n.mem_mb, n.gpus) for n in free.nodes] == [(13, 29000, 1), (14, 30000, 2)]
    assert free.closed == ""


def test_the_completion_log_of_slurm_24_is_read() -> None:
    """Ends, codes and signals as in the queue."""
    jobs = {job.id: job for job in output.parse_sacct(captured("sacct_24_11.txt"))}
    assert (jobs["72"].state, jobs["72"].exit_code) == ("FAILED", 3)
    assert (jobs["75"].state, jobs["75"].signal) == ("FAILED", 9)
    assert (jobs["63"].start, jobs["63"].nodes) == (0, "")
    assert jobs["77"].user == "root"
    assert jobs["66"].output.startswith("/srv/jobs/0x")


def test_others_jobs_in_the_queue_do_no_harm() -> None:
    """Arrays and jobs of several parts that wait, and names with bars and line breaks."""
    jobs = queue("squeue_others.txt")
    assert set(jobs) == {"1", "2", "3", "4", "5"}
    assert {job.state for job in jobs.values()} == {"PENDING"}


def test_a_path_with_line_breaks_can_forge_a_row_where_paths_are_asked_for() -> None:
    """Which is why such a row is never believed before its id alone was asked for."""
    jobs = output.parse_squeue(captured("squeue_forged.txt"))
    forged = [job for job in jobs if job.id == "99"]
    assert [job.output for job in forged] == ["/w/out.log"]
    assert "99" not in queue("squeue_others.txt")


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ("gpu:a100:4(S:0-1)", {"a100": 4}),
        ("gpu:a100:2(IDX:0-1)", {"a100": 2}),
        ("gpu:a100:0(IDX:N/A)", {"a100": 0}),
        ("gpu:4", {"": 4}),
        ("gpu", {"": 1}),
        ("gpu(S:0)", {"": 1}),
        ("gpu:a100_1g.5gb:7(S:0),gpu:a100:1", {"a100_1g.5gb": 7, "a100": 1}),
        ("gpu:nvidia_h100_80gb_hbm3:8(S:0-1),nic:2,tmpfs:100G", {"nvidia_h100_80gb_hbm3": 8}),
        ("shard:a100:8,gpu:a100:2(S:0,1)", {"a100": 2}),
        ("(null)", {}),
        ("", {}),
    ],
)
def test_gpus_are_read_in_every_notation(gres: str, gpus: dict[str, int]) -> None:
    """With sockets, indices, slices, without types; other resources are none."""
    assert described.parse_gres(gres) == gpus


@pytest.mark.parametrize(
    ("state", "is_usable"),
    [
        ("IDLE", True),
        ("MIXED+PLANNED", True),
        ("ALLOCATED+COMPLETING", True),
        ("IDLE+CLOUD+POWERED_DOWN", True),
        ("IDLE~", True),
        ("IDLE*", False),
        ("DOWN*+CLOUD", False),
        ("IDLE+DRAIN", False),
        ("MIXED+DRAIN+INVALID_REG", False),
        ("IDLE+NOT_RESPONDING", False),
        ("RESERVED+MAINT", False),
        ("", True),
    ],
)
def test_states_of_nodes(state: str, is_usable: bool) -> None:
    """Words of several versions; a cloud node that sleeps is woken by Slurm."""
    assert described.usable(state) is is_usable


@pytest.mark.parametrize(
    "stderr",
    [
        "sacct: error: slurm_persist_conn_open_without_init: failed to open persistent connection "
        "to host:localhost:6819: Connection refused",
        "sacct: error: Problem talking to the database: Connection refused",
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "squeue: error: slurm_receive_msg: Socket timed out on send/recv operation",
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller",
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
        "scontrol: fatal: Could not establish a configuration source",
    ],
)
def test_silence_is_told_from_a_no(stderr: str) -> None:
    """After one of these nothing is certain."""
    assert output.is_lost_line(stderr)


@pytest.mark.parametrize(
    "stderr",
    [
        "sbatch: error: Batch job submission failed: Requested node configuration is not available",
        "sbatch: error: Batch job submission failed: Invalid account or account/partition "
        "combination specified",
        "sbatch: error: Batch job submission failed: Requested time limit is invalid",
        "sbatch: error: QOSMaxSubmitJobPerUserLimit",
        "sbatch: error: invalid partition specified: nope",
    ],
)
def test_a_no_is_certain(stderr: str) -> None:
    """The job is not in the cluster."""
    assert not output.is_lost_line(stderr)
    assert output.refusal(stderr)


@given(st.text(), st.text())
def test_no_text_breaks_any_parser(first: str, second: str) -> None:
    """Whatever a login or a hostile name puts there, reading raises nothing."""
    for text in (first, f"{first}|{second}", f"NodeName={first} State={second}"):
        output.parse_sacct(text)
        output.parse_submitted(text)
        described.parse_cluster(text, text, first, "slurm")
        described.parse_free(text, text, first)
        described.parse_gres(text)
        described.parse_config(text)
        output.parse_minutes(text)
        output.parse_exit(text)
        described.usable(text)
        output.refusal(text)
