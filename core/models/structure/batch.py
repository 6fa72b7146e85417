"""The batch axis of what enters and leaves each layer, measured with two and three pictures."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from core.errors import ModelUnusable
from core.models.structure.layers import first_tensor, removed
from core.models.structure.ports import Operand, Port

Shape = tuple[int, ...]

_FEWER: Final = 2
_MORE: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class Batching:
    """Where the pictures are at each port of a network that runs.

    Attributes:
        axes: which axis has as many entries as there are pictures.
        problems: of the ports that have no such axis: what they have instead, after their name.
        shapes: of all of them, for two pictures.
        loops: whether a layer runs more often for more pictures: once for each, perhaps.
    """

    axes: Mapping[Port, int]
    problems: Mapping[Port, str]
    shapes: Mapping[Port, Shape]
    loops: bool


def batching(module: nn.Module, rows: Tensor) -> Batching:
    """Run the network on two pictures and on three, and see which axis follows.

    Lengths alone say nothing: of 8 tokens and 8 pictures, (8, 8, D), either may come first.

    Args:
        module: in eval mode; no hook remains on it, also after an error.
        rows: (B, C, H, W) float32, three or more, where the module is.
    """
    fewer, more = (_run(module, rows[-count:]) for count in (_FEWER, _MORE))
    axes: dict[Port, int] = {}
    problems: dict[Port, str] = {}
    loops = False
    for port in {**fewer, **more}:
        runs = fewer.get(port), more.get(port)
        if runs[0] is None or runs[1] is None or runs[0].count != runs[1].count:
            loops = True
            if all(run is None or run.shape[:1] == (1,) for run in runs):
                axes[port] = 0
            continue
        found = batch_axis(runs[0].shape, runs[1].shape)
        if isinstance(found, int):
            axes[port] = found
        else:
            problems[port] = found
    return Batching(axes, problems, {port: run.shape for port, run in fewer.items()}, loops)


def operand_axis(module: nn.Module, rows: Tensor, operand: Operand) -> int | None:
    """The same of what a network multiplies with weights; None = no axis follows."""
    shapes = []
    for count in (_FEWER, _MORE):
        with torch.no_grad(), operand.captured(module) as seen:
            module(rows[-count:].clone())
        if len(seen) != 1:
            return None
        shapes.append(tuple(seen[0].shape))
    found = batch_axis(*shapes)
    return found if isinstance(found, int) else None


def batch_axis(fewer: Shape, more: Shape) -> int | str:
    """Which axis follows the number of pictures, or what there is instead.

    Args:
        fewer: of an activation of two pictures.
        more: of three.

    Returns:
        The axis; or "" where its rows are parts of pictures, or copies; or else a sentence's end.
    """
    if fewer == more:
        return f"has the shape {fewer} for any number of pictures: it does not run on them"
    if len(fewer) == len(more):
        grown = [axis for axis, sizes in enumerate(zip(fewer, more, strict=True))
                 if sizes[0] != sizes[1]]  # fmt: skip
        if len(grown) == 1 and (fewer[grown[0]], more[grown[0]]) == (_FEWER, _MORE):
            return grown[0]
        if grown == [0] and fewer[0] * _MORE == more[0] * _FEWER:
            return ""
    return f"has the shape {fewer} for 2 pictures and {more} for 3: no axis is theirs alone"


def mixes(module: nn.Module, port: Port, axis: int, batches: Sequence[Tensor]) -> bool:
    """Whether what is at a port for the first picture depends on the others of its batch.

    Args:
        module: in eval mode.
        port: whose batch axis this is.
        axis: which.
        batches: two, (B, C, H, W) each, whose first picture alone is the same.
    """
    found = []
    for rows in batches:
        with torch.no_grad(), port.captured(module) as seen:
            module(rows)
        found.append(seen[-1].select(axis, 0).double())
    scale = float(found[0].abs().nan_to_num().max()) if found[0].numel() else 0.0
    same = found[0].shape == found[1].shape and torch.allclose(
        found[0], found[1], rtol=0, atol=_SAME * scale, equal_nan=True
    )
    return not same


_SAME: Final = 1e-4
"""Of the largest value. The same picture in as large a batch takes the same kernels."""


@dataclass(slots=True, eq=False)
class _Last:
    """The last of a port's runs in one forward, and how many there were."""

    shape: Shape = ()
    count: int = 0


def _run(module: nn.Module, rows: Tensor) -> dict[Port, _Last]:
    found: dict[Port, _Last] = {}

    def note(port: Port, value: object) -> None:
        try:
            shape = tuple(first_tensor(value).shape)
        except ModelUnusable:  # it has no tensor, and is no port
            return
        run = found.setdefault(port, _Last())
        run.shape, run.count = shape, run.count + 1

    def enters(name: str) -> Any:
        def enter(_module: nn.Module, inputs: Any, named: Mapping[str, Any]) -> None:
            note(Port(name, "input"), (*inputs, *named.values()))

        return enter

    def leaves(name: str) -> Any:
        return lambda _module, _inputs, output: note(Port(name, "output"), output)

    with torch.no_grad(), ExitStack() as hooks:
        for name, layer in module.named_modules():
            if name:
                before = layer.register_forward_pre_hook(enters(name), with_kwargs=True)
                hooks.enter_context(removed(before))
                hooks.enter_context(removed(layer.register_forward_hook(leaves(name))))
        module(rows.clone())
    return found
