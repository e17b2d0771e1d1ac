"""The one place where shell text is made from words.

SSH and rendered scripts take one string where dsq has argument lists; every such
string comes from here (a test looks for others).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

from dsq.core.errors import UsageError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def quote(word: str) -> str:
    """Quotes one word so that a POSIX shell reads it back byte for byte.

    Raises:
        UsageError: The word holds a NUL, which no argument can.
    """
    if "\0" in word:
        raise UsageError("A NUL byte cannot stand in an argument of a command.")
    return shlex.quote(word)


def join(words: Iterable[str]) -> str:
    """Quotes each word and joins them with blanks: an argument list as one command."""
    return " ".join(quote(word) for word in words)


def assignments(env: Mapping[str, str]) -> str:
    """Writes ``KEY=value`` words for the front of a command, values quoted.

    Raises:
        UsageError: A key is no name of a variable, so that it would be read as something else.
    """
    for key in env:
        if not _NAME.fullmatch(key):
            raise UsageError(f"'{key}' is not a name of an environment variable.")
    return " ".join(f"{key}={quote(value)}" for key, value in env.items())
