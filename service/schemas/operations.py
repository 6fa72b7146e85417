"""The schema of health."""

from pydantic import Field

from service.schemas.base import Schema


class HealthPublic(Schema):
    """How the service is."""

    status: str = Field(examples=["ready"])
    version: str = Field(examples=["0.1.0"])
    models: list[str] = Field(examples=[["efficientnet-lite0"]])
