"""The table of a network's layers in order of execution: shapes, parameters, multiply-adds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor, nn

from core.errors import InvalidValue, UnknownLayer
from core.inspect.reach import Reach
from core.inspect.trace import LayerRun, trace
from core.models.structure.axes import Axes
from core.models.structure.layers import find_layer
from core.models.structure.ports import Port

_MAX_LISTED: Final = 5


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One run of one layer, a module that runs no other module.

    Attributes:
        name: dotted; a layer that runs twice has two rows of that name.
        type: the module's class.
        input_shape: without the batch axis.
        output_shape: without the batch axis.
        parameters: numbers it has learned.
        macs: multiply-adds for one picture.
        has_filters: whether it is a convolution, with filters to look at.
        follows: the layers whose output reaches it past no other layer; "input" is the picture.
        receptive_field: height and width in pixels of what a position of its feature map depends
            on, where that is largest; None where there is no map, or the way was not followed.
        kernel: (height, width), where it has one; so are stride, padding and dilation.
        padding: "same" = as much as keeps ceil(size / stride), whatever the input's size.
        groups: of a convolution.
        channel_axis: where in the output's shape its channels are; None = it has no such axis.
    """

    name: str
    type: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    has_filters: bool
    follows: tuple[str, ...]
    receptive_field: tuple[int, int] | None
    kernel: tuple[int, ...] | None
    stride: tuple[int, ...] | None
    padding: tuple[int, ...] | str | None
    dilation: tuple[int, ...] | None
    groups: int | None
    channel_axis: int | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums: numbers learned, each counted once, and multiply-adds for one picture."""

    parameters: int
    macs: int


@dataclass(frozen=True, slots=True, eq=False)
class LayerTable:
    """What a network is made of.

    Attributes:
        rows: in order of execution.
        totals: of the whole network.
        elsewhere: the part of the totals that belongs to no row: what modules hold or run beside
            the layers inside them, such as attention's products or a class token.
        reaches: what a layer's feature map (C, h, w) depends on in its last run, by name; None
            where the way from the picture to it was not followed (see `core.inspect.reach`).
    """

    rows: tuple[LayerRow, ...]
    totals: Totals
    elsewhere: Totals
    reaches: Mapping[str, Reach | None]

    def row(self, name: str) -> LayerRow:
        """The last run of that layer.

        Raises:
            UnknownLayer: it is none of the rows.
        """
        for each in reversed(self.rows):
            if each.name == name:
                return each
        raise UnknownLayer(name, list(dict.fromkeys(each.name for each in self.rows)))

    @property
    def convolutions(self) -> tuple[str, ...]:
        """Names of the layers with filters."""
        return tuple(dict.fromkeys(each.name for each in self.rows if each.has_filters))


def layer_table(
    module: nn.Module, example: Tensor, axes: Mapping[Port, Axes] | None = None
) -> LayerTable:
    """Run the network once and list its layers.

    Args:
        module: in eval mode; left as it is.
        example: (1, C, H, W) float32, where the module is.
        axes: of what enters and leaves its layers, where that is known.
    """
    known = axes or {}
    runs = trace(module, example)
    layers = [run for run in runs if run.leaf and run.name]
    rows = tuple(_row(run, known) for run in layers)
    totals = Totals(_parameters([module]), sum(run.macs for run in runs))
    listed = Totals(_parameters([run.module for run in layers]), sum(run.macs for run in layers))
    elsewhere = Totals(totals.parameters - listed.parameters, totals.macs - listed.macs)
    return LayerTable(rows, totals, elsewhere, {run.name: run.reach for run in layers})


def find_convolution(module: nn.Module, name: str) -> nn.Conv2d:
    """The convolution of that name.

    Raises:
        UnknownLayer: there is no such layer.
        InvalidValue: it is not a convolution; the message lists some.
    """
    layer = find_layer(module, name)
    if isinstance(layer, nn.Conv2d):
        return layer
    names = [each for each, kind in module.named_modules() if isinstance(kind, nn.Conv2d)]
    listed = ", ".join(names[:_MAX_LISTED]) or "none: this network has none"
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    allowed = f"a convolution, which a {type(layer).__name__} is not; there are {listed}{more}"
    raise InvalidValue("layer", name, allowed)


def _row(run: LayerRun, known: Mapping[Port, Axes]) -> LayerRow:
    module = run.module
    axes = known.get(Port(run.name))
    output_shape = _of_one(run.output_shape, axes)
    axis = axes.channel(output_shape) if axes else -1
    return LayerRow(
        name=run.name,
        type=type(module).__name__,
        input_shape=_of_one(run.input_shape, known.get(Port(run.name, "input"))),
        output_shape=output_shape,
        parameters=_parameters([module]),
        macs=run.macs,
        has_filters=isinstance(module, nn.Conv2d),
        follows=run.follows,
        receptive_field=_extent(run.reach) if run.reach else None,
        kernel=_sides(module, "kernel_size"),
        stride=_sides(module, "stride"),
        padding=_padding(module),
        dilation=_sides(module, "dilation"),
        groups=getattr(module, "groups", None) if hasattr(module, "kernel_size") else None,
        channel_axis=axis if axis >= 0 else None,
    )


def _of_one(shape: tuple[int, ...], axes: Axes | None) -> tuple[int, ...]:
    """Without the batch axis of one picture; its windows are an axis of their own."""
    batch = axes.batch if axes and axes.batch is not None else 0
    one = len(shape) > batch and shape[batch] == 1
    return shape[:batch] + shape[batch + 1 :] if one else shape


def _extent(reach: Reach) -> tuple[int, int]:
    height, width = (int((each[:, 1] - each[:, 0]).max()) for each in (reach.rows, reach.cols))
    return max(height, 0), max(width, 0)  # of padding alone: nothing


def _parameters(modules: Sequence[nn.Module]) -> int:
    """Each counted once, however many modules share it."""
    found = {id(each): each.numel() for module in modules for each in module.parameters()}
    return sum(found.values())


def _sides(module: nn.Module, name: str) -> tuple[int, ...] | None:
    """A window's measure, one number per axis."""
    value = getattr(module, name, None)
    if value is None or not hasattr(module, "kernel_size"):
        return None
    if isinstance(value, int):
        kind = type(module).__name__
        return (value,) * (1 if "1d" in kind else 3 if "3d" in kind else 2)
    return tuple(map(int, value))


def _padding(module: nn.Module) -> tuple[int, ...] | str | None:
    padding = getattr(module, "padding", None)
    if isinstance(padding, str):
        return padding
    # timm's layers of that name pad when they run, and carry 0.
    return "same" if "2dSame" in type(module).__name__ else _sides(module, "padding")
