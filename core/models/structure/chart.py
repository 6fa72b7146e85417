"""Owns what is known of where things are in one network: features, maps, the axes of each port."""

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


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """Where things are in a network.

    Attributes:
        features: where the feature vector is taken.
        features_axes: its axes.
        maps: see `core.models.structure.anatomy.Anatomy`.
        layout: the axes of what enters and leaves each layer that runs.
        why_alone: what is only right where each picture runs by itself, a sentence; empty if
            nothing is.
    """

    features: Port | Operand
    features_axes: Axes
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
    axes = layout.readable(features) if isinstance(features, Port) else None
    if axes is None:
        axes = _axes(module, rows, features, found)
        if said:  # as it was said, or not at all
            layout.taken(said, _captured(module, rows[:1], said), 1)
    why_alone = ""
    if batch.loops:
        why_alone = "layers run more often for more pictures: each picture is run alone"
    elif axes.batch is None:
        why_alone = "its features are not one row for each picture: each picture is run alone"
    maps = [each for each in (found.maps if found else ()) if all(map(layout.readable, each))]
    return Chart(features, axes, tuple(maps), layout, why_alone)


def _anatomy(module: nn.Module, rows: Tensor, batch: Batching) -> Anatomy | None:
    try:
        return anatomy(module, rows, _with_parts(batch))
    except Exception as error:  # the network's own, or torch's: it may run where it is not watched
        _log.info("cannot be watched operator by operator: %s", first_line(error))
        return None


def _layout(batch: Batching, found: Anatomy | None) -> Layout:
    known = found.axes if found else {}
    axes = {
        port: known.get(port) or axes_of(batch.shapes[port], None, (), axis)
        for port, axis in _with_parts(batch).items()
    }
    return Layout(axes, batch.problems)


def _with_parts(batch: Batching) -> dict[Port, int]:
    """Also of the ports whose rows are parts of pictures, such as windows."""
    return {**batch.axes, **{port: 0 for port, problem in batch.problems.items() if not problem}}


def _axes(module: nn.Module, rows: Tensor, features: Port | Operand, found: Anatomy | None) -> Axes:
    """Of features that no layer has a row of for each picture."""
    axis = operand_axis(module, rows, features) if isinstance(features, Operand) else None
    activation = last_seen(_captured(module, rows[:1], features), features.layer)
    known = found.features_axes if found and features == found.features else None
    channels = known.channels if known else None
    if axis is None:
        return replace(axes_of((1, *activation.shape), channels, ()), batch=None)
    return axes_of(activation.shape, channels, (), axis)


def _captured(module: nn.Module, rows: Tensor, port: Port | Operand) -> list[Tensor]:
    with torch.no_grad(), port.captured(module) as seen:
        module(rows.clone())
    return seen
