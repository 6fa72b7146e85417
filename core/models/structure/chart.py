"""`Chart`: the features, the feature maps and the axes of each port of one network."""

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from core.errors import first_line
from core.models.structure.anatomy import Anatomy, Ports, anatomy
from core.models.structure.axes import Axes, axes_of
from core.models.structure.batch import Batching, batching, operand_axis
from core.models.structure.layers import classifier_layer, find_layer, last_seen
from core.models.structure.layout import Layout
from core.models.structure.ports import Operand, Port

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Chart:
    """Where things are in a network.

    Attributes:
        features: where the feature vector is taken.
        features_axes: its axes.
        width: how many features there are.
        maps: see `core.models.structure.anatomy.Anatomy`.
        layout: the axes of what enters and leaves each layer that runs.
        why_alone: what is only right where each picture runs by itself, a sentence; empty if
            nothing is.
    """

    features: Port | Operand
    features_axes: Axes
    width: int
    maps: tuple[Ports, ...]
    layout: Layout
    why_alone: str


def chart(module: nn.Module, rows: Tensor, said: Port | None) -> Chart:
    """Run the network a few times and see.

    Args:
        module: in eval mode; left as it is.
        rows: (B, C, H, W) float32, three or more, where the module is.
        said: where the features are; None = found.

    Raises:
        UnknownLayer: no such layer.
        MethodUnsupported: what is there has no row for each picture.
        ModelUnusable: no features are found.
    """
    if said:
        find_layer(module, said.layer)
    batch = batching(module, rows)
    found = _anatomy(module, rows[: 1 if batch.loops else 2], batch)
    layout = _layout(batch, found)
    if found:
        features: Port | Operand = said or found.features
    else:
        features = said or Port(classifier_layer(module, rows), "input")
    axes = _axes(module, rows, features, found, layout)
    seen = _captured(module, rows, features)
    activation = last_seen(seen, features.layer)
    why_alone = ""
    if axes is None:
        if said:  # as it was said, or not at all
            layout.taken(said, seen, 1)
        axes = _alone(activation, features, found)
        why_alone = (
            "its features are not known to be a row for each picture: each picture is run alone"
        )
    if batch.loops:
        why_alone = "layers run more often for more pictures: each picture is run alone"
    maps = [each for each in (found.maps if found else ()) if all(map(layout.readable, each))]
    vectors = axes.pooled(axes.batch_first(activation), "avg")
    return Chart(
        features=features,
        features_axes=axes,
        width=vectors.shape[1],
        maps=tuple(maps),
        layout=layout,
        why_alone=why_alone,
    )


def _anatomy(module: nn.Module, rows: Tensor, batch: Batching) -> Anatomy | None:
    try:
        return anatomy(module, rows, _with_windows(batch))
    except Exception as error:  # the network's own, or torch's: it may run where it is not watched
        _log.info("cannot be watched operator by operator: %s", first_line(error))
        return None


def _layout(batch: Batching, found: Anatomy | None) -> Layout:
    known = found.axes if found else {}
    axes = {
        port: known.get(port) or axes_of(batch.shapes[port], None, batch=axis)
        for port, axis in _with_windows(batch).items()
    }
    return Layout(axes, batch.problems)


def _with_windows(batch: Batching) -> dict[Port, int]:
    """Also of the ports whose rows are parts of pictures, such as windows."""
    return {**batch.axes, **{port: 0 for port, problem in batch.problems.items() if not problem}}


def _axes(
    module: nn.Module,
    rows: Tensor,
    features: Port | Operand,
    found: Anatomy | None,
    layout: Layout,
) -> Axes | None:
    """Of features that have a row for each picture; None = they are not known to."""
    if isinstance(features, Port):
        return layout.readable(features)
    axis = operand_axis(module, rows, features)
    if axis is None or found is None:
        return None
    return replace(found.features_axes, batch=axis)


def _alone(activation: Tensor, features: Port | Operand, found: Anatomy | None) -> Axes:
    """Of features of one picture that runs alone: all there is, is of it."""
    known = found.features_axes if found and features == found.features else None
    channels = known.channels if known else None
    if len(activation) == 1:
        return axes_of(activation.shape, channels)
    return replace(axes_of((1, *activation.shape), channels), batch=None)


def _captured(module: nn.Module, rows: Tensor, port: Port | Operand) -> list[Tensor]:
    """Of the first picture, alone, whose way leads there."""
    with torch.no_grad(), port.captured(module) as seen:
        for row in rows:
            module(row[None].clone())
            if seen:
                break
    return seen
