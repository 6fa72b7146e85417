"""Endpoints of health and metrics."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response

from core import __version__
from service.requests.deps import CallDep, EngineDep
from service.schemas.models import HealthPublic
from service.schemas.problems import problems

router = APIRouter(tags=["Operations"])


@router.get("/health", include_in_schema=False)
@router.get("/health/live", summary="Is the process alive?", responses=problems())
async def live(engine: EngineDep) -> HealthPublic:
    """200 as long as the process answers at all; restart it when this fails. Also at `/health`."""
    return HealthPublic(status="live", version=__version__, models=list(engine.config.models))


@router.get("/health/ready", summary="Can it take work?", responses=problems(504))
async def ready(engine: EngineDep, call: CallDep) -> HealthPublic:
    """200 once a tiny picture went through decoding, queue and forward of every model.

    It does so on each call, before all others; where all is busy and that takes longer, one of the
    last five seconds tells. 503 while models load, and while shutting down.
    """
    await engine.probe(call)
    return HealthPublic(status="ready", version=__version__, models=list(engine.config.models))


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=PlainTextResponse,
    responses=problems(),
)
async def metrics(engine: EngineDep) -> Response:
    """Counts and times of requests, tickets, batches, decoding and forwards."""
    text = generate_latest(engine.metrics.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
