"""Schemas of what is served: models, their classes, and the service itself."""

from pydantic import Field

from core.types import ModelCard
from service.schemas.base import Schema


class InputPublic(Schema):
    """Size of a model's input."""

    channels: int = Field(examples=[3])
    height: int = Field(examples=[224])
    width: int = Field(examples=[224])


class ModelPublic(Schema):
    """A served model."""

    name: str = Field(examples=["efficientnet-lite0"])
    default: bool = Field(description="Whether it is used when a request names none.")
    input: InputPublic
    num_classes: int = Field(examples=[1000])
    feature_layer: str = Field(
        description="The layer where the feature vector is.", examples=["classifier"]
    )
    feature_at: str = Field(
        description="Whether it enters (`input`) or leaves (`output`) that layer, or is multiplied "
        "with weights in its forward (`product`).",
        examples=["input"],
    )
    feature_dim: int = Field(examples=[1280])
    runtime: str = Field(
        description="What runs forwards that need no gradient.", examples=["openvino"]
    )
    runtime_note: str = Field(
        description="Why the runtime is not the preferred one; empty when it is.", examples=[""]
    )
    device: str = Field(examples=["cpu"])
    digest: str = Field(description="Of the weights.", examples=["sha256:1753a5a7…"])
    explanations: list[str] = Field(description="Explanation methods that apply.", examples=[[]])
    notes: list[str] = Field(
        description="What was found or done when it was loaded, a sentence each.", examples=[[]]
    )

    @classmethod
    def of(cls, card: ModelCard) -> "ModelPublic":
        """The card as clients see it."""
        names = cls.model_fields.keys() - {"input"}
        size = InputPublic(channels=card.channels, height=card.height, width=card.width)
        return cls(input=size, **{name: getattr(card, name) for name in names})


class ModelsPublic(Schema):
    """Every served model."""

    models: list[ModelPublic]


class ClassPublic(Schema):
    """One class of a model."""

    index: int = Field(examples=[281])
    label: str = Field(examples=["tabby"])


class ClassesPublic(Schema):
    """Classes of a model, by index."""

    classes: list[ClassPublic]


class HealthPublic(Schema):
    """How the service is."""

    status: str = Field(examples=["ready"])
    version: str = Field(examples=["0.1.0"])
    models: list[str] = Field(examples=[["efficientnet-lite0"]])
