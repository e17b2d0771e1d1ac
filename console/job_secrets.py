"""Values of the secrets that a workflow names: from files, variables or a prompt.

Never from an argument, which everybody on the machine can read, and never from where the
workflow says, which somebody else may have written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dsq.core.errors import NotFoundError, UsageError, close_matches

if TYPE_CHECKING:
    from dsq.sbatch.workflow import Workflow

VARIABLE = "DSQ_SECRET_"
"""Before the name of a secret: the variable that is looked at when no option names it."""

MAX_BYTES = 64 << 10

Ask = Callable[[str], str]
"""Asks for a value, which is not shown."""


def secret_values(
    workflow: Workflow,
    options: Iterable[str],
    *,
    env: Mapping[str, str] | None = None,
    ask: Ask | None = None,
) -> dict[str, str]:
    """The values of all secrets of a workflow.

    Args:
        workflow: A checked workflow.
        options: ``NAME=@FILE``, ``NAME=env:VARIABLE`` or ``NAME=prompt``.
        env: The environment; None takes the process's own.
        ask: Asks for what has no value; None asks nobody.

    Raises:
        UsageError: An option cannot be read or names no secret, or a secret has no value.
        NotFoundError: A file cannot be read.
    """
    env = os.environ if env is None else env
    named = {secret.name: secret.description or "" for secret in workflow.secrets or ()}
    places = _places(options, named)
    values = {}
    for name, description in named.items():
        place = places.get(name) or (
            f"env:{VARIABLE}{name}" if VARIABLE + name in env else "prompt"
        )
        values[name] = _value(name, description, place, env, ask)
        if not values[name]:
            raise UsageError(f"The value of the secret {name} is empty.")
        if "\0" in values[name] or len(values[name].encode(errors="replace")) > MAX_BYTES:
            raise UsageError(f"The secret {name} is longer than {MAX_BYTES} bytes, or no text.")
    return values


def _places(options: Iterable[str], named: Mapping[str, str]) -> dict[str, str]:
    places: dict[str, str] = {}
    for option in options:
        name, equals, place = option.partition("=")
        if not equals or not (place == "prompt" or place.startswith(("@", "env:"))):
            # What stands there may be the secret itself.
            raise UsageError(
                f"--secret {name[:64] if equals else ''}… says no place of a value.",
                hint="Write NAME=@FILE, NAME=env:VARIABLE or NAME=prompt, never the value.",
            )
        if name not in named:
            raise UsageError(
                f"The workflow names no secret '{name[:64]}'.{close_matches(name, named)}"
            )
        if name in places:
            raise UsageError(f"--secret {name} is given twice.")
        places[name] = place
    return places


def _value(name: str, description: str, place: str, env: Mapping[str, str], ask: Ask | None) -> str:
    if place.startswith("@"):
        return _from_file(name, place[1:])
    if place.startswith("env:"):
        variable = place.removeprefix("env:")
        if variable not in env:
            raise UsageError(f"The secret {name} has no value: {variable} is not set.")
        return env[variable]
    if ask is None:
        raise UsageError(
            f"The secret {name} has no value.",
            hint=f"Give it with --secret {name}=@FILE or {name}=env:VARIABLE, or in "
            f"{VARIABLE}{name}.",
        )
    return ask(f"{name} ({description})" if description else name)


def _from_file(name: str, file: str) -> str:
    import sys

    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
        # Editors end files with a line break that belongs to no secret.
        return raw.decode().removesuffix("\n")
    except OSError as error:
        raise NotFoundError(
            f"The file of the secret {name} cannot be read: {error.strerror}."
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"The file of the secret {name} is no UTF-8 text.") from None
