"""Checks of a network's layers: activations, pooled vectors, the layer table."""

from torch import Tensor

from benchmarks.networks.cells import Cell, compared, worst
from benchmarks.networks.references import by_channel
from benchmarks.networks.subject import Subject
from core.inspect.activations import Channels, activations
from core.models.structure.axes import Pool
from core.models.structure.ports import Port


def channels(subject: Subject) -> Cell:
    cells = {}
    for layer in (subject.network.inner, subject.network.cam):
        theirs = by_channel(subject.outputs[layer.name], layer.axes)
        batch = subject.model.to_device(subject.rows[:1])
        port, known = Port(layer.name), subject.model.known_axes
        found = activations(subject.model.module, batch, port, known, Channels())
        cells[f"means of {layer.name}"] = compared(found.means, theirs.mean(1))
        cells[f"maxima of {layer.name}"] = compared(found.maxima, theirs.amax(1))
    return worst(cells)


def vectors(subject: Subject) -> Cell:
    layer = subject.network.inner
    theirs = by_channel(subject.outputs[layer.name], layer.axes)
    pools: dict[Pool, Tensor] = {"avg": theirs.mean(1), "max": theirs.amax(1)}
    return worst(
        {
            f"{pool} of {layer.name}": compared(
                subject.model.layer_vectors(subject.rows[:1], Port(layer.name), pool)[0], theirs
            )
            for pool, theirs in pools.items()
        }
    )


def multiply_adds(subject: Subject) -> Cell:
    ours: dict[str, list[int]] = {}
    for row in subject.table.rows:
        ours.setdefault(row.name, []).append(row.macs)
    for name, counts in subject.reference.layers_multiply_adds(subject.row).items():
        if ours.get(name) != counts:
            return Cell("wrong", "a layer's", f"{name}: {ours.get(name)}, not {counts}")
    expected, total = subject.reference.multiply_adds(subject.row), subject.table.totals.macs
    if total != expected:
        return Cell("wrong", f"{total / 1e9:.2f} G", f"not {expected / 1e9:.2f} G")
    return Cell("ok", f"{total / 1e9:.2f} G")


def parameters(subject: Subject) -> Cell:
    expected = sum(each.numel() for each in subject.reference.module.parameters())
    total = subject.table.totals.parameters
    listed = sum({row.name: row.parameters for row in subject.table.rows}.values())
    if total != expected or listed + subject.table.elsewhere.parameters != expected:
        return Cell("wrong", f"{total}", f"{listed} listed, {total} in all, not {expected}")
    return Cell("ok", f"{total / 1e6:.1f} M")
