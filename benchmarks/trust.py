"""How far to trust explanations: adaptive against exact occlusion, and mosaics of two classes."""

import numpy as np
import torch
from scipy.stats import spearmanr
from skimage.transform import resize
from torch import Tensor

from benchmarks.photos import arrays
from core.explain.cam import grad_cam
from core.explain.gradients import input_gradients
from core.explain.integrated import IntegratedGradients, integrated_gradients
from core.explain.objective import ClassObjective
from core.explain.occlusion import Occlusion, occlude
from core.explain.saliency import Saliency
from core.explain.steps import exhaust
from core.models.loaded import LoadedModel
from core.types import FloatArray, Pixels


def _crops(count: int) -> list[Pixels]:
    """Seeded crops of the photos."""
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        whole = arrays()[number % len(arrays())]
        height, width = (int(side * random.uniform(0.5, 1)) for side in whole.shape[:2])
        top = random.integers(0, whole.shape[0] - height + 1)
        left = random.integers(0, whole.shape[1] - width + 1)
        found.append(np.ascontiguousarray(whole[top : top + height, left : left + width]))
    return found


def adaptive_ranks(model: LoadedModel) -> list[list[str]]:
    """Rank correlation of adaptive to exact occlusion over 20 photos."""
    maps, scores, forwards = [], [], 0
    for pixels in _crops(20):
        view = model.spec.preprocess.view(pixels)
        exact = exhaust(occlude(model, view, Occlusion()))
        fast = exhaust(occlude(model, view, Occlusion(mode="adaptive")))
        maps.append(spearmanr(exact.values.ravel(), fast.values.ravel())[0])
        scores.append(spearmanr(exact.score_map.ravel(), fast.score_map.ravel())[0])
        forwards = fast.forwards
    return [
        [f"per-pixel map ({forwards} of 170 forwards)", f"{np.mean(maps):.3f}", f"{min(maps):.3f}"],
        ["score_map, window by window", f"{np.mean(scores):.3f}", f"{min(scores):.3f}"],
    ]


def mosaics(model: LoadedModel, count: int) -> list[list[str]]:
    """Mean share of the positive mass that lies on the quadrants of the class explained."""
    height, width = model.spec.preprocess.height, model.spec.preprocess.width
    tiles = [
        (resize(pixels, (height // 2, width // 2), anti_aliasing=True) * 255).astype(np.uint8)
        for pixels in arrays()
    ]
    whole = torch.stack([model.spec.preprocess(pixels) for pixels in arrays()])
    tops = model.runtime(whole).logits.argmax(1)
    random = np.random.default_rng(1)
    shares: dict[str, list[float]] = {}
    for _ in range(count):
        first, second = random.choice(len(tiles), 2, replace=False)
        layout = random.permutation([True, True, False, False]).reshape(2, 2)
        rows = [
            np.concatenate([tiles[first if of_first else second] for of_first in row], axis=1)
            for row in layout
        ]
        mosaic = np.concatenate(rows, axis=0)
        view = torch.from_numpy(mosaic).permute(2, 0, 1)
        inside = np.kron(layout, np.ones((height // 2, width // 2), bool))
        for name, values in _maps(model, view, int(tops[first])).items():
            positive = np.clip(values, 0, None)
            shares.setdefault(name, []).append(
                float(positive[inside].sum() / max(positive.sum(), 1e-12))
            )
    return [
        [name, f"{np.mean(each):.2f}", f"{np.median(each):.2f}"] for name, each in shares.items()
    ]


def _maps(model: LoadedModel, view: Tensor, target: int) -> dict[str, FloatArray]:
    row = model.spec.preprocess.normalize(view)[None]
    (plain,) = input_gradients(model, row, [ClassObjective(target)])
    (guided,) = input_gradients(model, row, [ClassObjective(target)], "guided")
    return {
        "occlusion": exhaust(occlude(model, view, Occlusion(), target)).values,
        "grad-cam": grad_cam(model, row, [target], model.maps)[0].values,
        "integrated-gradients": exhaust(
            integrated_gradients(model, view, IntegratedGradients(), target)
        ).values,
        "saliency": Saliency()(plain.gradient),
        "guided-backprop": Saliency()(guided.gradient),
    }
