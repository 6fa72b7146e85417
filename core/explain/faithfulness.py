"""Deletion and insertion: how the probability follows as pixels go or come in a map's order."""

import numpy as np
import torch
from torch import Tensor

from core.explain.fill import filled
from core.explain.steps import Steps
from core.models.loaded import LoadedModel
from core.models.predictions import probabilities, require_finite
from core.types import Faithfulness, FloatArray

STEPS = 16


def faithfulness(
    model: LoadedModel, view: Tensor, values: FloatArray, target: int
) -> Steps[Faithfulness]:
    """Delete and insert pixels in the map's order, in 16 steps each.

    Deleted pixels become the picture's mean color; insertion starts from the blurred picture.

    Args:
        model: whose compiled forward is run.
        view: (C, H, W) uint8.
        values: (H, W), larger = more important; ties by position.
        target: the class whose probability is followed.

    Source: Petsiuk et al. 2018 (RISE), arXiv:1806.07421, section 4.
    """
    normalize = model.spec.preprocess.normalize
    row, gone, start = (
        normalize(each).to(model.device)
        for each in (view, filled(view, "mean"), filled(view, "blur"))
    )
    rank = np.empty(values.size, dtype=np.int64)
    rank[np.argsort(-values.ravel(), kind="stable")] = np.arange(values.size)
    order = torch.from_numpy(rank.reshape(values.shape)).to(model.device)
    curves: list[list[float]] = [[], []]
    for curve, (chosen, other) in zip(curves, ((gone, row), (row, start)), strict=True):
        for first in range(0, STEPS + 1, model.rows_at_once):
            yield (len(curves[0]) + len(curves[1])) / (2 * STEPS + 2)
            steps = range(first, min(first + model.rows_at_once, STEPS + 1))
            rows = [
                torch.where(order < step * values.size / STEPS, chosen, other) for step in steps
            ]
            logits = model.runtime(torch.stack(rows)).logits
            require_finite(logits)
            curve.extend(map(float, probabilities(logits)[:, target]))
    deletion, insertion = (float(np.trapezoid(curve, dx=1 / STEPS)) for curve in curves)
    return Faithfulness(deletion, insertion)
