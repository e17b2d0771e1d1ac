"""Text that others control, made fit for a screen.

Job names, labels, errors and logs come from strangers. They may hold escape sequences,
text that runs backwards, invisible characters or a megabyte of one word. What comes out
here has printable characters only, in a bounded number, and is never read as markup:
callers hand it to ``Content`` or ``Text`` as plain text.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text

LINE_LIMIT = 10_000
"""Characters of one log line that are kept; what follows is counted, not shown."""

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Order matters: string sequences (OSC, DCS, SOS, PM, APC) first, then CSI, then the rest.
_STRING = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
)
_CSI = re.compile(r"(?:\x1b\[|\x9b)([0-?]*)([ -/]*)([@-~]?)")
_ESCAPE = re.compile(r"\x1b[ -/]*[0-~]?")
_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_PLAIN = re.compile(r"[\x20-\x7e]*")
_COMBINING_RUN = re.compile(
    r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{4,}"
)
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK_LOOKALIKES = frozenset("\u00ad\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
_CARRY_LIMIT = 200


@lru_cache(maxsize=4096)
def _visible(character: str) -> str:
    """The character, or a visible stand-in for what hides, reorders or controls."""
    if character == "\t":
        return "    "
    if (
        unicodedata.category(character) in _HIDDEN_CATEGORIES
        or character in _BLANK_LOOKALIKES
        or "\ufe00" <= character <= "\ufe0f"  # variation selectors change a cell's width
        or "\U000e0000" <= character <= "\U000e0fff"
    ):
        return REPLACEMENT
    return " " if unicodedata.category(character) == "Zs" else character


def _printable(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    if "\x1b" in text or "\x9b" in text:
        text = _CSI.sub("", _STRING.sub("", text))
    text = "".join(map(_visible, text))
    return _COMBINING_RUN.sub(lambda run: run.group()[:3], text)


def one_line(text: object, limit: int = 400) -> str:
    """A stranger's text as one printable line of at most ``limit`` characters.

    Line ends become ``⏎``, characters that hide or reorder text become ``�``.
    """
    raw = str(text)
    cut = raw[: limit + 1]
    for ending in ("\r\n", "\n", "\r"):
        cut = cut.replace(ending, " ⏎ ")
    line = _printable(cut)
    return line if len(raw) <= limit and len(line) <= limit else line[: limit - 1] + "…"


def block(text: object, lines: int = 200, limit: int = 4000) -> str:
    """A stranger's text as printable lines, at most ``lines`` of them."""
    raw = str(text)
    kept = raw[:limit].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    shown = [_printable(line) for line in kept[:lines]]
    if len(raw) > limit or len(kept) > lines:
        shown.append("…")
    return "\n".join(shown)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Cuts or pads printable text to exactly ``width`` cells; a cut ends with ``…``."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else set_cell_size("…", width)
    padding = " " * (width - length)
    return padding + text if right else text + padding


def terminal_line(raw: str, carry: str = "") -> tuple[str, str]:
    """One line of a program's output, with its colours and nothing else a terminal obeys.

    A carriage return starts the line again, as it does in a terminal (progress bars), and a
    backspace takes one character back. Escape sequences go, save SGR (colour and weight).

    Args:
        raw: The line, without its line feed.
        carry: SGR sequences still in force from the lines before.

    Returns:
        The line, beginning with ``carry``, and the carry for the next line.
    """
    dropped = len(raw) - LINE_LIMIT
    if _PLAIN.fullmatch(raw):
        line, colours = raw[:LINE_LIMIT], ""
    else:
        line = _cleaned(raw[-1_000_000:])
        dropped = len(line) - LINE_LIMIT
        line = line[:LINE_LIMIT]
        colours = "".join(match.group() for match in _SGR.finditer(line))
    shown = carry + line
    if dropped > 0:
        shown += f"\x1b[0m … {dropped:,} more characters"
    return shown, _carry(carry + colours) if colours else carry


def _cleaned(raw: str) -> str:
    text = _STRING.sub("", raw)
    text = _CSI.sub(_keep_colour, text)
    text = _ESCAPE.sub(lambda match: match.group() if match.group() == "\x1b[" else "", text)
    text = text.rstrip("\r")
    if "\r" in text:
        head, _, tail = text.rpartition("\r")
        text = "".join(match.group() for match in _SGR.finditer(head)) + tail
    if "\b" in text:
        text = _without_backspaces(text)
    pieces = _SGR.split(text)
    # split() alternates text and the captured parameters.
    return "".join(
        f"\x1b[{piece}m" if index % 2 else _printable(piece) for index, piece in enumerate(pieces)
    )


def _without_backspaces(text: str) -> str:
    kept: list[str] = []
    for character in text:
        if character != "\b":
            kept.append(character)
        elif kept:
            kept.pop()
    return "".join(kept)


def _keep_colour(match: re.Match[str]) -> str:
    parameters, intermediate, final = match.groups()
    if final == "m" and not intermediate and re.fullmatch(r"[0-9;:]{0,60}", parameters):
        return f"\x1b[{parameters}m"
    return ""


def _carry(sequences: str) -> str:
    kept = ""
    for match in _SGR.finditer(sequences):
        parameters = match.group(1)
        reset = parameters in ("", "0", "00")
        kept = "" if reset else kept + match.group()
    return kept[-_CARRY_LIMIT:] if len(kept) <= _CARRY_LIMIT else ""


def styled_line(line: str) -> Text:
    """The text and colours of a line that :func:`terminal_line` returned.

    Blinking and concealed text is shown plainly: a log must not hide anything.
    """
    text = Text.from_ansi(line, end="") if "\x1b" in line else Text(line, end="")
    for index, span in enumerate(text.spans):
        style = span.style
        if isinstance(style, Style) and (style.conceal or style.blink or style.blink2):
            plain = Style(
                color=style.color,
                bgcolor=style.bgcolor,
                bold=style.bold,
                dim=style.dim,
                italic=style.italic,
                underline=style.underline,
                reverse=style.reverse,
            )
            text.spans[index] = span._replace(style=plain)
    return text


def plain_line(line: str) -> str:
    """A line of :func:`terminal_line` without its colours: for search, copy and save."""
    return _SGR.sub("", line)
