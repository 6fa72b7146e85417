"""Query parameters that follow from a dataclass of described fields."""

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Annotated, Any

from fastapi import Query

from core.fields import Described, described


def query_of(kind: type) -> Callable[..., Any]:
    """A dependency that reads the fields of a dataclass from the query.

    Args:
        kind: a dataclass whose fields all have defaults.
    """
    known = described(kind)

    async def read(**given: Any) -> Any:
        return kind(**{name: _value(name, known[name], given[name]) for name in given})

    read.__doc__ = f"The parameters of {kind.__name__}."
    # What FastAPI reads of a dependency.
    read.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter(
                name, Parameter.KEYWORD_ONLY, default=each.default, annotation=_annotation(each)
            )
            for name, each in known.items()
        ],
        return_annotation=kind,
    )
    return read


def _annotation(each: Described) -> Any:
    meaning = each.meaning
    return Annotated[
        str | None if meaning.parse else each.hint,
        Query(
            description=meaning.sentence,
            max_length=meaning.max_length,
            examples=None if meaning.example is None else [meaning.example],
        ),
    ]


def _value(name: str, each: Described, given: Any) -> Any:
    parse = each.meaning.parse
    return given if parse is None or given is None else parse(name, given)
