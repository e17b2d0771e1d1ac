"""Scripts at work: order, exit codes, variables, files, signals.

They run under bash with stand-ins for srun and the container runtimes.
"""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dsq.sbatch.render import RenderSettings, render
from dsq.sbatch.workflow import parse_workflow
from tests.support.standins import Ended, Standins
from tests.unit.sbatch.builders import env, group, job, run


def execute(standins: Standins, data: dict[str, Any], **environment: str) -> Ended:
    """Renders and runs a job; whatever happened, it must leave no storage behind."""
    script = render(parse_workflow(data), settings=RenderSettings(markers=False))
    ended = standins.run(script, environment)
    assert standins.leftovers() == []
    return ended


def lines(ended: Ended) -> list[str]:
    """The output of a job that ended well."""
    assert (ended.code, ended.errors) == (0, "")
    return ended.output.splitlines()


def for_range(begin: int, end: int, *steps: Any, **fields: Any) -> dict[str, Any]:
    """A loop over numbers."""
    span = {"begin": begin, "end": end, **{k: v for k, v in fields.items() if k == "increment"}}
    return {"for": {"parallel": fields.get("parallel", False), "range": span, "steps": list(steps)}}


def for_items(items: list[str], *steps: Any, parallel: bool = False) -> dict[str, Any]:
    """A loop over texts."""
    return {"for": {"parallel": parallel, "items": items, "steps": list(steps)}}


def launch(*steps: Any, **fields: Any) -> dict[str, Any]:
    """A launch of the given steps."""
    return {"launch": {"steps": list(steps), **fields}}


class TestJob:
    """The allocation, the places, the variables."""

    def test_steps_run_in_order_and_say_their_names(self, standins: Standins) -> None:
        """Each named step prints its name first."""
        ended = execute(
            standins, job({"name": "one", **run("echo 1")}, run("echo 2"), {"name": "x"})
        )
        assert lines(ended) == ["Running: one", "1", "2", "Running: x"]

    def test_an_empty_job_is_a_job(self, standins: Standins) -> None:
        """No steps, no error."""
        assert lines(execute(standins, job())) == []

    def test_the_exit_code_of_the_failing_step_is_that_of_the_job(self, standins: Standins) -> None:
        """The job ends with 3, and no later step runs."""
        ended = execute(standins, job(run("echo a; exit 3"), run("echo never")))
        assert (ended.code, ended.output) == (3, "a\n")

    def test_the_allocation_is_exported(self, standins: Standins) -> None:
        """Numbers of the allocation, and their products."""
        data = job(run("echo $NTASKS $CPUS_PER_TASK $MEM_PER_CPU $GPUS $CPUS $MEM"))
        data["resources"] = {"tasks": 2, "cpusPerTask": 3, "memPerCpu": 100, "gpus": 1}
        assert lines(execute(standins, data)) == ["2 3 100 1 6 600"]

    def test_places_are_below_the_sites_roots(self, standins: Standins) -> None:
        """The variables of places have the values of the reference below the cache root."""
        names = [
            "STORAGE_PATH",
            "DEEPSQUARE_INPUT",
            "DEEPSQUARE_OUTPUT",
            "DEEPSQUARE_ENV",
            "DEEPSQUARE_TMP",
            "DEEPSQUARE_SHARED_TMP",
            "DEEPSQUARE_SHARED_WORLD_TMP",
            "DEEPSQUARE_DISK_TMP",
            "DEEPSQUARE_DISK_WORLD_TMP",
            "ENROOT_RUNTIME_PATH",
            "ENROOT_CACHE_PATH",
            "ENROOT_DATA_PATH",
            "APPTAINER_TMPDIR",
            "PWD",
        ]
        shown = lines(execute(standins, job(run("; ".join(f"echo ${name}" for name in names)))))
        uid, gid, cache = os.getuid(), os.getgid(), standins.cache
        storage = f"{cache}/shared/{uid}/job.7"
        scratch = standins.root / "scratch"
        assert dict(zip(names, shown, strict=True)) == {
            "STORAGE_PATH": storage,
            "DEEPSQUARE_INPUT": f"{storage}/input",
            "DEEPSQUARE_OUTPUT": f"{storage}/output",
            "DEEPSQUARE_ENV": f"{storage}/env",
            "DEEPSQUARE_TMP": f"{cache}/persistent/user-{uid}",
            "DEEPSQUARE_SHARED_TMP": f"{cache}/persistent/user-{uid}",
            "DEEPSQUARE_SHARED_WORLD_TMP": f"{cache}/world-tmp",
            "DEEPSQUARE_DISK_TMP": f"{cache}/disk/tmp/user-{uid}",
            "DEEPSQUARE_DISK_WORLD_TMP": f"{cache}/disk/world-tmp",
            "ENROOT_RUNTIME_PATH": f"/run/enroot/user-{uid}",
            "ENROOT_CACHE_PATH": f"{cache}/enroot/group-{gid}",
            "ENROOT_DATA_PATH": f"{scratch}/tmp/enroot/containers/user-{uid}",
            "APPTAINER_TMPDIR": f"{scratch}/tmp/apptainer",
            "PWD": storage,
        }

    def test_places_are_the_users_alone(self, standins: Standins) -> None:
        """Storage and temporary directories have mode 700; the site's world directory is kept."""
        (standins.cache / "world-tmp").mkdir()
        command = "stat -c %a $STORAGE_PATH $DEEPSQUARE_INPUT $DEEPSQUARE_TMP $DEEPSQUARE_DISK_TMP"
        assert lines(execute(standins, job(run(command)))) == ["700"] * 4

    def test_every_other_node_gets_its_directory(self, standins: Standins) -> None:
        """One task a node of the list, except the node that the script itself runs on."""
        execute(standins, job(), SLURM_JOB_NUM_NODES="3", SLURM_NODELIST="node1,node2,node3")
        calls = standins.calls("srun")
        directory = f"{standins.cache}/disk/tmp/user-{os.getuid()}"
        assert [call.args for call in calls] == [
            [
                *("--job-name=prepare-dir", "-N", "1-1", "-n", "1", "--gpus=0", "-w", node),
                *("mkdir", "-p", "-m", "700", "--", directory),
            ]
            for node in ("node2", "node3")
        ]

    def test_a_requeued_job_finds_an_empty_storage(self, standins: Standins) -> None:
        """What a killed first run left is removed before the second begins."""
        old = standins.cache / "shared" / str(os.getuid()) / "job.7"
        old.mkdir(parents=True)
        (old / "env").write_text("A=old\n")
        assert lines(execute(standins, job(run("ls; echo [$A]")))) == [
            *("disk", "env", "input", "output", "tmp", "world-tmp", "[]")
        ]

    def test_the_jobs_variables_reach_all_steps(self, standins: Standins) -> None:
        """Also of several lines, and where a step has its own of that name, that one wins."""
        value = "a\n  b 'c' \"d\" $(echo no) \\"
        data = job(
            run('printf "%s" "$A"'), run("echo; echo $A", env=env(A="own")), env=env(A=value)
        )
        assert execute(standins, data).output == value + "\nown\n"

    def test_a_step_cannot_make_the_script_remove_what_is_not_its_own(
        self, standins: Standins
    ) -> None:
        """The storage's path is not taken from a variable that the workflow may set."""
        precious = standins.root / "precious"
        precious.mkdir()
        execute(standins, job(run("true"), env=env(STORAGE_PATH=str(precious))))
        assert precious.is_dir()

    def test_variables_that_bash_reads_do_no_harm(self, standins: Standins) -> None:
        """Field separators and the like reach the steps and leave the script alone."""
        data = job(
            launch(run("sleep 0.1")),
            for_items(["a b"], run('echo "$item"'), parallel=True),
            run("echo x", container={"image": "i"}),
            env=env(IFS="/-.0", PS4="$(exit 1)", CDPATH="/", GLOBIGNORE="*", LANG="C"),
        )
        assert lines(execute(standins, data)) == ["a b", "x"]
        assert {call.env["IFS"] for call in standins.calls("srun")} == {"/-.0"}

    def test_the_input_gets_its_mode(self, standins: Standins) -> None:
        """The decimal number is a mode; also one that closes the directory to its owner."""
        command = "stat -c %a $DEEPSQUARE_INPUT"
        assert lines(execute(standins, job(run(command), inputMode=493))) == ["755"]
        assert lines(execute(standins, job(run(command), inputMode=0))) == ["0"]

    def test_without_slurm_the_script_says_so(self, standins: Standins) -> None:
        """Outside a job, or where there is no srun, nothing is touched."""
        script = render(parse_workflow(job(run("true"))))
        ended = standins.run(script, {"SLURM_JOB_ID": ""})
        assert ended.code != 0
        assert "run this script with sbatch" in ended.errors
        (standins.bin / "srun").unlink()
        ended = standins.run(script, {"PATH": f"{standins.bin}:/nowhere"})
        assert ended.code == 127
        assert not (standins.cache / "shared").exists()


class TestSrun:
    """The flags of srun."""

    def test_flags_and_defaults(self, standins: Standins) -> None:
        """What a step does not say is taken from the job; GPUs are not."""
        data = job({"name": "a b", **run("c1")}, run("c2"))
        data["resources"] = {"tasks": 2, "cpusPerTask": 3, "memPerCpu": 100, "gpus": 4}
        standins.write("srun", "exit 0")
        execute(standins, data)
        flags = ["--export=ALL", "--cpus-per-task=3", "--mem-per-cpu=100M"]
        flags += ["--gpus-per-task=0", "--gpus=0", "--ntasks=1"]
        assert [call.args for call in standins.calls("srun")] == [
            ["--job-name=a b", *flags, "/bin/sh", "-c", "c1"],
            [*flags, "/bin/sh", "-c", "c2"],
        ]

    def test_all_flags(self, standins: Standins) -> None:
        """Every field of a step's resources becomes a flag."""
        resources = {"tasks": 2, "cpusPerTask": 5, "memPerCpu": 7, "gpusPerTask": 3}
        step = run(
            "c",
            resources=resources,
            mpi="pmix_v4",
            disableCpuBinding=True,
            container={"image": "/i", "apptainer": True},
        )
        standins.write("srun", "exit 0")
        whole = {"tasks": 2, "cpusPerTask": 5, "memPerCpu": 7, "gpus": 6}
        execute(standins, job(step, resources=whole))
        (call,) = standins.calls("srun")
        assert call.flags == [
            *("--export=ALL", "--cpus-per-task=5", "--mem-per-cpu=7M", "--gpus-per-task=3"),
            *("--gpus=6", "--ntasks=2", "--mpi=pmix_v4", "--cpu-bind=none", "--gpu-bind=none"),
        ]

    def test_steps_have_no_input(self, standins: Standins) -> None:
        """A step that reads gets the end of input, not the script."""
        assert lines(execute(standins, job(run("cat; echo end"), run("echo next")))) == [
            "end",
            "next",
        ]


class TestHost:
    """Commands on the host."""

    @pytest.mark.parametrize(
        ("shell", "used"),
        [(None, "/bin/sh"), ("/bin/bash", "/bin/bash"), ("ENTRYPOINT", "/bin/sh")],
    )
    def test_the_shell(self, standins: Standins, shell: str | None, used: str) -> None:
        """An explicit shell is used; without a container there is no entry point."""
        execute(standins, job(run("true", **({"shell": shell} if shell else {}))))
        assert standins.calls("srun")[0].command == [used, "-c", "true"]

    def test_the_working_directory_is_made_and_entered(self, standins: Standins) -> None:
        """The command begins there; where that cannot be, the step fails and says so."""
        place = standins.root / "it's here"
        assert lines(execute(standins, job(run("pwd", workDir=str(place))))) == [str(place)]
        place.rmdir()
        place.touch()
        ended = execute(standins, job(run("pwd", workDir=str(place))))
        assert ended.code == 1
        assert f"The working directory {place} cannot be used." in ended.errors

    def test_user_namespaces(self, standins: Standins) -> None:
        """mapUid and mapGid put unshare in front, 0 included."""
        standins.write("unshare", 'while [[ $1 == --* ]]; do shift; done; exec "$@"')
        execute(standins, job(run("true", mapUid=0), run("true", mapUid=5, mapGid=6)))
        assert [call.command[:5] for call in standins.calls("srun")] == [
            ["unshare", "--map-current-user", "--map-user=0", "--mount", "/bin/sh"],
            ["unshare", "--map-current-user", "--map-user=5", "--map-group=6", "--mount"],
        ]

    def test_variables_of_a_step_are_in_no_argument(self, standins: Standins) -> None:
        """They travel in the environment, where neighbours do not see them."""
        execute(standins, job(run("true", env=env(TOKEN="hunter2"))))
        (call,) = standins.calls("srun")
        assert call.env["TOKEN"] == "hunter2"
        assert "hunter2" not in " ".join(call.args)


class TestEnvFile:
    """Variables from one step to the next."""

    def test_lines_reach_all_later_steps(self, standins: Standins) -> None:
        """Commas, quotes, blanks and a missing last line break are kept; the last one counts."""
        write = (
            "cat >> $DEEPSQUARE_ENV <<'END'\n# comment\nA=1,2,B=3\nC=it's \"x\" $(id) \n"
            "no equals sign\nA=4,5\n1X=no\nUID=0\nE=\nEND\nprintf 'D=last' >> $DEEPSQUARE_ENV"
        )
        show = run('printf "%s|" "$A" "$B" "$C" "${E-unset}" "$D"')
        ended = execute(standins, job(run(write), show))
        assert ended.output == '4,5||it\'s "x" $(id) ||last|'

    def test_they_do_not_change_the_batch_shell(self, standins: Standins) -> None:
        """A condition does not see them, the script's own variables are out of reach."""
        write = (
            "printf '%s\\n' A=1 PATH=/nowhere:$PATH _dsq_srun=/bin/false IFS=/ >> $DEEPSQUARE_ENV"
        )
        data = job(run(write), {"if": "-z $A", **run("echo no A")}, run("echo $A ${PATH%%:*}"))
        assert lines(execute(standins, data)) == ["no A", "1 /nowhere"]

    def test_a_step_variable_wins(self, standins: Standins) -> None:
        """Job, then file, then step."""
        data = job(
            run("echo A=file >> $DEEPSQUARE_ENV"),
            run("echo $A"),
            run("echo $A", env=env(A="step")),
            env=env(A="job"),
        )
        assert lines(execute(standins, data)) == ["file", "step"]

    def test_containers_write_and_read_it_too(self, standins: Standins) -> None:
        """The file is in the storage, which containers see as /deepsquare."""
        container = {"image": "i", "apptainer": True}
        data = job(
            run("echo A=1 >> $STORAGE_PATH/env"),
            run('echo "$A $DEEPSQUARE_ENV $STORAGE_PATH"', container=container),
            run('echo "$A $DEEPSQUARE_ENV $STORAGE_PATH"', container={"image": "i"}),
        )
        assert lines(execute(standins, data)) == ["1 /deepsquare/env /deepsquare"] * 2


class TestConditions:
    """Steps with `if`."""

    @pytest.mark.parametrize(
        ("expression", "runs"),
        [
            ("1 == 1", True),
            ("1 -eq 2", False),
            ("$A == 'x y'", True),
            ('"$A" == "x y"', True),
            ("$(echo 1) == 1 && -n $A", True),
            ("-z $UNSET", True),
            ("-f /etc/passwd || -f /nowhere", True),
            ("$A =~ ^x", True),
        ],
    )
    def test_expressions(self, standins: Standins, expression: str, runs: bool) -> None:
        """Expressions of bash work, with the job's variables."""
        data = job({"if": expression, **run("echo ran")}, env=env(A="x y"))
        assert lines(execute(standins, data)) == (["ran"] if runs else [])

    def test_one_that_bash_cannot_read_ends_the_job(self, standins: Standins) -> None:
        """The status is 2, and the message names the step."""
        ended = execute(standins, job({"if": "a b", **run("echo ran")}))
        assert (ended.code, ended.output) == (2, "")
        assert "The condition of steps[0] cannot be evaluated" in ended.errors

    def test_it_cannot_change_the_shell(self, standins: Standins) -> None:
        """A condition is evaluated in a shell of its own."""
        data = job({"if": "$((X = 5)) == 5", **run("echo [$X]")}, run("echo $PWD"))
        output = lines(execute(standins, data))
        assert output[0] == "[]"

    def test_a_skipped_step_skips_all_of_itself(self, standins: Standins) -> None:
        """Neither catch nor finally nor the name of a skipped step appear."""
        step = {"if": "1 == 2", "name": "n", **run("exit 1"), "finally": [run("echo f")]}
        assert lines(execute(standins, job(step))) == []


class TestCatchFinally:
    """Failures that are handled."""

    def test_a_handled_failure(self, standins: Standins) -> None:
        """catch sees the code, finally runs after it, the job goes on without the code."""
        step = {
            "name": "n",
            **run("exit 4"),
            "catch": [run("echo caught $DEEPSQUARE_ERROR_CODE")],
            "finally": [run("echo finally $DEEPSQUARE_ERROR_CODE")],
        }
        ended = execute(standins, job(step, run("echo next [$DEEPSQUARE_ERROR_CODE]")))
        assert lines(ended) == ["Running: n", "caught 4", "finally 4", "next []"]

    def test_catch_does_not_run_after_success(self, standins: Standins) -> None:
        """finally does."""
        step = {**run("echo ok"), "catch": [run("echo c")], "finally": [run("echo f")]}
        assert lines(execute(standins, job(step))) == ["ok", "f"]

    def test_finally_alone_keeps_the_code(self, standins: Standins) -> None:
        """The original code goes on."""
        step = {**run("exit 4"), "finally": [run("echo f")]}
        ended = execute(standins, job(step, run("echo never")))
        assert (ended.code, ended.output) == (4, "f\n")

    def test_a_failing_catch(self, standins: Standins) -> None:
        """Its code goes on, its later steps do not run, finally does."""
        step = {
            **run("exit 4"),
            "catch": [run("exit 5"), run("echo never")],
            "finally": [run("echo f")],
        }
        ended = execute(standins, job(step))
        assert (ended.code, ended.output) == (5, "f\n")

    def test_a_failing_finally(self, standins: Standins) -> None:
        """Its code is the job's."""
        ended = execute(standins, job({**run("true"), "finally": [run("exit 6"), run("echo no")]}))
        assert (ended.code, ended.output) == (6, "")

    def test_nested(self, standins: Standins) -> None:
        """An inner failure that is not handled inside is handled outside."""
        inner = {"steps": [run("exit 4"), run("echo never")], "finally": [run("echo inner")]}
        outer = {"steps": [inner, run("echo never")], "catch": [run("echo outer")]}
        assert lines(execute(standins, job(outer))) == ["inner", "outer"]

    def test_a_catch_of_only_a_name(self, standins: Standins) -> None:
        """A step without a body just prints its name."""
        assert lines(execute(standins, job({**run("exit 1"), "catch": [{"name": "oh"}]}))) == [
            "Running: oh"
        ]

    def test_a_condition_inside_a_body_does_not_hide_failures(self, standins: Standins) -> None:
        """Steps below a condition still end the job when they fail."""
        step = {"if": "1 == 1", "steps": [run("exit 9"), run("echo never")]}
        ended = execute(standins, job(step, run("echo never")))
        assert (ended.code, ended.output) == (9, "")


class TestLoops:
    """Loops over numbers and texts."""

    def test_ranges(self, standins: Standins) -> None:
        """Both ends are included; negative increments count down; none and 0 are 1."""
        show = run("printf '%s ' $index")
        assert execute(standins, job(for_range(1, 3, show))).output == "1 2 3 "
        assert execute(standins, job(for_range(3, 1, show, increment=-2))).output == "3 1 "
        assert execute(standins, job(for_range(1, 2, show, increment=0))).output == "1 2 "
        assert execute(standins, job(for_range(2, 1, show))).output == ""
        assert execute(standins, job(for_range(-1, 0, show))).output == "-1 0 "

    def test_items_are_taken_as_they_are(self, standins: Standins) -> None:
        """Blanks, quotes, patterns, empty texts and line breaks are kept."""
        items = ["a b", "", "*", "it's", "$(id)", "x\ny"]
        ended = execute(standins, job(for_items(items, run('printf "<%s>" "$item"'))))
        assert ended.output == "".join(f"<{item}>" for item in items)

    def test_nested_loops(self, standins: Standins) -> None:
        """Each loop has its own body and its own number, also after an inner one."""
        inner = for_range(8, 9, run("printf '%s ' $index"))
        body = [run("printf '(%s ' $index"), inner, run("printf '%s)' $index")]
        assert execute(standins, job(for_range(1, 2, *body))).output == "(1 8 9 1)(2 8 9 2)"

    def test_a_failing_round_ends_the_loop(self, standins: Standins) -> None:
        """Its code is the job's."""
        ended = execute(standins, job(for_range(1, 3, run("echo $index; [ $index != 2 ]"))))
        assert (ended.code, ended.output) == (1, "1\n2\n")

    def test_parallel_rounds_run_at_once(self, standins: Standins) -> None:
        """Three rounds that wait for one another all end."""
        meet = (
            "touch $DEEPSQUARE_TMP/$index; for i in 1 2 3; do "
            "while [ ! -e $DEEPSQUARE_TMP/$i ]; do sleep 0.02; done; done; echo $index"
        )
        ended = execute(standins, job(for_range(1, 3, run(meet), parallel=True)))
        assert sorted(lines(ended)) == ["1", "2", "3"]

    def test_a_failing_parallel_round_ends_the_others(self, standins: Standins) -> None:
        """The others are stopped at once, the code is that of the failing round."""
        began = time.monotonic()
        body = run("if [ $index = 2 ]; then exit 8; fi; exec sleep 30")
        ended = execute(standins, job(for_range(1, 3, body, parallel=True), run("echo never")))
        assert (ended.code, ended.output) == (8, "")
        assert time.monotonic() - began < 10

    def test_a_parallel_round_that_a_signal_ends_fails_the_loop(self, standins: Standins) -> None:
        """A killed round counts as failed, too."""
        body = run("if [ $item = b ]; then kill -KILL $$; fi; sleep 0.1")
        ended = execute(standins, job(for_items(["a", "b"], body, parallel=True)))
        assert ended.code == 137

    def test_loops_inside_parallel_loops(self, standins: Standins) -> None:
        """Loops of both kinds may stand in each other."""
        inner = for_items(["x", "y"], run("echo $index$item"), parallel=True)
        ended = execute(standins, job(for_range(1, 2, inner, parallel=True)))
        assert sorted(lines(ended)) == ["1x", "1y", "2x", "2y"]


class TestLaunches:
    """Steps in the background."""

    def test_a_launch_runs_beside_the_steps_and_ends_with_them(self, standins: Standins) -> None:
        """It gets SIGTERM when the steps are done, down to the command."""
        serve = "trap 'echo ended; exit 0' TERM; echo up > $DEEPSQUARE_TMP/up; while :; do sleep 0.05; done"
        wait = "while [ ! -e $DEEPSQUARE_TMP/up ]; do sleep 0.02; done; echo step"
        assert lines(execute(standins, job(launch(run(serve)), run(wait)))) == ["step", "ended"]

    def test_another_signal(self, standins: Standins) -> None:
        """The signal that was asked for reaches the command, through all shells between."""
        serve = "trap 'echo saved; exit 0' USR1; echo > $DEEPSQUARE_TMP/up; while :; do sleep 0.05; done"
        wait = "while [ ! -e $DEEPSQUARE_TMP/up ]; do sleep 0.02; done"
        step = {"steps": [run(serve)], "finally": [run("echo finally")]}
        data = job(launch(step, signalOnParentStepExit=signal.SIGUSR1), run(wait))
        assert lines(execute(standins, data)) == ["saved", "finally"]

    def test_the_hardest_signal(self, standins: Standins) -> None:
        """SIGKILL takes the command with it: nothing is left running."""
        mark = f"{time.monotonic_ns()}"
        data = job(launch(run(f"exec sleep 30.{mark}"), signalOnParentStepExit=9), run("sleep 0.2"))
        assert execute(standins, data).code == 0
        assert (
            mark not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
        )

    def test_without_a_signal_it_is_waited_for(self, standins: Standins) -> None:
        """Signal 0: the job ends when the launch has ended by itself."""
        data = job(launch(run("sleep 0.3; echo late"), signalOnParentStepExit=0), run("echo step"))
        assert lines(execute(standins, data)) == ["step", "late"]

    def test_a_failing_job_does_not_wait_for_it(self, standins: Standins) -> None:
        """When a step failed, launches are ended whatever their signal."""
        data = job(launch(run("exec sleep 30"), signalOnParentStepExit=0), run("exit 3"))
        assert execute(standins, data).code == 3

    def test_waiting_for_a_handle(self, standins: Standins) -> None:
        """A step begins when the launch has ended; the handle's case does not matter."""
        data = job(
            launch(run("sleep 0.3; echo launched"), handleName="My_1"),
            {"dependsOn": ["mY_1"], **run("echo after")},
        )
        assert lines(execute(standins, data)) == ["Waiting for MY_1...", "launched", "after"]

    def test_waiting_twice_and_from_inside(self, standins: Standins) -> None:
        """Steps inside catch, finally, loops and other launches can wait too."""
        after = {"dependsOn": ["h"], **run("echo after")}
        data = job(
            launch(run("sleep 0.3"), handleName="h"),
            {**run("exit 1"), "catch": [after]},
            after,
            for_range(1, 1, after, parallel=True),
            launch(after, handleName="second"),
            {"dependsOn": ["h", "second"], **run("echo end")},
        )
        output = [line for line in lines(execute(standins, data)) if "Waiting" not in line]
        assert output == ["after"] * 4 + ["end"]

    def test_a_failed_launch_fails_the_step_that_waits(self, standins: Standins) -> None:
        """Its code is the job's."""
        data = job(launch(run("exit 6"), handleName="h"), {"dependsOn": ["h"], **run("echo never")})
        ended = execute(standins, data)
        assert (ended.code, ended.output) == (6, "Waiting for H...\n")

    def test_a_launch_that_was_skipped(self, standins: Standins) -> None:
        """Waiting for what never began is an error that says so."""
        data = job(
            {"if": "1 == 2", **launch(run("true"), handleName="h")},
            {"dependsOn": ["h"], **run("echo never")},
        )
        ended = execute(standins, data)
        assert ended.code == 1
        assert "Nothing was launched with the handle H" in ended.errors

    def test_the_process_id_is_exported(self, standins: Standins) -> None:
        """Later steps find it in PID_HANDLE."""
        data = job(launch(run("sleep 0.3"), handleName="h"), run("kill -0 $PID_H && echo alive"))
        assert lines(execute(standins, data)) == ["alive"]

    def test_catch_and_finally_of_a_launch_run_with_it(self, standins: Standins) -> None:
        """They belong to what runs in the background."""
        step = {
            **launch(run("sleep 0.2; exit 4"), handleName="h"),
            "catch": [run("echo caught $DEEPSQUARE_ERROR_CODE")],
            "finally": [run("echo finally")],
        }
        data = job(step, run("echo step"), {"dependsOn": ["h"], **run("echo after")})
        output = [line for line in lines(execute(standins, data)) if "Waiting" not in line]
        assert output == ["step", "caught 4", "finally", "after"]

    def test_launches_of_a_launch_end_with_it(self, standins: Standins) -> None:
        """A launch inside a launch gets its signal when the outer one has done its steps."""
        inner = launch(run("exec sleep 30"))
        data = job(launch(inner, run("echo outer"), handleName="o"), {"dependsOn": ["o"]})
        began = time.monotonic()
        assert "outer" in lines(execute(standins, data))
        assert time.monotonic() - began < 10


class TestSignals:
    """The end that comes from outside."""

    def begin(self, standins: Standins, data: dict[str, Any]) -> subprocess.Popen[str]:
        """Starts a job and returns when its first step says that it is there."""
        settings = RenderSettings(markers=False)
        process = standins.start(render(parse_workflow(data), settings=settings))
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return process

    def end(self, standins: Standins, process: subprocess.Popen[str], code: int) -> str:
        """Waits for the end, checks code and cleanliness, returns the rest of the output."""
        output, _ = process.communicate(timeout=15)
        assert process.returncode == code
        assert standins.leftovers() == []
        return output

    @pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT"])
    def test_a_signal_ends_the_job(self, standins: Standins, name: str) -> None:
        """The step is told to end, no later step runs, the storage goes."""
        number = getattr(signal, f"SIG{name}")
        step = "trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.05; done"
        process = self.begin(standins, job(run(step), run("echo never")))
        process.send_signal(number)
        assert self.end(standins, process, 128 + number) == "told\n"

    def test_a_signal_to_all_processes(self, standins: Standins) -> None:
        """Slurm tells all processes of the job at once."""
        process = self.begin(standins, job(run("echo up; exec sleep 30"), run("echo never")))
        os.killpg(process.pid, signal.SIGTERM)
        assert self.end(standins, process, 143) == ""

    @pytest.mark.parametrize("name", ["USR1", "USR2", "ALRM", "XCPU"])
    def test_warnings_end_the_job_too(self, standins: Standins, name: str) -> None:
        """What Slurm sends before a time limit, to the script alone, ends the steps and cleans."""
        number = getattr(signal, f"SIG{name}")
        process = self.begin(standins, job(run("echo up; exec sleep 30"), run("echo never")))
        process.send_signal(number)
        assert self.end(standins, process, 128 + number) == ""

    def test_a_signal_that_is_not_expected_cleans_up_too(self, standins: Standins) -> None:
        """Also one that the script knows nothing of leaves no storage behind."""
        process = self.begin(standins, job(run("echo up; exec sleep 30")))
        os.killpg(process.pid, signal.SIGVTALRM)
        self.end(standins, process, -signal.SIGVTALRM)

    def test_deep_inside(self, standins: Standins) -> None:
        """From the innermost command outwards everything ends, finally still runs, catch not."""
        step = {
            "steps": [for_range(1, 2, group([run("echo up; exec sleep 30")]))],
            "catch": [run("echo catch")],
            "finally": [run("echo finally $DEEPSQUARE_ERROR_CODE")],
        }
        data = job(launch(run("exec sleep 30"), signalOnParentStepExit=0), step, run("echo never"))
        process = self.begin(standins, data)
        process.terminate()
        assert self.end(standins, process, 143) == "finally 143\n"

    def test_parallel_rounds_end(self, standins: Standins) -> None:
        """Each round is told."""
        body = run("trap 'exit 0' TERM; [ $index = 1 ] && echo up; while :; do sleep 0.05; done")
        process = self.begin(standins, job(for_range(1, 3, body, parallel=True)))
        process.terminate()
        self.end(standins, process, 143)

    def test_a_container_is_removed(self, standins: Standins) -> None:
        """The Enroot container of a job that is told to end goes with it."""
        step = run("echo up; exec sleep 30", container={"image": "i"})
        process = self.begin(standins, job(step))
        process.terminate()
        self.end(standins, process, 143)
        assert standins.calls("enroot")[-1].args[:2] == ["remove", "-f"]
        assert list((standins.records / "enroot").iterdir()) == []

    def test_a_second_signal_does_not_stop_the_cleaning(self, standins: Standins) -> None:
        """Impatience changes nothing."""
        step = "trap '' TERM; echo up; sleep 1"
        process = self.begin(standins, job(run(step)))
        for _ in range(5):
            process.terminate()
            time.sleep(0.1)
        self.end(standins, process, 143)

    def test_a_condition_that_hangs_is_ended(self, standins: Standins) -> None:
        """Signals are heard everywhere."""
        data = job(run("echo up"), {"if": "$(sleep 1) == x", **run("true")})
        process = self.begin(standins, data)
        time.sleep(0.2)
        process.terminate()
        self.end(standins, process, 143)


class TestTransfer:
    """Input and output over HTTP."""

    def archive(self, standins: Standins, program: str) -> None:
        """Puts an archive with the file ``inside`` where ``wget`` finds it."""
        work = standins.root / "work"
        work.mkdir()
        (work / "inside").write_text("content\n")
        subprocess.run(program.format(files=standins.files), shell=True, check=True, cwd=work)

    @pytest.mark.parametrize(
        ("program", "files"),
        [
            ("tar -czf '{files}/a b.tar.gz' inside", ["a b.tar.gz", "inside"]),
            ("tar -cf {files}/-a.tar inside", ["-a.tar", "inside"]),
            ("gzip -c inside > {files}/inside.gz", ["inside"]),
            ("xz -c inside > {files}/inside.xz", ["inside"]),
            ("bzip2 -c inside > {files}/inside.bz2", ["inside", "inside.bz2"]),
            ("python3 -m zipfile -c {files}/gzip.zip inside", ["gzip.zip", "inside"]),
        ],
    )
    def test_archives_are_unpacked(
        self, standins: Standins, program: str, files: list[str]
    ) -> None:
        """The file's kind is found by its content; the archive stays where the tool leaves it."""
        self.archive(standins, program)
        data = job(run("cd input; cat inside; ls"), input={"http": {"url": "http://h/a"}})
        output = lines(execute(standins, data))
        assert output[0] == "Input:"
        assert sorted(output[1 : 1 + len(files)]) == sorted(f"./{name}" for name in files)
        assert output[1 + len(files) :] == ["content", *sorted(files)]

    def test_other_files_are_kept(self, standins: Standins) -> None:
        """What is no archive stays as it is, with a word about it."""
        (standins.files / "data.txt").write_text("x\n")
        data = job(run("cat input/data.txt"), input={"http": {"url": "http://h/data.txt"}})
        ended = execute(standins, data)
        assert ended.code == 0
        assert ended.output == "Input:\n./data.txt\nx\n"
        assert "data.txt is no archive" in ended.errors

    def test_an_input_that_cannot_be_fetched_fails_the_job(self, standins: Standins) -> None:
        """The code is wget's, and a sentence says what failed."""
        standins.write("wget", "exit 8")
        ended = execute(standins, job(run("echo never"), input={"http": {"url": "http://h/"}}))
        assert (ended.code, ended.output) == (8, "")
        assert "The input could not be fetched" in ended.errors

    def test_one_file_is_uploaded_as_it_is(self, standins: Standins) -> None:
        """The address is in no argument; the reply is shown decoded."""
        url = 'https://h/up?key=hunter2&q="\\x'
        data = job(run("echo x > $DEEPSQUARE_OUTPUT/r.txt"), output={"http": {"url": url}})
        output = lines(execute(standins, data))
        (call,) = standins.calls("curl")
        assert call.args[:4] == ["-sS", "--fail", "--upload-file", "output/r.txt"]
        assert "hunter2" not in " ".join(call.args)
        assert call.file("stdin") == 'url = "https://h/up?key=hunter2&q=\\"\\\\x"\n\n'
        assert "https://files.example/a b" in output

    def test_several_files_are_uploaded_as_a_zip(self, standins: Standins) -> None:
        """No file, or more than one: an archive of the directory."""
        data = job(
            run("touch $DEEPSQUARE_OUTPUT/a $DEEPSQUARE_OUTPUT/b"),
            output={"http": {"url": "http://h"}},
        )
        execute(standins, data)
        (call,) = standins.calls("curl")
        assert call.args[3] == "output.zip"
        names = subprocess.run(
            ["unzip", "-Z1", f"{call.record}.upload"], capture_output=True, text=True, check=True
        ).stdout.split()
        assert sorted(names) == ["output/", "output/a", "output/b"]

    def test_a_refused_upload_fails_the_job(self, standins: Standins) -> None:
        """The code is curl's."""
        standins.write("curl", "exit 22")
        assert execute(standins, job(output={"http": {"url": "http://h"}})).code == 22

    def test_continuous_sync_needs_s3(self, standins: Standins) -> None:
        """With HTTP it is said once and the output is sent at the end."""
        data = job(output={"http": {"url": "http://h"}}, continuousOutputSync=True)
        ended = execute(standins, data)
        assert ended.code == 0
        assert "continuousOutputSync needs S3" in ended.errors

    def test_the_server_cannot_speak_to_the_terminal(self, standins: Standins) -> None:
        """Escape sequences in its reply stay out of the log."""
        standins.write("curl", r"printf '%s' '%1b[2Jx\033y%5c'")
        output = execute(standins, job(output={"http": {"url": "http://h"}})).output
        assert "\033" not in output
        assert "[2Jx\\033y\\" in output


def test_hello(standins: Standins, tmp_path: Path) -> None:
    """The smallest job of all: one step, its output, exit code 0."""
    assert lines(execute(standins, job(run("echo hello")))) == ["hello"]


class _Files(http.server.BaseHTTPRequestHandler):
    """Serves one file and takes another."""

    taken: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"served\n")

    def do_PUT(self) -> None:
        self.taken[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.end_headers()
        self.wfile.write(b"http://here/r%20x")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


@pytest.mark.skipif(
    not (shutil.which("wget") and shutil.which("curl")), reason="needs wget and curl"
)
def test_transfer_with_the_real_programs(tmp_path: Path) -> None:
    """wget and curl understand what they are given: a file comes, a file goes."""
    standins = Standins(tmp_path / "machine", real=("wget", "curl"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        data = job(
            run("cat $DEEPSQUARE_INPUT/* > $DEEPSQUARE_OUTPUT/r"),
            input={"http": {"url": f"{base}/in.txt?k='x'"}},
            output={"http": {"url": f'{base}/up?k="y"'}},
        )
        ended = execute(standins, data)
        server.shutdown()
    assert ended.code == 0
    assert "http://here/r x" in ended.output
    assert list(_Files.taken.values()) == [b"served\n"]
    assert "up?k=" in next(iter(_Files.taken))
