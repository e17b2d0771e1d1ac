"""From a workflow to its script: the job around the steps."""

from __future__ import annotations

from dataclasses import dataclass

from dsq.sbatch.model import Workflow
from dsq.sbatch.problems import InvalidWorkflow, Problem
from dsq.sbatch.render.steps import StepRenderer
from dsq.sbatch.render.templating import fill
from dsq.sbatch.render.unsupported import findings
from dsq.sbatch.validation import make_problem

PATIENCE_SECONDS = 20
"""Time between telling a step to end and killing it. Slurm's own KillWait is 30 s by default."""


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """What the operator of the service adds to every script.

    Attributes:
        pre_hook: Shell text near the top of the script.
        post_hook: Shell text at the end of the script; not run when the job failed.
    """

    pre_hook: str = ""
    post_hook: str = ""


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
    steps = StepRenderer(workflow)
    body = steps.block(workflow.steps, "steps")
    output = workflow.output.http if workflow.output else None
    text = fill(
        "job.sh",
        enable_logging=bool(workflow.enable_logging),
        resources=workflow.resources,
        pre_hook=settings.pre_hook,
        post_hook=settings.post_hook,
        library=_library(steps.features),
        late_library=_late_library(steps.features),
        input=_input(workflow),
        input_mode=workflow.input_mode,
        env=workflow.env or (),
        steps=body,
        output=""
        if output is None
        else fill(
            "output_http.sh",
            curl_config=f'url = "{_curl_escape(output.url)}"\n',
            continuous=bool(workflow.continuous_output_sync),
        ),
    )
    return text + "\n"


def _input(workflow: Workflow) -> str:
    if workflow.input is None or workflow.input.http is None:
        return ""
    return fill("input_http.sh", url=workflow.input.http.url)


def _curl_escape(text: str) -> str:
    """Writes a text as it stands between double quotes in curl's configuration."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _library(features: set[str]) -> str:
    """The functions that the steps need, so that a small job has a small script."""
    parts = [fill("runtime.sh", patience=PATIENCE_SECONDS, launches="launch" in features)]
    parts += [
        fill(f"{name}.sh") for name in ("condition", "launch", "parallel") if name in features
    ]
    return "\n\n".join(parts)


def _late_library(features: set[str]) -> str:
    """Functions that use the places of the job, so they come after these are known."""
    runtimes = {name: name in features for name in ("apptainer", "enroot")}
    parts = []
    if "image" in features:
        parts.append(fill("image.sh", **runtimes))
    if any(runtimes.values()):
        parts.append(fill("container.sh", **runtimes))
    return "\n\n".join(parts)
