"""Everything public in the contracts' sources is described where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[3] / "contracts" / "src"
FILES = sorted(SOURCES.rglob("*.sol"))

DECLARATION = re.compile(
    r"^ *(?:(function|event|error|struct|modifier|contract|interface|library|enum) (\w+)"
    r"|(constructor)\b"
    r"|(?:[\w.()=> \[\]]+ public )(?:immutable |constant )*(\w+)(?= ?[;=]))"
)


def declarations(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Kind, name, comment and body (up to the end of the block) of each declaration."""
    lines = text.splitlines()
    for place, line in enumerate(lines):
        match = DECLARATION.match(line)
        if match is None:
            continue
        kind = match[1] or match[3] or "variable"
        name = match[2] or match[4] or "constructor"
        first = place
        while first > 0 and lines[first - 1].strip().startswith("//"):
            first -= 1
        rest = "\n".join(lines[place:])
        end = re.search(r"[;{]", rest)
        head = rest[: end.start()] if end else rest
        if kind == "struct":
            head = rest[: rest.index("}")]
        yield kind, name, "\n".join(lines[first:place]), head


def is_public(kind: str, head: str) -> bool:
    """Whether others than the contract itself see it."""
    if kind == "function":
        return re.search(r"\b(external|public|internal)\b", head) is not None
    return kind not in ("modifier", "enum")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_everything_public_is_described(file: Path) -> None:
    """Each contract, function, event, error, variable and constructor has NatSpec."""
    missing = [
        f"{kind} {name}"
        for kind, name, comment, head in declarations(file.read_text())
        if is_public(kind, head)
        and kind != "struct"
        and not re.search(r"/// (@notice|@inheritdoc|@title|@dev|@param)", comment)
    ]
    assert missing == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_field_is_described(file: Path) -> None:
    """Each field of each struct has a ``@param`` of its own."""
    missing = [
        f"{name}.{field}"
        for kind, name, comment, head in declarations(file.read_text())
        if kind == "struct"
        for field in re.findall(r"(\w+);", head)
        if not re.search(rf"@param {field} ", comment)
    ]
    assert missing == []


def test_the_check_sees_what_is_missing() -> None:
    """A declaration without a comment is found, and what a comment describes is not."""
    text = (
        "/// @notice A.\nfunction a() external;\n\nfunction b(\n    uint256 x\n) public view {\n"
        "event C();\nuint256 public d = 1;\n/// @param e Words.\nstruct F {\n    int e;\n    int g;\n}"
    )
    found = {name: (kind, comment) for kind, name, comment, _ in declarations(text)}
    assert {name for name, (_, comment) in found.items() if not comment} == {"b", "C", "d"}
    assert found["F"][0] == "struct"
