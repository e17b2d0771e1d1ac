"""Steps that are tried again or take too long, and loops that run a few rounds at once."""

from __future__ import annotations

import subprocess
import time

from tests.support.standins import Standins
from tests.unit.sbatch.builders import env, group, job, run
from tests.unit.sbatch.test_scripts import execute, for_range, launch, lines

COUNT = 'echo x >> $DEEPSQUARE_TMP/$MARK; n=$(wc -l < $DEEPSQUARE_TMP/$MARK); echo "try $n"; '


def counted(mark: str, command: str) -> dict[str, object]:
    """A command that counts its runs in ``$n``."""
    return run(COUNT + command, env=env(MARK=mark))


class TestRetries:
    """The pauses are not slept here."""

    def test_a_step_is_tried_until_it_works(self, standins: Standins) -> None:
        """The job goes on after the attempt that ends well; the pauses double."""
        standins.write("sleep", "exit 0")
        step = {**counted("a", "[ $n -gt 3 ] || exit 7"), "retries": 5}
        ended = execute(standins, job(step, run("echo next")))
        assert ended.code == 0
        assert ended.output.splitlines() == ["try 1", "try 2", "try 3", "try 4", "next"]
        assert [call.args for call in standins.calls("sleep")] == [["1"], ["2"], ["4"]]
        assert "Attempt 1 of 6 of steps[0] failed with 7; the next one begins in 1 s." in (
            ended.errors
        )

    def test_the_last_failure_counts(self, standins: Standins) -> None:
        """catch and finally run once, after the last attempt, with its code."""
        standins.write("sleep", "exit 0")
        step = {
            **counted("b", "exit $n"),
            "retries": 2,
            "catch": [run("echo caught $DEEPSQUARE_ERROR_CODE")],
            "finally": [run("echo finally")],
        }
        failing = {**counted("c", "exit $((n + 4))"), "retries": 1}
        ended = execute(standins, job(step, failing, run("echo never")))
        assert ended.code == 6
        tries = ["try 1", "try 2"]
        assert ended.output.splitlines() == [*tries, "try 3", "caught 3", "finally", *tries]

    def test_whole_groups_and_launches_are_tried(self, standins: Standins) -> None:
        """The body of a step is what is tried: a group from its first step, a launch behind."""
        standins.write("sleep", "exit 0")
        inner = [run("echo first"), counted("d", "[ $n = 2 ]")]
        behind = {**launch(counted("e", "[ $n = 2 ]"), handleName="h"), "retries": 1}
        data = job(group(inner, retries=1), behind, {"dependsOn": ["h"]})
        ended = execute(standins, data)
        assert ended.code == 0
        shown = [line for line in ended.output.splitlines() if "Waiting" not in line]
        assert shown == ["first", "try 1", "first", "try 2", "try 1", "try 2"]

    def test_none_means_one_attempt(self, standins: Standins) -> None:
        """With 0 retries a failure is a failure."""
        ended = execute(standins, job({**counted("f", "exit 3"), "retries": 0}))
        assert (ended.code, ended.output) == (3, "try 1\n")


class TestTimeouts:
    """Steps with a limit of one second."""

    def test_what_takes_too_long_has_failed_with_124(self, standins: Standins) -> None:
        """The command is told to end and may clean up; catch sees the code; nothing is left."""
        mark = f"{time.monotonic_ns()}"
        slow = {
            **run(f"trap 'kill $!; echo cleaned; exit 0' TERM; sleep 30.{mark} & wait"),
            "timeout": 1,
            "catch": [run("echo caught $DEEPSQUARE_ERROR_CODE")],
        }
        deep = group(
            [launch(run(f"exec sleep 31.{mark}")), for_range(1, 2, run(f"exec sleep 32.{mark}"))],
            timeout=1,
            catch=[run("echo group $DEEPSQUARE_ERROR_CODE")],
        )
        began = time.monotonic()
        data = job(for_range(1, 1, slow, parallel=True), launch(deep, signalOnParentStepExit=0))
        ended = execute(standins, data)
        assert ended.code == 0
        assert sorted(ended.output.splitlines()) == ["caught 124", "cleaned", "group 124"]
        assert "took longer than 1 s." in ended.errors
        assert time.monotonic() - began < 15
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        assert f"1.{mark}" not in listed.stdout
        assert f"2.{mark}" not in listed.stdout

    def test_what_ends_in_time_keeps_its_code(self, standins: Standins) -> None:
        """The limit leaves no trace, and a code of 124 of its own is no timeout."""
        fine = {**run("echo ok"), "timeout": 60}
        own = {**run("exit 124"), "timeout": 60, "catch": [run("echo $DEEPSQUARE_ERROR_CODE")]}
        began = time.monotonic()
        ended = execute(standins, job(fine, own, {**run("exit 5"), "timeout": 60}))
        assert (ended.code, ended.output, ended.errors) == (5, "ok\n124\n", "")
        assert time.monotonic() - began < 15

    def test_each_attempt_has_the_time(self, standins: Standins) -> None:
        """A timeout can be retried."""
        step = {**counted("g", "[ $n = 2 ] || exec sleep 30"), "timeout": 1, "retries": 1}
        ended = execute(standins, job(step))
        assert (ended.code, ended.output) == (0, "try 1\ntry 2\n")


class TestParallelLimit:
    """Loops with maxParallel."""

    def test_no_more_rounds_than_the_limit_run_at_once(self, standins: Standins) -> None:
        """The rounds that run are counted by each of them; all rounds run in the end."""
        body = run(
            "cd $DEEPSQUARE_TMP; mkdir r$index; set -- r*; echo $#; sleep 0.1; rmdir r$index; "
            "[ ! -e r0 ] || echo"
        )
        loop = for_range(1, 7, body, parallel=True)
        loop["for"]["maxParallel"] = 3
        counts = [int(line) for line in lines(execute(standins, job(loop)))]
        assert len(counts) == 7
        assert 1 < max(counts) <= 3

    def test_no_more_rounds_begin_after_a_failure(self, standins: Standins) -> None:
        """The running ones are ended; the code is that of the round that failed."""
        body = run("echo $index; [ $index != 2 ] || exit 9; exec sleep 30")
        loop = for_range(1, 20, body, parallel=True)
        loop["for"]["maxParallel"] = 2
        began = time.monotonic()
        ended = execute(standins, job(loop, run("echo never")))
        assert ended.code == 9
        assert set(ended.output.split()) <= {"1", "2", "3"}
        assert time.monotonic() - began < 15

    def test_one_at_a_time_is_in_order(self, standins: Standins) -> None:
        """A limit of 1 is a sequence."""
        loop = for_range(1, 4, run("echo $index"), parallel=True)
        loop["for"]["maxParallel"] = 1
        assert lines(execute(standins, job(loop))) == ["1", "2", "3", "4"]


def test_gpus_of_a_task(standins: Standins) -> None:
    """A command sees its own share; conditions see the job's."""
    show = "echo gpus $GPUS_PER_TASK of $GPUS"
    data = job(
        run(show),
        run(show, resources={"gpusPerTask": 2}),
        {"if": "$GPUS_PER_TASK == 3", **run("echo three")},
    )
    data["resources"] = {"tasks": 2, "cpusPerTask": 1, "memPerCpu": 1, "gpus": 7}
    assert lines(execute(standins, data)) == ["gpus 0 of 7", "gpus 2 of 7", "three"]
