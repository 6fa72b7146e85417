"""Owns `ModelSpec`: all there is to know of a model before its network exists."""

from dataclasses import dataclass

from core.errors import ModelUnusable
from core.models.preprocess import Preprocessing


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model's name, its input and the text of its classes.

    Attributes:
        name: what clients call it.
        preprocess: the way from a picture to its input.
        labels: (K,) text of each class, by class index.
        feature_layer: name of the layer whose input is the feature vector; None = found by
            running the network: its last linear layer.

    Raises:
        ModelUnusable: there are no labels.
    """

    name: str
    preprocess: Preprocessing
    labels: tuple[str, ...]
    feature_layer: str | None = None

    def __post_init__(self) -> None:
        if not self.labels:
            raise ModelUnusable(f"model {self.name!r} has no class labels")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one input."""
        return (self.preprocess.channels, self.preprocess.height, self.preprocess.width)
