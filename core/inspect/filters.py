"""The filters of a convolution and their norms."""

from dataclasses import dataclass

import numpy as np
from torch import nn

from core.inspect.selection import Selection
from core.inspect.table import find_convolution
from core.models.predictions import require_finite
from core.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Filters:
    """Filters of one convolution.

    Attributes:
        layer: the convolution's name.
        shape: (out, in/groups, kh, kw) of all its filters.
        indices: (n,) which of them these are.
        weights: (n, in/groups, kh, kw) float32.
    """

    layer: str
    shape: tuple[int, ...]
    indices: tuple[int, ...]
    weights: FloatArray

    @property
    def norms(self) -> FloatArray:
        """(n,) Euclidean length of each."""
        norms: FloatArray = np.sqrt(np.square(self.weights, dtype=np.float64).sum((1, 2, 3)))
        return norms.astype(np.float32)


def filters(module: nn.Module, layer: str, selection: Selection | None) -> Filters:
    """Filters of a convolution; all of them where none are selected.

    Raises:
        UnknownLayer: no such layer.
        InvalidValue: it is not a convolution, or has no such filter.
        OutputNotFinite: a weight is NaN or infinite.
    """
    weight = find_convolution(module, layer).weight.detach()
    indices = selection.within(len(weight)) if selection else tuple(range(len(weight)))
    weights: FloatArray = weight[list(indices)].float().cpu().contiguous().numpy()
    require_finite(weights)
    return Filters(layer, tuple(weight.shape), indices, weights)
