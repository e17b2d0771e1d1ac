"""Benchmarks: the jobs they are, the figures in what tools print, and the grid's 31 labels."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dsq.supervisor.benchmark import kinds
from dsq.supervisor.benchmark import runner as running
from dsq.supervisor.benchmark.kinds import KINDS, LABELS, MORE_LABELS, STORAGES, plan, script_of
from dsq.supervisor.benchmark.results import failure_of, labels_of, microarch
from dsq.supervisor.benchmark.store import FILE, Result, ResultStore
from dsq.supervisor.scheduler.port import ENDED_STATES, ClusterInfo, JobSpec, Node, SlurmJobId
from dsq.supervisor.settings import BenchmarkSettings
from tests.support.fake_cluster import FakeScheduler
from tests.support.virtual import run_virtual
from tests.support.world import World

CAPTURED = Path(__file__).with_name("captured")
GUIDE = Path(__file__).parents[3] / "docs" / "provider.md"
INFO = ClusterInfo((Node("n1", 8, 32_000), Node("n2", 4, 16_000)), "main", 600, "slurm 22.05.8")

HPL = """@@ hpl
T/V                N    NB     P     Q               Time                 Gflops
WR11C2R4       29184   192     2     4              41.98             3.9475e+02
WR11C2R4       29184   192     2     4              40.01             4.1420e+02
||Ax-b||_oo/(eps*(||A||_oo*||x||_oo+||b||_oo)*N)=   2.88612943e-03 ...... PASSED
@@ end
"""
IOR = """@@ ior scratch
access,bw(MiB/s),IOPS,Latency,block(KiB),xfer(KiB),open(s),wr/rd(s),close(s),total(s),numTasks,iter
write,2010.0,1005.5,0.003,1048576.00,2048.00,0.0004,0.5,0.0001,0.51,4,0
read,4100.0,2050.0,0.001,1048576.00,2048.00,0.0003,0.2,0.0001,0.25,4,0
write,1990.0,994.5,0.003,1048576.00,2048.00,0.0004,0.5,0.0001,0.51,4,1
@@ end
"""
DD = """@@ dd disk-tmp write
512+0 records in
512+0 records out
1073741824 bytes (1.1 GB, 1.0 GiB) copied, 2.0 s, 537 MB/s
@@ dd disk-tmp read
dd: failed to open '/x/data': Invalid argument
1073741824 bytes (1.1 GB, 1.0 GiB) copied, 0.5 s, 2.1 GB/s
@@ end
"""
OSU = """@@ osu latency
# OSU MPI Latency Test v7.3
# Size          Latency (us)
1                       1.52
4194304               360.11
@@ end
@@ osu bibw
# OSU MPI Bi-Directional Bandwidth Test v7.3
# Size      Bandwidth (MB/s)
1                       5.10
2097152             24000.50
4194304             23980.00
@@ end
@@ osu alltoall
# OSU MPI All-to-All Personalized Exchange Latency Test v7.3
1                       7.25
1048576              2000.00
@@ end
"""
FIO = "@@ fio scratch\n" + json.dumps(
    {
        "jobs": [
            {
                "read": {"io_bytes": 0, "bw": 0, "iops": 0.0},
                "write": {"io_bytes": 5, "bw": 524288, "iops": 256.0},
            }
        ]
    }
)


def test_there_are_the_31_labels_of_the_grid() -> None:
    """Names that jobs of the field ask for, each measured by one benchmark."""
    names = [name for group in LABELS.values() for name in group]
    assert len(names) == len(set(names)) == 31
    assert set(LABELS) == set(KINDS)


@pytest.mark.parametrize("label", [x for g in (LABELS, MORE_LABELS) for y in g.values() for x in y])
def test_every_label_is_in_the_guide(label: str) -> None:
    """docs/provider.md names each, or its pattern for storages."""
    text = GUIDE.read_text()
    for storage in STORAGES:
        label = label.replace(f"storage.{storage}.", "storage.*.")
    assert f"`{label}`" in text


def test_hpl_counts_with_its_best_run() -> None:
    """The figure is Gflops, to two places."""
    assert labels_of(HPL) == {"compute.gflops": "414.20", "compute.method": "hpl"}


def test_the_built_in_product_is_summed_over_the_nodes() -> None:
    """Each node prints a line."""
    found = labels_of("@@ matrix c\ngflops=10.5\ngflops=11.0\n@@ end\n")
    assert found == {"compute.gflops": "21.50", "compute.method": "matrix-c"}


def test_storage_figures_are_means() -> None:
    """IOR's rows by kind; what has one kind only gives that kind."""
    found = labels_of(IOR)
    assert found["storage.scratch.write.bw.mibps"] == "2000.00"
    assert found["storage.scratch.write.iops"] == "1000.00"
    assert found["storage.scratch.read.bw.mibps"] == "4100.00"
    assert found["storage.method"] == "ior"


def test_dd_gives_the_same_units() -> None:
    """MiB/s of its own count of bytes and seconds; transfers of 2 MiB as operations."""
    found = labels_of(DD)
    assert found["storage.disk-tmp.write.bw.mibps"] == "512.00"
    assert found["storage.disk-tmp.write.iops"] == "256.00"
    assert found["storage.disk-tmp.read.bw.mibps"] == "2048.00"


def test_fio_gives_the_same_units() -> None:
    """It prints KiB/s; a way it did not measure gives nothing."""
    found = labels_of(FIO)
    assert found["storage.scratch.write.bw.mibps"] == "512.00"
    assert not any(".read." in key for key in found)


@pytest.mark.parametrize(
    ("tool", "labels"),
    [
        ("hpcc", {"compute.gflops": "1.42", "compute.method": "hpl"}),
        (
            "iperf3",
            {"network.upload.bw.mbps": "7493.99", "network.download.bw.mbps": "9315.31"},
        ),
        (
            "fio",
            {
                "storage.method": "fio",
                "storage.scratch.write.bw.mibps": "631.58",
                "storage.scratch.write.iops": "315.79",
                "storage.scratch.read.bw.mibps": "564.71",
                "storage.scratch.read.iops": "282.35",
            },
        ),
    ],
)
def test_what_tools_really_printed_is_read(tool: str, labels: dict[str, str]) -> None:
    """The output of a job on Slurm with Debian's fio 3.33, iperf3 3.12 and hpcc 1.5.0; before
    HPL's figures stands what srun and mpirun said on the way."""
    assert labels_of((CAPTURED / f"{tool}.txt").read_text()) == labels


@pytest.mark.parametrize("tool", ["fio", "iperf3"])
def test_words_around_a_tools_figures_do_no_harm(tool: str) -> None:
    """Both streams are in one file: Slurm's words come after it."""
    text = (CAPTURED / f"{tool}.txt").read_text()
    noisy = text.replace("\n}\n", "\n}\nslurmstepd: error: Exceeded {something}\n")
    assert labels_of(noisy) == labels_of(text) != {}


def test_ranks_of_ior_that_worked_each_alone_give_no_figure() -> None:
    """Started without MPI, each prints a table of its own."""
    alone = IOR.replace("@@ ior scratch", "@@ ior scratch 4").replace(",4,0", ",1,0")
    assert not [key for key in labels_of(alone.replace(",4,1", ",1,0")) if "bw" in key]
    together = labels_of(IOR.replace("@@ ior scratch", "@@ ior scratch 4"))
    assert together == labels_of(IOR)


def test_osu_gives_latency_of_small_and_bandwidth_of_large_messages() -> None:
    """Bandwidth in Mbit/s, as its label says; OSU prints MB/s."""
    found = labels_of(OSU)
    assert found["network.p2p.latency.us"] == "1.52"
    assert found["network.all-to-all.latency.us"] == "7.25"
    assert found["network.p2p.bw.mbps"] == "192004.00"


def test_the_outside_is_measured_in_bits() -> None:
    """curl counts bytes, iperf3 bits."""
    iperf = json.dumps({"end": {"sum_received": {"bits_per_second": 5e8}}})
    found = labels_of(f"@@ curl download\nbytes_per_s=125000000\n@@ iperf3 upload\n{iperf}\n")
    assert found == {"network.download.bw.mbps": "1000.00", "network.upload.bw.mbps": "500.00"}


def test_a_node_tells_its_cpu_and_its_runtimes() -> None:
    """Versions without words around them; the microarchitecture from flags without archspec."""
    flags = "fpu cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3 avx avx2 bmi1 bmi2 f16c fma abm movbe"
    found = labels_of(
        "login banner\n@@ machine\nos=Linux\narch=x86_64\ncpu=Intel(R) Xeon(R) @ 2.20GHz\n"
        f"flags={flags}\napptainer=apptainer version 1.3.4-1.el9\nenroot=3.5.0\npyxis=yes\n@@ end\n"
    )
    assert found == {
        "os": "linux",
        "arch": "x86_64",
        "cpu": "intel-r-xeon-r-2.20ghz",
        "cpu.microarch": "x86-64-v3",
        "apptainer.version": "1.3.4",
        "enroot.version": "3.5.0",
        "pyxis": "yes",
    }
    assert microarch("aarch64", "") == "aarch64"
    assert microarch("x86_64", "fpu") == "x86-64"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@@ ",
        "@@ hpl\nWR11C2R4 a b c d e nan\n",
        "@@ matrix c\ngflops=inf\n",
        "@@ osu latency\n1 0.00\n",
        "@@ osu\n1 2\n",
        "@@ fio scratch\n{broken",
        "@@ iperf3 upload\n[]",
        "@@ dd\n1 bytes (x) copied, 0 s, x\n",
        "@@ ior\nwrite,1,2\n",
        "@@ curl\nbytes_per_s=1\n",
        "@@ unknown tool\nx=1\n",
    ],
)
def test_no_figure_is_better_than_a_wrong_one(text: str) -> None:
    """Noughts, what is not finite, and output cut short give no label and raise nothing."""
    assert labels_of(text) == {}


def test_what_measured_nothing_says_why() -> None:
    """In the words of the script."""
    assert failure_of("x\n@@ nothing\nNo cc.\n") == "No cc."
    assert failure_of(HPL) == ""


def test_a_job_fits_on_the_smallest_node() -> None:
    """CPUs of the smallest node, on all nodes or as many as the operator allows."""
    made = plan("compute", INFO, BenchmarkSettings(), "t0")
    assert made.spec is not None
    assert (made.spec.nodes, made.spec.ntasks, made.spec.cpus_per_task) == (2, 2, 4)
    made.spec.check()
    env = made.spec.env
    assert int(env["DSQ_BENCH_HPL_P"]) * int(env["DSQ_BENCH_HPL_Q"]) == 8
    assert int(env["DSQ_BENCH_HPL_N"]) ** 2 * 8 <= 2 * 8000 * 1e6
    one = plan("compute", INFO, BenchmarkSettings(nodes=1), "t0")
    assert one.spec is not None
    assert one.spec.nodes == 1
    assert plan("network", INFO, BenchmarkSettings(nodes=1), "t0").skip


def test_the_small_job_leaves_a_minute_below_the_partitions_limit() -> None:
    """Else there would be none to raise its limit by."""
    short = ClusterInfo(INFO.nodes, "debug", 2, "slurm")
    made = plan(kinds.MACHINE, short, BenchmarkSettings(), "t0")
    assert made.spec is not None
    assert made.spec.minutes == 1


@pytest.mark.parametrize("kind", KINDS)
def test_scripts_are_sound(kind: str) -> None:
    """shellcheck finds nothing in them."""
    done = subprocess.run(
        ["shellcheck", "-s", "bash", "-"], input=script_of(kind), capture_output=True, text=True
    )
    assert done.stdout == ""


@pytest.mark.parametrize("kind", KINDS)
def test_tools_speak_one_language(kind: str) -> None:
    """Whatever the account's language is, numbers have a point and words are English."""
    script = script_of(kind)
    assert script.index("export LC_ALL=C") < script.index("@@")


def test_storage_is_measured_with_the_next_tool_where_one_fails(tmp_path: Path) -> None:
    """An IOR that cannot start, as without a working MPI; dd has the figures then."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("ior", "exit 1"), ("mpirun", "exit 1"), ("srun", "shift 2; exec false")):
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    for name in ("mkdir", "mktemp", "dd", "rm", "grep", "sh", "false"):
        (tools / name).symlink_to(shutil.which(name) or name)
    made = plan("storage", INFO, BenchmarkSettings(storage_mb=16), "t0")
    assert made.spec is not None
    env = {
        **made.spec.env,
        "PATH": str(tools),
        "DSQ_CACHE_ROOT": str(tmp_path / "cache"),
        "DSQ_BENCH_ROUNDS": "1",
    }
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-c", made.script],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    found = labels_of(done.stdout + done.stderr)
    assert "@@ ior scratch 4" in done.stdout
    assert found["storage.method"] == "dd"
    assert len(found) == 21
    assert not list((tmp_path / "cache").glob("**/dsq-bench.*"))


def test_a_damaged_file_of_results_is_no_reason_to_stop(tmp_path: Path) -> None:
    """It counts as empty, and the next result mends it."""
    store = ResultStore(tmp_path)
    (tmp_path / FILE).write_text("{broken")
    assert store.all() == {}
    store.put("compute", Result(5.0, "h", {"compute.gflops": "1.00"}))
    assert ResultStore(tmp_path).labels() == {"compute.gflops": "1.00"}
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


class Silent(FakeScheduler):
    """A cluster whose jobs take a minute and print nothing of use."""

    async def submit(self, spec: JobSpec, script: str) -> SlurmJobId:
        number = replace(spec, name=f"0x{len(self.jobs_by_id) + 1:064x}")
        return await super().submit(number, "seconds=60 exit=0")


def story(
    tmp_path: Path, kinds_run: tuple[str, ...], prepare: Callable[[FakeScheduler], None]
) -> dict[str, Result]:
    """Runs benchmarks on a cluster in memory, in virtual time; what was kept of them."""

    async def main() -> dict[str, Result]:
        world = World()
        cluster = Silent(world)
        prepare(cluster)
        living = asyncio.ensure_future(cluster.live())
        made = running.BenchmarkRunner(
            cluster, BenchmarkSettings(), ResultStore(tmp_path), clock=world.clock
        )
        try:
            await made.run(kinds_run, await cluster.discover())
        finally:
            living.cancel()
        assert all(job.state in ENDED_STATES for job in cluster.jobs_by_id.values())
        return ResultStore(tmp_path).all()

    return run_virtual(main())


def test_a_benchmark_that_fails_says_how_and_the_next_one_runs(tmp_path: Path) -> None:
    """A job that printed nothing and ended badly; one that the cluster refuses."""
    kept = story(tmp_path, ("compute", "storage"), lambda cluster: None)
    assert {one.error for one in kept.values()} == {"it printed no figure"}

    def refuse(cluster: FakeScheduler) -> None:
        cluster.refuses = "Slurm refused the job: no such account"

    kept = story(tmp_path, ("compute", "storage"), refuse)
    assert [one.error for one in kept.values()] == ["Slurm refused the job: no such account"] * 2


def test_a_benchmark_that_never_starts_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a time its job is taken out of the queue, and it is tried again in some hours."""
    monkeypatch.setattr(running, "START_SECONDS", 3600.0)

    def full(cluster: FakeScheduler) -> None:
        cluster.start_delay = 1e9

    kept = story(tmp_path, ("compute", kinds.MACHINE), full)
    assert kept["compute"].error == "it did not end in time"
    assert kept[kinds.MACHINE].error == running.NOT_STARTED
    assert kept[kinds.MACHINE].can_raise_limit is None
    hour = 3600
    assert not kept["compute"].is_due(kept["compute"].at + hour, kept["compute"].hardware, 90)
    assert kept["compute"].is_due(kept["compute"].at + 7 * hour, kept["compute"].hardware, 90)
