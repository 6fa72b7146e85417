"""`create_app`: puts engine, routers, error handlers and pages together; nothing at import."""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute

from core import __version__
from core.engine import Engine
from service.addressing import Addressing
from service.edge import Edge
from service.errors import add_handlers
from service.hosts import Hosts
from service.requests.deps import KeyGuard
from service.requests.strictness import known_parameters, refuse_unknown_parameters
from service.routers import (
    batch,
    collections,
    explaining,
    inspecting,
    items,
    models,
    neighbors,
    operations,
    pages,
    projections,
    seeing,
)
from service.schemas.gallery import line_components
from service.schemas.uploads import components
from service.settings import Settings

_log = logging.getLogger("seethrough")

_GUARDED = (
    models,
    seeing,
    inspecting,
    explaining,
    collections,
    batch,
    items,
    neighbors,
    projections,
)

_DESCRIPTION = """
Puts a trained image classifier behind HTTP and shows what the network sees.

**Pictures** go in as the raw body (the fast path), as `multipart/form-data` in the field `image`,
or as JSON `{"image": "<base64 or data: URI>"}`; options are query parameters. **Errors** are
`application/problem+json` with a `code` to match on. **Every answer** carries `X-Request-ID` and
`Server-Timing`; a request may carry `X-Request-ID` and a deadline in `X-Deadline-Ms`.
"""


def create_app(
    settings: Settings | None = None,
    engine: Engine | None = None,
    on_failure: Callable[[BaseException], None] | None = None,
) -> FastAPI:
    """The ASGI application.

    Args:
        settings: None = read from the environment.
        engine: None = a local one, made of the settings.
        on_failure: called when the engine cannot start; the service then never becomes ready.
    """
    settings = settings or Settings()
    engine = engine or Engine(settings.engine_config())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # In the background, so that /health/live answers while models load.
        start = asyncio.create_task(_start(app, engine, on_failure))
        yield
        start.cancel()
        with suppress(asyncio.CancelledError):
            await start
        if not await engine.close(settings.drain_timeout_s):
            _log.error("the worker did not end within %g s", settings.drain_timeout_s)

    app = FastAPI(
        title="Seethrough",
        version=__version__,
        description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        # Asked for with each request, whether there is any: a tenth of what a request costs here.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        generate_unique_id_function=_operation_id,
    )
    app.state.settings = settings
    app.state.engine = engine
    app.add_middleware(
        Edge,
        metrics=engine.metrics,
        hosts=Hosts(settings.host, settings.allowed_hosts),
        stall_timeout_s=settings.stall_timeout_s,
        origins=settings.cors_origins,
    )
    app.add_middleware(
        Addressing, prefix=settings.root_path, trusted_proxies=settings.trusted_proxies
    )
    add_handlers(app)
    guards = [Depends(KeyGuard()), Depends(refuse_unknown_parameters)]
    for api in _GUARDED:
        app.include_router(api.router, dependencies=guards)
    app.include_router(operations.router)
    pages.add_pages(app)
    _describe(app)
    return app


async def _start(
    app: FastAPI, engine: Engine, on_failure: Callable[[BaseException], None] | None
) -> None:
    began = time.perf_counter()
    try:
        # The OpenAPI document is read while models load.
        await asyncio.gather(engine.start(), asyncio.to_thread(known_parameters, app))
    except Exception as error:  # the edge of a background task: nobody else would ever see it
        _log.error("cannot start: %s", error, exc_info=on_failure is None)
        if on_failure is not None:
            on_failure(error)
        return
    # What loading leaves behind (torch alone brings a million objects) is never garbage: without
    # this, each full collection walks all of it while requests wait.
    gc.collect()
    gc.freeze()
    names = ", ".join(f"{card.name} ({card.runtime})" for card in engine.models.cards())
    _log.info("ready after %.1f s: %s", time.perf_counter() - began, names)


def _operation_id(route: APIRoute) -> str:
    return route.name


def _describe(app: FastAPI) -> None:
    """Give the OpenAPI document the schemas that only hand-written parts refer to."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        document = generated()
        schemas = document["components"]["schemas"]
        schemas |= components() | line_components()
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
