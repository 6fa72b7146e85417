"""The explorer, Swagger UI and ReDoc; every asset comes from here."""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from core.render.heat import DIVERGING, SEQUENTIAL, colors_of
from core.render.overlay import BLANK, Drawing
from core.render.palette import EIGHT, OTHER, TWELVE
from core.types import LUMA

_COLORMAPS = (SEQUENTIAL, "viridis", "cividis", "gray", DIVERGING)
router = APIRouter(include_in_schema=False)

_EXPLORER = Path(__file__).parent.parent / "explorer"
# The package's only use here is that its wheel carries the assets of both pages.
_DOCS_ASSETS = Path(str(files("fastapi_offline"))) / "static"
_REDOC = "redoc.standalone.js"
# The explorer needs nothing from elsewhere, no inline script and no style in its markup.
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
_INLINE = re.compile(rb"<script>(.*?)</script>", re.S)
_REDOC_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
_OWN_LOGO = b"./assets/explorer/icon.svg"


class _Fresh(StaticFiles):
    """Files that a browser asks about before it uses its copy, so that an upgrade shows."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """As Starlette's, which knows ETags."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def add_pages(app: FastAPI) -> None:
    """Add the pages and what they load. Their links are relative: any path prefix works."""
    app.add_route(f"/assets/docs/{_REDOC}", _redoc_script, include_in_schema=False)
    app.add_route("/assets/palettes.js", _palettes_script, include_in_schema=False)
    app.mount("/assets/docs", StaticFiles(directory=_DOCS_ASSETS), name="docs-assets")
    app.mount("/assets/explorer", _Fresh(directory=_EXPLORER), name="explorer-assets")
    app.include_router(router)


@router.get("/")
async def explorer(request: Request) -> Response:
    """The explorer page; what it may load and do is said in its head."""
    sent = _sent_path(request)
    if not sent.endswith("/"):  # a prefix without its slash: the links would lead beside it
        return RedirectResponse(f"{sent.rpartition('/')[2]}/")
    return FileResponse(_EXPLORER / "index.html", headers=_headers(_POLICY))


@router.get("/docs")
async def swagger_ui(request: Request) -> Response:
    """Swagger UI."""
    if _sent_path(request).endswith("/"):
        return RedirectResponse("../docs")
    page = get_swagger_ui_html(
        openapi_url="./openapi.json",
        title=f"{request.app.title} - Swagger UI",
        swagger_js_url="./assets/docs/swagger-ui-bundle.js",
        swagger_css_url="./assets/docs/swagger-ui.css",
        swagger_favicon_url="./assets/explorer/icon.svg",
    )
    return _with_policy(page)


@router.get("/redoc")
async def redoc(request: Request) -> Response:
    """ReDoc."""
    if _sent_path(request).endswith("/"):
        return RedirectResponse("../redoc")
    page = get_redoc_html(
        openapi_url="./openapi.json",
        title=f"{request.app.title} - ReDoc",
        redoc_js_url=f"./assets/docs/{_REDOC}",
        redoc_favicon_url="./assets/explorer/icon.svg",
        with_google_fonts=False,
    )
    return _with_policy(page)


def _headers(policy: Mapping[str, str]) -> dict[str, str]:
    """What every page is sent with."""
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }


def _with_policy(page: Response) -> Response:
    """A page of FastAPI's: its inline script by digest, styles and a worker that scripts make."""
    digests = (b64encode(sha256(each).digest()).decode() for each in _INLINE.findall(page.body))
    own = {
        "script-src": " ".join(["'self'", *(f"'sha256-{each}'" for each in digests)]),
        "style-src": "'self' 'unsafe-inline'",
        "worker-src": "blob:",
    }
    page.headers.update(_headers(_POLICY | own))
    return page


def _sent_path(request: Request) -> str:
    """The path as the browser resolves a page's relative links against it."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")


async def _redoc_script(_request: Request) -> Response:
    return Response(_offline_redoc(), media_type="text/javascript")


@cache
def _offline_redoc() -> bytes:
    """ReDoc's script, which would fetch a logo from a CDN, with a picture that is here."""
    return (_DOCS_ASSETS / _REDOC).read_bytes().replace(_REDOC_LOGO, _OWN_LOGO)


async def _palettes_script(_request: Request) -> Response:
    headers = {"Cache-Control": "no-cache"}
    return Response(_palettes(), headers=headers, media_type="text/javascript")


@cache
def _palettes() -> str:
    """The colors of the service's pictures, and how they are drawn, as a module of the explorer."""
    parts = {
        "TABLES": {name: colors_of(name, False).tobytes().hex() for name in _COLORMAPS},
        "SEQUENTIAL": SEQUENTIAL,
        "DIVERGING": DIVERGING,
        "LABELS": (EIGHT, TWELVE),
        "OTHER": bytes(OTHER).hex(),
        "DRAWING": asdict(Drawing()),
        "LUMA": LUMA,
        "BLANK": int(BLANK),
    }
    return "".join(f"export const {name} = {json.dumps(part)};\n" for name, part in parts.items())
