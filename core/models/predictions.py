"""From a row of logits to probabilities, the most probable classes and their labels."""

import numpy as np

from core.errors import InvalidValue, OutputNotFinite
from core.types import FloatArray, Prediction


def probabilities(logits: FloatArray) -> FloatArray:
    """Softmax over the last axis.

    Args:
        logits: (..., K) float32.

    Returns:
        (..., K) float32, each row summing to 1.
    """
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float64)
    shares: FloatArray = (exponents / exponents.sum(axis=-1, keepdims=True)).astype(np.float32)
    return shares


def top_predictions(
    logits: FloatArray, labels: tuple[str, ...], top_k: int
) -> tuple[Prediction, ...]:
    """The most probable classes, most probable first, ties by class index.

    Args:
        logits: (K,) float32.
        labels: (K,) text of each class.
        top_k: how many, 1 <= top_k <= K.

    Raises:
        InvalidValue: top_k is out of range.
        OutputNotFinite: a logit is NaN or infinite.
    """
    require_top_k(top_k, len(labels))
    require_finite(logits)
    likely = probabilities(logits)
    order = np.argsort(-logits, kind="stable")[:top_k]
    return tuple(prediction(logits, likely, labels, int(index)) for index in order)


def prediction(
    logits: FloatArray, likely: FloatArray, labels: tuple[str, ...], index: int
) -> Prediction:
    """One class of a row whose probabilities are known."""
    return Prediction(index, labels[index], float(likely[index]), float(logits[index]))


def require_top_k(top_k: int, classes: int) -> None:
    """Raise InvalidValue unless 1 <= top_k <= classes."""
    if not 1 <= top_k <= classes:
        raise InvalidValue("top_k", top_k, f"1 to {classes}, the number of classes")


def require_finite(values: FloatArray) -> None:
    """Raise OutputNotFinite if a value is NaN or infinite."""
    if not np.isfinite(values).all():
        raise OutputNotFinite("the network answered NaN or infinity for this picture")
