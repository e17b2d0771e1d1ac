"""Can this provider take this job? One sentence why not, or "".

Pure functions over labels, hardware, prices and occupation; the meta-scheduler,
``Grid.estimate`` and the oracle all ask here. The rules are described in
docs/metascheduler.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from dsq.core.metascheduler.occupation import Occupation, empty_spaces
from dsq.core.metascheduler.packing import fits
from dsq.core.model import Affinity, JobDefinition, Label, Provider, ProviderHardware, WhyNot
from dsq.core.units import format_credits, minutes_for, wei_per_minute

MAX_MINUTES_LABEL = "max-minutes"
"""Label in which a provider says how long a job may run there at most, in minutes."""

_Comparable = TypeVar("_Comparable", float, bytes)

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)

_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)


def why_not(
    definition: JobDefinition,
    locked_wei: int,
    provider: Provider,
    occupation: Occupation | None = None,
    refused: str = "",
) -> str:
    """Says why a provider cannot take a job now.

    Args:
        definition: What the job needs.
        locked_wei: What it may cost.
        provider: The provider's approved record.
        occupation: What the grid's jobs take there; None looks at the empty provider.
        refused: Why it is not to be asked again yet, "" when nothing speaks against it.

    Returns:
        One sentence without a full stop, or "" when it can start the job now.
    """
    return (
        never(definition, locked_wei, provider)
        or refused
        or (busy(definition, occupation) if occupation is not None else "")
    )


def can_start(
    definition: JobDefinition,
    locked_wei: int,
    provider: Provider,
    occupation: Occupation,
    refused: str = "",
) -> bool:
    """Whether :func:`why_not` is "", found without looking for the sentence."""
    return (
        provider.is_valid
        and not provider.is_banned
        and not refused
        and not why_labels_differ(definition, provider.labels)
        and minutes_for(definition, provider.prices, locked_wei) >= 1
        and occupation.fits(definition)
    )


def never(definition: JobDefinition, locked_wei: int, provider: Provider) -> str:
    """Why a provider could not take a job even if it were idle, or ""."""
    return (
        _standing(provider)
        or why_labels_differ(definition, provider.labels)
        or why_too_big(definition, provider.hardware)
        or _price(definition, locked_wei, provider)
    )


def _standing(provider: Provider) -> str:
    if provider.is_banned:
        return "banned"
    return "" if provider.is_valid else "not approved"


# -- labels ----------------------------------------------------------------------


def why_labels_differ(definition: JobDefinition, labels: Sequence[Label]) -> str:
    """The first label or affinity of a job that a provider does not meet, or ""."""
    for use in definition.uses:
        values = _values(use.key, labels)
        if use.value not in values:
            return _label_sentence(use.key, values, use.value, str(use))
    for affinity in definition.affinity:
        values = _values(affinity.key, labels)
        if not any(holds(value, affinity.op, affinity.value) for value in values):
            return _label_sentence(affinity.key, values, str(affinity), str(affinity))
    return ""


def _values(key: str, labels: Iterable[Label]) -> list[str]:
    return [label.value for label in labels if label.key == key]


def _label_sentence(key: str, values: Sequence[str], wanted: str, wanted_in_full: str) -> str:
    if not values:
        return f"has no label {key}, the job wants {wanted_in_full}"
    shown = " and ".join(value or "empty" for value in values)
    return f"label {key} is {shown}, the job wants {wanted}"


def meets(affinity: Affinity, labels: Sequence[Label]) -> bool:
    """Whether some label with the affinity's key meets it; a missing key never does."""
    return any(holds(v, affinity.op, affinity.value) for v in _values(affinity.key, labels))


def holds(label: str, op: str, value: str) -> bool:
    """Compares *label op value*: as numbers if both are decimal, else byte by byte.

    ``in`` asks whether ``value`` is a part of the label, also for numbers. An operator
    that is unknown (another client wrote it) means equality, as it always did.
    """
    if op == "in":
        return value in label
    numbers = _number(label), _number(value)
    if numbers[0] is not None and numbers[1] is not None:
        return _compare(numbers[0], op, numbers[1])
    return _compare(label.encode(), op, value.encode())


def _number(text: str) -> float | None:
    number = float(text) if _DECIMAL.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def _compare(left: _Comparable, op: str, right: _Comparable) -> bool:
    match op:
        case "!=":
            return left != right
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case ">=":
            return left >= right
        case _:
            return left == right


# -- hardware --------------------------------------------------------------------


def why_too_big(definition: JobDefinition, hardware: ProviderHardware) -> str:
    """Why a job never fits on these nodes, however idle they are, or ""."""
    if fits(definition, empty_spaces(hardware)):
        return ""
    gpus, most_gpus = sum(hardware.gpus_per_node), max(hardware.gpus_per_node, default=0)
    cpus, most_cpus = sum(hardware.cpus_per_node), max(hardware.cpus_per_node, default=0)
    mem, most_mem = sum(hardware.mem_per_node), max(hardware.mem_per_node, default=0)
    mem_per_task = definition.cpus_per_task * definition.mem_per_cpu
    if definition.gpus > gpus:
        return f"needs {_gpus(definition.gpus)}, has {gpus} on all its nodes"
    if definition.gpus > most_gpus and definition.ntasks == 1:
        return f"needs {_gpus(definition.gpus)} on one node, has {most_gpus}"
    if definition.cpus_per_task > most_cpus:
        return f"needs {definition.cpus_per_task} CPUs on one node for a task, has {most_cpus}"
    if mem_per_task > most_mem:
        return f"needs {mem_per_task} MB on one node for a task, has {most_mem}"
    if definition.cpus > cpus:
        return f"needs {definition.cpus} CPUs, has {cpus} on all its nodes"
    if definition.mem > mem:
        return f"needs {definition.mem} MB, has {mem} on all its nodes"
    return f"its nodes cannot be shared out to {_shape(definition)}"


def busy(definition: JobDefinition, occupation: Occupation) -> str:
    """What keeps a job from starting beside the jobs that are there, or ""."""
    if occupation.fits(definition):
        return ""
    hardware = occupation.hardware
    for needed, free, total, unit in (
        (definition.gpus, occupation.free.gpus, sum(hardware.gpus_per_node), "GPUs"),
        (definition.cpus, occupation.free.cpus, sum(hardware.cpus_per_node), "CPUs"),
        (definition.mem, occupation.free.mem, sum(hardware.mem_per_node), "MB"),
    ):
        if needed > free:
            return f"busy: {total - free} of {total} {unit} in use"
    return f"busy: what is free on its nodes cannot be shared out to {_shape(definition)}"


def _gpus(number: int) -> str:
    return "1 GPU" if number == 1 else f"{number} GPUs"


def _shape(definition: JobDefinition) -> str:
    tasks = "1 task" if definition.ntasks == 1 else f"{definition.ntasks} tasks"
    text = f"{tasks} of {definition.cpus_per_task} CPUs"
    text += f" and {definition.cpus_per_task * definition.mem_per_cpu} MB"
    return f"{text} with {_gpus(definition.gpus)}" if definition.gpus else text


# -- price -----------------------------------------------------------------------


def _price(definition: JobDefinition, locked_wei: int, provider: Provider) -> str:
    if minutes_for(definition, provider.prices, locked_wei) >= 1:
        return ""
    rate = wei_per_minute(definition, provider.prices)
    return (
        f"{format_credits(locked_wei, 2)} credits buy less than a minute "
        f"at {format_credits(rate, 2)} credits a minute"
    )


def max_minutes(provider: Provider) -> int | None:
    """How long a job may run at a provider at most, as its label says; None: no limit told."""
    told = _values(MAX_MINUTES_LABEL, provider.labels)
    values = [int(text) for text in told if _WHOLE.fullmatch(text)]
    return min(values) if values else None


def offer(definition: JobDefinition, wei: int, provider: Provider, reason: str = "") -> WhyNot:
    """A provider's answer with its rate and the minutes that will hold there.

    Those are what the credits buy, at most the provider's own limit; ``details`` has both
    as ``bought_minutes`` and ``max_minutes``.
    """
    bought = minutes_for(definition, provider.prices, wei)
    limit = max_minutes(provider)
    return WhyNot(
        provider=provider.address,
        name=provider.name,
        reason=reason,
        minutes=bought if limit is None else min(bought, limit),
        wei_per_minute=wei_per_minute(definition, provider.prices),
        details={"bought_minutes": bought, "max_minutes": limit},
    )


def estimate(definition: JobDefinition, wei: int, providers: Iterable[Provider]) -> list[WhyNot]:
    """What each provider would make of a job if it were idle.

    Returns:
        Those that can take it first, the cheapest on top; order is the same on every call.
    """
    offers = [offer(definition, wei, one, never(definition, wei, one)) for one in providers]
    return sorted(offers, key=lambda one: (bool(one.reason), one.wei_per_minute, one.provider))
