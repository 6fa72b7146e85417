"""`Served`: the loaded models by name, and the cards that clients may see."""

from core.compute.bridge import Bridge
from core.errors import UnknownModel
from core.models.loaded import LoadedModel
from core.types import ModelCard


class Served:
    """The models in memory, by name, in the order in which they were loaded.

    Args:
        bridge: knows whether they are loaded yet.
        default: the model used when a request names none.
    """

    def __init__(self, bridge: Bridge, default: str) -> None:
        self.default = default
        self._bridge = bridge
        self._models: dict[str, LoadedModel] = {}
        self._cards: dict[str, ModelCard] = {}

    def add(self, model: LoadedModel, explanations: tuple[str, ...]) -> ModelCard:
        """Serve a model, once all are loaded.

        Args:
            explanations: names of the methods that apply to it.
        """
        name = model.spec.name
        self._models[name] = model
        self._cards[name] = card(model, explanations, default=name == self.default)
        return self._cards[name]

    def model(self, name: str | None = None) -> LoadedModel:
        """A served model; None = the default.

        Raises:
            NotReady: models are still loading.
            UnknownModel: it is not served.
        """
        return self._models[self.card(name).name]

    def card(self, name: str | None = None) -> ModelCard:
        """What a client may know of a served model; None = of the default.

        Raises:
            NotReady: models are still loading.
            UnknownModel: it is not served.
        """
        self._bridge.require_loaded()
        name = name or self.default
        if name not in self._cards:
            raise UnknownModel(name, list(self._cards))
        return self._cards[name]

    def cards(self) -> list[ModelCard]:
        """Every served model, in the order configured.

        Raises:
            NotReady: models are still loading.
        """
        self._bridge.require_loaded()
        return list(self._cards.values())

    def classes(self, name: str, text: str = "") -> list[tuple[int, str]]:
        """Index and label of the model's classes whose label holds the text, ignoring case.

        Raises:
            UnknownModel: it is not served.
        """
        labels = self.model(name).spec.labels
        wanted = text.casefold()
        return [(i, label) for i, label in enumerate(labels) if wanted in label.casefold()]


def card(model: LoadedModel, explanations: tuple[str, ...], *, default: bool) -> ModelCard:
    """The model's card.

    Args:
        explanations: names of the methods that apply.
        default: whether it is used when a request names none.
    """
    channels, height, width = model.spec.input_shape
    return ModelCard(
        name=model.spec.name,
        default=default,
        channels=channels,
        height=height,
        width=width,
        num_classes=model.num_classes,
        feature_layer=model.features.layer,
        feature_at=model.features.at,
        feature_dim=model.feature_dim,
        runtime=model.runtime.name,
        runtime_note=model.runtime_note,
        device=str(model.device),
        digest=model.digest,
        explanations=explanations,
        notes=model.notes,
    )
