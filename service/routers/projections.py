"""Endpoints of projections: start, list, follow, place a picture, delete."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from core.collections.plot import ColorBy, Plot
from core.projection.methods import PROJECTION_METHODS
from service.answers import array_answer, json_answer, png_answer
from service.requests.deps import CallDep, EngineDep, body_of, offers
from service.requests.gallery import SeedDep
from service.requests.grammar import whole_number
from service.schemas.problems import IMAGE, KEYED, OBJECT, problems
from service.schemas.projecting import (
    PlacedPublic,
    ProjectionCreate,
    ProjectionMethodPublic,
    ProjectionMethodsPublic,
    ProjectionPublic,
    ProjectionResultPublic,
    ProjectionsPublic,
    event,
    result_body,
)
from service.schemas.uploads import object_body, seed_body

router = APIRouter(tags=["Projections"])
of_collection = APIRouter(prefix="/v1/collections/{collection}/projections")

_EVENTS = "text/event-stream"
_ONE = problems(*KEYED, 404)
_MAX_WAIT_S = 60


async def wait_s(
    prefer: Annotated[
        str | None,
        Header(description="`wait=N`: answer when it is done, or after N seconds, 1 to 60."),
    ] = None,
) -> int:
    """How long the client would like to wait (RFC 7240), in seconds; 0 = not at all."""
    for preference in (prefer or "").split(","):
        name, _, value = preference.strip().partition("=")
        if name.strip().lower() == "wait":
            allowed = f"wait=1 to wait={_MAX_WAIT_S}, in seconds"
            text = value.strip().strip('"')
            return whole_number("Prefer: wait", text, 1, _MAX_WAIT_S, allowed)
    return 0


async def plot(
    color_by: Annotated[
        ColorBy,
        Query(
            description="In a picture: the label, the predicted class, or how well an item's "
            "neighbors are preserved.",
            examples=["label"],
        ),
    ] = "label",
    thumbnails: Annotated[
        bool,
        Query(
            description="Also the pictures, where they do not cover each other.", examples=[True]
        ),
    ] = False,
    size_px: Annotated[
        int, Query(description="Width of the picture, 300 to 4000.", examples=[900])
    ] = 900,
) -> Plot:
    """How a map is drawn."""
    return Plot(color_by, thumbnails, size_px)


WaitDep = Annotated[int, Depends(wait_s)]
PlotDep = Annotated[Plot, Depends(plot)]
WantedDep = Annotated[BaseModel, Depends(body_of(ProjectionCreate))]


@router.get("/v1/projections", summary="List the projection methods", responses=problems(*KEYED))
async def list_projection_methods() -> ProjectionMethodsPublic:
    """Every way to lay a collection out, with its parameters."""
    rows = PROJECTION_METHODS.values()
    return ProjectionMethodsPublic(methods=[ProjectionMethodPublic.of(each) for each in rows])


@of_collection.post(
    "",
    summary="Lay a collection out",
    status_code=202,
    response_model=ProjectionPublic,
    openapi_extra=object_body(ProjectionCreate),
    responses=problems(*KEYED, *OBJECT, 404, 507)
    | {200: {"model": ProjectionPublic, "description": "It was asked for before, or is done."}},
)
async def create_projection(
    engine: EngineDep, wait_s: WaitDep, collection: str, wanted: WantedDep
) -> Response:
    """Lays all items, or a sample of them, out in two or three dimensions, in the background.

    The same request on unchanged items is answered with the map there is. `Prefer: wait=10` waits
    for a small one.
    """
    parameters = wanted.model_dump(exclude_none=True)
    now, new = await engine.projector.start(collection, parameters, wait_s)
    headers = {"Location": f"/v1/collections/{collection}/projections/{now.stored.id}"}
    if wait_s:
        headers["Preference-Applied"] = f"wait={wait_s}"
    status = 202 if new and not now.ended else 200
    return json_answer(ProjectionPublic.of(now), status, headers)


@of_collection.get("", summary="List projections", response_model=ProjectionsPublic, responses=_ONE)
async def list_projections(engine: EngineDep, collection: str) -> Response:
    """Every projection of a collection, newest first, without its points."""
    found = await engine.projector.list(collection)
    public = ProjectionsPublic(projections=[ProjectionPublic.of(each) for each in found])
    return json_answer(public)


@of_collection.get(
    "/{id}",
    summary="Show a projection",
    response_model=ProjectionResultPublic,
    responses=problems(*KEYED, 404, 406, 409, 504)
    | {
        200: {
            "description": "How far it is and, once it is done, its points; `format=png` or "
            "`Accept: image/png` answers a scatter plot."
        }
    },
)
async def get_projection(
    engine: EngineDep,
    call: CallDep,
    form: Annotated[str, Depends(offers("json", "png"))],
    how: PlotDep,
    collection: str,
    id: str,
) -> Response:
    """The map: every item's place, and how far to trust it."""
    if form == "png":
        return png_answer(await engine.projector.draw(collection, id, how, call))
    now, result = await engine.projector.get(collection, id)
    if result is None:
        return json_answer(ProjectionPublic.of(now))
    return array_answer(result_body(now, result))


@of_collection.get(
    "/{id}/events",
    summary="Follow a projection",
    response_class=StreamingResponse,
    responses=_ONE
    | {
        200: {
            "description": "Server-sent events, named for the status, each with the projection as "
            "JSON, until it has ended.",
            "content": {_EVENTS: {"schema": {"type": "string"}}},
        }
    },
)
async def follow_projection(engine: EngineDep, collection: str, id: str) -> Response:
    """How far it is, as it goes on."""
    changes = await engine.projector.follow(collection, id)
    events = (event(now) async for now in changes)
    return StreamingResponse(events, media_type=_EVENTS, headers={"Cache-Control": "no-store"})


@of_collection.post(
    "/{id}/place",
    summary="Place a picture in a map",
    response_model=PlacedPublic,
    responses=problems(*KEYED, *IMAGE, 404, 409),
    openapi_extra=seed_body(),
)
async def place_image(
    engine: EngineDep,
    call: CallDep,
    _form: Annotated[str, Depends(offers("json"))],
    collection: str,
    id: str,
    seed: SeedDep,
) -> Response:
    """Where a new picture falls, the rest staying put: the same, whatever else is placed.

    Send a picture in any of the three ways, or JSON `{"vector": [...]}` or `{"item": "id"}` for an
    item that was stored since.
    """
    placed = await engine.projector.place(collection, id, seed, call)
    return json_answer(PlacedPublic.of(placed))


@of_collection.delete(
    "/{id}",
    summary="Cancel or delete a projection",
    status_code=204,
    responses=problems(*KEYED, 404, 507),
)
async def delete_projection(engine: EngineDep, collection: str, id: str) -> Response:
    """Ends a projection that is not done; takes one away that is."""
    await engine.projector.remove(collection, id)
    return Response(status_code=204)


router.include_router(of_collection)
