"""Generates ``core/rpc/gen`` from ``core/rpc/protos`` (``make proto``).

The result is checked in, so that users need no compiler; a test generates it again
and compares. grpcio-tools must be installed.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROTOS = HERE / "protos"
GEN = HERE / "gen"

_IMPORT = re.compile(r"^from [\w.]+ import (\w+_pb2) as", re.MULTILINE)


def generate(target: Path = GEN) -> list[Path]:
    """Writes message and service modules for every proto.

    Args:
        target: Root of the generated package.

    Returns:
        The files written.

    Raises:
        RuntimeError: The compiler refuses a file.
    """
    from grpc_tools import protoc  # type: ignore[import-untyped]

    includes = str(resources.files("grpc_tools") / "_proto")
    sources = sorted(PROTOS.rglob("*.proto"))
    target.mkdir(parents=True, exist_ok=True)
    flags = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    command = ["protoc", f"-I{PROTOS}", f"-I{includes}", *flags, *map(str, sources)]
    if protoc.main(command) != 0:
        raise RuntimeError("protoc failed; its message is above.")
    for path in target.rglob("*_pb2_grpc.py"):
        path.write_text(_IMPORT.sub(r"from . import \1 as", path.read_text()))
    for folder in {parent for path in target.rglob("*_pb2.py") for parent in path.parents}:
        if folder == target or target in folder.parents:
            (folder / "__init__.py").touch()
    return sorted(path for path in target.rglob("*.py*") if path.suffix in (".py", ".pyi"))


if __name__ == "__main__":
    generate()
