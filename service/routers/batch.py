"""The endpoint that stores many pictures in one request."""

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from service.requests.deps import EngineDep, SettingsDep
from service.requests.gallery import EntriesDep
from service.requests.lines import answer_lines, store_all
from service.schemas.problems import IMAGE, KEYED, problems
from service.schemas.uploads import batch_body, lines_of

router = APIRouter(prefix="/v1/collections/{collection}/items", tags=["Items"])

_LINES = "application/x-ndjson"


@router.post(
    "/batch",
    summary="Store many pictures",
    response_class=StreamingResponse,
    responses=problems(*KEYED, *IMAGE, 404, 409)
    | {
        200: {
            "description": "One line of JSON per picture, in the order sent.",
            "content": {_LINES: lines_of("BatchLine", "What became of each picture")},
        }
    },
    openapi_extra=batch_body(),
)
async def add_items(
    engine: EngineDep, settings: SettingsDep, collection: str, entries: EntriesDep
) -> Response:
    """Stores many pictures; one that fails fails alone, and says why in its own line.

    Send JSON lines (`application/x-ndjson`), each `{"image": "<base64>"}` with `id`, `label` and
    `metadata` if you like: of any number up to 100 000, read no faster than they are stored. Or
    send a form with a field `image` for each picture. The answer begins when all are read.
    """
    tasks = await store_all(engine.curator, collection, entries, settings.deadline_s)
    return StreamingResponse(answer_lines(collection, tasks), media_type=_LINES)
