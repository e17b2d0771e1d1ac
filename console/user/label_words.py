"""Labels and demands as they are typed: read, and completed from what providers have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from dsq.console.widgets.completer import Completion, Offer
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import plural
from dsq.core.errors import UsageError
from dsq.core.model import Affinity, Label, Provider

_PLAIN_LABEL = re.compile(r"[^=!<>:]+=[^=].*|[^=!<>:]+=")
_KEY = re.compile(r"[^=!<>:\s,]*")
_VALUE = re.compile(r"([^=!<>:\s,]+)(<=|>=|==|!=|=|<|>|:in:)(\S*)")
_TYPABLE = re.compile(r"[^\s,]{1,64}")
MOST = 200
"""Keys, or values of a key, that are offered."""


def parse_demands(text: str) -> tuple[tuple[Label, ...], tuple[Affinity, ...]]:
    """Reads ``gpu=a100 mem>=64000``: labels that must be there, and demands on labels.

    Raises:
        UsageError: A word is neither.
    """
    labels: list[Label] = []
    demands: list[Affinity] = []
    for word in text.replace(",", " ").split():
        if _PLAIN_LABEL.fullmatch(word):
            labels.append(Label.parse(word))
        else:
            try:
                demands.append(Affinity.parse(word))
            except UsageError:
                raise UsageError(
                    f"'{one_line(word, 40)}' is no label.",
                    hint="Write key=value, or an operator (!= < <= > >= :in:).",
                ) from None
    return tuple(labels), tuple(demands)


def typed(demand: Label | Affinity) -> str:
    """A label or a demand as it is typed."""
    if isinstance(demand, Label):
        return f"{demand.key}={demand.value}"
    operator = ":in:" if demand.op == "in" else demand.op
    return f"{demand.key}{operator}{demand.value}"


def offer_labels(text: str, cursor: int, providers: Iterable[Provider]) -> Offer:
    """What the word at the cursor can become: a key that providers have, then its values."""
    known = [each for each in providers if each.is_valid and not each.is_banned]
    start = max(text.rfind(sign, 0, cursor) for sign in " ,") + 1
    word = text[start:cursor]
    ends = [at for sign in " ," if (at := text.find(sign, cursor)) >= 0]
    end = min(ends, default=len(text))
    value = _VALUE.fullmatch(word)
    if value is not None:
        key, operator, begun = value.groups()
        items = _values(known, key, f"{key}{operator}", begun)
    elif _KEY.fullmatch(word):
        items = _keys(known, word)
    else:
        items = []
    return Offer(start, end, tuple(items), word)


def _keys(known: Sequence[Provider], begun: str) -> list[Completion]:
    values: dict[str, Counter[str]] = {}
    for provider in known:
        for label in set(provider.labels):
            values.setdefault(label.key, Counter())[label.value] += 1
    found = sorted(key for key in values if key.casefold().startswith(begun.casefold()))
    return [
        Completion(one_line(key, 24), f"{key}=", _examples(values[key]), goes_on=True)
        for key in found[:MOST]
        if _can_be_typed(key)
    ]


def _can_be_typed(word: str) -> bool:
    """A stranger's word is offered only if it is what it looks like, and one word."""
    return _TYPABLE.fullmatch(word) is not None and one_line(word) == word


def _examples(values: Counter[str]) -> str:
    names = [one_line(value, 16) or "empty" for value, _ in values.most_common(3)]
    return ", ".join(names) + (f" and {len(values) - 3} more" if len(values) > 3 else "")


def _values(known: Sequence[Provider], key: str, head: str, begun: str) -> list[Completion]:
    having = Counter(
        value
        for provider in known
        for value in {label.value for label in provider.labels if label.key == key}
    )
    found = sorted(value for value in having if value.casefold().startswith(begun.casefold()))
    return [
        Completion(one_line(value, 32), f"{head}{value} ", plural(having[value], "provider"))
        for value in found[:MOST]
        if _can_be_typed(value)
    ]
