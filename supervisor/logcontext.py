"""Structured log lines: time, level, logger, the job's id, words. And the last ones in memory."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TextIO

from dsq.supervisor.snapshot import LogLineRow

_JOB: ContextVar[int | None] = ContextVar("dsq_job", default=None)


@contextlib.contextmanager
def job_context(job_id: int) -> Iterator[None]:
    """Names the job that everything logged inside is about."""
    token = _JOB.set(job_id)
    try:
        yield
    finally:
        _JOB.reset(token)


class LineFormatter(logging.Formatter):
    """``2026-01-31T09:12:01.123Z level=info logger=dsq.… job=41 words``, UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """See :class:`logging.Formatter`."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        head = f"{at}.{int(record.msecs):03d}Z level={record.levelname.lower()}"
        job = _JOB.get()
        about = f" job={job}" if job is not None else ""
        words = record.getMessage().replace("\n", "\\n")
        line = f"{head} logger={record.name}{about} {words}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


_JOB_WORD = re.compile(r"\bjob=(\d+)\b")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``job`` (a number), ``message``,
    and ``error`` with the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """See :class:`logging.Formatter`."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        words = record.getMessage()
        job = _JOB.get()
        if job is None and (match := _JOB_WORD.search(words)):
            job = int(match[1])
        line: dict[str, object] = {
            "time": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": words,
        }
        if job is not None:
            line["job"] = job
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class RecentLines(logging.Handler):
    """Keeps the last lines for the screen."""

    def __init__(self, keep: int = 500) -> None:
        super().__init__(logging.INFO)
        self._rows: deque[LogLineRow] = deque(maxlen=keep)

    def emit(self, record: logging.LogRecord) -> None:
        """See :class:`logging.Handler`."""
        self._rows.append(
            LogLineRow(
                record.created, record.levelname.lower(), record.getMessage(), job_id=_JOB.get()
            )
        )

    def rows(self) -> tuple[LogLineRow, ...]:
        """The last lines, oldest first."""
        return tuple(self._rows)


def configure_logging(
    *,
    debug: bool = False,
    stream: TextIO | None = None,
    style: str = "text",
    level: str = "info",
) -> None:
    """Sends the supervisor's log to a stream (standard error) as structured lines.

    Args:
        debug: Write everything, whatever ``level`` says.
        stream: Where to.
        style: ``text`` or ``json``.
        level: The least important that is written.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("dsq").setLevel(logging.DEBUG if debug else level.upper())
    # Every command over SSH is a line there.
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
