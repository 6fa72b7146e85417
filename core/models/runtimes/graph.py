"""Cut a converted network in two: first layers that can run on a window, and the rest."""

from dataclasses import dataclass

import numpy as np
import openvino
from openvino import opset13
from openvino.passes import ConstantFolding, Manager

from core.models.runtimes.operations import Operation, Unsupported, is_constant, operation, targets


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first operations of a network, up to where all later ones need a single map.

    Attributes:
        input: the picture's name.
        operations: in order of execution; the last one's output is what the rest needs.
    """

    input: str
    operations: tuple[Operation, ...]

    @property
    def cut(self) -> Operation:
        """The operation whose output the rest of the network starts from."""
        return self.operations[-1]


def folded(model: openvino.Model) -> openvino.Model:
    """A copy in which all that is constant (shapes, paddings) is a constant."""
    copy = model.clone()
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(copy)
    return copy


def beginnings(model: openvino.Model) -> list[Beginning]:
    """Every place where a network can be cut in two, shortest beginning first.

    Args:
        model: folded, one input (B, C, H, W).
    """
    source = model.inputs[0].get_node().get_friendly_name()
    waiting = {source: _readers(model.inputs[0].get_node())}
    operations: list[Operation] = []
    found: list[Beginning] = []
    for node in model.get_ordered_ops():
        if is_constant(node) or node.get_friendly_name() == source:
            continue
        try:
            operations.append(operation(node))
        except Unsupported:
            break
        for name in operations[-1].inputs:
            waiting[name] -= 1
        waiting[operations[-1].name] = _readers(node)
        if sum(map(bool, waiting.values())) == 1:
            found.append(Beginning(source, tuple(operations)))
    return found


def rest(model: openvino.Model, cut: Operation) -> openvino.Model:
    """The network behind a cut, its input (B, C, h, w) what the cut puts out."""
    copy = model.clone()
    node = next(each for each in copy.get_ops() if each.get_friendly_name() == cut.name)
    entry = opset13.parameter([-1, cut.channels, *cut.size], np.float32)
    for reader in list(node.output(0).get_target_inputs()):
        reader.replace_source_output(entry.output(0))
    return openvino.Model(copy.get_results(), [entry], "rest")


# ---- reading nodes ----


def _readers(node: openvino.Node) -> int:
    return sum(map(len, targets(node)))
