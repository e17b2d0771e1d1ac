"""The fields of a submit: a name, credits or a time, labels; what is wrong stands below each."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.geometry import Offset
from textual.message import Message
from textual.widgets import Input, Label

from dsq.console.user.label_words import offer_labels, parse_demands
from dsq.console.user.state import ConsoleState
from dsq.console.user.workflow_check import Checked
from dsq.console.widgets.completer import Completer, Completing, Completion, CompletionList, Offer
from dsq.console.widgets.lines import Line, Lines
from dsq.console.widgets.words import credits_text, plural
from dsq.core.errors import UsageError
from dsq.core.model import Affinity, encode_job_name
from dsq.core.model import Label as JobLabel
from dsq.core.units import format_credits, parse_credits, parse_minutes

DEFAULT_CREDITS = "100"
FIELDS = ("name", "credits", "time", "labels")


class SubmitForm(Vertical):
    """The fields. Credits are what counts: a time only works out how many they are."""

    DEFAULT_CSS = """
    SubmitForm { height: auto; }
    SubmitForm .field { height: 1; }
    SubmitForm .field Label { width: 9; color: $muted; }
    SubmitForm .field Input { width: 1fr; }
    SubmitForm .problem { display: none; color: $error; height: auto; }
    SubmitForm .problem.-shown { display: block; }
    """

    class Changed(Message):
        """A field has changed."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self.time_problem = ""
        self._named = False
        self._suggested = ""

    def compose(self) -> ComposeResult:
        yield from self._field("name", "name", Input(placeholder="at most 32 bytes"))
        yield from self._field("credits", "credits", Input(DEFAULT_CREDITS, placeholder="100"))
        yield from self._field("time", "or time", Input(placeholder="1h30: works out credits"))
        yield from self._field("labels", "only on", LabelsInput(placeholder="gpu=a100 mem>=64000"))

    def _field(self, key: str, words: str, entry: Input) -> ComposeResult:
        entry.id, entry.compact, entry.select_on_focus = key, True, False
        with Horizontal(classes="field"):
            yield Label(words)
            yield entry
        yield Lines(id=f"{key}-problem", classes="problem")

    def _input(self, key: str) -> Input:
        return self.query_one(f"#{key}", Input)

    def value(self, key: str) -> str:
        """What is typed in a field."""
        return self._input(key).value.strip()

    def fill(self, name: str, credits: str, labels: str) -> None:  # noqa: A002 - the word of the trade
        """Puts in what an earlier job was submitted with."""
        for key, value in (("name", name), ("credits", credits), ("labels", labels)):
            self._input(key).value = value

    def suggest_name(self, name: str) -> None:
        """Offers a name, unless the user has given one."""
        self._suggested = name
        if not self._named:
            self._input("name").value = name

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.input.id == "name":
            self._named = bool(event.value) and event.value != self._suggested
        elif event.input.id == "credits":
            # Who types credits means credits; a time would overwrite them.
            with self.prevent(Input.Changed):
                self._input("time").value = ""
        self.time_problem = ""
        self.post_message(self.Changed())

    def set_wei(self, wei: int) -> None:
        """Puts in the credits that a time costs."""
        with self.prevent(Input.Changed):
            self._input("credits").value = format_credits(wei)

    # -- what was typed --

    def read_name(self) -> str:
        """The job's name.

        Raises:
            UsageError: It is too long.
        """
        name = self.value("name")
        encode_job_name(name)
        return name

    def read_minutes(self) -> int | None:
        """The time that is asked for; None when it is credits.

        Raises:
            UsageError: It is no duration, or nobody can say what it costs.
        """
        text = self.value("time")
        if not text:
            return None
        minutes = parse_minutes(text)
        if self.time_problem:
            raise UsageError(self.time_problem)
        return minutes

    def read_wei(self, state: ConsoleState, checked: Checked) -> int:
        """The credits to lock for each job.

        Raises:
            UsageError: They will not do; the sentence stands under the field.
        """
        wei = parse_credits(self.value("credits"))
        constants, balance = state.constants, state.balance
        if constants is not None and wei < constants.minimum_amount:
            raise UsageError(f"The grid's minimum is {credits_text(constants.minimum_amount)}.")
        needed = wei * at_once(checked)
        if balance is not None and needed > balance.balance_wei:
            holds = f"The wallet holds {credits_text(balance.balance_wei)} credits."
            if checked.jobs > 1:
                holds = f"{plural(at_once(checked), 'job')} lock {credits_text(needed)}. {holds}"
            raise UsageError(holds)
        return wei

    def read_demands(self) -> tuple[tuple[JobLabel, ...], tuple[Affinity, ...]]:
        """Labels and demands.

        Raises:
            UsageError: A word is neither.
        """
        return parse_demands(self.value("labels"))

    def problems(self, state: ConsoleState, checked: Checked) -> dict[str, str]:
        """What is wrong, by field."""
        found: dict[str, str] = {}
        for key, read in (
            ("credits", lambda: self.read_wei(state, checked)),
            ("time", self.read_minutes),
            ("name", self.read_name),
            ("labels", self.read_demands),
        ):
            try:
                read()
            except UsageError as error:
                # The hint about a name is one for the command line.
                found[key] = error.message if key == "name" else str(error)
        if "time" in found:
            found.pop("credits", None)
        return found

    # -- painting --

    def show_problems(self, problems: dict[str, str]) -> None:
        """Writes what is wrong below the fields; not of a word that is being completed."""
        if self.query_one(LabelsInput).is_completing:
            problems = {key: words for key, words in problems.items() if key != "labels"}
        for key in FIELDS:
            under = self.query_one(f"#{key}-problem", Lines)
            under.set_class(key in problems, "-shown")
            under.show([[(problems.get(key, ""), "error")]])

    def money_line(self, state: ConsoleState, checked: Checked, problems: dict[str, str]) -> Line:
        """The wallet before and after."""
        balance = state.balance
        if balance is None:
            return []
        spans = [("balance  ", "muted"), (credits_text(balance.balance_wei), "foreground")]
        if "credits" not in problems and "time" not in problems:
            after = balance.balance_wei - parse_credits(self.value("credits")) * at_once(checked)
            spans.append((f" → {credits_text(after)}", "foreground"))
        if checked.jobs > 1:
            spans.append((f"  {plural(checked.jobs, 'job')}", "bold foreground"))
        return spans


def at_once(checked: Checked) -> int:
    """How many jobs lock their credits together: all of a sweep, or as many as it allows."""
    sweep = checked.workflow.sweep if checked.workflow is not None else None
    limit = sweep.limit if sweep is not None else None
    return min(checked.jobs, limit or checked.jobs)


class LabelsInput(Completing, Input):
    """Labels and demands, completed from what providers have."""

    def __init__(self, *, placeholder: str) -> None:
        super().__init__(placeholder=placeholder)

    def complete_with(self, popup: CompletionList, state: ConsoleState) -> None:
        """Offers completions in a list while one types."""

        def look() -> Offer | None:
            return offer_labels(self.value, self.cursor_position, state.providers.values())

        def place(column: int) -> Offset:
            back = self.cursor_position - column
            return self.cursor_screen_offset - Offset(back, 0)

        self._completer = Completer(popup, look, self._put, place)

    def _put(self, offer: Offer, completion: Completion) -> None:
        self._by_hand = completion.goes_on
        self.value = self.value[: offer.start] + completion.insert + self.value[offer.end :]
        self.cursor_position = offer.start + len(completion.insert)

    @on(Input.Changed)
    def _typed(self) -> None:
        by_hand, self._by_hand = self._by_hand, False
        if self._completer is None:
            return
        before = self.value[: self.cursor_position]
        if by_hand and before and not before.endswith((" ", ",")):
            self._completer.show(explicit=False)
        else:
            self._completer.close()

    def on_blur(self) -> None:
        self.close_completion()
