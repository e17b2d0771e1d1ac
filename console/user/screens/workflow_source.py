"""Where a workflow comes from: a file, a template, the user's own editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.app import SuspendNotSupported

from dsq.console.dialogs.choose import Choose
from dsq.console.dialogs.confirm import Confirm
from dsq.console.dialogs.paths import OpenFile
from dsq.console.templates import templates
from dsq.console.user.screens.base import ViewScreen
from dsq.console.widgets.editor import WorkflowEditor
from dsq.console.widgets.lines import Line
from dsq.core.errors import UsageError

MAX_FILE = 1_000_000
"""Bytes of the largest workflow file that is opened."""


class WorkflowSource(ViewScreen):
    """A view with a :class:`WorkflowEditor`, and the ways to fill it."""

    def __init__(self) -> None:
        super().__init__()
        self._source = "new workflow"
        self._path: Path | None = None
        self._clean = ""

    @property
    def editor(self) -> WorkflowEditor:
        return self.query_one(WorkflowEditor)

    def check_soon(self) -> None:
        """The text has changed: it is to be checked."""

    def suggest_name(self, name: str) -> None:
        """A name for the job, unless the user has given one."""

    def load(self, text: str, source: str, path: Path | None) -> None:
        """Puts a workflow into the editor."""
        self._source, self._path, self._clean = source, path, text
        self.editor.load_text(text)
        self.suggest_name((path.stem if path else source)[:32])
        self.editor.focus()
        self.check_soon()

    def action_open(self) -> None:
        def chosen(path: Path | None) -> None:
            if path is not None:
                self._unless_modified(lambda: self.open_file(path))

        folder = self._path.parent if self._path is not None else Path.cwd()
        self.app.push_screen(OpenFile(folder), chosen)

    def open_file(self, path: Path) -> None:
        """Reads a workflow file into the editor."""
        try:
            if path.stat().st_size > MAX_FILE:
                raise UsageError(f"{path.name} is larger than {MAX_FILE:,} bytes.")
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError, UsageError) as error:
            self.console_app.report(error, f"open {path.name}")
            return
        self.load(text, path.name, path)

    def action_templates(self) -> None:
        known = templates()

        def chosen(index: int | None) -> None:
            if index is not None:
                template = known[index]
                self._unless_modified(lambda: self.load(template.text, template.name, None))

        rows = [(template.name, template.title) for template in known]
        self.app.push_screen(Choose("Start from a template", rows), chosen)

    def _unless_modified(self, go: Callable[[], None]) -> None:
        """Asks before a typed text is replaced."""
        if self.editor.text in ("", self._clean):
            go()
            return

        def answered(yes: bool | None) -> None:
            if yes:
                go()

        lines: list[Line] = [[("What you have typed is not saved anywhere.", "foreground")]]
        self.app.push_screen(Confirm("Replace the text?", lines, yes="Replace it"), answered)

    def action_editor(self) -> None:
        command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        with tempfile.TemporaryDirectory(prefix="dsq-") as folder:
            file = Path(folder) / (self._path.name if self._path else "workflow.yaml")
            file.write_text(self.editor.text, "utf-8")
            try:
                with self.app.suspend():
                    subprocess.run([*shlex.split(command), str(file)], check=False)
            except (SuspendNotSupported, OSError, ValueError) as error:
                words = f"The editor '{command}' could not be started: {error}"
                self.console_app.report(UsageError(words, hint="Set EDITOR."), "editor")
                return
            text = file.read_text("utf-8", "replace")
        if text != self.editor.text:
            self.editor.load_text(text)
            self.check_soon()
