"""Checks of a network's outputs: logits, features, occlusion; one by one or batched."""

from typing import Final

import numpy as np
import torch

from benchmarks.networks.cells import Cell, compared, worst
from benchmarks.networks.gradients import FLIPPED
from benchmarks.networks.subject import Subject
from core.explain.gradients import input_gradients
from core.explain.objective import ClassObjective
from core.explain.occlusion import Occlusion
from core.explain.relu import Rule
from core.models.structure.ports import Port

_RESOLVED: Final = 2.0**-22


def logits(subject: Subject) -> Cell:
    return compared(subject.model.runtime(subject.rows[:1]).logits[0], subject.logits)


def features(subject: Subject) -> Cell:
    network, reference = subject.network, subject.reference
    if network.head_layer:
        theirs = reference.entering(subject.row, network.head_layer)
    else:
        theirs = reference.features(subject.row, network.head)
    return compared(subject.model.runtime(subject.rows[:1]).features[0], theirs)


def occlusion(subject: Subject) -> Cell:
    target = subject.ranked[0]
    side_px = subject.row.shape[2]
    window = side_px // 4
    starts = sorted({*range(0, side_px - window + 1, window), side_px - window})
    found = subject.found(Occlusion((window, window), (window, window)), target)
    scores = found.extras["score_map"]
    if scores.shape != (len(starts), len(starts)):
        return Cell("wrong", "grid", f"{scores.shape} windows, not {len(starts)} x {len(starts)}")
    drops = found.extras["baseline"] - scores
    hidden = subject.filled(subject.view.double().mean((1, 2)))
    baseline = float(subject.logits.softmax(0)[target])
    middle = len(starts) // 2
    ours, theirs = [], []
    least = _RESOLVED * baseline  # what float32 tells apart in the probability
    for row, col in ((0, 0), (middle, middle - 1), (len(starts) - 1, middle)):
        box = starts[row], starts[col], window, window
        theirs.append(baseline - subject.reference.probability(subject.row, target, hidden, box))
        ours.append(drops[row, col])
    total, windows = np.zeros((2, side_px, side_px))
    for row, top in enumerate(starts):
        for col, left in enumerate(starts):
            total[top : top + window, left : left + window] += drops[row, col]
            windows[top : top + window, left : left + window] += 1
    return worst(
        {
            "windows": compared(ours, theirs, least=least),
            "map": compared(found.values, total / windows, least=least),
        }
    )


def batch(subject: Subject) -> Cell:
    model, rows = subject.model, subject.rows
    together, port = model.runtime(rows), Port(subject.network.inner.name)
    alone = [model.runtime(row[None]) for row in rows]
    cells = {
        "logits": compared(together.logits, np.concatenate([each.logits for each in alone])),
        "features": compared(together.features, np.concatenate([each.features for each in alone])),
        "vectors": compared(
            model.layer_vectors(rows, port, "avg"),
            np.concatenate([model.layer_vectors(row[None], port, "avg") for row in rows]),
        ),
    }
    if model.rows_at_once > 1:
        cells |= _batch_of_gradients(subject)
    return worst(cells)


def _batch_of_gradients(subject: Subject) -> dict[str, Cell]:
    model, rows = subject.model, subject.rows
    targets = [ClassObjective(each) for each in subject.ranked[:2]]
    rules: list[Rule | None] = [None]
    if "guided-backprop" in subject.explanations:
        rules.append("guided")
    cells = {}
    for rule in rules:
        together = input_gradients(model, rows, targets, rule)
        alone = [
            input_gradients(model, row[None], [target], rule)[0]
            for row, target in zip(rows, targets, strict=True)
        ]
        for number in range(2):
            cells[f"gradient {number}, {rule}"] = compared(
                together[number].gradient, alone[number].gradient, FLIPPED
            )
    return cells


def unchanged(subject: Subject) -> Cell:
    before = subject.reference.module.state_dict()
    for name, tensor in subject.model.module.state_dict().items():
        if not torch.equal(tensor.double(), before[name].double()):
            return Cell("wrong", "weights", f"{name} has changed")
    for name, layer in subject.model.module.named_modules():
        if layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks:
            return Cell("wrong", "hook", f"one is left on {name}")
        if layer.training:
            return Cell("wrong", "training", name)
    for name, weight in subject.model.module.named_parameters():
        if weight.requires_grad or weight.grad is not None:
            return Cell("wrong", "gradient", f"left on {name}")
    return Cell("ok", "ok")
