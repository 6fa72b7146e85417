"""Endpoints of items: store, list, get, change, delete."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import Response

from core.gallery.records import Remove
from service.answers import (
    APPLIED,
    applied,
    etag,
    jpeg_answer,
    json_answer,
    npy_answer,
    unchanged,
    vector_answer,
)
from service.requests.deps import CallDep, EngineDep, ImageDep, body_of, offers
from service.requests.gallery import (
    AppliedDep,
    DraftDep,
    DraftOfDep,
    IfMatchDep,
    LabelFilter,
)
from service.schemas.gallery import (
    ItemPatch,
    ItemPublic,
    ItemsPublic,
    ItemStored,
    VectorPublic,
    status_of,
)
from service.schemas.problems import IMAGE, KEYED, OBJECT, problems
from service.schemas.uploads import image_body, object_body

router = APIRouter(prefix="/v1/collections/{collection}/items", tags=["Items"])

_IfNoneMatch = Annotated[
    str | None, Header(description="The ETag you have; 304 if it is still that.")
]
_ONE = problems(*KEYED, 404)
_WRITE = problems(*KEYED, 404, 412, 507)
_STORE = problems(*KEYED, *IMAGE, 404, 409, 412, 507)


@router.post(
    "",
    summary="Store a picture",
    status_code=201,
    response_model=ItemStored,
    responses=_STORE | {200: {"model": ItemStored, "description": "A stored one was replaced."}},
    openapi_extra=image_body(),
)
async def add_item(
    engine: EngineDep,
    call: CallDep,
    _form: Annotated[str, Depends(offers("json"))],
    collection: str,
    draft: DraftDep,
    file: ImageDep,
) -> Response:
    """Stores a picture with its feature vector; 201 means that it is on disk.

    Every later search finds it. An id that is taken is refused (409); PUT replaces.
    """
    stored = await engine.curator.add(collection, file, draft, call)
    return json_answer(
        ItemStored.stored(collection, stored),
        status_of(stored.written),
        applied(stored.written) | {"Location": _place(collection, stored.written.item.id)},
    )


@router.get("", summary="List items", response_model=ItemsPublic, responses=_ONE)
async def list_items(
    engine: EngineDep,
    seq: AppliedDep,
    collection: str,
    label: LabelFilter = None,
    q: Annotated[
        str | None,
        Query(
            max_length=200,
            description="Only items with this text in id, label or predicted label, ignoring case.",
            examples=["cat"],
        ),
    ] = None,
    cursor: Annotated[
        str | None, Query(max_length=200, description="`next_cursor` of the page before.")
    ] = None,
    limit: Annotated[int, Query(description="Items on a page, 1 to 1000.", examples=[50])] = 50,
) -> Response:
    """Items in the order in which they were first stored, a page at a time."""
    page = await engine.curator.items(collection, label=label, text=q, cursor=cursor, limit=limit)
    return json_answer(ItemsPublic.of(page), headers={APPLIED: str(seq)})


# An id may hold slashes, so what follows an id is matched first.
@router.get(
    "/{id:path}/thumbnail",
    summary="An item's thumbnail",
    response_class=Response,
    responses=_ONE
    | {
        200: {
            "description": "A JPEG file of at most 320 px.",
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        },
        304: {"description": "The one you have is still right."},
    },
)
async def get_thumbnail(
    engine: EngineDep, seq: AppliedDep, collection: str, id: str, if_none_match: _IfNoneMatch = None
) -> Response:
    """The picture, made small."""
    item, thumbnail = await engine.curator.thumbnail(collection, id)
    headers = {APPLIED: str(seq), "ETag": f'"{item.number}"', "Cache-Control": "no-cache"}
    if unchanged(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return jpeg_answer(thumbnail, headers)


@router.get(
    "/{id:path}/vector",
    summary="An item's vector",
    response_model=VectorPublic,
    responses=_ONE
    | {200: {"description": "As JSON; `format=npy` answers a NumPy file, (D,) float32."}},
)
async def get_vector(
    engine: EngineDep,
    seq: AppliedDep,
    form: Annotated[str, Depends(offers("json", "npy"))],
    collection: str,
    id: str,
) -> Response:
    """Where the picture lies in feature space."""
    vector = await engine.curator.vector(collection, id)
    headers = {APPLIED: str(seq)}
    return npy_answer(vector, headers) if form == "npy" else vector_answer(id, vector, headers)


@router.get(
    "/{id:path}",
    summary="Show one item",
    response_model=ItemPublic,
    responses=_ONE | {304: {"description": "The one you have is still right."}},
)
async def get_item(
    engine: EngineDep, seq: AppliedDep, collection: str, id: str, if_none_match: _IfNoneMatch = None
) -> Response:
    """What is known of a stored picture."""
    item = await engine.curator.item(collection, id)
    headers = {APPLIED: str(seq), "ETag": etag(item)}
    if unchanged(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return json_answer(ItemPublic.of(item), headers=headers)


@router.put(
    "/{id:path}",
    summary="Store a picture under an id",
    response_model=ItemStored,
    responses=_STORE | {201: {"model": ItemStored, "description": "The id was not taken."}},
    openapi_extra=image_body(),
)
async def put_item(
    engine: EngineDep,
    call: CallDep,
    _form: Annotated[str, Depends(offers("json"))],
    collection: str,
    draft: DraftOfDep,
    file: ImageDep,
) -> Response:
    """Stores a picture under this id, in place of what was there: label and metadata too."""
    stored = await engine.curator.add(collection, file, draft, call)
    return json_answer(
        ItemStored.stored(collection, stored),
        status_of(stored.written),
        applied(stored.written),
    )


@router.patch(
    "/{id:path}",
    summary="Change label or metadata",
    response_model=ItemPublic,
    responses=_WRITE | problems(*OBJECT),
    openapi_extra=object_body(ItemPatch),
)
async def patch_item(
    engine: EngineDep,
    collection: str,
    id: str,
    change: Annotated[ItemPatch, Depends(body_of(ItemPatch))],
    if_match: IfMatchDep,
) -> Response:
    """Changes what is said of a picture; the picture and what is left out stay."""
    written = await engine.curator.patch(change.patch(collection, id, if_match))
    return json_answer(ItemPublic.of(written.item), headers=applied(written))


@router.delete("/{id:path}", summary="Delete an item", status_code=204, responses=_WRITE)
async def delete_item(
    engine: EngineDep, collection: str, id: str, if_match: IfMatchDep
) -> Response:
    """Takes a picture out; no later search finds it."""
    written = await engine.curator.remove(Remove(collection, id, if_match=if_match))
    return Response(status_code=204, headers={APPLIED: str(written.seq)})


def _place(collection: str, id: str) -> str:
    return f"/v1/collections/{collection}/items/{quote(id)}"
