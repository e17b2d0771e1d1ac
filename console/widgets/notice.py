"""What was said, kept to be read again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from dsq.core.errors import DsqError

KEPT = 500


@dataclass(frozen=True)
class Notice:
    """Something that happened.

    Attributes:
        severity: ``information``, ``warning`` or ``error``.
        text: One sentence.
        hint: What to do about it.
        subject: What it is about ("submit", "job 41").
        detail: More lines.
    """

    at: float
    severity: str
    text: str
    hint: str = ""
    subject: str = ""
    detail: str = ""

    @classmethod
    def of_error(cls, error: BaseException, at: float, subject: str) -> Notice:
        """The notice of an error: its sentence, hint and problems."""
        if isinstance(error, DsqError):
            problems = "\n".join(getattr(error, "problems", ()))
            return cls(at, "error", error.message, error.hint, subject, problems)
        text = str(error) or type(error).__name__
        return cls(at, "error", text, "", subject, type(error).__name__)


class NoticeBook:
    """The newest notices; a source of rows, newest first."""

    def __init__(self) -> None:
        self._kept: deque[Notice] = deque(maxlen=KEPT)
        self._total = 0
        self._read = 0
        self.revision = 0

    def __len__(self) -> int:
        return len(self._kept)

    def row(self, index: int) -> Notice:
        """The ``index``-th notice, 0 is the newest."""
        return self._kept[-1 - index]

    def add(self, notice: Notice) -> None:
        """Keeps a notice; one that repeats the newest replaces it."""
        newest = self._kept[-1] if self._kept else None
        if newest and (newest.text, newest.subject) == (notice.text, notice.subject):
            self._kept[-1] = notice
        else:
            self._kept.append(notice)
            self._total += 1
        self.revision += 1

    @property
    def unread(self) -> int:
        """How many came since :meth:`mark_read`."""
        return self._total - self._read

    def mark_read(self) -> None:
        """Says that all have been seen."""
        if self.unread:
            self._read = self._total
            self.revision += 1
