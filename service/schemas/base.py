"""Owns what all schemas share."""

from pydantic import BaseModel, ConfigDict


class Schema(BaseModel):
    """A schema that can be read from an engine's result."""

    model_config = ConfigDict(from_attributes=True, frozen=True)
