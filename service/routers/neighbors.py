"""The endpoint that finds the nearest items."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from service.answers import APPLIED, json_answer, png_answer
from service.requests.deps import CallDep, EngineDep, offers
from service.requests.gallery import SearchDep, SeedDep
from service.schemas.neighbors import NeighborsPublic
from service.schemas.problems import IMAGE, KEYED, problems
from service.schemas.uploads import seed_body

router = APIRouter(prefix="/v1/collections/{collection}", tags=["Neighbors"])


@router.post(
    "/neighbors",
    summary="Find the nearest items",
    response_model=NeighborsPublic,
    responses=problems(*KEYED, *IMAGE, 404, 409)
    | {
        200: {
            "description": "Neighbors as JSON; `format=png` or `Accept: image/png` answers a "
            "picture of the query beside them."
        }
    },
    openapi_extra=seed_body(),
)
async def find_neighbors(
    engine: EngineDep,
    call: CallDep,
    form: Annotated[str, Depends(offers("json", "png"))],
    collection: str,
    search: SearchDep,
    seed: SeedDep,
) -> Response:
    """The items nearest to a picture, nearest first.

    Send a picture in any of the three ways, or JSON `{"vector": [...]}` or `{"item": "id"}`; an
    item is not its own neighbor. `space=pixels` compares 32 x 32 pixels instead of what the
    network makes of them, where the collection keeps those.
    """
    found = await engine.finder.nearest(collection, seed, search, call)
    headers = {APPLIED: str(found.neighbors.seq)}
    if form == "png":
        return png_answer(await engine.finder.draw(found, call), headers)
    return json_answer(NeighborsPublic.of(found), headers=headers)
