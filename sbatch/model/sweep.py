"""Sweeps: many jobs from one workflow."""

from __future__ import annotations

from typing import Annotated

from dsq.sbatch.model.base import Int, Model, Text
from dsq.sbatch.model.data import VariableName
from dsq.sbatch.model.rules import Gte, NotEmpty, OneOf
from dsq.sbatch.model.steps import ForRange

PRODUCT = "product"
ZIP = "zip"


class SweepParameter(Model):
    """A variable that each job of a sweep gets another value of; one of `values`, `range`."""

    name: VariableName
    """Name of the variable in all steps."""
    values: Annotated[list[Text] | None, NotEmpty()] = None
    """Its values."""
    range: ForRange | None = None
    """Whole numbers as its values."""


class Sweep(Model):
    """Many jobs from one workflow, submitted together and shown as one group."""

    parameters: Annotated[list[SweepParameter], NotEmpty()]
    """What differs. The last one changes fastest."""
    combine: Annotated[Text | None, OneOf((PRODUCT, ZIP))] = None
    """`product`: a job for each combination. `zip`: one for the first values of all parameters,
    one for the second, and so on. Absent: `product`."""
    limit: Annotated[Int | None, Gte(1)] = None
    """Most jobs that are open at once; the others are submitted when these end. Absent: all."""
