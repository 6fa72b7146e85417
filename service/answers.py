"""Owns turning a result into a response's bytes; refuses to choose which form."""

import io

import numpy as np
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
