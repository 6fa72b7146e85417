"""Refuse query parameters that an endpoint does not have, and numbers that are written oddly.

`?exat=true` must not pass for `exact=false`, nor `k=1_0` for `k=10`. What an endpoint has is read
from the OpenAPI document, so that the contract and the check cannot differ.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI, Request

from core.errors import InvalidValue, shown
from service.requests.grammar import require_number


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise InvalidValue for the first query parameter that the endpoint does not take so."""
    if not request.scope["query_string"]:
        return
    try:
        unquote_to_bytes(request.scope["query_string"]).decode("utf-8")
    except UnicodeDecodeError as error:
        query = request.scope["query_string"].decode("latin-1")
        raise InvalidValue("query", query, "bytes that are UTF-8, percent-encoded") from error
    known = known_parameters(request.app)[request.scope["route"].name]
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise InvalidValue(shown(name)[1:-1], value, _allowed(known))
        if (kind := known[name]) is not None:
            require_number(name, value, kind)


def known_parameters(app: FastAPI) -> dict[str, dict[str, str | None]]:
    """The query parameters of each operation, and which kind of number each is; None = none.

    The first call takes a third of a second.
    """
    known: dict[str, dict[str, str | None]] | None = getattr(app.state, "parameters", None)
    if known is None:
        known = {
            operation["operationId"]: {
                each["name"]: _number_of(each["schema"])
                for each in sorted(operation.get("parameters", ()), key=lambda each: each["name"])
                if each["in"] == "query"
            }
            for operations in app.openapi()["paths"].values()
            for operation in operations.values()
        }
        app.state.parameters = known
    return known


def _number_of(schema: Mapping[str, Any]) -> str | None:
    kinds = {each.get("type") for each in schema.get("anyOf", (schema,))} - {"null"}
    return next((kind for kind in ("integer", "number") if kinds == {kind}), None)


def _allowed(known: Iterable[str]) -> str:
    return (
        f"the parameters here are {', '.join(known)}" if known else "there are no parameters here"
    )
