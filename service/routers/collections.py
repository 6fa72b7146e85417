"""Endpoints of collections: create, list, get, delete."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from service.answers import APPLIED, json_answer
from service.requests.deps import CallDep, EngineDep, body_of
from service.requests.gallery import AppliedDep
from service.schemas.gallery import CollectionCreate, CollectionPublic, CollectionsPublic
from service.schemas.problems import KEYED, OBJECT, problems
from service.schemas.uploads import object_body

router = APIRouter(prefix="/v1/collections", tags=["Collections"])


@router.post(
    "",
    summary="Make a collection",
    status_code=201,
    response_model=CollectionPublic,
    responses=problems(*KEYED, *OBJECT, 404, 409, 504, 507),
    openapi_extra=object_body(CollectionCreate),
)
async def create_collection(
    engine: EngineDep,
    call: CallDep,
    wanted: Annotated[CollectionCreate, Depends(body_of(CollectionCreate))],
) -> Response:
    """An empty collection, bound for good to a model's weights, a layer and a metric."""
    made = await engine.curator.create(**wanted.model_dump(), call=call)
    headers = {"Location": f"/v1/collections/{made.spec.name}", APPLIED: str(made.seq)}
    return json_answer(CollectionPublic.of(made), 201, headers)


@router.get(
    "",
    summary="List the collections",
    response_model=CollectionsPublic,
    responses=problems(*KEYED),
)
async def list_collections(engine: EngineDep, seq: AppliedDep) -> Response:
    """Every collection, by name. The one named `default` always exists."""
    found = await engine.curator.collections()
    public = CollectionsPublic(collections=[CollectionPublic.of(each) for each in found])
    return json_answer(public, headers={APPLIED: str(seq)})


@router.get(
    "/{collection}",
    summary="Show one collection",
    response_model=CollectionPublic,
    responses=problems(*KEYED, 404),
)
async def get_collection(engine: EngineDep, seq: AppliedDep, collection: str) -> Response:
    """What a collection is bound to, how many items it holds, and their labels."""
    found, labels = await engine.curator.labeled(collection)
    return json_answer(CollectionPublic.of(found, labels), headers={APPLIED: str(seq)})


@router.delete(
    "/{collection}",
    summary="Delete a collection",
    status_code=204,
    responses=problems(*KEYED, 404, 507),
)
async def delete_collection(engine: EngineDep, collection: str) -> Response:
    """Takes it away with all its items. The one named `default` comes back, empty."""
    seq = await engine.curator.drop(collection)
    return Response(status_code=204, headers={APPLIED: str(seq)})
