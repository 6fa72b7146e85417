"""What is explained: the logit of a class, or a layer, a channel, a unit."""

from dataclasses import dataclass
from typing import Final

from core.checks import require_choice
from core.errors import InvalidValue, TargetOutOfRange
from core.models.structure.ports import ATS, At, Port


@dataclass(frozen=True, slots=True)
class ClassObjective:
    """The logit of a class; None = of the picture's own top prediction."""

    target: int | None = None


@dataclass(frozen=True, slots=True)
class LayerObjective:
    """What leaves, or enters, a layer: one unit, the sum over a channel, or over all of the layer.

    Attributes:
        layer: dotted name of a submodule.
        channel: 0 <= channel < C, wherever in the layer's activation its channels are; None = all.
        row: position in the feature map, or in the grid of tokens, together with `col`; None = the
            sum over the channel.
        col: see row.
        at: "input" = what enters the layer instead.

    Raises:
        InvalidValue: a position without its other half, or without a channel.
    """

    layer: str
    channel: int | None = None
    row: int | None = None
    col: int | None = None
    at: At = "output"

    def __post_init__(self) -> None:
        require_choice("at", self.at, ATS)
        if (self.row is None) != (self.col is None):
            raise InvalidValue("row, col", (self.row, self.col), "both or neither")
        if self.row is not None and self.channel is None:
            raise InvalidValue("channel", None, "a channel, where row and col are given")

    @property
    def port(self) -> Port:
        """Where it is found."""
        return Port(self.layer, self.at)


Objective = ClassObjective | LayerObjective

NO_GRADIENT: Final = (
    "what is explained has no gradient with respect to the picture: a part of the network runs "
    "outside of torch's autograd"
)


def require_class(target: int, classes: int) -> None:
    """Raise TargetOutOfRange unless 0 <= target < classes."""
    if not 0 <= target < classes:
        raise TargetOutOfRange("target", target, f"0 to {classes - 1}")
