"""Shows that the tests of the contracts bite: breaks the contracts, and expects the tests to fail.

``python -m tests.support.mutations [WORD ...]`` compiles the contracts once
with every change of ``contracts/test/mutations/mutations.toml`` in them, each
behind a switch (the address that the block's reward goes to, which no contract
asks for), and runs the tests that a change names with that switch on: each of
them has to fail. With all switches off, all of them have to pass. Words choose
the changes whose names have one of them. Needs forge (``make mutations``).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTRACTS = Path(__file__).parents[2] / "contracts"
MUTATIONS = CONTRACTS / "test" / "mutations" / "mutations.toml"

SWITCH = """
// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @dev Which change is on. The contracts' pure functions ask too, so it is called as a pure one.
library Switch {
    function isOn(uint256 number) internal pure returns (bool) {
        return _asPure(_read)() == number;
    }

    function _read() private view returns (uint256) {
        return uint160(address(block.coinbase));
    }

    function _asPure(function() view returns (uint256) asked)
        private
        pure
        returns (function() pure returns (uint256) answer)
    {
        assembly {
            answer := asked
        }
    }
}
"""


@dataclass(frozen=True)
class Edit:
    """A change of a source: ``old`` is there exactly once."""

    file: str
    old: str
    new: str

    @property
    def is_statement(self) -> bool:
        return self.old.endswith((";", "}"))


@dataclass(frozen=True)
class Mutation:
    """Changes that belong together, and the tests that must notice them."""

    number: int
    name: str
    tests: tuple[str, ...]
    edits: tuple[Edit, ...]


def read_mutations(path: Path = MUTATIONS) -> list[Mutation]:
    """The changes in their order, counted from 1."""
    entries = tomllib.loads(path.read_text())["mutation"]
    return [
        Mutation(
            number,
            entry["name"],
            tuple(entry["tests"]),
            tuple(Edit(*edit) for edit in entry["edits"]),
        )
        for number, entry in enumerate(entries, 1)
    ]


def with_switches(source: str, edits: Iterable[tuple[int, Edit]]) -> str:
    """A source in which each change is made if its switch is on.

    Several changes of one text are alternatives of each other.

    Raises:
        ValueError: If an ``old`` is not there exactly once, or two overlap.
    """
    places: dict[tuple[int, int], list[tuple[int, Edit]]] = {}
    for number, edit in edits:
        if source.count(edit.old) != 1:
            count = source.count(edit.old)
            raise ValueError(f"'{edit.old}' is {count} times in {edit.file}, not once.")
        start = source.index(edit.old)
        places.setdefault((start, start + len(edit.old)), []).append((number, edit))
    parts = []
    behind = len(source)
    for (start, end), alternatives in sorted(places.items(), reverse=True):
        if end > behind:
            raise ValueError(f"Two changes overlap at '{source[start:end]}'.")
        parts.append(source[end:behind])
        parts.append(_switched(source[start:end], alternatives))
        behind = start
    parts.append(source[:behind])
    return "".join(reversed(parts))


def _switched(old: str, alternatives: Sequence[tuple[int, Edit]]) -> str:
    """A statement or an expression with its alternatives."""
    text = old
    declared = ""
    for number, edit in alternatives:
        if edit.is_statement:
            text = f"if (Switch.isOn({number})) {{ {edit.new} }} else {{ {text} }}"
            continue
        # `uint256 x = old` declares once and chooses the value.
        name, equals, value = edit.new.rpartition(" = ")
        if equals and old.startswith(f"{name} = "):
            declared = f"{name} = "
            text = text.removeprefix(declared)
        text = f"(Switch.isOn({number}) ? {value if equals else edit.new} : {text})"
    return declared + text


def write_sources(folder: Path, mutations: Sequence[Mutation]) -> set[str]:
    """Writes the sources with all changes in them; returns the names of the files changed."""
    shutil.copytree(CONTRACTS / "src", folder / "src")
    by_file: dict[str, list[tuple[int, Edit]]] = {}
    for mutation in mutations:
        for edit in mutation.edits:
            by_file.setdefault(edit.file, []).append((mutation.number, edit))
    (folder / "src" / "Switch.sol").write_text(SWITCH.lstrip())
    for name, edits in by_file.items():
        path = folder / "src" / name
        up = "../" * name.count("/") or "./"
        license_line, rest = path.read_text().split("\n", 1)
        pragma, body = rest.split("\n", 1)
        import_line = f'import {{Switch}} from "{up}Switch.sol";'
        changed = with_switches(body, edits)
        path.write_text("\n".join([license_line, pragma, import_line, changed]))
    return set(by_file)


async def run(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and output of a program."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode(errors="replace")


async def compile_all(folder: Path, mutations: Sequence[Mutation]) -> None:
    """Compiles the changed sources into ``folder/artifacts``."""
    write_sources(folder, mutations)
    text = (CONTRACTS / "compile.cjs").read_text()
    # With the switches in them the contracts may be larger than the EVM's limit.
    text = text.replace("SIZE_LIMIT = 24576", "SIZE_LIMIT = 1 << 20")
    text = text.replace("['8760']", "['8760', '5574', '3860', '2072', '5740']")
    (folder / "compile.cjs").write_text(text)
    root = str(CONTRACTS / "node_modules")
    code, output = await run(["node", "compile.cjs"], folder, {"NODE_ROOT": root})
    if code:
        raise SystemExit(output)


async def results_of(tests: Iterable[str], number: int, artifacts: Path) -> dict[str, str | None]:
    """Why each test failed with one switch on (0: none); ``None`` for one that passed."""
    kept = str(artifacts.parent / "kept")
    env = {
        "ARTIFACTS": str(artifacts.relative_to(CONTRACTS.resolve())),
        "FOUNDRY_BLOCK_COINBASE": f"0x{number:040x}",
        "FOUNDRY_CODE_SIZE_LIMIT": str(1 << 20),
        "FOUNDRY_FUZZ_FAILURE_PERSIST_DIR": kept,
        "FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR": kept,
        "FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": "0",
        "FOUNDRY_INVARIANT_RUNS": "10" if number == 0 else "100",
    }
    pattern = rf"^({'|'.join(sorted(set(tests)))})\("
    code, output = await run(["forge", "test", "--json", "--match-test", pattern], CONTRACTS, env)
    shutil.rmtree(kept, ignore_errors=True)
    # Other lines in braces tell of the progress of an invariant.
    line = next((line for line in output.splitlines() if '"test_results":' in line), None)
    if line is None:
        raise SystemExit(f"forge ran no test (exit {code}):\n{output[-2000:]}")
    suites: dict[str, Any] = json.loads(line)
    return {
        name.split("(")[0]: None
        if result["status"] == "Success"
        else str(result.get("reason") or "failed")
        for suite in suites.values()
        for name, result in suite["test_results"].items()
    }


async def check(mutations: Sequence[Mutation], artifacts: Path) -> int:
    """Runs each change's tests and prints a table; how many tests did not notice theirs."""
    started = time.monotonic()
    intact = await results_of([test for m in mutations for test in m.tests], 0, artifacts)
    bad = sorted(name for name, reason in intact.items() if reason is not None)
    if bad:
        raise SystemExit(f"Without any change these tests fail already: {', '.join(bad)}.")
    print(f"{len(intact)} tests pass without a change ({time.monotonic() - started:.0f} s)")
    missed = 0
    for mutation in mutations:
        results = await results_of(mutation.tests, mutation.number, artifacts)
        print(f"{mutation.number:3}  {mutation.name}")
        for test in mutation.tests:
            reason = results.get(test, "")
            missed += not reason
            words = f"fails: {reason}" if reason else "PASSES: it does not notice"
            print(f"       {test}: {' '.join(words.split())[:110]}", flush=True)
    print(
        f"{len(mutations)} changes, {missed} tests without notice, "
        f"{time.monotonic() - started:.0f} s"
    )
    return missed


def main(words: Sequence[str]) -> int:
    """Exit code 1 if a test did not notice its change."""
    mutations = read_mutations()
    chosen = [m for m in mutations if not words or any(word in m.name for word in words)]
    home = CONTRACTS.resolve() / "node_modules" / ".forge"
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mutations-", dir=home) as folder:
        asyncio.run(compile_all(Path(folder), mutations))
        return 1 if asyncio.run(check(chosen, Path(folder) / "artifacts")) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
