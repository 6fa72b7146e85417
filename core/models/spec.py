"""`ModelSpec`: all there is to know of a model before its network exists."""

import difflib
from dataclasses import dataclass

from core.errors import InvalidValue, ModelUnusable, TargetOutOfRange
from core.models.outputs import Activation
from core.models.preprocess import Preprocessing
from core.models.structure.ports import At


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model's name, its input and the text of its classes.

    Attributes:
        name: what clients call it.
        preprocess: the way from a picture to its input.
        labels: (K,) text of each class, by class index.
        feature_layer: name of the layer where the feature vector is; None = found by running the
            network: what is multiplied with weights to give the logits.
        feature_at: whether the features enter or leave that layer.
        activation: what the network ends with; None = guessed when it is loaded.
        notes: what an operator may want to know of how it was made, a sentence each.

    Raises:
        ModelUnusable: there are no labels.
    """

    name: str
    preprocess: Preprocessing
    labels: tuple[str, ...]
    feature_layer: str | None = None
    feature_at: At = "input"
    activation: Activation | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.labels:
            raise ModelUnusable(f"model {self.name!r} has no class labels")

    def class_index(self, text: str) -> int:
        """The class of that index, or of exactly that label.

        Raises:
            TargetOutOfRange: there is no class of that index.
            InvalidValue: no class, or more than one, has that label.
        """
        if text.isascii() and text.lstrip("-").isdecimal():
            index = int(text[:20])
            if not 0 <= index < len(self.labels):
                raise TargetOutOfRange("target", index, f"0 to {len(self.labels) - 1}")
            return index
        found = [index for index, label in enumerate(self.labels) if label == text]
        if len(found) == 1:
            return found[0]
        if found:
            raise InvalidValue("target", text, f"one of the classes {found}, by index")
        close = difflib.get_close_matches(text[:80], self.labels, n=3)
        hint = f", such as {', '.join(close)}" if close else ""
        raise InvalidValue(
            "target", text, f"0 to {len(self.labels) - 1}, or a label's exact text{hint}"
        )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one input."""
        return (self.preprocess.channels, self.preprocess.height, self.preprocess.width)
