"""Owns how OpenAPI describes the ways a picture is sent.

Written by hand because three ways share one operation, and with `format: binary`, which Swagger UI
and client generators need for a file, where FastAPI writes `contentMediaType`.
"""

from typing import Any

from service.schemas.problems import Problem

_BINARY = {"type": "string", "format": "binary"}
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


def images_body() -> dict[str, Any]:
    """OpenAPI's `requestBody` of an operation that takes many pictures."""
    return _body({"multipart/form-data": {"schema": _reference("ImagesForm")}})


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}
