"""The lines that stand before a job's own script."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dsq.core.quoting import quote
from dsq.supervisor.scheduler.port import JobSpec, SubmitRefused

STARTED = "started"
"""Folder made by the first attempt to run a script; whoever comes second does not run."""

RAN = "ran-"
"""The same in the folder of the job, followed by the job's token, for all its attempts and claims:
a job whose journal was lost may be claimed once more, and does not run once more."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def compose(
    spec: JobSpec, script: str, *, env: Mapping[str, str], fence: str = "", once: str = ""
) -> str:
    """Puts the supervisor's lines before the rendered script.

    The no-op on the second line ends Slurm's reading of directives, so that no ``#SBATCH``
    line of the script counts. The variables are exported here and not handed to sbatch as
    arguments, where other accounts could read them.

    Args:
        spec: The attempt; its ``env`` is exported.
        script: The job's script, used as it is.
        env: Variables of the cluster, exported before those of the job.
        fence: A folder that the script must be the one to make, or else it ends at once: so a
            submission that was given up and arrives later runs nothing. "" for none.
        once: The same for the job, whichever attempt it is.

    Raises:
        SubmitRefused: A variable or the script cannot stand in a script.
    """
    if "\0" in script:
        raise SubmitRefused("The job's script holds a NUL byte.")
    lines = ["#!/bin/bash", "true"]
    lines += [
        f"mkdir -- {quote(folder)} 2>/dev/null || "
        "{ echo 'This script has begun once already, or was given up before:"
        " it does not run again.' >&2; exit 75; }"
        for folder in filter(None, (fence, once))
    ]
    for key, value in {**env, **spec.env}.items():
        if not _NAME.fullmatch(key) or "\0" in value:
            raise SubmitRefused(f"'{key}' cannot be a variable of the job's environment.")
        lines.append(f"export {key}={quote(value)}")
    return "\n".join([*lines, script if script.endswith("\n") else script + "\n"])
