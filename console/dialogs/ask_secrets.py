"""Asks for the values of the secrets that a workflow names. They are shown nowhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input, Label

from dsq.console.dialogs.base import Dialog
from dsq.console.dialogs.paths import complete_path
from dsq.console.job_secrets import VARIABLE, secret_values
from dsq.console.widgets.lines import Lines
from dsq.console.widgets.safe import one_line
from dsq.core.errors import DsqError

if TYPE_CHECKING:
    from dsq.sbatch.workflow import Workflow


@dataclass(frozen=True)
class Secret:
    """A secret that a workflow names."""

    name: str
    description: str = ""

    @property
    def variable(self) -> str:
        """The variable of the environment that may have its value."""
        return VARIABLE + self.name


@dataclass(frozen=True)
class GivenSecrets:
    """Values, and where each comes from in words; only the words are ever shown."""

    values: Mapping[str, str] = field(repr=False)
    places: Mapping[str, str]


def secrets_of(workflow: Workflow) -> list[Secret]:
    """The secrets that a checked workflow names."""
    return [Secret(each.name, each.description or "") for each in workflow.secrets or ()]


def without_asking(workflow: Workflow) -> GivenSecrets | None:
    """The values when the environment has all of them; None if one has to be asked for.

    Raises:
        UsageError: One of them cannot be used.
    """
    secrets = secrets_of(workflow)
    if not all(secret.variable in os.environ for secret in secrets):
        return None
    values = secret_values(workflow, ())
    return GivenSecrets(values, {secret.name: f"from {secret.variable}" for secret in secrets})


class AskSecrets(Dialog[GivenSecrets]):
    """A hidden line for each secret; ``ctrl+f`` takes a value from a file instead.

    Args:
        workflow: A checked workflow that names secrets.
    """

    DEFAULT_CSS = """
    AskSecrets > .box { width: 76; }
    AskSecrets VerticalScroll { height: auto; max-height: 12; scrollbar-size: 1 1; }
    AskSecrets Horizontal { height: 1; }
    AskSecrets Horizontal Label { width: 22; color: $foreground; text-style: bold; }
    AskSecrets Horizontal Input { width: 1fr; }
    AskSecrets .-next, AskSecrets #sentence { margin-top: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "ctrl+f",
            "file",
            "Value or file",
            tooltip="Take the value from a file, or type it",
            priority=True,
            id="secrets.file",
        ),
    ]

    TITLE_TEXT = "Secrets of this workflow"

    def __init__(self, workflow: Workflow) -> None:
        super().__init__()
        self._workflow = workflow
        self._secrets = secrets_of(workflow)

    def compose_box(self) -> ComposeResult:
        with VerticalScroll(can_focus=False):
            for number, secret in enumerate(self._secrets):
                with Horizontal(classes="-next" if number else None):
                    yield Label(one_line(secret.name, 20), markup=False)
                    yield _SecretInput(secret, number)
                if secret.description:
                    about = one_line(secret.description, 200)
                    yield Lines([[(about, "muted")]], classes="sentence")
        words = "The grid keeps them encrypted; the provider of the job can read them."
        yield Lines([[(words, "muted")]], id="sentence", classes="sentence")

    def on_mount(self) -> None:
        empty = next((each for each in self.query(_SecretInput) if not each.in_environment), None)
        (empty or self.query(_SecretInput).first()).focus()

    def action_file(self) -> None:
        if isinstance(self.focused, _SecretInput):
            self.focused.turn()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        inputs = list(self.query(_SecretInput))
        at = next((n for n, each in enumerate(inputs) if each is event.input), len(inputs))
        if at + 1 < len(inputs):
            inputs[at + 1].focus()
        else:
            self._give(inputs)

    def _give(self, inputs: Sequence[_SecretInput]) -> None:
        typed = {each.secret.variable: each.value for each in inputs if each.has_typed}
        options = [f"{each.secret.name}=@{each.value}" for each in inputs if each.has_file]
        try:
            # What was not typed is empty, which is then told.
            env = {**os.environ, **typed}
            values = secret_values(self._workflow, options, env=env, ask=lambda _: "")
        except DsqError as error:
            self.query_one("#sentence", Lines).show([[(error.message, "error")]])
            name = next((each for each in inputs if each.secret.name in error.message), None)
            if name is not None:
                name.focus()
            return
        places = {each.secret.name: each.place for each in inputs}
        self._wipe()
        self.dismiss(GivenSecrets(values, places))

    def action_leave(self) -> None:
        self._wipe()
        self.dismiss(None)

    def _wipe(self) -> None:
        for each in self.query(_SecretInput):
            each.value = ""


class _SecretInput(Input):
    """The hidden value of a secret, or the path of a file that has it."""

    def __init__(self, secret: Secret, number: int) -> None:
        super().__init__(password=True, compact=True, id=f"secret-{number}", select_on_focus=False)
        self.secret = secret
        self._of_file = False
        self._hint()

    @property
    def in_environment(self) -> bool:
        return self.secret.variable in os.environ

    @property
    def has_typed(self) -> bool:
        return bool(self.value) and not self._of_file

    @property
    def has_file(self) -> bool:
        return bool(self.value) and self._of_file

    @property
    def place(self) -> str:
        """Where the value comes from."""
        if self.has_file:
            return f"from {one_line(Path(self.value).name, 40)}"
        return "typed" if self.value else f"from {self.secret.variable}"

    def turn(self) -> None:
        """Takes a path instead of the value, or the value again; what was typed goes."""
        self.value = ""
        self._of_file = not self._of_file
        self.password = not self._of_file
        self._hint()

    def _hint(self) -> None:
        if self._of_file:
            self.placeholder = "path of a file; tab completes"
        elif self.in_environment:
            self.placeholder = f"taken from {self.secret.variable}"
        else:
            self.placeholder = "the value; ctrl+f: of a file"

    async def _on_key(self, event: events.Key) -> None:
        if event.key != "tab" or not self._of_file:
            return
        completed = complete_path(self.value)
        if completed is not None and completed != self.value:
            event.stop()
            event.prevent_default()
            self.value = completed
            self.cursor_position = len(completed)
