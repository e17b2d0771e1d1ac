"""Secrets at submit: from files, variables and prompts, never from arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsq.console.job_secrets import secret_values
from dsq.core.errors import NotFoundError, UsageError
from dsq.sbatch.workflow import Workflow, load_workflow, parse_workflow

from .conftest import GOOD, Dsq
from .double import GridDouble

NAMED = GOOD + "secrets:\n- {name: TOKEN, description: of the registry}\n- name: OTHER\n"


def named() -> Workflow:
    """A workflow of two secrets."""
    return load_workflow(NAMED)


def test_values_come_from_where_options_say(tmp_path: Path) -> None:
    """A file without its last line break, a variable, or a prompt that says what it is for."""
    file = tmp_path / "token"
    file.write_text("of a file\n\n")
    asked: list[str] = []

    def ask(text: str) -> str:
        asked.append(text)
        return "typed"

    env = {"V": "of a variable", "DSQ_SECRET_OTHER": "by default"}
    values = secret_values(named(), [f"TOKEN=@{file}", "OTHER=env:V"], env=env, ask=ask)
    assert values == {"TOKEN": "of a file\n", "OTHER": "of a variable"}
    assert secret_values(named(), ["TOKEN=prompt"], env=env, ask=ask) == {
        "TOKEN": "typed",
        "OTHER": "by default",
    }
    assert asked == ["TOKEN (of the registry)"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["TOKEN=hunter2"], "says no place of a value"),
        (["hunter2"], "says no place of a value"),
        (["TOKEM=env:V"], "Did you mean 'TOKEN'"),
        (["TOKEN=env:V", "TOKEN=env:V"], "given twice"),
        (["TOKEN=env:NONE"], "NONE is not set"),
        (["TOKEN=env:EMPTY"], "is empty"),
        (["TOKEN=env:V"], "The secret OTHER has no value.* DSQ_SECRET_OTHER"),
    ],
)
def test_what_makes_no_sense_is_refused(options: list[str], words: str) -> None:
    """And what stands there is not repeated: it may be the secret."""
    with pytest.raises(UsageError, match=words) as caught:
        secret_values(named(), options, env={"V": "x", "EMPTY": ""})
    assert "hunter2" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named_by_its_secret(tmp_path: Path) -> None:
    """Exit code 66."""
    with pytest.raises(NotFoundError, match="file of the secret TOKEN cannot be read"):
        secret_values(named(), [f"TOKEN=@{tmp_path / 'none'}"], env={})


def test_workflows_without_secrets_need_none() -> None:
    """Nothing is read and nobody asked."""
    assert secret_values(load_workflow(GOOD), [], env={"DSQ_SECRET_X": "y"}) == {}
    assert parse_workflow(named().to_wire()) == named()


def test_secrets_reach_the_grid_beside_the_workflow(
    dsq: Dsq, grid: GridDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no message shows them."""
    path = tmp_path / "train.yaml"
    path.write_text(NAMED)
    monkeypatch.setenv("DSQ_SECRET_OTHER", "hunter3")
    monkeypatch.setenv("V", "hunter2")
    result = dsq("submit", str(path), "--credits", "100", "--secret", "TOKEN=env:V")
    assert result.code == 0
    assert grid.did[0][-1] == {"TOKEN": "hunter2", "OTHER": "hunter3"}
    assert "hunter" not in result.out + result.err


def test_a_missing_secret_is_told_before_the_grid_is_asked(
    dsq: Dsq, grid: GridDouble, tmp_path: Path
) -> None:
    """Where nobody can be asked."""
    path = tmp_path / "train.yaml"
    path.write_text(NAMED)
    result = dsq("submit", str(path), "--credits", "100")
    assert (result.code, grid.sent) == (64, [])
    assert "The secret TOKEN has no value." in result.err


def test_an_idempotency_key_is_passed_on(dsq: Dsq, grid: GridDouble, workflow: str) -> None:
    """It names the submit for the service and for the chain."""
    assert dsq("submit", workflow, "--credits", "100", "--idempotency-key", "k").code == 0
    assert grid.did[0][-1] == "k"
    assert dsq("submit", workflow, "--credits", "100", "--idempotency-key", "").code == 64
