"""What a body may hold: the schema that reads it is the one that OpenAPI shows.

The request bodies are put together by hand because three ways share one operation, and with
`format: binary`, which Swagger UI and client generators need for a file, where FastAPI writes
`contentMediaType`.
"""

import binascii
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final

from pydantic import BaseModel, Discriminator, FailFast, Field, RootModel, Tag
from pydantic.json_schema import models_json_schema

from core.collections.drafts import Draft
from core.collections.finder import ImageSeed, ItemSeed, Seed, VectorSeed
from core.errors import InvalidValue
from core.types import ImageFile
from service.schemas.base import AS_SENT
from service.schemas.gallery import CollectionCreate, ItemPatch
from service.schemas.problems import Problem
from service.schemas.projecting import ProjectionCreate

FILE_FIELD: Final = "image"
"""The only field of a form; it holds a file."""

_BINARY = {"type": "string", "format": "binary"}
_REF = "#/components/schemas/{model}"
# Line ends that some encoders write, and the two letters of the alphabet that is safe in URLs.
_SPACE = b" \t\r\n"
_AS_STANDARD_BASE64 = bytes.maketrans(b"-_", b"+/")
PIECE_CHARS: Final = 2**20  # decoded in 5 ms, during which nothing else runs

_OBJECTS: tuple[type[BaseModel], ...] = (CollectionCreate, ItemPatch, ProjectionCreate)


class _Upload(BaseModel):
    """JSON in a body that may also be a picture."""

    model_config = AS_SENT


class ImageUpload(_Upload):
    """A picture as JSON."""

    image: str = Field(description="base64, or a data: URI.", examples=["/9j/4AAQSkZJRg..."])

    def content(self) -> bytes:
        """The file.

        Raises:
            InvalidValue: it is not base64.
        """
        return from_base64(self.image)


class VectorQuery(_Upload):
    """A search for what is near a point."""

    vector: Annotated[list[float], FailFast()]


class ItemQuery(_Upload):
    """A search for what is near a stored item."""

    item: str = Field(examples=["chelsea"])


def _only_name(fields: object) -> object:
    return next(iter(fields)) if isinstance(fields, Mapping) and len(fields) == 1 else None


_SEEDS = Discriminator(
    _only_name,
    custom_error_type="seed",
    custom_error_message='Input should be an object {"image": "<base64 or data: URI>"} or '
    '{"vector": [0.1, ...]} or {"item": "<id>"}',
)


class SeedUpload(
    RootModel[
        Annotated[
            Annotated[ImageUpload, Tag("image")]
            | Annotated[VectorQuery, Tag("vector")]
            | Annotated[ItemQuery, Tag("item")],
            _SEEDS,
        ]
    ]
):
    """What to find neighbors of, as JSON."""

    def seed(self, bits: int | None) -> Seed:
        """What the engine is asked for.

        Raises:
            InvalidValue: a picture that is not base64, or bits without a picture.
        """
        if isinstance(self.root, ImageUpload):
            return ImageSeed(ImageFile(self.root.content(), bits))
        if bits is not None:
            raise InvalidValue("bits", bits, "only together with a picture")
        if isinstance(self.root, ItemQuery):
            return ItemSeed(self.root.item)
        return VectorSeed(self.root.vector)


class BatchItem(ImageUpload):
    """One line of application/x-ndjson."""

    id: str | None = Field(None, examples=["chelsea"])
    label: str | None = Field(None, examples=["cat"])
    metadata: dict[str, Any] | None = Field(None, examples=[{"source": "camera 2"}])

    def draft(self, shared: Draft) -> Draft:
        """What is said of the picture; what is left out is as said of all.

        Raises:
            InvalidValue: the id, the label or the metadata cannot be kept.
        """
        return replace(
            shared,
            id=self.id,
            label=self.label or shared.label,
            metadata=shared.metadata if self.metadata is None else self.metadata,
        )


def components() -> dict[str, Any]:
    """The schemas that hand-written parts of the document refer to."""
    kinds: tuple[type[BaseModel], ...] = (ImageUpload, VectorQuery, ItemQuery, BatchItem, Problem)
    _, found = models_json_schema([(kind, "validation") for kind in kinds], ref_template=_REF)
    return {
        **found["$defs"],
        **{each.__name__: _without_nulls(each) for each in _OBJECTS},
        "ImageForm": _form("ImageForm", _BINARY),
        "ImagesForm": _form("ImagesForm", {"type": "array", "items": _BINARY}),
    }


def image_body() -> dict[str, Any]:
    """OpenAPI's `requestBody` of an operation that takes one picture."""
    return _one_picture(_reference("ImageUpload"))


def seed_body() -> dict[str, Any]:
    """OpenAPI's `requestBody` of a search: a picture, a vector or an item."""
    return _one_picture({"oneOf": SeedUpload.model_json_schema(ref_template=_REF)["oneOf"]})


def object_body(schema: type[BaseModel]) -> dict[str, Any]:
    """OpenAPI's `requestBody` of an operation that takes JSON of one schema."""
    return _body({"application/json": {"schema": _reference(schema.__name__)}})


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


def _without_nulls(schema: type[BaseModel]) -> dict[str, Any]:
    """A schema whose clients leave out what they do not mean: null may mean something else."""
    found = schema.model_json_schema(ref_template=_REF)
    for each in found["properties"].values():
        if each.get("default", each) is None:
            del each["default"]
    return found


def from_base64(text: str, piece_chars: int = PIECE_CHARS) -> bytes:
    """The bytes of base64 in either alphabet, with padding or without (RFC 4648, sections 4, 5).

    Args:
        text: base64, or a data: URI.
        piece_chars: decoded at a time.

    Raises:
        InvalidValue: it is not base64.
    """
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise InvalidValue("image", head, "data:image/...;base64,...")
    try:
        return b"".join(_decoded(text, piece_chars))
    except ValueError as error:  # also binascii's, and letters that are not ASCII
        raise InvalidValue("image", text, f"base64 ({error})") from error


def _decoded(text: str, piece_chars: int) -> Iterator[bytes]:
    """The bytes of base64, a piece at a time.

    Raises:
        ValueError: it is not base64.
    """
    rest = b""
    for start in range(0, len(text), piece_chars):
        piece = text[start : start + piece_chars].encode("ascii")
        letters = rest + piece.translate(_AS_STANDARD_BASE64, _SPACE)
        # The last group waits: only behind the last piece may there be padding.
        whole = (len(letters) - 1) // 4 * 4
        rest = letters[whole:]
        if whole > 0:
            yield _groups(letters[:whole])
    if not rest.endswith(b"="):
        rest += b"=" * (-len(rest) % 4)
    yield binascii.a2b_base64(rest, strict_mode=True)


def _groups(letters: bytes) -> bytes:
    if b"=" in letters:
        raise ValueError("Discontinuous padding not allowed")
    return binascii.a2b_base64(letters, strict_mode=True)


def _one_picture(as_json: dict[str, Any]) -> dict[str, Any]:
    return _body(
        {
            "multipart/form-data": {"schema": _reference("ImageForm")},
            "application/octet-stream": {"schema": _BINARY},
            "application/json": {"schema": as_json},
        }
    )


def _form(title: str, image: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": title,
        "type": "object",
        "required": [FILE_FIELD],
        "properties": {FILE_FIELD: image},
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}
