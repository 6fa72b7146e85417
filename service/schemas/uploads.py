"""OpenAPI of request bodies: the ways a picture is sent.

Written by hand because three ways share one operation, and with `format: binary`, which Swagger UI
and client generators need for a file, where FastAPI writes `contentMediaType`.
"""

from typing import Any

from service.schemas.problems import Problem

_BINARY = {"type": "string", "format": "binary"}
_BATCH_ITEM: dict[str, Any] = {
    "title": "BatchItem",
    "description": "One line of application/x-ndjson.",
    "type": "object",
    "required": ["image"],
    "properties": {
        "id": {"type": "string", "examples": ["chelsea"]},
        "label": {"type": "string", "examples": ["cat"]},
        "metadata": {"type": "object", "examples": [{"source": "camera 2"}]},
    },
}
_REF = "#/components/schemas/{model}"


def _form(title: str, image: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": title,
        "type": "object",
        "required": ["image"],
        "properties": {"image": image},
    }


def components() -> dict[str, Any]:
    """The schemas that hand-written parts of the document refer to."""
    problem = Problem.model_json_schema(ref_template=_REF)
    text = {
        "type": "string",
        "description": "base64, or a data: URI.",
        "examples": ["/9j/4AAQSkZJRg..."],
    }
    return {
        **problem.pop("$defs", {}),
        "Problem": problem,
        "ImageForm": _form("ImageForm", _BINARY),
        "ImagesForm": _form("ImagesForm", {"type": "array", "items": _BINARY}),
        "ImageUpload": _form("ImageUpload", text),
        "VectorQuery": {
            "title": "VectorQuery",
            "type": "object",
            "required": ["vector"],
            "properties": {"vector": {"type": "array", "items": {"type": "number"}}},
        },
        "ItemQuery": {
            "title": "ItemQuery",
            "type": "object",
            "required": ["item"],
            "properties": {"item": {"type": "string", "examples": ["chelsea"]}},
        },
        "BatchItem": _BATCH_ITEM | {"properties": _BATCH_ITEM["properties"] | {"image": text}},
    }


def image_body() -> dict[str, Any]:
    """OpenAPI's `requestBody` of an operation that takes one picture."""
    return _body(
        {
            "multipart/form-data": {"schema": _reference("ImageForm")},
            "application/octet-stream": {"schema": _BINARY},
            "application/json": {"schema": _reference("ImageUpload")},
        }
    )


def seed_body() -> dict[str, Any]:
    """OpenAPI's `requestBody` of a search: a picture, a vector or an item."""
    kinds = [_reference(name) for name in ("ImageUpload", "VectorQuery", "ItemQuery")]
    return _body(
        {
            "multipart/form-data": {"schema": _reference("ImageForm")},
            "application/octet-stream": {"schema": _BINARY},
            "application/json": {"schema": {"anyOf": kinds}},
        }
    )


def batch_body() -> dict[str, Any]:
    """OpenAPI's `requestBody` of a batch: a form of many pictures, or a JSON object per line."""
    return _body(
        {
            "multipart/form-data": {"schema": _reference("ImagesForm")},
            "application/x-ndjson": lines_of("BatchItem", "A line of JSON per picture"),
        }
    )


def lines_of(name: str, text: str) -> dict[str, Any]:
    """OpenAPI's description of JSON lines, each of that schema; 3.1 has no word for them."""
    return {"schema": _BINARY | {"description": f"{text}."}, "x-line-schema": _reference(name)}


def images_body() -> dict[str, Any]:
    """OpenAPI's `requestBody` of an operation that takes many pictures."""
    return _body({"multipart/form-data": {"schema": _reference("ImagesForm")}})


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}
