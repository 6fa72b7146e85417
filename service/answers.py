"""Results as responses: JSON, NumPy, PNG, JPEG, and their headers."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel
from starlette.responses import Response

from core.gallery.records import Item, Written
from core.types import FloatArray
from service.requests.negotiation import MEDIA_TYPES

APPLIED = "X-Applied-Seq"
"""Header: number of the last change that an answer has seen."""

_NOTHING: Mapping[str, str] = {}


def json_answer(
    schema: BaseModel, status: int = 200, headers: Mapping[str, str] = _NOTHING
) -> Response:
    """The schema as JSON, serialized once, past FastAPI's second validation."""
    return Response(
        schema.model_dump_json(), status, headers=headers, media_type=MEDIA_TYPES["json"]
    )


def npy_answer(array: NDArray[np.generic], headers: Mapping[str, str] = _NOTHING) -> Response:
    """The array as a NumPy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return Response(file.getvalue(), headers=headers, media_type=MEDIA_TYPES["npy"])


def array_answer(body: dict[str, Any], headers: Mapping[str, str] = _NOTHING) -> Response:
    """JSON with arrays in it, written straight from their memory with float32's own digits."""
    content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, headers=headers, media_type=MEDIA_TYPES["json"])


def vector_answer(id: str, vector: FloatArray, headers: Mapping[str, str]) -> Response:
    """An item's vector."""
    return array_answer({"id": id, "dim": len(vector), "vector": vector}, headers)


def png_answer(content: bytes, headers: Mapping[str, str] = _NOTHING) -> Response:
    """A picture."""
    return Response(content, headers=headers, media_type=MEDIA_TYPES["png"])


def jpeg_answer(content: bytes, headers: Mapping[str, str]) -> Response:
    """A thumbnail."""
    return Response(content, headers=headers, media_type="image/jpeg")


def etag(item: Item) -> str:
    """Changes with every change of the item."""
    return f'"{item.version}"'


def applied(written: Written) -> dict[str, str]:
    """What a write's answer says in its head."""
    headers = {APPLIED: str(written.seq), "ETag": etag(written.item)}
    return headers | {"Idempotency-Replayed": "true"} if written.replayed else headers


def unchanged(if_none_match: str | None, tag: str) -> bool:
    """Whether the client has this version already, RFC 9110 section 13.1.2."""
    if if_none_match is None:
        return False
    sent = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return "*" in sent or tag in sent
