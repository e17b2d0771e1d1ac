"""Dialogs that ask for a file: one to open, one to save."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.suggester import Suggester
from textual.widgets import DirectoryTree, Input, OptionList
from textual.widgets.option_list import Option

from dsq.console.dialogs.base import Dialog
from dsq.console.widgets.lines import Lines
from dsq.console.widgets.safe import one_line

WORKFLOW_ENDINGS = (".yaml", ".yml", ".json")


def complete_path(text: str) -> str | None:
    """The first file or folder that ``text`` begins, as text; None if there is none."""
    if not text:
        return None
    path = Path(text).expanduser()
    folder, stem = (path, "") if text.endswith("/") else (path.parent, path.name)
    with contextlib.suppress(OSError):
        names = sorted(entry.name for entry in folder.iterdir() if entry.name.startswith(stem))
        for name in names:
            if not name.startswith(".") or stem.startswith("."):
                ending = "/" if (folder / name).is_dir() else ""
                return text + name[len(stem) :] + ending
    return None


class PathSuggester(Suggester):
    """Completes paths while they are typed."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return complete_path(value)


class PathInput(Input):
    """An input for a path; tab completes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", tooltip="Complete the path", id="path.complete"),
    ]

    def action_complete(self) -> None:
        completed = complete_path(self.value)
        if completed is not None and completed != self.value:
            self.value = completed
            self.cursor_position = len(completed)
        else:
            self.screen.focus_next()


class WorkflowTree(DirectoryTree):
    """Folders and workflow files only."""

    # Letters instead of the emoji of the base class, which not every font has.
    ICON_NODE = "+ "
    ICON_NODE_EXPANDED = "- "
    ICON_FILE = "  "

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        for path in paths:
            if path.name.startswith("."):
                continue
            with contextlib.suppress(OSError):
                if path.is_dir() or path.suffix.lower() in WORKFLOW_ENDINGS:
                    yield path


class OpenFile(Dialog[Path]):
    """Asks for a workflow file: type its path, or choose a recent one or one in the tree.

    Args:
        folder: Where the tree begins.
        recent: Files that were opened last, the newest first.
    """

    DEFAULT_CSS = """
    OpenFile > .box { height: 90%; }
    OpenFile WorkflowTree { height: 1fr; background: $surface; margin-top: 1; }
    OpenFile .-recent { margin-top: 1; }
    OpenFile OptionList { height: auto; max-height: 7; background: $surface; border: none;
                          padding: 0; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    TITLE_TEXT = "Open a workflow"

    def __init__(self, folder: Path, recent: Sequence[Path] = ()) -> None:
        super().__init__()
        self._folder = folder
        self._recent = recent

    def compose_box(self) -> ComposeResult:
        yield PathInput(
            f"{self._folder}/",
            suggester=PathSuggester(),
            compact=True,
            id="path",
            select_on_focus=False,
        )
        yield Lines(id="sentence", classes="sentence")
        if self._recent:
            yield Lines([[("opened last", "muted")]], classes="sentence -recent")
            yield OptionList(*map(_recent_option, self._recent), compact=True, id="recent")
        yield WorkflowTree(self._folder)

    def on_mount(self) -> None:
        self.query_one(PathInput).cursor_position = len(self.query_one(PathInput).value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._open(Path(event.value).expanduser())

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self._open(self._recent[event.option_index])

    def on_directory_tree_file_selected(self, event: DirectoryTree.FileSelected) -> None:
        self._open(event.path)

    def _open(self, path: Path) -> None:
        if path.is_file():
            self.dismiss(path)
            return
        word = "is a folder" if path.is_dir() else "does not exist"
        self.query_one("#sentence", Lines).show([[(f"{path.name or path} {word}.", "error")]])


def _recent_option(path: Path) -> Option:
    """A file's name, and its folder with the home folder as ``~``."""
    folder = path.parent
    with contextlib.suppress(ValueError, RuntimeError):
        folder = Path("~") / folder.relative_to(Path.home())
    name, where = one_line(path.name, 40), one_line(folder, 200)
    return Option(Content.assemble((f"{name}  ", "bold"), where))


class SaveFile(Dialog[Path]):
    """Asks where to save; an existing file is named before it is replaced."""

    TITLE_TEXT = "Save to"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._asked: Path | None = None

    def compose_box(self) -> ComposeResult:
        yield PathInput(
            str(self._path),
            suggester=PathSuggester(),
            compact=True,
            id="path",
            select_on_focus=False,
        )
        yield Lines([[("Enter saves, tab completes.", "muted")]], id="sentence", classes="sentence")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        path = Path(event.value).expanduser()
        sentence = ""
        if path.is_dir():
            sentence = "This is a folder; add a file name."
        elif not path.parent.is_dir():
            sentence = f"The folder {path.parent} does not exist."
        elif path.exists() and self._asked != path:
            self._asked = path
            sentence = f"{path.name} exists. Enter again replaces it."
        if sentence:
            self.query_one("#sentence", Lines).show([[(sentence, "warning")]])
        else:
            self.dismiss(path)
