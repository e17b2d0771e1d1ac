"""The rules that a field's value must keep, as objects that are checked and described.

A rule sits in the annotation of a field (``Annotated[str, StartsWith("/")]``). Each
has the tag and the parameter that the service reports to clients (reference,
section 1.4), and words for people. Patterns always match the whole text: a line
break never lets a second line slip through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from dsq.core.errors import WorkflowError
from dsq.sbatch.modules.source import parse_source


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of one field; rules are checked in the order of the annotation.

    Attributes:
        tag: Its name on the wire (``oneof``, ``gte``...).
    """

    tag: ClassVar[str] = ""

    @property
    def param(self) -> str:
        """The parameter clients see, empty when the rule has none."""
        return ""

    def words(self) -> str:
        """What the value must be, to stand after "must": ``start with '/'``."""
        raise NotImplementedError

    def holds(self, value: Any) -> bool:
        """Tells whether ``value`` keeps the rule."""
        raise NotImplementedError

    def check(self, value: Any) -> Any:
        """Returns ``value``, or raises the error that carries this rule; null is absent."""
        if value is None or self.holds(value):
            return value
        raise PydanticCustomError("rule", "must {words}", {"words": self.words(), "rule": self})

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))


@dataclass(frozen=True, slots=True)
class Required(Rule):
    """The text must not be empty."""

    tag = "required"

    def words(self) -> str:
        return "not be empty"

    def holds(self, value: Any) -> bool:
        return bool(value)


@dataclass(frozen=True, slots=True)
class NotEmpty(Rule):
    """The list must have an element.

    It stands outside the list's type: rules of elements stand inside.
    """

    tag = "min"

    @property
    def param(self) -> str:
        return "1"

    def words(self) -> str:
        return "have at least one element"

    def holds(self, value: Any) -> bool:
        return bool(value)


@dataclass(frozen=True, slots=True)
class Gte(Rule):
    """A number not below ``least``."""

    least: int
    tag = "gte"

    @property
    def param(self) -> str:
        return str(self.least)

    def words(self) -> str:
        return f"be {self.least} or more"

    def holds(self, value: Any) -> bool:
        return bool(value >= self.least)


@dataclass(frozen=True, slots=True)
class Lt(Rule):
    """A number below ``bound``."""

    bound: int
    tag = "lt"

    @property
    def param(self) -> str:
        return str(self.bound)

    def words(self) -> str:
        return f"be less than {self.bound}"

    def holds(self, value: Any) -> bool:
        return bool(value < self.bound)


@dataclass(frozen=True, slots=True)
class Int32(Rule):
    """GraphQL's ``Int``: what fits 32 bits with a sign."""

    tag = "int32"

    def words(self) -> str:
        return "be a number between -2147483648 and 2147483647"

    def holds(self, value: Any) -> bool:
        return bool(-(2**31) <= value < 2**31)


@dataclass(frozen=True, slots=True)
class NoNul(Rule):
    """A text that a script can hold: no NUL, no half of a surrogate pair (JSON can spell both)."""

    tag = "no_nul"

    def words(self) -> str:
        return "hold no NUL and only valid Unicode"

    def holds(self, value: Any) -> bool:
        if value.isascii():
            return "\0" not in value
        return re.search("[\0\ud800-\udfff]", value) is None


@dataclass(frozen=True, slots=True)
class OneOf(Rule):
    """One of a few words."""

    choices: tuple[str, ...]
    tag = "oneof"

    @property
    def param(self) -> str:
        return " ".join(self.choices)

    def words(self) -> str:
        shown = [f"'{choice}'" for choice in self.choices if choice]
        text = "be " + (", ".join(shown[:-1]) + " or " + shown[-1] if shown[1:] else shown[0])
        return text + (", or empty" if "" in self.choices else "")

    def holds(self, value: Any) -> bool:
        return value in self.choices


@dataclass(frozen=True, slots=True)
class StartsWith(Rule):
    """A text that begins with ``prefix``."""

    prefix: str
    tag = "startswith"

    @property
    def param(self) -> str:
        return self.prefix

    def words(self) -> str:
        return f"start with '{self.prefix}'"

    def holds(self, value: Any) -> bool:
        return bool(value.startswith(self.prefix))


@dataclass(frozen=True, slots=True)
class EndsNotWith(Rule):
    """A text that does not end with ``suffix``."""

    suffix: str
    tag = "endsnotwith"

    @property
    def param(self) -> str:
        return self.suffix

    def words(self) -> str:
        return f"not end with '{self.suffix}'"

    def holds(self, value: Any) -> bool:
        return not value.endswith(self.suffix)


@dataclass(frozen=True, slots=True)
class NotEqual(Rule):
    """Any text but ``word``."""

    word: str
    tag = "ne"

    @property
    def param(self) -> str:
        return self.word

    def words(self) -> str:
        return f"not be {self.word}"

    def holds(self, value: Any) -> bool:
        return bool(value != self.word)


@dataclass(frozen=True, slots=True)
class NotReserved(Rule):
    """No variable that bash keeps read-only, and none of the script's own (``_dsq_``).

    The reference has no such rule: there such a name ends the job at run time.
    """

    tag = "reserved"
    names: ClassVar[frozenset[str]] = frozenset(
        {"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"}
    )
    prefix: ClassVar[str] = "_dsq_"

    def words(self) -> str:
        return (
            f"not be one of bash's read-only variables ({' '.join(sorted(self.names))}) "
            f"nor start with '{self.prefix}'"
        )

    def holds(self, value: Any) -> bool:
        return value not in self.names and not value.startswith(self.prefix)


@dataclass(frozen=True, slots=True)
class Pattern(Rule):
    """A text that matches a pattern from end to end."""

    pattern: ClassVar[re.Pattern[str]]
    what: ClassVar[str]

    def words(self) -> str:
        return f"be {self.what}"

    def holds(self, value: Any) -> bool:
        return self.pattern.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class EnvName(Pattern):
    """The name of an environment variable."""

    tag = "valid_envvar_name"
    pattern = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
    what = "a name of an environment variable: letters, digits and '_', no digit first"


@dataclass(frozen=True, slots=True)
class AlphanumUnderscore(Pattern):
    """Letters, digits and underscores."""

    tag = "alphanum_underscore"
    pattern = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
    what = "letters, digits and '_' only"


@dataclass(frozen=True, slots=True)
class Sha256(Pattern):
    """A SHA-256 as image registries write it."""

    tag = "sha256"
    pattern = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
    what = "'sha256:' and 64 digits of 0-9 and a-f"


@dataclass(frozen=True, slots=True)
class Image(Pattern):
    """``name[:tag]``, or an absolute path."""

    tag = "valid_container_image_url"
    pattern = re.compile(r"/.*|[a-z0-9/._-]+(?::[A-Za-z0-9._:-]+)?", re.ASCII | re.DOTALL)
    what = "an image such as 'debian:12' (the registry has its own field) or an absolute path"


@dataclass(frozen=True, slots=True)
class ModuleSource(Rule):
    """Where a module comes from: a repository, or a path."""

    tag = "module_source"

    def words(self) -> str:
        return (
            "be a source of a module: 'host/owner/repository[/folder]@commit', or a path that "
            "begins with './'"
        )

    def holds(self, value: Any) -> bool:
        try:
            parse_source(value)
        except WorkflowError:
            return False
        return True
