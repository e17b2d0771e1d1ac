"""Prints the development group of pyproject.toml as words for pip, which reads no groups here."""

import shlex
import tomllib
from pathlib import Path

if __name__ == "__main__":
    project = tomllib.loads(Path("pyproject.toml").read_text())
    print(shlex.join(project["dependency-groups"]["dev"]))
