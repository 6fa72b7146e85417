"""Schemas of pictures, classes and feature vectors."""

from pydantic import Field

from core.errors import SeethroughError
from core.types import Classification, FeatureVector
from service.errors import answer_of, problem_of
from service.schemas.base import Schema
from service.schemas.problems import Problem


class ImagePublic(Schema):
    """The picture as it was received."""

    format: str = Field(examples=["JPEG"])
    width: int = Field(examples=[451])
    height: int = Field(examples=[300])
    mode: str = Field(description="Pillow's name of the pixel layout.", examples=["RGB"])
    bits: int | None = Field(
        description="Of samples deeper than 8 bits: how many were taken to mean something; null "
        "where they are not deeper, or are stretched from their smallest to their largest.",
        examples=[None],
    )
    orientation: int = Field(description="EXIF orientation, 1 to 8.", examples=[1])
    frames: int = Field(description="Frames in the file; the first is used.", examples=[1])
    sha256: str = Field(description="Of the bytes received.", examples=["9d8c3a…"])


class PredictionPublic(Schema):
    """One class."""

    class_index: int = Field(examples=[282])
    label: str = Field(examples=["tiger cat"])
    probability: float = Field(description="Softmax over all classes.", examples=[0.4127])
    logit: float = Field(description="The network's raw output.", examples=[8.531])


class ClassificationPublic(Schema):
    """The most probable classes, most probable first."""

    model: str = Field(examples=["efficientnet-lite0"])
    predictions: list[PredictionPublic]
    image: ImagePublic


class FileResult(Schema):
    """What became of one of many pictures."""

    name: str = Field(description="The file's name as sent.", examples=["chelsea.jpg"])
    status: int = Field(description="The status it would have had alone.", examples=[200])
    classification: ClassificationPublic | None = None
    problem: Problem | None = None

    @classmethod
    def of(cls, name: str, result: Classification | SeethroughError) -> "FileResult":
        """One picture's result, good or bad."""
        if isinstance(result, SeethroughError):
            problem = Problem.model_validate(problem_of(result))
            return cls(name=name, status=answer_of(result).status, problem=problem)
        return cls(
            name=name, status=200, classification=ClassificationPublic.model_validate(result)
        )


class ClassifyManyPublic(Schema):
    """One result per picture, in the order sent."""

    results: list[FileResult]


class FeatureVectorPublic(Schema):
    """A picture's features."""

    model: str = Field(examples=["efficientnet-lite0"])
    layer: str = Field(examples=["classifier"])
    at: str = Field(
        description="Whether the vector enters (`input`) or leaves (`output`) that layer, or is "
        "multiplied with weights in its forward (`product`).",
        examples=["input"],
    )
    pool: str = Field(examples=["avg"])
    dim: int = Field(examples=[1280])
    vector: list[float] = Field(examples=[[0.0, 0.1312, 0.0417]])
    image: ImagePublic

    @classmethod
    def of(cls, features: FeatureVector) -> "FeatureVectorPublic":
        """The engine's result as clients see it."""
        return cls(
            model=features.model,
            layer=features.layer,
            at=features.at,
            pool=features.pool,
            dim=len(features.vector),
            vector=features.vector.tolist(),
            image=ImagePublic.model_validate(features.image),
        )
