"""Files from and to S3, checksums, and the output of jobs that failed."""

from __future__ import annotations

import hashlib
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.standins import Call, Standins
from tests.unit.sbatch.builders import S3, env, job, run
from tests.unit.sbatch.test_scripts import execute, lines

WRITE = run("echo x > $DEEPSQUARE_OUTPUT/a; mkdir -p $DEEPSQUARE_OUTPUT/d; echo > output/d/b")


def s3(path: str, **fields: Any) -> dict[str, Any]:
    """A place in a bucket."""
    return {"s3": {**S3, "path": path, **fields}}


def digest(text: str) -> str:
    """The checksum of a text, as workflows write it."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@pytest.fixture
def bucket(standins: Standins) -> Path:
    """A bucket with two files below ``data/`` and one beside."""
    root = standins.s3 / "bucket"
    (root / "data" / "sub").mkdir(parents=True)
    (root / "data" / "a").write_text("A\n")
    (root / "data" / "sub" / "b").write_text("B\n")
    (root / "data2").write_text("other\n")
    return root


def words(call: Call) -> list[str]:
    """The arguments of s5cmd after its global flags."""
    assert call.args[:2] == ["--log", "error"]
    return call.args[2:]


class TestInput:
    """What `path` names."""

    @pytest.mark.parametrize(
        ("path", "files"),
        [
            ("/data/", ["a", "sub/b"]),
            ("/data", ["data/a", "data/sub/b"]),
            ("/data/a", ["a"]),
            ("/data/s*", ["sub/b"]),
            ("/", ["data/a", "data/sub/b", "data2"]),
        ],
    )
    def test_places(self, standins: Standins, bucket: Path, path: str, files: list[str]) -> None:
        """A directory, a name without slash (an object, else what is below), a pattern."""
        show = run("cd $DEEPSQUARE_INPUT && find . -type f | sort")
        output = lines(execute(standins, job(show, input=s3(path))))
        assert output[0] == "Input:"
        assert output[-len(files) :] == [f"./{name}" for name in files]

    def test_the_calls(self, standins: Standins, bucket: Path) -> None:
        """s5cmd gets region and address; the keys only in its environment, and nobody else."""
        execute(standins, job(run("true"), input=s3("/data")))
        one, below = standins.calls("s5cmd")
        assert words(one) == ["cp", "--source-region=r", "--raw", "s3://bucket/data", "."]
        assert words(below) == ["cp", "--source-region=r", "s3://bucket/data/*", "data/"]
        assert below.env["AWS_ACCESS_KEY_ID"] == "id"
        assert below.env["AWS_SECRET_ACCESS_KEY"] == "secret"
        assert below.env["S3_ENDPOINT_URL"] == "https://s3.example"
        assert not [name for name in standins.calls("srun")[0].env if name.startswith("AWS_")]

    def test_a_public_bucket(self, standins: Standins, bucket: Path) -> None:
        """Without keys requests are not signed; without a region none is named."""
        data = s3("/data/", accessKeyId="", secretAccessKey="", region="")
        execute(standins, job(input=data))
        (call,) = standins.calls("s5cmd")
        assert words(call) == ["--no-sign-request", "cp", "s3://bucket/data/*", "."]

    def test_what_is_not_there_fails_the_job(self, standins: Standins, bucket: Path) -> None:
        """No step runs."""
        ended = execute(standins, job(run("echo never"), input=s3("/nothing")))
        assert (ended.code, ended.output) == (1, "")
        assert "The input could not be fetched (s5cmd ended with 1)." in ended.errors

    def test_http_goes_before_s3(self, standins: Standins) -> None:
        """With both, S3 is left out, and that is said."""
        data = {"http": {"url": "http://h/"}, **s3("/")}
        (standins.files / "f").write_text("x")
        ended = execute(standins, job(input=data, output=data))
        assert standins.calls("s5cmd") == []
        assert "The input has both http and s3; http is used." in ended.errors
        assert "The output has both http and s3; http is used." in ended.errors


class TestChecksums:
    """Inputs that must be what they were."""

    def test_over_http(self, standins: Standins) -> None:
        """The file as it came is compared, before anything is unpacked."""
        (standins.files / "f").write_text("content\n")
        good = {"http": {"url": "http://h/f", "checksum": digest("content\n")}}
        bad = {"http": {"url": "http://h/f", "checksum": digest("other")}}
        assert "ran" in execute(standins, job(run("echo ran"), input=good)).output
        ended = execute(standins, job(run("echo never"), input=bad))
        assert (ended.code, ended.output) == (1, "")
        assert ended.errors == (
            f"The input has the checksum {digest(f'content{chr(10)}')}, "
            f"but the workflow says {digest('other')}.\n"
        )

    def test_over_s3(self, standins: Standins, bucket: Path) -> None:
        """The path names one file; several have no checksum."""
        assert execute(standins, job(input=s3("/data/a", checksum=digest("A\n")))).code == 0
        assert execute(standins, job(input=s3("/data/a", checksum=digest("B\n")))).code == 1
        ended = execute(standins, job(input=s3("/data/", checksum=digest("A\n"))))
        assert ended.code == 1
        assert "The input has 2 files, but the workflow names the checksum of one." in ended.errors


class TestOutput:
    """The output of jobs that ended well."""

    @pytest.mark.parametrize("path", ["/out", "/out/"])
    def test_it_is_synchronised(self, standins: Standins, path: str) -> None:
        """The tree below the output comes below the path; what else is there stays."""
        place = standins.s3 / "bucket" / "out"
        place.mkdir(parents=True)
        (place / "old").touch()
        output = lines(execute(standins, job(WRITE, output=s3(path))))
        assert sorted(output) == ["Output:", "output/a", "output/d", "output/d/b"]
        assert sorted(each.name for each in place.iterdir()) == ["a", "d", "old"]
        (call,) = standins.calls("s5cmd")
        assert words(call) == ["sync", "--destination-region=r", "output/", "s3://bucket/out/"]
        assert "secret" not in " ".join(call.args)

    def test_with_delete_sync_the_rest_goes(self, standins: Standins) -> None:
        """What the job did not put out is removed there."""
        place = standins.s3 / "bucket" / "out"
        place.mkdir(parents=True)
        (place / "old").touch()
        execute(standins, job(WRITE, output=s3("/out", deleteSync=True)))
        assert sorted(each.name for each in place.iterdir()) == ["a", "d"]

    def test_a_refused_transfer_fails_the_job(self, standins: Standins) -> None:
        """The code is s5cmd's; the output is not sent a second time as that of a failed job."""
        standins.write("s5cmd", "exit 4")
        assert execute(standins, job(WRITE, output=s3("/out"))).code == 4
        assert len(standins.calls("s5cmd")) == 1

    def test_continuous_sync(self, standins: Standins) -> None:
        """Files are there while the job runs; only the last call removes what is not."""
        seen = standins.s3 / "bucket" / "out" / "a"
        wait = f"i=0; while [ ! -e {seen} ] && [ $i -lt 400 ]; do sleep 0.05; i=$((i+1)); done"
        data = job(
            WRITE,
            run(f"{wait}; [ -e {seen} ] && echo seen; echo > $DEEPSQUARE_OUTPUT/late"),
            output=s3("/out", deleteSync=True),
            continuousOutputSync=True,
        )
        ended = execute(standins, data)
        assert (ended.code, "seen" in ended.output) == (0, True)
        calls = standins.calls("s5cmd")
        assert ["--delete" in call.args for call in calls] == [False] * (len(calls) - 1) + [True]
        assert (seen.parent / "late").exists()

    def test_the_loop_ends_with_the_job(self, standins: Standins) -> None:
        """A failing job leaves no process that goes on to send."""
        mark = f"{time.monotonic_ns()}"
        data = job(run("exit 3"), output=s3(f"/{mark}"), continuousOutputSync=True)
        assert execute(standins, data).code == 3
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        assert str(standins.root) not in listed.stdout


class TestOutputOfFailedJobs:
    """What a failing job has put out goes to a place of its own."""

    @pytest.mark.parametrize(
        ("path", "place"),
        [("/out", "out.failed"), ("/out/", "out.failed"), ("/", "failed")],
    )
    def test_in_a_bucket(self, standins: Standins, path: str, place: str) -> None:
        """Beside the path, with the exit code in a file; the path itself is not touched."""
        data = job(WRITE, run("exit 3"), output=s3(path, deleteSync=True))
        ended = execute(standins, data)
        root = standins.s3 / "bucket"
        assert ended.code == 3
        assert f"What the failed job had put out is at s3://bucket/{place}/" in ended.output
        assert [each.name for each in root.iterdir()] == [place]
        assert sorted(each.name for each in (root / place).iterdir()) == ["FAILED", "a", "d"]
        assert (root / place / "FAILED").read_text() == "exit code 3\n"
        assert not any("--delete" in call.args for call in standins.calls("s5cmd"))

    def test_with_continuous_sync(self, standins: Standins) -> None:
        """What was sent all the time is completed there; the mark lies beside it."""
        data = job(WRITE, run("exit 3"), output=s3("/out"), continuousOutputSync=True)
        assert execute(standins, data).code == 3
        root = standins.s3 / "bucket"
        assert sorted(each.name for each in (root / "out").iterdir()) == ["a", "d"]
        assert [each.name for each in (root / "out.failed").iterdir()] == ["FAILED"]

    @pytest.mark.parametrize(
        ("url", "place"),
        [
            ("http://h/up", "http://h/up.failed"),
            ("http://h/up?key=1&x=/", "http://h/up.failed?key=1&x=/"),
            ("http://h/", "http://h/"),
        ],
    )
    def test_over_http(self, standins: Standins, url: str, place: str) -> None:
        """Always a zip with a file FAILED; curl adds its name to an address that ends in /."""
        ended = execute(standins, job(WRITE, run("exit 3"), output={"http": {"url": url}}))
        assert ended.code == 3
        (call,) = standins.calls("curl")
        assert call.args[3] == "failed-output.zip"
        assert call.file("stdin") == f'url = "{place}"\n\n'
        names = subprocess.run(
            ["unzip", "-Z1", f"{call.record}.upload"], capture_output=True, text=True, check=True
        ).stdout.split()
        assert sorted(names) == ["FAILED", "output/", "output/a", "output/d/", "output/d/b"]
        assert "https://files.example/a b" in ended.output

    def test_nothing_is_sent_when_there_is_nothing(self, standins: Standins) -> None:
        """An empty output of a failed job is no news; one that failed before its steps, too."""
        assert execute(standins, job(run("exit 3"), output=s3("/out"))).code == 3
        failing = job(WRITE, input=s3("/nothing"), output=s3("/out"))
        assert execute(standins, failing).code == 1
        assert [call for call in standins.calls("s5cmd") if "sync" in call.args] == []

    def test_the_code_stays_that_of_the_step(self, standins: Standins) -> None:
        """A transfer that fails too is told, the cleaning goes on."""
        standins.write("s5cmd", "exit 4")
        ended = execute(standins, job(WRITE, run("exit 3"), output=s3("/out")))
        assert ended.code == 3
        assert "The output of the failed job could not be sent (status 4)." in ended.errors

    def test_launches_end_before_it_is_sent(self, standins: Standins) -> None:
        """What a launch writes at its end is sent, too."""
        serve = (
            "trap 'echo last > $DEEPSQUARE_OUTPUT/last; exit 0' TERM; "
            "echo > $DEEPSQUARE_TMP/up; while :; do sleep 0.05; done"
        )
        wait = "while [ ! -e $DEEPSQUARE_TMP/up ]; do sleep 0.02; done; exit 3"
        steps = [{"launch": {"steps": [run(serve)]}}, run(wait)]
        assert execute(standins, job(*steps, output=s3("/out"))).code == 3
        assert (standins.s3 / "bucket" / "out.failed" / "last").exists()

    def test_a_job_that_is_told_to_end_sends_it_too(self, standins: Standins) -> None:
        """There is little time before Slurm kills, but enough for something."""
        from dsq.sbatch.render import render
        from dsq.sbatch.workflow import parse_workflow

        data = job(WRITE, run("echo up; exec sleep 30"), output=s3("/out"), env=env(A="b"))
        process = standins.start(render(parse_workflow(data)))
        assert process.stdout is not None
        while process.stdout.readline() != "up\n":
            pass
        process.terminate()
        process.communicate(timeout=15)
        assert process.returncode == 143
        assert (standins.s3 / "bucket" / "out.failed" / "FAILED").read_text() == "exit code 143\n"
        assert standins.leftovers() == []
