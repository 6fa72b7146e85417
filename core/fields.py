"""Dataclasses whose fields carry what documents, prompts and checks need: text, range, example.

`samples: Annotated[int, Meaning("Noisy copies, {within}.", 25, within=(1, 500))] = 25`
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, cast, get_args, get_origin, get_type_hints

from core.checks import require_choice, require_range
from core.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class Meaning:
    """What is said of a field.

    Attributes:
        text: a sentence; `{within}` in it stands for the range.
        example: a value.
        within: smallest and largest value allowed; None = any.
        among: the numbers allowed, where they are few; empty = any.
        parse: makes the value of the parameter's name and text, where people write it as text.
        max_length: of such a text, in characters.
    """

    text: str = ""
    example: Any = None
    within: tuple[float, float] | None = None
    among: tuple[int, ...] = ()
    parse: Callable[[str, str], Any] | None = None
    max_length: int | None = None

    @property
    def sentence(self) -> str:
        """The text, with the range in it."""
        if self.within is None:
            return self.text
        low, high = self.within
        return self.text.format(within=f"{low} to {high}")


@dataclass(frozen=True, slots=True)
class Described:
    """A field: its type, its default (or `dataclasses.MISSING`), and what it means."""

    hint: Any
    default: Any
    meaning: Meaning

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a Literal; empty where it is none."""
        return get_args(self.hint) if get_origin(self.hint) is Literal else ()

    @property
    def listed(self) -> tuple[Any, ...]:
        """All that is allowed, where that is a list."""
        return self.choices or self.meaning.among


def described(kind: type) -> Mapping[str, Described]:
    """The fields of a dataclass, by name."""
    return _described(cast(Hashable, kind))


@cache
def _described(kind: Any) -> Mapping[str, Described]:
    hints = get_type_hints(kind, include_extras=True)
    return {each.name: _field(hints[each.name], each.default) for each in fields(kind)}


def _field(hint: Any, default: Any) -> Described:
    if get_origin(hint) is not Annotated:
        return Described(hint, default, Meaning())
    plain, meaning = get_args(hint)
    return Described(plain, default, meaning)


def check_fields(parameters: Any) -> None:
    """Raise InvalidValue for a field that is none of its Literal's values, or out of its range."""
    for name, each in described(type(parameters)).items():
        value = getattr(parameters, name)
        if each.choices:
            require_choice(name, value, each.choices)
        elif each.meaning.among and value not in each.meaning.among:
            raise InvalidValue(name, value, " or ".join(map(str, each.meaning.among)))
        elif each.meaning.within:
            require_range(name, value, *each.meaning.within)


def as_mapping(answers: Any) -> dict[str, Any]:
    """A dataclass's fields by name, arrays as they are, dataclasses in it as dicts."""
    values = {each.name: getattr(answers, each.name) for each in fields(answers)}
    return {name: asdict(each) if is_dataclass(each) else each for name, each in values.items()}  # type: ignore[arg-type]
