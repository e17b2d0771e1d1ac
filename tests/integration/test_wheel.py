"""The wheel from a clean checkout carries all it needs."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CHECK = """
from importlib import resources
import dsq.contracts, dsq.console.templates
from dsq.themes.loader import builtin_themes
from dsq.sbatch.workflow import load_workflow
from dsq.sbatch.render import render
assert all(dsq.contracts.load(name).bytecode for name in dsq.contracts.ARTIFACTS)
text = dsq.console.templates.template('hello-world').text
assert render(load_workflow(text)).startswith("#!/bin/bash")
assert resources.files("dsq.core.rpc.gen")
assert len(builtin_themes()) >= 4
print("all there")
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the wheel installed, and the dependencies of the development set."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    archive = subprocess.run(
        ["tar", "-c", "--null", "-T", "-"], cwd=ROOT, check=True, capture_output=True, input=files
    ).stdout
    subprocess.run(["tar", "-x"], cwd=source, check=True, input=archive)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder), "."],
        cwd=source, check=True, capture_output=True,
    )  # fmt: skip
    environment = folder / "venv"
    venv.create(environment, with_pip=False)
    site = next(environment.glob("lib/python*/site-packages"))
    wheel = next(folder.glob("*.whl"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site),
         str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip
    # Dependencies only: dsq itself must come from the wheel, which stands first.
    dependencies = folder / "dependencies"
    dependencies.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "dsq" not in entry.name:
            (dependencies / entry.name).symlink_to(entry)
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    return environment / "bin" / "python"


def test_it_carries_contracts_templates_themes_and_examples(python: Path) -> None:
    """Everything that is read at run time is in the wheel."""
    result = subprocess.run(
        [str(python), "-I", "-c", CHECK], capture_output=True, text=True, cwd="/"
    )
    assert result.stdout == "all there\n", result.stderr


def test_its_commands_start(python: Path) -> None:
    """The three commands answer --help."""
    for module in ("cli", "console_command", "provider_command"):
        result = subprocess.run(
            [str(python), "-I", "-m", f"dsq.console.{module}", "--help"],
            capture_output=True, text=True, cwd="/",
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert "Usage" in result.stdout
