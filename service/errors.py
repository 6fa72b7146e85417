"""The table from errors to HTTP answers (RFC 9457)."""

import http
import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from core import errors as core_errors
from core.errors import InvalidValue, RequestUnreadable, SeethroughError, Unavailable, shown
from service.logs import request_id

_log = logging.getLogger("seethrough")

PROBLEM_TYPE = "application/problem+json"


class BodyTooSlow(SeethroughError):
    """The body took longer to arrive than it may."""


class BodyTooLarge(SeethroughError):
    """The body is longer than it may be."""


class MediaTypeUnsupported(SeethroughError):
    """The body is of a kind this endpoint does not take."""


class NotAcceptable(SeethroughError):
    """None of the forms the client accepts can be made."""


class KeyMissing(SeethroughError):
    """The request carries no API key, and one is needed."""


class KeyRefused(SeethroughError):
    """The API key is not one of those that may call."""


class OriginRefused(SeethroughError):
    """Pages of that origin may not call."""


class HostRefused(SeethroughError):
    """The request addresses another host."""


class HeadTooLarge(SeethroughError):
    """The request's line and headers are longer than they may be."""


class HeadTooSlow(SeethroughError):
    """The request's line and headers took longer to arrive than they may."""


class TooManyConnections(Unavailable):
    """As many connections are open as may be."""


class ClientGone(SeethroughError):
    """The client hung up before its request was complete; nobody will read the answer."""


class Answer(NamedTuple):
    """How an error is answered: HTTP status, and a code that programs can match on."""

    status: int
    code: str


TABLE: Mapping[type[SeethroughError], Answer] = {
    core_errors.RequestUnreadable: Answer(400, "request_unreadable"),
    core_errors.ImageRefused: Answer(400, "image_refused"),
    core_errors.ImageCorrupt: Answer(400, "image_corrupt"),
    core_errors.ImageUnsupported: Answer(415, "image_unsupported"),
    core_errors.ImageTooLarge: Answer(413, "image_too_large"),
    core_errors.InvalidValue: Answer(422, "invalid_value"),
    core_errors.TargetOutOfRange: Answer(422, "target_out_of_range"),
    core_errors.CostTooHigh: Answer(422, "cost_too_high"),
    core_errors.MethodUnsupported: Answer(422, "method_unsupported"),
    core_errors.UnknownName: Answer(404, "unknown_name"),
    core_errors.UnknownModel: Answer(404, "unknown_model"),
    core_errors.UnknownLayer: Answer(404, "unknown_layer"),
    core_errors.UnknownCollection: Answer(404, "unknown_collection"),
    core_errors.UnknownInCollection: Answer(404, "unknown_in_collection"),
    core_errors.UnknownItem: Answer(404, "unknown_item"),
    core_errors.UnknownProjection: Answer(404, "unknown_projection"),
    core_errors.Conflict: Answer(409, "conflict"),
    core_errors.VersionMismatch: Answer(412, "version_mismatch"),
    core_errors.ModelMismatch: Answer(409, "model_mismatch"),
    core_errors.RecordDamaged: Answer(500, "record_damaged"),
    core_errors.StorageFull: Answer(507, "storage_full"),
    core_errors.GalleryUnusable: Answer(500, "gallery_unusable"),
    core_errors.SettingsUnreadable: Answer(500, "settings_unreadable"),
    core_errors.NotYetApplied: Answer(503, "not_yet_applied"),
    core_errors.Unavailable: Answer(503, "unavailable"),
    core_errors.NotReady: Answer(503, "not_ready"),
    core_errors.QueueFull: Answer(503, "queue_full"),
    core_errors.MemoryFull: Answer(503, "memory_full"),
    core_errors.Draining: Answer(503, "draining"),
    core_errors.StorageUnusable: Answer(503, "storage_unusable"),
    core_errors.DeadlinePassed: Answer(504, "deadline_passed"),
    core_errors.OutputNotFinite: Answer(422, "output_not_finite"),
    core_errors.ModelUnusable: Answer(500, "model_unusable"),
    core_errors.WeightsUnavailable: Answer(500, "weights_unavailable"),
    BodyTooSlow: Answer(408, "body_too_slow"),
    BodyTooLarge: Answer(413, "body_too_large"),
    MediaTypeUnsupported: Answer(415, "media_type_unsupported"),
    NotAcceptable: Answer(406, "not_acceptable"),
    KeyMissing: Answer(401, "key_missing"),
    KeyRefused: Answer(403, "key_refused"),
    OriginRefused: Answer(403, "origin_refused"),
    HostRefused: Answer(421, "host_refused"),
    HeadTooLarge: Answer(431, "head_too_large"),
    HeadTooSlow: Answer(408, "head_too_slow"),
    TooManyConnections: Answer(503, "too_many_connections"),
    ClientGone: Answer(499, "client_gone"),
    SeethroughError: Answer(500, "internal_error"),
}

INTERNAL = Answer(500, "internal_error")
_MOST_WRONG = 20
_INTERNAL_TEXT = "Something went wrong on our side; the request id helps to find it in the log."


def answer_of(error: BaseException) -> Answer:
    """The row of the error's nearest ancestor; whatever has none is an internal error."""
    for ancestor in type(error).__mro__:
        if ancestor in TABLE:
            return TABLE[ancestor]
    return INTERNAL


def problem_of(error: BaseException) -> dict[str, Any]:
    """The body of an error's answer. The text of an unexpected error stays in the log."""
    answer = answer_of(error)
    if answer == INTERNAL:
        return _body(answer, _INTERNAL_TEXT)
    wrong = None
    if isinstance(error, InvalidValue):
        wrong = [
            {
                "parameter": error.parameter,
                "value": shown(error.value),
                "message": f"allowed: {error.allowed}",
            }
        ]
    return _body(answer, str(error), wrong)


def refusal(error: ValidationError, whole: str, fields: Iterable[str]) -> SeethroughError:
    """What pydantic found wrong first in JSON, said as the engine says it.

    Args:
        error: of `model_validate_json`.
        whole: what was read, where no field of it is to blame: "body".
        fields: that it may have.
    """
    known = f"the fields here are {', '.join(fields)}"
    count = error.error_count()
    if count > _MOST_WRONG:  # each would become an object
        return InvalidValue(whole, f"{count} wrong fields", known)
    found = error.errors(include_url=False)
    # A misspelt name is missing under the right one, too.
    each = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    value, allowed = each["input"], each["msg"].removeprefix("Input should be ")
    match each["type"]:
        case "json_invalid":
            return RequestUnreadable(f"the {whole} is not JSON: {each['ctx']['error']}")
        case "missing":
            return InvalidValue(whole, _names(value), f"an object with {each['loc'][-1]!r}")
        case "model_type":
            allowed = f"an object; {known}"
        case "extra_forbidden":
            allowed = known
    return InvalidValue(_parameter(each["loc"]) or whole, _names(value), allowed)


def _parameter(loc: tuple[int | str, ...]) -> str:
    """The field that is wrong, as `vector[3]`; empty where it is the whole."""
    name = ""
    for each in loc:
        name = f"{name}[{each}]" if isinstance(each, int) else each
    return name


def _names(value: object) -> object:
    """The value; of an object, which may be long, the names of its fields."""
    return (sorted(value)[:5] or value) if isinstance(value, dict) else value


def respond(error: BaseException) -> Response:
    """The HTTP answer to an error, with Retry-After or Connection: close where they belong."""
    headers = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    if isinstance(error, BodyTooSlow | core_errors.Draining):
        headers["Connection"] = "close"
    if isinstance(error, KeyMissing):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MediaTypeUnsupported):
        headers["Accept-Encoding"] = "identity"
    return _problem(answer_of(error).status, problem_of(error), headers)


def add_handlers(app: FastAPI) -> None:
    """Make the application answer every error as a problem."""
    app.add_exception_handler(SeethroughError, _on_known)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)


async def _on_known(request: Request, error: Exception) -> Response:
    if isinstance(error, Unavailable):
        request.app.state.engine.metrics.shed.labels(answer_of(error).code).inc()
    if answer_of(error).status >= 500 and not isinstance(error, Unavailable):
        _log.warning("%s: %s", type(error).__name__, error)
    return respond(error)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    wrong = [
        {
            "parameter": _parameter(each["loc"]),
            "value": shown(each.get("input")),
            "message": str(each["msg"]),
        }
        for each in cast(RequestValidationError, error).errors()
    ]
    names = ", ".join(f"{each['parameter']}={each['value']}" for each in wrong)
    body = _body(TABLE[InvalidValue], f"not allowed: {names}", wrong)
    return _problem(422, body)


async def _on_http(request: Request, error: Exception) -> Response:
    error = cast(HTTPException, error)
    status = http.HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_").replace("-", "_")
    detail = {
        404: f"there is nothing at {shown(request.url.path)}; /docs lists what there is",
        405: f"{request.method} is not allowed here; allowed: {(error.headers or {}).get('Allow')}",
    }.get(error.status_code, error.detail)
    return _problem(status, _body(Answer(status, code), detail), error.headers)


def _body(answer: Answer, detail: str, wrong: list[dict[str, str]] | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": http.HTTPStatus(answer.status).phrase if answer.status != 499 else "Client Gone",
        "status": answer.status,
        "detail": detail,
        "code": answer.code,
        "request_id": request_id.get(),
    }
    return body | {"errors": wrong} if wrong else body


def _problem(
    status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse(body, status, headers=headers, media_type=PROBLEM_TYPE)
