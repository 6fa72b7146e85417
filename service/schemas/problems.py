"""The schema of an error's answer, and which statuses an operation lists."""

from typing import Any

from pydantic import BaseModel, Field

from service.errors import PROBLEM_TYPE


class WrongValue(BaseModel):
    """One parameter that was refused."""

    parameter: str = Field(examples=["top_k"])
    value: str = Field(examples=["0"])
    message: str = Field(examples=["allowed: 1 to 1000, the number of classes"])


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Entity"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["top_k=0 is not allowed: 1 to 1000, the number of classes"])
    code: str = Field(description="For programs to match on.", examples=["invalid_value"])
    request_id: str = Field(examples=["5f2c8a90d1e34b67"])
    errors: list[WrongValue] | None = Field(None, description="The parameters that were refused.")


_MEANING = {
    400: "The request cannot be read: not HTTP, two Host headers, a body that is empty, cut off or "
    "not what its header says, a damaged picture.",
    401: "An API key is needed.",
    403: "The API key may not call.",
    404: "No such model, class, layer, collection or item.",
    406: "None of the forms asked for can be made.",
    409: "What is stored does not allow it: a name or id that is taken, the same bytes, another "
    "model.",
    408: "The headers or the body took too long to arrive.",
    412: "The item has changed since you saw it.",
    413: "Too many bytes or pixels.",
    415: "Not a picture we take, or not sent in a way we take.",
    421: "The service does not go by the name in Host; the answer says how it would.",
    422: "A parameter's value is not allowed; the answer names it and what is.",
    431: "The request's line and headers are too long.",
    500: "Something went wrong on our side; the request id leads to it in the log.",
    503: "Full, still loading, shutting down, or what is stored is out of reach; Retry-After says "
    "when to come back.",
    504: "The deadline (X-Deadline-Ms) passed.",
    507: "No space on the disk; nothing was changed.",
}

KEYED = (401, 403)
IMAGE = (406, 413, 415, 504)
OBJECT = (413, 415, 504)
_EVERY = (400, 408, 421, 422, 431, 500, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for these statuses and those every operation can have."""
    return {
        status: {"description": _MEANING[status], "content": {PROBLEM_TYPE: {"schema": _SCHEMA}}}
        for status in sorted({*statuses, *_EVERY})
    }


_SCHEMA = {"$ref": "#/components/schemas/Problem"}
