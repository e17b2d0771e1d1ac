"""Where a workflow comes from: a file, a template, the user's own editor."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.app import SuspendNotSupported

from dsq.console.dialogs.choose import Choose
from dsq.console.dialogs.confirm import Confirm
from dsq.console.dialogs.paths import OpenFile, SaveFile
from dsq.console.templates import templates
from dsq.console.user.screens.base import ViewScreen
from dsq.console.widgets.editor import WorkflowEditor
from dsq.console.widgets.lines import Line
from dsq.console.widgets.safe import one_line
from dsq.core.errors import UsageError

MAX_FILE = 1_000_000
"""Bytes of the largest workflow file that is opened."""

LOOK_EVERY = 1.0
"""Seconds between two looks at whether the file has changed."""


class WorkflowSource(ViewScreen):
    """A view with a :class:`WorkflowEditor`, and the ways to fill it."""

    def __init__(self) -> None:
        super().__init__()
        self._source = "new workflow"
        self._path: Path | None = None
        self._clean = ""
        self._drafts: tempfile.TemporaryDirectory[str] | None = None
        self._watched: Path | None = None
        self._stamp: object = None
        self._seen = ""

    @property
    def editor(self) -> WorkflowEditor:
        return self.query_one(WorkflowEditor)

    def check_soon(self) -> None:
        """The text has changed: it is to be checked."""

    def suggest_name(self, name: str) -> None:
        """A name for the job, unless the user has given one."""

    def on_mount(self) -> None:
        self.set_interval(LOOK_EVERY, self.look_at_file)

    def on_unmount(self) -> None:
        if self._drafts is not None:
            self._drafts.cleanup()

    # -- files and templates ---------------------------------------------------------------

    def load(self, text: str, source: str, path: Path | None) -> None:
        """Puts a workflow into the editor."""
        self._source, self._path, self._clean = source, path, text
        self._watch(path, text)
        self.editor.load_text(text)
        self.suggest_name((path.stem if path else source)[:32])
        self.editor.focus()
        self.check_soon()

    def action_open(self) -> None:
        def chosen(path: Path | None) -> None:
            if path is not None:
                self._unless_modified(lambda: self.open_file(path))

        folder = self._path.parent if self._path is not None else Path.cwd()
        self.app.push_screen(OpenFile(folder, self.console_app.recent.all()), chosen)

    def open_file(self, path: Path) -> None:
        """Reads a workflow file into the editor."""
        try:
            text = read_workflow(path)
        except (OSError, UnicodeDecodeError, UsageError) as error:
            self.console_app.report(error, f"open {path.name}")
            return
        self.console_app.recent.add(path)
        self.load(text, path.name, path)

    def action_save(self) -> None:
        """Asks where to, and writes the text there; from then on it is that file's."""
        wanted = self._path or Path.cwd() / f"{_stem(self._source)}.yaml"

        def chosen(path: Path | None) -> None:
            if path is not None:
                self.save_file(path)

        self.app.push_screen(SaveFile(wanted), chosen)

    def save_file(self, path: Path) -> None:
        """Writes the text into a file."""
        text = self.editor.text
        try:
            path.write_text(text, "utf-8")
        except OSError as error:
            self.console_app.report(error, f"save {path.name}")
            return
        self._source, self._path, self._clean = path.name, path, text
        self._watch(path, text)
        self.console_app.recent.add(path)
        self.suggest_name(path.stem[:32])
        self.console_app.tell(f"{one_line(path.name, 60)} is saved.", "save")
        self.check_soon()

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

    # -- the user's editor, and what others write ------------------------------------------

    def action_editor(self) -> None:
        """Opens the file, or what was typed as a draft, in the user's editor.

        What is saved there is read when the editor ends, and while it runs beside the console.
        """
        command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        try:
            file = self._file_to_edit()
            with self.app.suspend():
                subprocess.run([*shlex.split(command), str(file)], check=False)
        except (SuspendNotSupported, OSError, ValueError) as error:
            words = f"The editor '{command}' could not be started: {error}"
            self.console_app.report(UsageError(words, hint="Set EDITOR."), "editor")
            return
        self.look_at_file()

    def _file_to_edit(self) -> Path:
        """The file itself if it holds what is shown, else a draft of it."""
        text = self.editor.text
        if self._path is not None and self._path == self._watched and text == self._seen:
            return self._path
        if self._drafts is None:
            self._drafts = tempfile.TemporaryDirectory(prefix="dsq-")
        file = Path(self._drafts.name) / (self._path.name if self._path else "workflow.yaml")
        file.write_text(text, "utf-8")
        self._watch(file, text)
        return file

    def _watch(self, path: Path | None, text: str) -> None:
        """From now on a change of this file, which holds this text, is taken over."""
        self._watched, self._seen = path, text
        self._stamp = _stamp(path)

    def look_at_file(self) -> None:
        """Takes over what another program has written, unless something was typed meanwhile."""
        path, stamp = self._watched, _stamp(self._watched)
        if path is None or stamp is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            text = read_workflow(path)
        except (OSError, UnicodeDecodeError, UsageError) as error:
            self.console_app.report(error, f"read {path.name}")
            return
        typed = self.editor.text
        if text in (self._seen, typed):
            self._seen = text
            return
        if typed != self._seen:
            words = f"{one_line(path.name, 60)} has changed, and so has the text here: it stays."
            self.console_app.tell(f"{words} ctrl+o reads the file.", "file", severity="warning")
            return
        self._seen = text
        if path == self._path:
            self._clean = text
        row, column = self.editor.cursor_location
        self.editor.load_text(text)
        self.editor.move_cursor((min(row, self.editor.document.line_count - 1), column))
        self.console_app.tell(f"{one_line(path.name, 60)} has changed and was read again.", "file")
        self.check_soon()


def read_workflow(path: Path) -> str:
    """The text of a workflow file.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is no text.
        UsageError: It is too large.
    """
    if path.stat().st_size > MAX_FILE:
        raise UsageError(f"{path.name} is larger than {MAX_FILE:,} bytes.")
    return path.read_text("utf-8")


def _stem(source: str) -> str:
    return "workflow" if " " in source else Path(source).stem or "workflow"


def _stamp(path: Path | None) -> object:
    if path is not None:
        with contextlib.suppress(OSError):
            about = path.stat()
            return about.st_mtime_ns, about.st_ino, about.st_size
    return None
