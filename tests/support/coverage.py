"""Which lines of the contracts no test reaches: ``python -m tests.support.coverage LCOV``.

The tool cannot see into inline assembly: a line in an ``assembly`` block does
not count, nor does one that the section Coverage of contracts/test/README.md
names with the reason. Exit code 1 if any other line is not reached.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CONTRACTS = Path(__file__).parents[2] / "contracts"


def assembly_lines(source: str) -> set[int]:
    """Numbers of the lines that lie in inline assembly, counted from 1."""
    found = set()
    depth = 0
    for number, line in enumerate(source.splitlines(), 1):
        if depth == 0 and not re.match(r"\s*assembly\b", line):
            continue
        found.add(number)
        depth += line.count("{") - line.count("}")
    return found


def missed(lcov: str, contracts: Path = CONTRACTS) -> dict[str, list[int]]:
    """Lines that were not reached, by file; those in assembly are left out."""
    result: dict[str, list[int]] = {}
    name, unseen = "", set[int]()
    for line in lcov.splitlines():
        key, _, value = line.partition(":")
        if key == "SF":
            name = value
            unseen = assembly_lines((contracts / name).read_text())
        elif key == "DA":
            number, count, *_ = map(int, value.split(","))
            if count == 0 and number not in unseen:
                result.setdefault(name, []).append(number)
    return result


def main(path: str) -> int:
    """Prints the lines that were not reached."""
    found = missed(Path(path).read_text())
    page = (CONTRACTS / "test" / "README.md").read_text().split("## Coverage")[1]
    explained = page.split("## ")[0]
    left = 0
    for name, numbers in sorted(found.items()):
        source = (CONTRACTS / name).read_text().splitlines()
        for number in numbers:
            line = source[number - 1].strip()
            if f"`{line}`" not in explained:
                left += 1
                print(f"{name}:{number}: {line}")
    print(f"{left} lines are not reached and not explained")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
