"""Modules: inputs, outputs, what they see and leave behind."""

from __future__ import annotations

import os
from typing import Any

from tests.support.standins import Standins
from tests.unit.sbatch.builders import RESOURCES, env, job, run
from tests.unit.sbatch.test_scripts import execute, for_items, lines

SHOW = 'printf "<%s>" "${A-unset}" "${B-unset}" "${C-unset}"; echo'


def module(*steps: Any, inputs: Any = (), outputs: Any = ()) -> dict[str, Any]:
    """A module; inputs are names or pairs of a name and a default."""
    return {
        "name": "m",
        "description": "d",
        "minimumResources": dict(RESOURCES),
        "inputs": [
            {"key": each, "description": "d"}
            if isinstance(each, str)
            else {"key": each[0], "description": "d", "default": each[1]}
            for each in inputs
        ],
        "outputs": [{"key": each, "description": "d"} for each in outputs],
        "steps": list(steps),
    }


def use(content: dict[str, Any], prefix: str = "", **args: str) -> dict[str, Any]:
    """A step that uses a module."""
    fields = {"exportEnvAs": prefix} if prefix else {}
    return {"use": {"source": "h/o/r", "args": env(**args), "module": content, **fields}}


def put(*texts: str) -> dict[str, Any]:
    """A step that puts lines into the file of variables."""
    return run("".join(f"echo '{text}' >> $DEEPSQUARE_ENV; " for text in texts))


def test_inputs(standins: Standins) -> None:
    """What is given wins over the default; without either the variable is not set."""
    content = module(run(SHOW), inputs=["A", ("B", "b $(id)"), ("C", "c")])
    data = job(use(content, C="it's\nhere"), run(SHOW), use(content, A="1"))
    output = execute(standins, data).output
    assert output == (
        "<unset><b $(id)><it's\nhere>\n<unset><unset><unset>\n<1><b $(id)><c>\n"
    )  # fmt: skip


def test_outputs_get_the_prefix(standins: Standins) -> None:
    """Later steps and conditions see them, with names that match exactly and their last value."""
    content = module(
        put("RESULT2=no", "RESULT=old", "RESULT=a, b=c", "OTHER=x"),
        outputs=["RESULT", "MISSING"],
    )
    show = 'echo "$P_RESULT|${P_RESULT2-unset}|${P_MISSING-unset}|${RESULT-unset}|${OTHER-unset}"'
    data = job(use(content, "P"), {"if": '"$P_RESULT" == "a, b=c"', **run(show)})
    assert lines(execute(standins, data)) == ["a, b=c|unset|unset|unset|unset"]


def test_steps_of_a_module_see_each_other_and_the_job(standins: Standins) -> None:
    """Variables of the job's file are there inside; its own win."""
    content = module(put("B=module", "C=module"), run(SHOW), outputs=["C"])
    data = job(put("A=job", "B=job"), use(content, "P"), run(SHOW + '; echo "$P_C"'))
    assert lines(execute(standins, data)) == [
        "<job><module><module>",
        "<job><job><unset>",
        "module",
    ]


def test_without_a_prefix_the_file_is_the_jobs(standins: Standins) -> None:
    """What such a module writes later steps see as it is."""
    assert lines(execute(standins, job(use(module(put("A=1"))), run(SHOW)))) == [
        "<1><unset><unset>"
    ]


def test_in_containers(standins: Standins) -> None:
    """The file of the module is where the container is told."""
    for apptainer in (True, False):
        write = run(
            "echo $DEEPSQUARE_ENV; echo R=1 >> $STORAGE_PATH/${DEEPSQUARE_ENV##*/}",
            container={"image": "i", "apptainer": apptainer},
        )
        # A stand-in for a container sees the host's files.
        write["run"]["command"] = write["run"]["command"].replace(
            "$STORAGE_PATH", str(standins.cache) + f"/shared/{os.getuid()}/job.7"
        )
        shown = lines(
            execute(standins, job(use(module(write, outputs=["R"]), "P"), run("echo $P_R")))
        )
        assert shown[0].startswith("/deepsquare/env.")
        assert shown[1] == "1"


def test_modules_in_modules_and_in_rounds(standins: Standins) -> None:
    """Each use has a file of its own, also when several run at once."""
    inner = module(run("echo R=in-$WORD >> $DEEPSQUARE_ENV"), inputs=["WORD"], outputs=["R"])
    outer = module(
        use(inner, "X", WORD="w"), run("echo R=out-$X_R >> $DEEPSQUARE_ENV"), outputs=["R"]
    )
    rounds = for_items(
        ["1", "2", "3"],
        use(module(run("echo R=$item >> $DEEPSQUARE_ENV"), outputs=["R"]), "Y"),
        {"if": "$Y_R == $item", **run("echo same")},
        parallel=True,
    )
    ended = execute(standins, job(use(outer, "Z"), run("echo $Z_R"), rounds))
    assert lines(ended) == ["out-in-w", "same", "same", "same"]


def test_failures_are_handled_outside(standins: Standins) -> None:
    """catch of the using step sees the code; nothing is taken from a module that failed."""
    content = module(put("R=1"), run("exit 6"), outputs=["R"])
    step = {**use(content, "P"), "catch": [run("echo caught $DEEPSQUARE_ERROR_CODE")]}
    assert lines(execute(standins, job(step, run("echo ${P_R-unset}")))) == ["caught 6", "unset"]
    assert execute(standins, job(use(content, "P"), run("echo never"))).code == 6
