"""What is wrong with a workflow, in words for people and in the service's error shape."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dsq.core.errors import WorkflowError, close_matches

HIDDEN = "<hidden>"
"""Stands for the value of a field that may bear a secret."""

Path = tuple[str | int, ...]
"""Place of a value: GraphQL names and list positions from the root."""

SHAPE_TAGS = frozenset({"unknown_field", "missing", "null", "type", "syntax"})
"""Tags of problems that GraphQL itself would find; the others are rules of the language."""

_REASONS = {
    "url": "is not a valid URL",
    "ip": "is not a valid IP",
    "cidr": "is not a valid CIDR",
    "startswith": "must start with {param}",
    "endsnotwith": "must not end with {param}",
    "required": "is required",
    "valid_envvar_name": "is not a valid environment variable",
    "lt": "must be less than {param}",
    "gte": "must be greater than or equal to {param}",
    "ne": "must be not equal to {param}",
    "oneof": "must be one of {param}",
    "valid_container_image_url": "is not a valid image url",
    "hostname": "is not a valid hostname",
    "hostname_port": "is not a valid hostname_port",
    "alphanum_underscore": "is not alphanumeric/underscore",
    "ip|fqdn": "is neither an IP nor a FQDN",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: Where, as GraphQL names and positions: ``("steps", 0, "run", "shell")``.
        go_namespace: The same with the names of the wire: ``Job.Steps[0].Run.Shell``.
        go_field: Its last part: ``Shell``, ``Env[0]``.
        tag: The rule (``oneof``, ``gte``...), or one of :data:`SHAPE_TAGS`.
        param: The rule's parameter.
        value_shown: The value as text, :data:`HIDDEN` when it may be a secret.
        message: One sentence for people, without the place in the file.
        line: Line in the user's text, from 1; None when there is no text.
        column: Column in the user's text, from 1.
    """

    path: Path
    go_namespace: str
    go_field: str
    tag: str
    param: str
    value_shown: str
    message: str
    line: int | None = None
    column: int | None = None

    @property
    def is_shape(self) -> bool:
        """True when the workflow does not even have the shape that GraphQL asks for."""
        return self.tag in SHAPE_TAGS

    @property
    def place(self) -> str:
        """``line 4, column 3``, or "" without a text."""
        return "" if self.line is None else f"line {self.line}, column {self.column}"

    @property
    def original_message(self) -> str:
        """The sentence of the reference's validator (reference, section 1.4)."""
        return (
            f"Key: '{self.go_namespace}' Error:Field validation for "
            f"'{self.go_field}' failed on the '{self.tag}' tag"
        )

    @property
    def graphql_message(self) -> str:
        """``message`` of the GraphQL error (layout of the reference, section 1.4)."""
        reason = _REASONS.get(self.tag, f"does not respect the rule {self.tag}")
        tail = json.dumps(
            {"error": self.tag, "field": self.go_field, "value": self.value_shown},
            ensure_ascii=False,
        )
        words = reason.replace("{param}", self.param)
        return f"Field '{self.go_field}' (='{self.value_shown}') {words} {tail}"

    def extensions(self) -> dict[str, str]:
        """``extensions`` of the GraphQL error (reference, section 1.4)."""
        return {
            "type": "validation",
            "tag": self.tag,
            "namespace": self.go_namespace,
            "field": self.go_field,
            "original_message": self.original_message,
        }

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class InvalidWorkflow(WorkflowError):  # noqa: N818 - reads as a word, like its parent's kind
    """A workflow with problems; ``details`` holds them as :class:`Problem`.

    Args:
        source: Name of the workflow for people: its file.
        details: What is wrong, one or more.
    """

    def __init__(self, source: str, details: Sequence[Problem]) -> None:
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        super().__init__(
            f"{source} is not valid: {details[0]}{more}.", problems=[str(each) for each in details]
        )
        self.details = tuple(details)


def show_path(path: Path) -> str:
    """Writes a path as people read it: ``steps[0].run.command``; the root is "the job"."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the job"


class Hints:
    """Close matches for one document: few, as each is compared with every known name."""

    MOST = 20
    KNOWN = 1000

    def __init__(self) -> None:
        self._left = self.MOST

    def of(self, word: str, known: Sequence[str]) -> str:
        """As :func:`did_you_mean`, but "" once enough hints were given."""
        if self._left <= 0:
            return ""
        self._left -= 1
        return did_you_mean(word[:100], known[: self.KNOWN])


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Returns " (did you mean 'x'?)" for the near names, or ""."""
    found = close_matches(word, known).strip()
    return f" (d{found[1:]})" if found else ""
