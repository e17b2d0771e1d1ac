"""Functions that templates of modules may call: Go's own, and those of sprig that are harmless.

Nothing here reads a file, the environment, the clock or the network, makes randomness, or
returns much more than it was given.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from dsq.sbatch.model import Model

MAX_INDENT = 200


def is_empty(value: object) -> bool:
    """Go's idea of an empty value: nil, false, 0, "", an empty list or mapping."""
    return value is None or (
        isinstance(value, str | int | float | Sequence | Mapping) and not value
    )


def show(value: object) -> str:
    """A value as Go prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{' '.join(map(show, value))}]"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{show(value[key])}' for key in sorted(value))}]"
    return str(value)


def _plain(value: object) -> object:
    """A value of the language with the names of its wire."""
    if isinstance(value, Model):
        return value.to_wire()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _to_yaml(value: object) -> str:
    if is_empty(value):
        return ""
    text = yaml.safe_dump(_plain(value), sort_keys=False, allow_unicode=True, width=1 << 30)
    return str(text).removesuffix("...\n").rstrip("\n")


def _indent(width: int, text: str) -> str:
    if not 0 <= width <= MAX_INDENT:
        raise ValueError(width)
    return "\n".join(" " * width + line for line in text.split("\n"))


def _quote(*values: object) -> str:
    return " ".join(
        json.dumps(show(each), ensure_ascii=False) for each in values if each is not None
    )


def _squote(*values: object) -> str:
    return " ".join(f"'{show(each)}'" for each in values if each is not None)


def _and(*values: object) -> object:
    return next((each for each in values if is_empty(each)), values[-1])


def _or(*values: object) -> object:
    return next((each for each in values if not is_empty(each)), values[-1])


def _compare(name: str) -> Callable[[Any, Any], bool]:
    tests: dict[str, Callable[[Any, Any], bool]] = {
        "ne": lambda a, b: bool(a != b),
        "lt": lambda a, b: bool(a < b),
        "le": lambda a, b: bool(a <= b),
        "gt": lambda a, b: bool(a > b),
        "ge": lambda a, b: bool(a >= b),
    }
    return tests[name]


def _index(value: Any, *keys: Any) -> object:
    for key in keys:
        if isinstance(key, int) and key < 0:
            raise IndexError(key)
        value = value.get(key) if isinstance(value, Mapping) else value[key]
    found: object = value
    return found


def _int(value: object) -> int:
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        return 0


def _printf(pattern: str, *values: object) -> str:
    """Go's ``%s %d %v %q %t %%``, without widths."""
    parts = pattern.split("%")
    made, rest = [parts[0]], list(values)
    following = iter(parts[1:])
    for part in following:
        if not part:  # "%%"
            made.append("%" + next(following, ""))
            continue
        if part[0] not in "sdvqt":
            raise ValueError(part)
        value = rest.pop(0)
        made.append((_quote(value) if part[0] == "q" else show(value)) + part[1:])
    if rest:
        raise ValueError(pattern)
    return "".join(made)


def _div(a: object, b: object) -> int:
    divisor = _int(b)
    if divisor == 0:
        raise ValueError(b)
    return int(_int(a) / divisor)


def _join(separator: str, values: Sequence[object]) -> str:
    return separator.join(map(show, values))


def _list(*values: object) -> list[object]:
    """Only of single values: lists in lists could grow with each round of a loop."""
    if any(isinstance(each, Mapping | Model | list | tuple | range) for each in values):
        raise ValueError
    return list(values)


FUNCTIONS: dict[str, Callable[..., object]] = {
    "add": lambda *numbers: sum(map(_int, numbers)),
    "and": _and,
    "b64enc": lambda text: base64.b64encode(str(text).encode()).decode(),
    "coalesce": lambda *values: next((each for each in values if not is_empty(each)), None),
    "contains": lambda part, text: part in show(text),
    "default": lambda instead, value=None: instead if is_empty(value) else value,
    "div": _div,
    "empty": is_empty,
    "eq": lambda first, *others: any(first == each for each in others),
    "first": lambda values: values[0] if values else None,
    "ge": _compare("ge"),
    "gt": _compare("gt"),
    "has": lambda item, values: item in (values or ()),
    "hasPrefix": lambda prefix, text: show(text).startswith(prefix),
    "hasSuffix": lambda suffix, text: show(text).endswith(suffix),
    "indent": lambda width, text: _indent(width, show(text)),
    "index": _index,
    "int": _int,
    "join": _join,
    "last": lambda values: values[-1] if values else None,
    "le": _compare("le"),
    "len": lambda value: len(value or ()),
    "list": _list,
    "lower": lambda text: show(text).lower(),
    "lt": _compare("lt"),
    "max": lambda *numbers: max(map(_int, numbers)),
    "min": lambda *numbers: min(map(_int, numbers)),
    "mul": lambda *numbers: _product(numbers),
    "ne": _compare("ne"),
    "nindent": lambda width, text: "\n" + _indent(width, show(text)),
    "not": is_empty,
    "or": _or,
    "print": lambda *values: "".join(map(show, values)),
    "printf": _printf,
    "quote": _quote,
    "replace": lambda old, new, text: _replace(old, new, show(text)),
    "sha256sum": lambda text: hashlib.sha256(show(text).encode()).hexdigest(),
    "splitList": lambda separator, text: show(text).split(separator),
    "squote": _squote,
    "sub": lambda a, b: _int(a) - _int(b),
    "ternary": lambda yes, no, test: yes if test else no,
    "toJson": lambda value: json.dumps(_plain(value), ensure_ascii=False),
    "toString": show,
    "toYaml": _to_yaml,
    "trim": lambda text: show(text).strip(),
    "trimPrefix": lambda prefix, text: show(text).removeprefix(prefix),
    "trimSuffix": lambda suffix, text: show(text).removesuffix(suffix),
    "upper": lambda text: show(text).upper(),
}
"""By the name that templates call them by."""


def _product(numbers: Sequence[object]) -> int:
    found = 1
    for each in numbers:
        found *= _int(each)
        if abs(found) >= 2**63:
            raise OverflowError
    return found


def _replace(old: str, new: str, text: str) -> str:
    """An empty text to replace would multiply what it is given."""
    if not old or len(new) * max(1, text.count(old)) > 1 << 20:
        raise ValueError(old)
    return text.replace(old, new)
