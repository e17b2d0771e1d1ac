"""Slurm's output as values, on output captured from Slurm 22.05.8 and on variants of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.supervisor.scheduler import slurm_cluster as described
from dsq.supervisor.scheduler import slurm_output as output
from dsq.supervisor.scheduler.port import Node, NodeFree, SlurmJob

CAPTURED = Path(__file__).with_name("captured")


def captured(name: str) -> str:
    return (CAPTURED / name).read_text()


@pytest.fixture
def queue() -> dict[str, SlurmJob]:
    return {job.id: job for job in output.parse_squeue(captured("squeue.txt"))}


def test_every_job_of_the_queue_is_read(queue: dict[str, SlurmJob]) -> None:
    """Waiting, running, leaving and ended jobs each have their base state."""
    assert {job_id: job.state for job_id, job in queue.items()} == {
        "1": "COMPLETED",
        "2": "FAILED",
        "3": "FAILED",
        "4": "RUNNING",
        "5": "PENDING",
        "6": "CANCELLED",
        "7": "CANCELLED",
        "8": "RUNNING",
        "9": "CANCELLED",
        "10": "TIMEOUT",
        "11": "PENDING",
        "12": "COMPLETING",
    }
    assert {job.user for job in queue.values()} == {"root"}
    assert not any(job.name or job.output for job in queue.values())


def test_exit_codes_and_signals_come_from_the_wait_status(queue: dict[str, SlurmJob]) -> None:
    """squeue prints 768 for exit code 3, and 9 for SIGKILL."""
    assert (queue["2"].exit_code, queue["2"].signal) == (3, 0)
    assert (queue["3"].exit_code, queue["3"].signal) == (0, 9)
    assert (queue["1"].exit_code, queue["1"].signal) == (0, 0)


def test_only_what_has_happened_has_a_time(queue: dict[str, SlurmJob]) -> None:
    """The expected start of a waiting and the expected end of a running job are no times."""
    assert (queue["11"].start, queue["11"].end) == (0, 0)
    assert queue["4"].start == 1795349592
    assert queue["4"].end == 0
    assert (queue["2"].start, queue["2"].end) == (1795349592, 1795349592)
    assert queue["12"].end == 1795349685  # being cleaned up: it has ended


def test_a_job_cancelled_while_it_waited_never_started(queue: dict[str, SlurmJob]) -> None:
    """Slurm gives such a job the time of the cancel as its start; it has no nodes."""
    assert queue["6"].start == 0
    assert queue["6"].end == 1795349594


def test_limits_and_nodes_are_read(queue: dict[str, SlurmJob]) -> None:
    """Limits are minutes; a job on several nodes keeps Slurm's notation."""
    assert queue["4"].time_limit_minutes == (2 * 24 + 3) * 60 + 5
    assert queue["10"].time_limit_minutes == 1
    assert queue["8"].nodes == "n[1-2]"
    assert queue["5"].reason == "JobHeldUser"
    assert queue["4"].reason == ""


def test_the_path_of_the_output_is_read_when_asked_for() -> None:
    """It stands in the last column."""
    jobs = {job.id: job for job in output.parse_squeue(captured("squeue_output.txt"))}
    assert jobs["10"].output == "/srv/out/" + "x" * 60


def test_the_completion_log_gives_the_same_ends() -> None:
    """States, times and codes of ``sacct --completion``; the working directory as output."""
    jobs = {job.id: job for job in output.parse_sacct(captured("sacct_completion.txt"))}
    assert (jobs["2"].state, jobs["2"].exit_code) == ("FAILED", 3)
    assert (jobs["3"].state, jobs["3"].signal) == ("FAILED", 9)
    assert (jobs["10"].state, jobs["10"].start, jobs["10"].end) == (
        "TIMEOUT",
        1795349592,
        1795349681,
    )
    assert (jobs["6"].start, jobs["6"].nodes) == (0, "")
    assert jobs["2"].user == "root"
    assert jobs["2"].output == "/home/dsq/jobs/0xaa/k3t9"


def test_the_accountings_data_base_gives_the_same_ends() -> None:
    """It says who cancelled; a job cancelled while it waited has no start and no node."""
    failed, killed, cancelled, never = output.parse_sacct(captured("sacct_database.txt"))
    assert (failed.state, failed.exit_code, failed.output) == (
        "FAILED",
        4,
        "/home/dsq/jobs/0xabc/tok",
    )
    assert (killed.signal, killed.end - killed.start) == (9, 0)
    assert (cancelled.state, cancelled.end - cancelled.start) == ("CANCELLED", 1)
    assert cancelled.time_limit_minutes == 50
    assert (never.state, never.start, never.nodes) == ("CANCELLED", 0, "")
    assert {job.submit_time for job in (failed, killed, cancelled, never)} == {1795350948}


def test_a_run_that_was_put_back_has_ended() -> None:
    """Each run of a job and each job of an id has a record; the second run has not begun."""
    first, second, _, _, later = output.parse_sacct(captured("sacct_requeued.txt"))
    assert (first.state, first.start, first.end) == ("CANCELLED", 1795381751, 1795381752)
    assert (second.state, second.start, second.end) == ("PENDING", 0, 0)
    assert len({job.job_id for job in (first, second, later)}) == 3
    still = output.parse_sacct("1|5|u|REQUEUED|6|Unknown|0:0|5|n1")
    assert [(job.state, job.end) for job in still] == [("REQUEUED", 0)]


def test_rare_words_of_the_accounting_are_read() -> None:
    """Words for what is not known, ISO times, steps, and a path with a bar in it."""
    text = (
        "7|1700000000|ann|CANCELLED by 1000|Unknown|1700000009|0:0|60|None assigned|/w/a\n"
        "8|2023-11-14T22:13:20|ann|OUT_OF_MEMORY|1700000005|1700000009|0:125|UNLIMITED|n1|/w/a|b\n"
        "8.batch|1700000000|ann|COMPLETED|1700000005|1700000009|0:0||n1|\n"
        "9|1700000000|ann|NODE_FAIL|1700000005|1700000009|1:0|60|n[1-3]|/w/c\n"
    )
    cancelled, memory, lost = output.parse_sacct(text)
    assert (cancelled.state, cancelled.start, cancelled.end) == ("CANCELLED", 0, 1700000009)
    assert (memory.state, memory.time_limit_minutes, memory.output) == (
        "OUT_OF_MEMORY",
        0,
        "/w/a|b",
    )
    assert (lost.state, lost.nodes) == ("NODE_FAIL", "n[1-3]")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "slurm_load_jobs: warning",
        "1|2|3",
        "abc |1|u|RUNNING|None|1|1|0|1:00|n1|0|",
        "7 |1|u|DANCING|None|1|1|0|1:00|n1|0|",
        "12_3 |1|u|RUNNING|None|1|1|0|1:00|n1|0|",
    ],
)
def test_rows_of_another_form_are_left_out(line: str) -> None:
    """A warning, a banner or a row cut short is no job."""
    assert output.parse_squeue(line + "\n") == []


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    """Whatever a login prints, reading it raises nothing."""
    output.parse_squeue(text)
    output.parse_sacct(text)
    output.parse_submitted(text)
    described.parse_config(text)
    described.parse_free(text, text, "")
    described.parse_cluster(text, text, "p", "v")
    output.first_line(text)


@given(st.integers(0, 40), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_durations_are_rounded_up_to_minutes(
    days: int, hours: int, minutes: int, seconds: int
) -> None:
    """Every form of Slurm's durations gives the same number."""
    wanted = (days * 24 + hours) * 60 + minutes + (seconds > 0)
    assert output.parse_minutes(f"{days}-{hours:02}:{minutes:02}:{seconds:02}") == wanted
    if days == 0:
        assert output.parse_minutes(f"{hours:02}:{minutes:02}:{seconds:02}") == wanted
    if days == hours == 0:
        assert output.parse_minutes(f"{minutes}:{seconds:02}") == wanted


@pytest.mark.parametrize("text", ["UNLIMITED", "NOT_SET", "INVALID", "", "N/A", "Partition_Limit"])
def test_no_limit_is_none(text: str) -> None:
    """Words instead of a duration mean that there is none."""
    assert output.parse_minutes(text) is None


@pytest.mark.parametrize(
    ("stdout", "job_id"),
    [
        ("123\n", "123"),
        ("123;cluster\n", "123"),
        ("Welcome to the cluster\n4711\n", "4711"),
        ("", ""),
        ("Submitted batch job 5\n", ""),
        ("0\n", ""),
    ],
)
def test_the_id_is_read_from_sbatchs_answer(stdout: str, job_id: str) -> None:
    """The last line that is a number counts, so a login's banner does no harm."""
    assert output.parse_submitted(stdout) == job_id


def test_the_cluster_is_read_node_by_node() -> None:
    """CPUs, memory in MB and GPUs of usable nodes; a drained and a down node are left out."""
    info = described.parse_cluster(
        captured("nodes.txt"), captured("partitions.txt"), "batch", "slurm 22.05.8"
    )
    assert info is not None
    assert info.nodes == (
        Node("n1", 8, 32000, 2, "a100", info.nodes[0].state),
        Node("n2", 8, 32000, 2, "a100", info.nodes[1].state),
    )
    assert info.max_minutes == 7 * 24 * 60
    assert info.partition == "batch"


def test_a_partition_is_matched_exactly() -> None:
    """``debug`` has one node and half an hour; ``bat`` is no partition; "" is the default one."""
    nodes, partitions = captured("nodes.txt"), captured("partitions.txt")
    debug = described.parse_cluster(nodes, partitions, "debug", "")
    assert debug is not None
    assert [node.name for node in debug.nodes] == ["n1"]
    assert debug.max_minutes == 30
    assert described.parse_cluster(nodes, partitions, "bat", "") is None
    default = described.parse_cluster(nodes, partitions, "", "")
    assert default is not None
    assert default.partition == "batch"
    assert described.partition_names(partitions) == ["batch", "debug"]


def test_free_is_what_no_job_has() -> None:
    """Allocated CPUs, memory and GPUs are taken off, node by node."""
    free = described.parse_free(captured("nodes.txt"), captured("partitions.txt"), "batch")
    assert free.nodes == (NodeFree("n1", 4, 31600, 0), NodeFree("n2", 5, 31700, 2))
    assert (free.cpus, free.mem_mb, free.gpus) == (9, 63300, 2)


def test_nothing_is_free_in_a_partition_that_is_down() -> None:
    """Its nodes may be idle, no job starts there."""
    partitions = captured("partitions.txt").replace("State=UP", "State=DRAIN")
    assert described.parse_free(captured("nodes.txt"), partitions, "batch").nodes == ()


def test_cores_and_memory_of_the_system_are_not_sold() -> None:
    """CPUEfctv and MemSpecLimit say what is kept back; old versions lack the former."""
    line = "NodeName=a CPUAlloc=0 {} CPUTot=64 RealMemory=1000 MemSpecLimit=100 State=IDLE Partitions=p"
    part = "PartitionName=p Default=YES MaxTime=UNLIMITED State=UP"
    new = described.parse_cluster(line.format("CPUEfctv=60"), part, "p", "")
    old = described.parse_cluster(line.format(""), part, "p", "")
    assert new is not None
    assert old is not None
    assert (new.nodes[0].cpus, new.nodes[0].mem_mb, new.max_minutes) == (60, 900, None)
    assert old.nodes[0].cpus == 64


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("gpu:a100:2", {"a100": 2}),
        ("gpu:4", {"": 4}),
        ("gpu", {"": 1}),
        ("gpu:a100", {"a100": 1}),
        ("gpu:a100:2(S:0-1),gpu:v100:1(S:1),fpga:3", {"a100": 2, "v100": 1}),
        ("gpu:a100:2(IDX:0,3-4),gpu:a100:1(IDX:5)", {"a100": 3}),
        ("gpu:a100:0(IDX:N/A)", {"a100": 0}),
        ("(null)", {}),
        ("", {}),
        ("craynetwork:2,gpumem:80", {}),
    ],
)
def test_gpus_are_counted_from_gres(text: str, gpus: dict[str, int]) -> None:
    """Types and counts in each of Slurm's notations; other resources are no GPUs."""
    assert described.parse_gres(text) == gpus


@pytest.mark.parametrize(
    ("state", "usable"),
    [
        ("IDLE", True),
        ("MIXED+PLANNED", True),
        ("ALLOCATED", True),
        ("IDLE+CLOUD+POWERED_DOWN", True),
        ("COMPLETING", True),
        ("IDLE*", False),
        ("IDLE+DRAIN", False),
        ("MIXED+DRAIN", False),
        ("DOWN*+DRAIN", False),
        ("DOWN+NOT_RESPONDING", False),
        ("IDLE+MAINT+RESERVED", False),
        ("UNKNOWN*", False),
        ("IDLE+INVALID_REG", False),
    ],
)
def test_nodes_that_take_no_jobs_are_told_apart(state: str, usable: bool) -> None:
    """Drained, failing and silent nodes take none; a sleeping cloud node does."""
    assert described.usable(state) is usable


def test_a_reason_in_an_administrators_words_changes_no_field() -> None:
    """The first value of a field counts; n3 was drained with the words "State=IDLE"."""
    assert "State=IDLE " in captured("nodes.txt").partition("bad disk")[2]
    names = [node["NodeName"] for node in described._nodes_of(captured("nodes.txt"), "batch")]
    assert names == ["n1", "n2"]


def test_the_configuration_is_read() -> None:
    """Version and the controller's account."""
    config = described.parse_config(captured("config.txt"))
    assert (config.version, config.slurm_user) == ("22.05.8", "root")


@pytest.mark.parametrize(
    "stderr",
    [
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
        "sacct: error: slurm_persist_conn_open_without_init: failed to open persistent connection "
        "to host:db:6819: Connection refused",
        "sbatch: fatal: Could not establish a configuration source",
        "sbatch: error: Munge encode failed: Failed to access socket",
    ],
)
def test_a_controller_that_does_not_answer_is_told_from_a_refusal(stderr: str) -> None:
    """After these nothing is certain."""
    assert output.is_lost_line(stderr)


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (
            "sbatch: error: Batch job submission failed: More processors requested than permitted",
            "More processors requested than permitted",
        ),
        (
            "sbatch: error: invalid partition specified: nix\n"
            "sbatch: error: Batch job submission failed: Invalid partition name specified",
            "Invalid partition name specified",
        ),
        (
            "sbatch: error: Batch job submission failed: Requested time limit is invalid "
            "(missing or exceeds some limit)",
            "Requested time limit is invalid (missing or exceeds some limit)",
        ),
        ("sbatch: fatal: invalid option", "invalid option"),
    ],
)
def test_a_refusal_gives_its_reason(stderr: str, reason: str) -> None:
    """Slurm's own words, without the program's name."""
    assert not output.is_lost_line(stderr)
    assert output.refusal(stderr) == reason
