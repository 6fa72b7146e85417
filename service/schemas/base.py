"""Schemas that follow from a dataclass of described fields."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Final, get_args, get_origin

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, create_model

from core.fields import Described, described

AS_SENT: Final = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
"""JSON of exactly these fields and types: no number in quotes, no unknown name."""


class Schema(BaseModel):
    """A schema that can be read from an engine's result."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


def schema_of(kind: type, name: str, base: type[Schema] = Schema, **more: Any) -> type[Schema]:
    """What a dataclass is as JSON.

    Args:
        kind: a dataclass; arrays in it have two axes.
        name: of the schema, less the `Public` behind it.
        base: whose fields come first.
        more: further fields, as pydantic's `create_model` takes them.
    """
    fields: dict[str, Any] = {
        name: (_type(each.hint), _field(each)) for name, each in described(kind).items()
    }
    return create_model(f"{name}Public", __base__=base, __doc__=kind.__doc__, **(fields | more))


def optional_fields(known: Mapping[str, Described]) -> dict[str, Any]:
    """Fields that may be left out, as pydantic's `create_model` takes them."""
    return {name: (_type(each.hint) | None, _field(each, None)) for name, each in known.items()}


class ParameterPublic(Schema):
    """A parameter of a method."""

    name: str = Field(examples=["samples"])
    text: str = Field(examples=["Noisy copies, 1 to 500."])
    default: Any = Field(examples=[25])
    choices: list[str] = Field(description="What is allowed, where that is a list.", examples=[[]])


def parameters_of(kind: type) -> list[ParameterPublic]:
    """What can be asked with a dataclass of described fields, each with a default."""
    return [
        ParameterPublic(
            name=name,
            text=each.meaning.sentence,
            default=each.default,
            choices=[str(allowed) for allowed in each.listed],
        )
        for name, each in described(kind).items()
    ]


def _field(each: Described, default: Any = ...) -> Any:
    meaning = each.meaning
    return Field(
        default,
        description=meaning.sentence or None,
        examples=None if meaning.example is None else [meaning.example],
    )


def _type(hint: Any) -> Any:
    if isinstance(hint, type) and is_dataclass(hint):
        return schema_of(hint, hint.__name__)
    if get_origin(hint) is np.ndarray:
        (kind,) = get_args(get_args(hint)[1])
        return list[list[int if issubclass(kind, np.integer) else float]]  # type: ignore[misc]
    if get_origin(hint) is tuple:
        return list[get_args(hint)[0]]  # type: ignore[misc]
    return hint
