"""Images of containers: fetched once a job, with credentials that nobody else sees."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from tests.support.standins import Standins
from tests.unit.sbatch.builders import job, run
from tests.unit.sbatch.test_scripts import execute, for_range, lines

PRIVATE = {"registry": "reg.io:5000", "username": "me@home.io", "password": '$(id) "x" \\ y'}


def container(apptainer: bool, **fields: Any) -> dict[str, Any]:
    """A container of either runtime."""
    return {"image": "a/b:c", "apptainer": apptainer, **fields}


class TestCache:
    """One image, one import."""

    @pytest.mark.parametrize("apptainer", [True, False], ids=["apptainer", "enroot"])
    def test_an_image_is_fetched_once_a_job(self, standins: Standins, apptainer: bool) -> None:
        """Steps, rounds that run at once and several tasks share one file."""
        name, fetch = ("apptainer", "pull") if apptainer else ("enroot", "import")
        step = run("true", container=container(apptainer))
        several = run("true", container=container(apptainer), resources={"tasks": 3})
        data = job(step, for_range(1, 3, step, parallel=True), several, tasks=3)
        assert execute(standins, data).code == 0
        calls = [call for call in standins.calls(name) if fetch in call.args]
        assert len(calls) == 1
        used = {call.env["IMAGE_PATH"] for call in standins.calls("srun")}
        assert len(used) == 1
        assert used <= set(calls[0].args)

    def test_other_images_and_users_have_files_of_their_own(self, standins: Standins) -> None:
        """What differs in image, registry, user or runtime is fetched apart."""
        other = {**PRIVATE, "username": "you"}
        kinds = [
            *(container(False), container(True), container(False, registry="reg.io")),
            *(container(False, **PRIVATE), container(False, **other)),
        ]
        execute(standins, job(*(run("true", container=each) for each in kinds)))
        assert len({call.env["IMAGE_PATH"] for call in standins.calls("srun")}) == 5

    @pytest.mark.parametrize("apptainer", [True, False], ids=["apptainer", "enroot"])
    def test_an_image_that_cannot_be_fetched(self, standins: Standins, apptainer: bool) -> None:
        """The log is shown, the code goes on, and the next try begins from nothing."""
        name, fetch = ("apptainer", "pull") if apptainer else ("enroot", "import")
        index = 4 if apptainer else 3
        standins.write(
            name,
            f'case "$*" in *{fetch}*) if [ -e "${{{index}}}" ]; then echo half there; fi; '
            f'echo half > "${{{index}}}"; echo "no such image"; exit 7 ;; esac',
        )
        step = {**run("true", container=container(apptainer)), "catch": [{"name": "caught"}]}
        ended = execute(standins, job(step, run("true", container=container(apptainer))))
        assert (ended.code, ended.output) == (7, "Running: caught\n")
        assert ended.errors.count("no such image\nThe image could not be fetched (status 7).") == 2
        assert "half there" not in ended.errors
        assert standins.calls("srun") == []


class TestCredentials:
    """Names and passwords of registries."""

    def test_enroot(self, standins: Standins) -> None:
        """A file that only the user can read, for the import alone; gone with the job."""
        execute(standins, job(run("true", container=container(False, **PRIVATE))))
        imported, *others = standins.calls("enroot")
        assert imported.args[-1] == "docker://me@home.io@reg.io:5000#a/b:c"
        password = '"$(id) \\"x\\" \\\\ y"'
        assert imported.file("credentials").splitlines() == [
            f"machine reg.io login me@home.io password {password}",
            f"default login me@home.io password {password}",
        ]
        assert imported.file("mode") == "600\n"
        assert "$(id)" not in " ".join(word for call in [imported, *others] for word in call.args)
        assert "ENROOT_CONFIG_PATH" not in others[0].env
        assert not (standins.root / ".config").exists()

    def test_docker_hub_with_enroot(self, standins: Standins) -> None:
        """The host that gives out tokens has a line, too, as Enroot wants it."""
        fields = {"username": "u", "password": "p"}
        execute(standins, job(run("true", container=container(False, **fields))))
        (imported, *_) = standins.calls("enroot")
        assert imported.args[-1] == "docker://u@a/b:c"
        assert [line.split()[:2] for line in imported.file("credentials").splitlines()] == [
            ["machine", "registry-1.docker.io"],
            ["machine", "auth.docker.io"],
            ["default", "login"],
        ]

    def test_apptainer(self, standins: Standins) -> None:
        """They are in the environment of the pull alone."""
        execute(standins, job(run("true", container=container(True, **PRIVATE))))
        pull, execution = standins.calls("apptainer")
        assert pull.env["APPTAINER_DOCKER_USERNAME"] == PRIVATE["username"]
        assert pull.env["APPTAINER_DOCKER_PASSWORD"] == PRIVATE["password"]
        assert not [name for name in execution.env if "PASSWORD" in name]
        assert PRIVATE["password"] not in " ".join(pull.args + execution.args)


class TestMounts:
    """Directories of the host."""

    def test_plain_ones_of_apptainer(self, standins: Standins) -> None:
        """They follow the places in APPTAINER_BIND."""
        mounts = [
            {"hostDir": "/a", "containerDir": "/b", "options": "ro"},
            {"hostDir": "/c", "containerDir": "/d", "options": ""},
        ]
        ended = execute(standins, job(run("true", container=container(True, mounts=mounts))))
        assert "Mounts are deprecated" in ended.errors
        call = standins.calls("apptainer")[1]
        assert call.env["APPTAINER_BIND"].split(",")[5:] == ["/a:/b:ro", "/c:/d"]
        assert "--mount" not in call.args

    def test_odd_ones_of_apptainer(self, standins: Standins) -> None:
        """Paths that APPTAINER_BIND would take apart go as comma-separated values."""
        source, target = '/a b,c:d"e\\f^g', "/h\ti"
        mounts = [{"hostDir": source, "containerDir": target, "options": "ro"}]
        execute(standins, job(run("true", container=container(True, mounts=mounts))))
        call = standins.calls("apptainer")[1]
        assert len(call.env["APPTAINER_BIND"].split(",")) == 5
        text = call.args[call.args.index("--mount") + 1]
        (fields,) = csv.reader(io.StringIO(text), strict=True)
        assert fields == ["type=bind", f"source={source}", f"destination={target}", "ro"]


class TestTasks:
    """What happens to containers that are told something."""

    @pytest.mark.parametrize("name", ["USR1", "USR2"])
    def test_signals_reach_the_command_in_enroot(self, standins: Standins, name: str) -> None:
        """The shell around the container neither keeps a signal nor ends by it."""
        serve = (
            f"trap 'echo told; exit 0' {name}; echo > $DSQ_UP; "
            "i=0; while [ $i -lt 400 ]; do sleep 0.05; i=$((i+1)); done"
        )
        up = standins.root / "up"
        wait = f"while [ ! -e {up} ]; do sleep 0.02; done"
        data = job(
            {
                "launch": {
                    "signalOnParentStepExit": {"USR1": 10, "USR2": 12}[name],
                    "steps": [run(serve.replace("$DSQ_UP", str(up)), container=container(False))],
                }
            },
            run(wait),
        )
        assert lines(execute(standins, data)) == ["told"]
        assert standins.calls("enroot")[-1].args[0] == "remove"

    def test_an_empty_command_runs_the_image(self, standins: Standins) -> None:
        """What the image is made to run: its exit code is the step's, and nothing follows it."""
        standins.write("apptainer", 'case $2 in pull) echo >"$4" ;; run) exit 9 ;; esac')
        ended = execute(standins, job(run("", container=container(True))))
        assert (ended.code, standins.calls("apptainer")[1].args[-1][-4:]) == (9, ".sif")
        ended = execute(standins, job(run("", container=container(False))))
        assert (ended.code, ended.output) == (0, "entry point of the image: \n")

    def test_exit_codes_of_containers(self, standins: Standins) -> None:
        """They are those of the command; the container goes in any case."""
        for apptainer in (True, False):
            ended = execute(standins, job(run("exit 5", container=container(apptainer))))
            assert ended.code == 5
        assert standins.calls("enroot")[-1].args[0] == "remove"
