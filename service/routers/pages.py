"""Owns the pages for people: the explorer, Swagger UI, ReDoc; every asset comes from here."""

from functools import cache
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)

_EXPLORER = Path(__file__).parent.parent / "explorer"
# The package's only use here is that its wheel carries the assets of both pages.
_DOCS_ASSETS = Path(str(files("fastapi_offline"))) / "static"
_REDOC = "redoc.standalone.js"
_REDOC_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
_OWN_LOGO = b"./assets/explorer/icon.svg"


def add_pages(app: FastAPI) -> None:
    """Add the pages and what they load. Their links are relative: any path prefix works."""
    app.add_route(f"/assets/docs/{_REDOC}", _redoc_script, include_in_schema=False)
    app.mount("/assets/docs", StaticFiles(directory=_DOCS_ASSETS), name="docs-assets")
    app.mount("/assets/explorer", StaticFiles(directory=_EXPLORER), name="explorer-assets")
    app.include_router(router)


@router.get("/")
async def explorer() -> Response:
    """The explorer page."""
    return FileResponse(_EXPLORER / "index.html")


@router.get("/docs")
async def swagger_ui(request: Request) -> HTMLResponse:
    """Swagger UI."""
    return get_swagger_ui_html(
        openapi_url="./openapi.json",
        title=f"{request.app.title} - Swagger UI",
        swagger_js_url="./assets/docs/swagger-ui-bundle.js",
        swagger_css_url="./assets/docs/swagger-ui.css",
        swagger_favicon_url="./assets/explorer/icon.svg",
    )


@router.get("/redoc")
async def redoc(request: Request) -> HTMLResponse:
    """ReDoc."""
    return get_redoc_html(
        openapi_url="./openapi.json",
        title=f"{request.app.title} - ReDoc",
        redoc_js_url=f"./assets/docs/{_REDOC}",
        redoc_favicon_url="./assets/explorer/icon.svg",
        with_google_fonts=False,
    )


async def _redoc_script(_request: Request) -> Response:
    return Response(_offline_redoc(), media_type="text/javascript")


@cache
def _offline_redoc() -> bytes:
    """ReDoc's script, which would fetch a logo from a CDN, with a picture that is here."""
    return (_DOCS_ASSETS / _REDOC).read_bytes().replace(_REDOC_LOGO, _OWN_LOGO)
