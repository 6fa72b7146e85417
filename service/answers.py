"""Owns turning a result into a response's bytes; refuses to choose which form."""

import io
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel
from starlette.responses import Response

from service.negotiation import MEDIA_TYPES


def json_answer(schema: BaseModel) -> Response:
    """The schema as JSON, serialised once, past FastAPI's second validation."""
    return Response(schema.model_dump_json(), media_type=MEDIA_TYPES["json"])


def npy_answer(array: NDArray[np.generic]) -> Response:
    """The array as a NumPy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return Response(file.getvalue(), media_type=MEDIA_TYPES["npy"])


def array_answer(body: dict[str, Any]) -> Response:
    """JSON with arrays in it, written straight from their memory with float32's own digits."""
    content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, media_type=MEDIA_TYPES["json"])


def png_answer(content: bytes) -> Response:
    """A picture."""
    return Response(content, media_type=MEDIA_TYPES["png"])
