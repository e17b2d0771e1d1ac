"""What all tables of the settings have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Port = Annotated[int, Field(gt=0, lt=65536)]


class Strict(BaseModel):
    """A table of the settings: no unknown field, no value of another type, no change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
