"""Refuse query parameters that an endpoint does not have.

`?exat=true` must not pass for `exact=false`. What an endpoint has is read from the OpenAPI
document, so that the contract and the check cannot differ.
"""

from urllib.parse import unquote_to_bytes

from fastapi import FastAPI, Request

from core.errors import InvalidValue, shown


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise InvalidValue for the first query parameter that the endpoint does not have."""
    if not request.scope["query_string"]:
        return
    try:
        unquote_to_bytes(request.scope["query_string"]).decode("utf-8")
    except UnicodeDecodeError as error:
        query = request.scope["query_string"].decode("latin-1")
        raise InvalidValue("query", query, "bytes that are UTF-8, percent-encoded") from error
    known = known_parameters(request.app)[request.scope["route"].name]
    for name in request.query_params:
        if name not in known:
            raise InvalidValue(shown(name)[1:-1], request.query_params[name], _allowed(known))


def known_parameters(app: FastAPI) -> dict[str, list[str]]:
    """The query parameters of each operation; the first call takes a third of a second."""
    known: dict[str, list[str]] | None = getattr(app.state, "parameters", None)
    if known is None:
        known = {
            operation["operationId"]: sorted(
                each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"
            )
            for operations in app.openapi()["paths"].values()
            for operation in operations.values()
        }
        app.state.parameters = known
    return known


def _allowed(known: list[str]) -> str:
    return (
        f"the parameters here are {', '.join(known)}" if known else "there are no parameters here"
    )
