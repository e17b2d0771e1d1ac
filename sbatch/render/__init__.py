"""Makes the batch script of a workflow.

::

    script = render(workflow)

The script begins with ``#!/bin/bash`` and a no-op, so that Slurm reads no directive
from it; the allocation is asked for by whoever submits it. It finds every program by
name on its PATH: ``srun``, ``scontrol``, and ``apptainer`` or ``enroot`` where steps
use them. Text of the user is only ever put in through ``dsq.core.quoting``.
"""

from __future__ import annotations

from dsq.sbatch.render.script import RenderSettings, render, unsupported

__all__ = ["RenderSettings", "render", "unsupported"]
