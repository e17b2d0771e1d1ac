"""What the providers view shows of providers: columns, and the lines of the detail. Pure."""

from __future__ import annotations

from dsq.console.comparison import success_text, wait_text
from dsq.console.user.state import ConsoleState
from dsq.console.user.track_record import TrackRecord
from dsq.console.widgets.columns import Cell, Column
from dsq.console.widgets.lines import Line, heading, labelled
from dsq.console.widgets.safe import one_line
from dsq.console.widgets.words import Moment, credits_text, plural
from dsq.core.model import Provider
from dsq.core.units import format_credits

LABELS_SHOWN = 40
NODES_SHOWN = 40
NEW_OFFER = "Has proposed other data, which wait for approval."
LABELS_ASKED = 6
"""Labels that the question before an approval lists."""


def provider_state(provider: Provider) -> tuple[str, str]:
    """A glyph and a word for what a provider may do, and the colour."""
    if provider.is_banned:
        return "∅ BANNED", "status-failed"
    if provider.is_valid:
        return "● OPEN", "status-finished"
    if provider.is_waiting:
        return "◷ WAITING", "status-out-of-credits"
    return "○ OFF", "muted"


def price_text(wei: int) -> str:
    """A price, with as many places as it takes to see it."""
    if not wei:
        return "0"
    text = format_credits(wei)
    whole, _, places = text.partition(".")
    if whole != "0" or not places:
        return credits_text(wei)
    zeros = len(places) - len(places.lstrip("0"))
    return f"0.{places[: zeros + 3]}".rstrip("0") if zeros < 9 else f"{wei} wei"


def provider_columns(state: ConsoleState) -> list[Column[Provider]]:
    """Name, state, size, prices, labels, jobs."""

    def status(row: Provider, _width: int) -> Cell:
        return [provider_state(row)]

    def mine(row: Provider, _width: int) -> Cell:
        count = sum(1 for job in state.jobs.hot() if job.provider == row.address)
        return [(f"{count:,}" if count else "–", "foreground" if count else "faint")]

    def labels(row: Provider, _width: int) -> Cell:
        shown = " ".join(str(each) for each in row.labels if each.key != "name")
        return [(one_line(shown, 200), "muted")]

    def past(text: str) -> Cell:
        return [(text, "foreground" if text != "–" else "faint")]

    def success(row: Provider, _width: int) -> Cell:
        record = state.records.get(row.address)
        known = record is not None and record.success is not None
        return past(f"{record.success:.0%}" if known else "–")  # type: ignore[union-attr]

    def waits(row: Provider, _width: int) -> Cell:
        return past(wait_text(state.records.get(row.address)))

    def number(value: int) -> Cell:
        return [(f"{value:,}" if value else "–", "foreground" if value else "faint")]

    return [
        Column(
            "name", "NAME", 10, lambda row, _: [(one_line(row.name, 40), "foreground")], grow=14
        ),
        Column("state", "STATE", 9, status),
        Column("nodes", "NODES", 5, lambda row, _: number(row.hardware.nodes), right=True, rank=3),
        Column(
            "cpus", "CPUS", 6, lambda row, _: number(sum(row.hardware.cpus_per_node)), right=True
        ),
        Column(
            "gpus", "GPUS", 5, lambda row, _: number(sum(row.hardware.gpus_per_node)), right=True
        ),
        Column(
            "cpu-price",
            "CPU/MIN",
            8,
            lambda row, _: [(price_text(row.prices.cpu_per_min), "foreground")],
            right=True,
            rank=1,
        ),
        Column(
            "gpu-price",
            "GPU/MIN",
            8,
            lambda row, _: [(price_text(row.prices.gpu_per_min), "foreground")],
            right=True,
            rank=2,
        ),
        Column("jobs", "JOBS", 6, lambda row, _: number(row.job_count), right=True, rank=7),
        Column("mine", "MINE", 4, mine, right=True, rank=5),
        Column("success", "SUCCESS", 7, success, right=True, rank=4),
        Column("waits", "WAITS", 6, waits, right=True, rank=8),
        Column("labels", "LABELS", 10, labels, grow=80, rank=6),
    ]


def record_lines(record: TrackRecord | None, moment: Moment) -> list[Line]:
    """The past of a provider."""
    if record is None:
        return [heading("its last jobs"), [("not read yet", "muted")]]
    if not record.jobs:
        return [heading("its last jobs"), [("none was ever placed there", "muted")]]
    last = moment.at(record.last_end) if record.last_end else "never"
    lines: list[Line] = [
        heading(f"its last {plural(record.jobs, 'job')}"),
        labelled("success", (success_text(record), "foreground"), (" that ran", "muted")),
        labelled("waits", (wait_text(record), "foreground"), (" from submit to start", "muted")),
        labelled("cost in all", (f"{credits_text(record.cost_wei)} credits", "foreground")),
        labelled("open now", (f"{record.open_jobs:,}", "foreground")),
        labelled("last ended", (last, "foreground")),
    ]
    if record.panicked:
        words = "taken from it by the grid"
        lines.append(labelled("panicked", (f"{record.panicked:,} ", "warning"), (words, "muted")))
    return lines


def provider_lines(provider: Provider, record: TrackRecord | None, moment: Moment) -> list[Line]:
    """Everything the chain says about a provider."""
    hardware, prices = provider.hardware, provider.prices
    word, colour = provider_state(provider)
    cpus, mem = sum(hardware.cpus_per_node), sum(hardware.mem_per_node)
    lines: list[Line] = [
        [(one_line(provider.name, 40), "bold foreground"), ("  ", ""), (word, f"bold {colour}")],
        [(str(provider.address), "muted")],
        *([[(NEW_OFFER, "warning")]] if provider.is_approved and provider.is_waiting else []),
        [],
        *record_lines(record, moment),
        [],
        [heading("prices a minute")[0]],
        labelled("CPU", (price_text(prices.cpu_per_min), "foreground")),
        labelled("GPU", (price_text(prices.gpu_per_min), "foreground")),
        labelled("GB memory", (price_text(prices.mem_per_min * 1000), "foreground")),
        [],
        heading("hardware"),
        labelled(
            "in all",
            (
                f"{plural(hardware.nodes, 'node')}, {plural(cpus, 'CPU')}, "
                f"{plural(sum(hardware.gpus_per_node), 'GPU')}, {mem / 1000:,.1f} GB",
                "foreground",
            ),
        ),
    ]
    nodes = list(
        zip(hardware.cpus_per_node, hardware.gpus_per_node, hardware.mem_per_node, strict=False)
    )
    for (node_cpus, gpus, node_mem), count in _grouped(nodes):
        text = f"{plural(node_cpus, 'CPU')}, {plural(gpus, 'GPU')}, {node_mem / 1000:,.1f} GB"
        lines.append(labelled(f"  {count:,} ×", (text, "muted")))
    lines += [[], heading("labels")]
    for label in provider.labels[:LABELS_SHOWN]:
        lines.append(
            [(f"{one_line(label.key, 24)} ", "muted"), (one_line(label.value, 60), "foreground")]
        )
    if len(provider.labels) > LABELS_SHOWN:
        lines.append([(f"and {len(provider.labels) - LABELS_SHOWN:,} more", "muted")])
    if not provider.labels:
        lines.append([("none", "muted")])
    return [*lines, [], labelled("jobs started", (f"{provider.job_count:,}", "foreground"))]


def _grouped(nodes: list[tuple[int, int, int]]) -> list[tuple[tuple[int, int, int], int]]:
    counts: dict[tuple[int, int, int], int] = {}
    for node in nodes:
        counts[node] = counts.get(node, 0) + 1
    return list(counts.items())[:NODES_SHOWN]


def offer_lines(offer: Provider, before: Provider | None) -> list[Line]:
    """What a provider proposed, beside what holds now; what changes is marked with ``→``."""
    lines: list[Line] = [[(str(offer.address), "muted")]]
    old = _offer(before) if before is not None else {}
    for label, text in _offer(offer).items():
        was = old.get(label, text)
        change = [(f"{was} → ", "muted"), (text, "warning")] if was != text else None
        lines.append(labelled(label, *(change or [(text, "foreground")])))
    given = set(map(str, before.labels)) if before is not None else set()
    wanted = set(map(str, offer.labels))
    for mark, labels in (("+", wanted - given), ("−", given - wanted)):
        lines += [
            labelled("label", (f"{mark} {one_line(each, 50)}", "foreground"))
            for each in sorted(labels)[:LABELS_ASKED]
        ]
        if len(labels) > LABELS_ASKED:
            more = f"{mark} {len(labels) - LABELS_ASKED:,} more"
            lines.append(labelled("label", (more, "muted")))
    if before is not None:
        lines.append([("It is on the grid already; this takes the place of its record.", "muted")])
    return lines


def _offer(provider: Provider) -> dict[str, str]:
    hardware, prices = provider.hardware, provider.prices
    mem = sum(hardware.mem_per_node)
    return {
        "nodes": f"{hardware.nodes:,}",
        "CPUs": f"{sum(hardware.cpus_per_node):,}",
        "GPUs": f"{sum(hardware.gpus_per_node):,}",
        "memory": f"{mem / 1000:,.1f} GB",
        "CPU/min": price_text(prices.cpu_per_min),
        "GPU/min": price_text(prices.gpu_per_min),
        "GB/min": price_text(prices.mem_per_min * 1000),
    }
