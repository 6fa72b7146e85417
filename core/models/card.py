"""Owns what a client may know of a loaded model; refuses to know how it is served."""

from core.models.loaded import LoadedModel
from core.types import ModelCard


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
