"""What there is to say about one job, as lines. Pure: the screens only arrange them."""

from __future__ import annotations

from collections.abc import Sequence

from dsq.console.placement import others, reason_words, where_words
from dsq.console.user.accounting import Account, account
from dsq.console.user.port import TransitionLike, WhyLike
from dsq.console.user.state import ConsoleState
from dsq.console.widgets.lines import LABEL, Line, heading, labelled
from dsq.console.widgets.safe import block, one_line
from dsq.console.widgets.words import (
    STATUS_WORDS,
    Moment,
    bar_spans,
    credits_text,
    duration_text,
    plural,
    settled_credits,
    status_text,
)
from dsq.core.groups import membership
from dsq.core.model import Job, JobStatus, WhyNot
from dsq.core.units import format_minutes, wei_per_minute

STEP = 16
BLOCKS_FROM = 46
"""Width from which the timeline names blocks."""
"""Width of the words left of the values."""


def job_name(job: Job) -> str:
    """A job's name, fit for a screen; its number where it has none; its place in a sweep."""
    group = membership(job.name)
    if group is not None:
        title = one_line(group.title, 48) or group.group
        return f"{title} [{group.index}/{group.count}]"
    return one_line(job.name, 64) if job.name else f"job {job.id}"


def title_line(job: Job, where: str = "") -> Line:
    """Number, name and state, and where it is."""
    colour = STATUS_WORDS[job.status].colour
    return [
        (f"{job.id} ", "bold muted"),
        (job_name(job), "bold foreground"),
        ("  ", "foreground"),
        (status_text(job), f"bold {colour}"),
        (f"  on {one_line(where, 30)}" if where else "", "muted"),
    ]


def summary_lines(job: Job, state: ConsoleState, moment: Moment) -> list[Line]:
    """The few lines under the table: state, time, money, why."""
    reckoned = account(job, state.provider_of(job), moment.now)
    lines: list[Line] = [title_line(job, state.provider_name(job.provider))]
    if job.status is JobStatus.PENDING or job.last_error:
        lines += _reason_lines(job, state, limit=2)
    lines.append(times_line(job, reckoned, moment))
    lines.append(_money_line(job, reckoned))
    lines.append([(resources_text(job), "muted")])
    return lines


def detail_lines(
    job: Job,
    state: ConsoleState,
    moment: Moment,
    history: Sequence[TransitionLike] = (),
    width: int = 48,
) -> list[Line]:
    """Everything about a job but its title, in one column."""
    left, right = detail_columns(job, state, moment, history, width)
    return [*left, [], *right]


def detail_columns(
    job: Job,
    state: ConsoleState,
    moment: Moment,
    history: Sequence[TransitionLike] = (),
    width: int = 48,
) -> tuple[list[Line], list[Line]]:
    """Why it is where it is and its timeline; its credits, wishes and provider."""
    reckoned = account(job, state.provider_of(job), moment.now)
    left = _sections(
        _reason_lines(job, state, limit=8),
        [heading("timeline"), *timeline_lines(job, reckoned, moment, history, width)],
    )
    right = _sections(
        [
            heading("credits"),
            *money_lines(job, reckoned, state, width),
            *settlement_place(job, history),
        ],
        [heading("asks for"), *resource_lines(job)],
        _provider_lines(job, state),
    )
    return left, right


def _sections(*sections: list[Line]) -> list[Line]:
    lines: list[Line] = []
    for section in filter(None, sections):
        lines += [*section, []]
    return lines[:-1]


def _reason_lines(job: Job, state: ConsoleState, limit: int) -> list[Line]:
    if job.status is JobStatus.PENDING:
        return _waiting_lines(state.whys.get(job.id), limit)
    if job.last_error:
        texts = block(job.last_error, lines=limit, limit=600).split("\n")
        return [[(text, "error")] for text in texts[: limit + 1]]
    if job.has_cancel_request and job.status.is_hot:
        return [[("A cancel was asked for; the provider stops it.", "warning")]]
    if job.status.is_hot:
        return _placed_lines(job, state, limit)
    return [[(f"It {STATUS_WORDS[job.status].sentence}.", "muted")]]


def _placed_lines(job: Job, state: ConsoleState, limit: int) -> list[Line]:
    """Where the job is, why there, and what the others are like now."""
    name = one_line(state.provider_name(job.provider), 40)
    provider, why = state.provider_of(job), state.whys.get(job.id)
    rate = wei_per_minute(job.definition, provider.prices) if provider is not None else None
    lines: list[Line] = [
        [(where_words(job.status, name), "foreground")],
        [(reason_words(rate), "muted")],
    ]
    rows = others(job.provider, why.providers) if why is not None else []
    for other, words in rows[: max(0, limit - 2)]:
        shown = one_line(words, 200)
        lines.append([(f"{one_line(other, 16)}: ", "muted"), (shown, "muted")])
    return lines[:limit]


def _waiting_lines(why: WhyLike | None, limit: int) -> list[Line]:
    if why is None:
        return [[("Waits for a provider that can start it.", "muted")]]
    place = f"Place {why.place} of {why.of} in the queue" if why.place else "Waits"
    able = [row for row in why.providers if not row.reason]
    if able:
        names = ", ".join(one_line(row.name, 24) for row in able[:3])
        return [[(f"{place}; can run on {names}.", "foreground")], *_why_not(why, limit - 1)]
    return [[(f"{place}; no provider can take it now.", "warning")], *_why_not(why, limit - 1)]


def _why_not(why: WhyLike, limit: int) -> list[Line]:
    rows = [row for row in why.providers if row.reason]
    lines: list[list[tuple[str, str]]] = [
        [(f"{one_line(row.name, 16)}: ", "muted"), (one_line(row.reason, 200), "foreground")]
        for row in rows[:limit]
    ]
    if lines and len(rows) > limit:
        lines[-1].append((f"  (and {len(rows) - limit} more)", "muted"))
    return list(lines)


def times_line(job: Job, reckoned: Account, moment: Moment) -> Line:
    """When it was submitted, started and ended, or will end."""
    spans: list[tuple[str, str]] = [
        ("submitted ", "muted"),
        (moment.at(job.time.submit), "foreground"),
    ]
    if reckoned.ran:
        spans += [("  running since " if job.status.is_hot else "  ran from ", "muted")]
        spans += [(moment.at(job.time.start), "foreground")]
    if reckoned.ends_at:
        spans += [("  limit at ", "muted"), (moment.at(reckoned.ends_at), "foreground")]
    if job.status.is_final:
        spans += [("  ended ", "muted"), (moment.at(job.time.end), "foreground")]
    return spans


def _money_line(job: Job, reckoned: Account) -> Line:
    locked = credits_text(reckoned.locked)
    if job.status.is_final:
        return [
            ("cost ", "muted"),
            (credits_text(reckoned.so_far), "bold foreground"),
            (" of ", "muted"),
            (locked, "foreground"),
            ("  came back ", "muted"),
            (credits_text(reckoned.comes_back), "foreground"),
        ]
    if not reckoned.ran:
        return [("locked ", "muted"), (locked, "bold foreground"), ("  no cost yet", "muted")]
    spans: list[tuple[str, str]] = [
        ("so far ", "muted"),
        (credits_text(reckoned.so_far), "bold foreground"),
        (" of ", "muted"),
        (locked, "foreground"),
    ]
    if reckoned.left is not None:
        spans += [("  left ", "muted"), (duration_text(reckoned.left), "foreground")]
    if reckoned.rate is not None:
        spans += [("  rate ", "muted"), (f"{credits_text(reckoned.rate)}/min", "foreground")]
    return spans


def timeline_lines(
    job: Job,
    reckoned: Account,
    moment: Moment,
    history: Sequence[TransitionLike],
    width: int,
) -> list[Line]:
    """One line a state: when, how long after the last, in which block."""
    if history:
        lines = _history_lines(history, moment, blocks=width >= BLOCKS_FROM)
    else:
        lines = [_step("◷ submitted", moment.at(job.time.submit), "status-pending")]
        if reckoned.ran:
            lines.append(_step("▶ running", moment.at(job.time.start), "status-running"))
        if job.status.is_final:
            shown = STATUS_WORDS[job.status]
            mark = f"{shown.glyph} {shown.word.lower()}"
            lines.append(_step(mark, moment.at(job.time.end), shown.colour))
        elif not reckoned.ran and job.status is not JobStatus.PENDING:
            shown = STATUS_WORDS[job.status]
            lines.append(_step(f"{shown.glyph} {shown.word.lower()}", "now", shown.colour))
    if reckoned.elapsed is not None:
        word = "ran" if job.status.is_final else "running for"
        lines.append(_step(f"  {word}", duration_text(reckoned.elapsed), "muted"))
    if reckoned.ends_at and reckoned.left is not None:
        left = f"in {duration_text(reckoned.left)}"
        lines.append(_step("· limit", moment.at(reckoned.ends_at), "muted", f"  {left}"))
    return lines


def _step(mark: str, when: str, colour: str, tail: str = "") -> Line:
    return [(f"{mark:<{STEP}}"[:STEP], colour), (when, "foreground"), (tail, "muted")]


def _history_lines(
    history: Sequence[TransitionLike], moment: Moment, *, blocks: bool
) -> list[Line]:
    lines: list[Line] = []
    before = 0
    for number, step in enumerate(history):
        shown = STATUS_WORDS[step.status]
        word = "submitted" if number == 0 else shown.word.lower()
        after = f"  +{duration_text(step.at - before)}" if before else ""
        tail = f"{after:<10} block {step.block_number:,}" if blocks else after
        lines.append(_step(f"{shown.glyph} {word}", moment.at(step.at), shown.colour, tail))
        before = step.at
    return lines


def money_lines(job: Job, reckoned: Account, state: ConsoleState, width: int) -> list[Line]:
    """Locked, cost so far and at the limit, what comes back; the settlement of an ended job."""
    if job.status.is_final:
        return _settlement_lines(reckoned, state)
    lines: list[Line] = [labelled("locked", (credits_text(reckoned.locked), "foreground"))]
    if job.cost.pending_top_up:
        pending = credits_text(job.cost.pending_top_up)
        lines.append(labelled("  of these", (f"{pending} not yet turned into time", "warning")))
    if reckoned.ran:
        room = max(4, min(16, width - LABEL - 18))
        lines.append(
            labelled(
                "so far",
                (f"{credits_text(reckoned.so_far):<9} ", "bold foreground"),
                *bar_spans(reckoned.part, room, "primary"),
                (f" {reckoned.part:.0%}", "muted"),
            )
        )
        if reckoned.ends_at:
            lines.append(labelled("at the limit", (credits_text(reckoned.at_limit), "foreground")))
    if reckoned.rate is not None:
        lines.append(labelled("rate", (f"{credits_text(reckoned.rate)} a minute", "foreground")))
    back = "if cancelled" if not reckoned.ran else "ends now"
    lines.append(labelled(back, (f"{credits_text(reckoned.comes_back)} comes back", "foreground")))
    return lines


def _settlement_lines(reckoned: Account, state: ConsoleState) -> list[Line]:
    lines: list[Line] = [
        labelled("locked", (settled_credits(reckoned.locked), "foreground")),
        labelled("cost", (settled_credits(reckoned.so_far), "bold foreground")),
    ]
    if state.constants is not None and reckoned.so_far:
        fee = reckoned.so_far * state.constants.deepsquare_cut // 100
        share = reckoned.so_far - fee
        lines.append(labelled("  provider", (settled_credits(share), "foreground")))
        lines.append(labelled("  grid's fee", (settled_credits(fee), "foreground")))
    lines.append(labelled("came back", (settled_credits(reckoned.comes_back), "foreground")))
    return lines


def settlement_place(job: Job, history: Sequence[TransitionLike]) -> list[Line]:
    """Where the chain settled an ended job, once its history is known."""
    if not (job.status.is_final and history and history[-1].status is job.status):
        return []
    last = history[-1]
    place = f"block {last.block_number:,}, 0x{last.tx_hash.hex()[:10]}…"
    return [labelled("settled in", (place, "foreground"))]


def resources_text(job: Job) -> str:
    """The resources in one line: ``1 task × 8 CPUs, 32,000 MB, 4 GPUs``."""
    wanted = job.definition
    text = f"{plural(wanted.ntasks, 'task')} × {plural(wanted.cpus_per_task, 'CPU')}"
    text += f", {wanted.mem:,} MB"
    return text + (f", {plural(wanted.gpus, 'GPU')}" if wanted.gpus else "")


def resource_lines(job: Job) -> list[Line]:
    """The resources and the labels asked for."""
    wanted = job.definition
    lines: list[Line] = [
        labelled("tasks", (f"{wanted.ntasks:,}", "foreground")),
        labelled("CPUs", (f"{wanted.cpus:,} ({wanted.cpus_per_task:,} a task)", "foreground")),
        labelled("memory", (f"{wanted.mem:,} MB ({wanted.mem_per_cpu:,} a CPU)", "foreground")),
        labelled("GPUs", (f"{wanted.gpus:,}" if wanted.gpus else "none", "foreground")),
    ]
    lines += [labelled("uses", (one_line(label, 60), "foreground")) for label in wanted.uses[:12]]
    lines += [
        labelled("affinity", (one_line(demand, 60), "foreground"))
        for demand in wanted.affinity[:12]
    ]
    return lines


def _provider_lines(job: Job, state: ConsoleState) -> list[Line]:
    if job.provider.is_zero:
        return []
    known = state.provider_of(job)
    lines: list[Line] = [heading("provider")]
    if known is not None:
        lines.append(labelled("name", (one_line(known.name, 40), "foreground")))
    lines.append(labelled("address", (job.provider.short, "foreground")))
    if known is not None:
        hardware = known.hardware
        size = f"{plural(hardware.nodes, 'node')}, {sum(hardware.cpus_per_node):,} CPUs"
        gpus = sum(hardware.gpus_per_node)
        lines.append(labelled("has", (size + (f", {gpus:,} GPUs" if gpus else ""), "foreground")))
    return lines


def estimate_text(row: WhyNot) -> str:
    """What a provider would make of a job: ``1 h 02 min``, or the reason why not."""
    return one_line(row.reason, 200) if row.reason else format_minutes(row.minutes)


def settled_line(job: Job, moment: Moment) -> str:
    """One sentence for a job that has just ended."""
    reckoned = account(job, None, moment.now)
    cost, back = credits_text(reckoned.so_far), credits_text(reckoned.comes_back)
    return f"Job {job.id} {job_name(job)}: {status_text(job)}. It cost {cost}, {back} came back."


def copy_choices(job: Job, history: Sequence[TransitionLike]) -> list[tuple[str, str]]:
    """What of a job can be copied: its name and its text, the transactions last first."""
    found = [
        ("job number", str(job.id)),
        ("job id", job.hex_id),
        ("script key", job.definition.batch_location_hash),
        ("provider", "" if job.provider.is_zero else str(job.provider)),
        ("customer", str(job.customer)),
    ]
    for number, step in reversed(list(enumerate(history))):
        word = STATUS_WORDS[step.status].word.lower() if number else "submitted"
        found.append((f"tx: {word}", f"0x{step.tx_hash.hex()}"))
    return [(name, one_line(text, 100)) for name, text in found if text]
