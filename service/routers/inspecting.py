"""Endpoints of a network's inside: layers, filters, activations, one unit's arithmetic."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from service.answers import array_answer, json_answer, npy_answer, png_answer
from service.requests.deps import CallDep, EngineDep, ImageDep, ModelQuery, offers
from service.requests.explaining import (
    ChannelsDep,
    FilterScaleQuery,
    MapScaleQuery,
    PortDep,
    PositionDep,
    SelectionDep,
)
from service.schemas.inspecting import (
    ActivationsPublic,
    FiltersPublic,
    LayersPublic,
    UnitArithmeticPublic,
    activations_body,
    filters_body,
    unit_body,
)
from service.schemas.problems import IMAGE, KEYED, problems
from service.schemas.uploads import image_body

router = APIRouter(prefix="/v1", tags=["Inspecting"])

FormDep = Annotated[str, Depends(offers("json", "png", "npy"))]


def _forms(picture: str, array: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    text = (
        f"Figures as JSON; `format=png` or `Accept: image/png` answers {picture}, `format=npy` or "
        f"`Accept: application/x-npy` {array} as a NumPy file, float32."
    )
    return problems(*KEYED, 404, *statuses) | {200: {"description": text}}


@router.get(
    "/models/{model}/layers",
    summary="List a model's layers",
    response_model=LayersPublic,
    responses=problems(*KEYED, 404, 504),
)
async def list_layers(engine: EngineDep, call: CallDep, model: str) -> Response:
    """Every layer in the order in which it runs: its shapes, its cost and what it follows.

    A layer is a module that runs no other module. Sums of the whole network are in `totals`.
    """
    return json_answer(LayersPublic.of(model, await engine.inspector.layers(model, call)))


@router.get(
    "/models/{model}/layers/{layer:path}/filters",
    summary="Show a convolution's filters",
    response_model=FiltersPublic,
    responses=_forms("tiles", "the weights (n, in / groups, height, width)", 406, 503, 504),
)
async def show_filters(
    engine: EngineDep,
    call: CallDep,
    form: FormDep,
    model: str,
    layer: str,
    selection: SelectionDep,
    scale: FilterScaleQuery = "each",
) -> Response:
    """What a convolution has learned to look for.

    As a picture: filters of three channels as RGB tiles; of one channel as gray tiles; deeper ones
    a row each, with a tile per input channel, at most 32 x 32 of them, and zero mid-gray. The
    picture says how many it leaves out; `channels` picks others.
    """
    found = await engine.inspector.filters(model, layer, selection, call)
    if form == "png":
        return png_answer(await engine.inspector.draw(found, scale, call))
    if form == "npy":
        return npy_answer(found.weights)
    return array_answer(filters_body(model, found))


@router.post(
    "/activations",
    summary="Show what a layer puts out",
    response_model=ActivationsPublic,
    responses=_forms("the feature maps, bright = active", "the values (C, h, w)", *IMAGE),
    openapi_extra=image_body(),
)
async def activations(
    engine: EngineDep,
    call: CallDep,
    form: FormDep,
    file: ImageDep,
    port: PortDep,
    channels: ChannelsDep,
    scale: MapScaleQuery = "shared",
    model: ModelQuery = None,
) -> Response:
    """A picture's feature maps at any layer, in the layer's last run.

    A picture shows at most 64 maps, else the most active 64 of them; a vector (D,) as a square of
    cells; of tokens (T, D) that form a grid each channel as a map. Other tokens have no picture:
    take JSON or the NumPy file.
    """
    found = await engine.inspector.activations(file, port, channels, model=model, call=call)
    if form == "png":
        return png_answer(await engine.inspector.draw(found, scale, call))
    if form == "npy":
        return npy_answer(found.found.values)
    return array_answer(activations_body(found))


@router.post(
    "/activations/unit",
    summary="Take one output of a convolution apart",
    response_model=UnitArithmeticPublic,
    responses=_forms(
        "receptive field, patch, filter and products side by side",
        "the products (in / groups, height, width)",
        *IMAGE,
    ),
    openapi_extra=image_body(),
)
async def unit(
    engine: EngineDep,
    call: CallDep,
    form: FormDep,
    file: ImageDep,
    position: PositionDep,
    model: ModelQuery = None,
) -> Response:
    """The arithmetic of one unit: patch times filter, summed per input channel, plus bias.

    `sum` is what that gives, `value` what the layer put out in the same forward.
    """
    found = await engine.inspector.unit(file, position, model=model, call=call)
    if form == "png":
        return png_answer(await engine.inspector.draw(found, "shared", call))
    if form == "npy":
        return npy_answer(found.found.products)
    return array_answer(unit_body(found))
