"""From a workflow to its script: the job around the steps."""

from __future__ import annotations

from dataclasses import dataclass

from dsq.sbatch.model import Workflow
from dsq.sbatch.problems import InvalidWorkflow, Problem
from dsq.sbatch.render.steps import StepRenderer
from dsq.sbatch.render.templating import fill
from dsq.sbatch.render.transfer import render_input, render_output
from dsq.sbatch.render.unsupported import findings
from dsq.sbatch.validation import make_problem

PATIENCE_SECONDS = 20
"""Time between telling a step to end and killing it. Slurm's own KillWait is 30 s by default."""

_ENDINGS = {"HUP": 1, "INT": 2, "QUIT": 3, "USR1": 10, "USR2": 12, "ALRM": 14, "TERM": 15} | {
    "XCPU": 24,
    "PWR": 30,
}
"""Signals that end a job, also those that Slurm sends before a time limit (``--signal``)."""


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """What the operator of the service adds to every script.

    Attributes:
        pre_hook: Shell text near the top of the script.
        post_hook: Shell text at the end of the script; not run when the job failed.
        markers: Print a line before and after each step that has a name, by which logs fold.
    """

    pre_hook: str = ""
    post_hook: str = ""
    markers: bool = True


def unsupported(workflow: Workflow) -> list[Problem]:
    """Returns what of the workflow this version cannot render; :func:`render` refuses these."""
    data = workflow.to_wire()
    return [
        make_problem(Workflow, data, path, "unsupported", message, positions=workflow._source)
        for path, message in findings(workflow)
    ]


def render(workflow: Workflow, *, settings: RenderSettings | None = None) -> str:
    """Renders the batch script.

    Args:
        workflow: A checked workflow (``load_workflow``, ``parse_workflow``).
        settings: What the operator adds.

    Raises:
        InvalidWorkflow: The workflow uses what this version does not render.
    """
    problems = unsupported(workflow)
    if problems:
        raise InvalidWorkflow("the workflow", problems)
    settings = settings or RenderSettings()
    steps = StepRenderer(workflow, markers=settings.markers)
    body = steps.block(workflow.steps, "steps")
    output = render_output(workflow)
    networks = steps.networks.hubs()
    features = steps.features
    features |= {"attempts"} if output else set()
    features |= {"launch", "network", "tasks", "vnet"} if networks else set()
    text = fill(
        "job.sh",
        enable_logging=bool(workflow.enable_logging),
        resources=workflow.resources,
        secrets=[secret.name for secret in workflow.secrets or ()],
        pre_hook=settings.pre_hook,
        post_hook=settings.post_hook,
        library=_library(features, markers=settings.markers),
        late_library=_late_library(features),
        networks=networks,
        input=render_input(workflow),
        input_mode=workflow.input_mode,
        env=workflow.env or (),
        steps=body,
        output=output,
    )
    return text + "\n"


def _library(features: set[str], *, markers: bool) -> str:
    """The functions that the steps need, so that a small job has a small script."""
    parts = [
        fill(
            "runtime.sh",
            patience=PATIENCE_SECONDS,
            launches="launch" in features,
            endings=[(name, 128 + number) for name, number in _ENDINGS.items()],
            markers=markers,
        )
    ]
    parts += [fill(f"{name}.sh") for name in ("condition", "launch") if name in features]
    parts += [fill("parallel.sh")] if "parallel" in features else []
    parts += [fill("attempts.sh", patience=PATIENCE_SECONDS)] if "attempts" in features else []
    return "\n\n".join(parts)


def _late_library(features: set[str]) -> str:
    """Functions that use the places of the job, so they come after these are known."""
    runtimes = {name: name in features for name in ("apptainer", "enroot")}
    parts = []
    if "image" in features:
        parts.append(fill("image.sh", **runtimes))
    if "tasks" in features:
        parts.append(fill("tasks.sh"))
    if any(runtimes.values()):
        parts.append(fill("container.sh", **runtimes))
    parts += [fill(f"{name}.sh") for name in ("network", "vnet", "module") if name in features]
    if "tasks" in features:
        parts.append(fill("tasks_file.sh"))
    return "\n\n".join(parts)
