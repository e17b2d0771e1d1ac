"""Providers side by side: the rows of the comparison. Pure: for the console and the command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dsq.console.user.track_record import TrackRecord
from dsq.console.widgets.words import credits_text, duration_text
from dsq.core.model import Address, Provider, WhyNot
from dsq.core.units import UINT64_MAX, format_minutes

Cell = tuple[str, bool]
"""A text, and whether it is the best of its row."""
Row = tuple[str, list[Cell]]


def provider_rows(
    providers: Sequence[Provider], records: Mapping[Address, TrackRecord]
) -> list[Row]:
    """Hardware, prices and past of providers, a cell each."""

    def hardware(values: Sequence[int]) -> list[Cell]:
        return _best(values, [f"{value:,}" for value in values], highest=True)

    def prices(values: Sequence[int]) -> list[Cell]:
        return _best(values, [credits_text(value, 4) for value in values], highest=False)

    known = [records.get(each.address) for each in providers]
    return [
        ("nodes", hardware([each.hardware.nodes for each in providers])),
        ("CPUs", hardware([sum(each.hardware.cpus_per_node) for each in providers])),
        ("GPUs", hardware([sum(each.hardware.gpus_per_node) for each in providers])),
        ("CPU/min", prices([each.prices.cpu_per_min for each in providers])),
        ("GPU/min", prices([each.prices.gpu_per_min for each in providers])),
        ("success", _best(
            [one.success if one is not None else None for one in known],
            [success_text(one) for one in known], highest=True)),
        ("waits", _best(
            [one.wait_seconds if one is not None else None for one in known],
            [wait_text(one) for one in known], highest=False)),
    ]  # fmt: skip


def workflow_rows(answers: Sequence[WhyNot | None]) -> list[Row]:
    """What a job costs at each, and how long its credits last; nothing for who cannot take it."""
    fit = [row if row is not None and not row.reason else None for row in answers]
    return [
        ("a minute", _best(
            [row.wei_per_minute if row else None for row in fit],
            [credits_text(row.wei_per_minute) if row else "–" for row in fit], highest=False)),
        ("buys", _best(
            [row.minutes if row else None for row in fit],
            [_minutes(row.minutes) if row else "–" for row in fit], highest=True)),
    ]  # fmt: skip


def success_text(record: TrackRecord | None) -> str:
    """``93% of 41``, of the started jobs that have ended."""
    if record is None or record.success is None:
        return "–"
    return f"{record.success:.0%} of {record.ran}"


def wait_text(record: TrackRecord | None) -> str:
    """The usual time from submit to start."""
    known = record is not None and record.wait_seconds is not None
    return duration_text(record.wait_seconds) if known else "–"  # type: ignore[union-attr, arg-type]


def _minutes(minutes: int) -> str:
    return "no limit" if minutes == UINT64_MAX else format_minutes(minutes)


def _best(values: Sequence[float | None], texts: Sequence[str], *, highest: bool) -> list[Cell]:
    known = [value for value in values if value is not None]
    best = (max(known) if highest else min(known)) if len(set(known)) > 1 else None
    return [
        (f"{text} ✓", True) if value is not None and value == best else (text, False)
        for value, text in zip(values, texts, strict=True)
    ]
