"""Endpoints that classify pictures, give their feature vectors, and show the model's view."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from core.compute.classifier import USUAL_CLASSES
from core.models.structure.axes import Pool
from service.answers import json_answer, npy_answer, png_answer
from service.requests.deps import CallDep, EngineDep, ImageDep, ImagesDep, ModelQuery, offers
from service.requests.explaining import OptionalPortDep
from service.schemas.problems import IMAGE, KEYED, problems
from service.schemas.seeing import (
    ClassificationPublic,
    ClassifyManyPublic,
    FeatureVectorPublic,
    FileResult,
)
from service.schemas.uploads import image_body, images_body

router = APIRouter(prefix="/v1", tags=["Seeing"])


async def classes_wanted(
    request: Request,
    top_k: Annotated[
        int,
        Query(
            ge=1,
            description="How many classes, at most the model's number; all of them where it has "
            "fewer than 5 and this is left out.",
            examples=[USUAL_CLASSES],
        ),
    ] = USUAL_CLASSES,
) -> int | None:
    """How many classes were asked for; None = it was left out."""
    return top_k if "top_k" in request.query_params else None


TopK = Annotated[int | None, Depends(classes_wanted)]
_ERRORS = problems(*KEYED, *IMAGE, 404)


@router.post(
    "/classify",
    summary="Classify a picture",
    response_model=ClassificationPublic,
    responses=_ERRORS,
    openapi_extra=image_body(),
)
async def classify(
    engine: EngineDep,
    call: CallDep,
    _form: Annotated[str, Depends(offers("json"))],
    file: ImageDep,
    top_k: TopK,
    model: ModelQuery = None,
) -> Response:
    """The most probable classes of a picture, most probable first.

    Send the picture as the body (`Content-Type: image/*` or `application/octet-stream`, the fast
    path), as `multipart/form-data` in the field `image`, or as JSON with base64. JPEG, PNG, WebP,
    GIF, BMP, TIFF and AVIF are taken.
    """
    result = await engine.classifier.classify(file, model=model, top_k=top_k, call=call)
    return json_answer(ClassificationPublic.model_validate(result))


@router.post(
    "/classify/batch",
    summary="Classify many pictures",
    response_model=ClassifyManyPublic,
    responses=_ERRORS,
    openapi_extra=images_body(),
)
async def classify_many(
    engine: EngineDep,
    call: CallDep,
    _form: Annotated[str, Depends(offers("json"))],
    files: ImagesDep,
    top_k: TopK,
    model: ModelQuery = None,
) -> Response:
    """The most probable classes of each picture; a bad picture fails alone.

    Send the pictures as `multipart/form-data`, each in a field `image`. The answer is 200 even if
    single pictures failed: each result has its own status.
    """
    results = await engine.classifier.classify_many(
        [file for _, file in files], model=model, top_k=top_k, call=call
    )
    rows = [FileResult.of(name, result) for (name, _), result in zip(files, results, strict=True)]
    return json_answer(ClassifyManyPublic(results=rows))


@router.post(
    "/feature-vector",
    summary="Take a picture's feature vector",
    response_model=FeatureVectorPublic,
    responses=_ERRORS
    | {
        200: {
            "description": "The vector; `format=npy` or `Accept: application/x-npy` answers it as "
            "a NumPy file, (D,) float32."
        }
    },
    openapi_extra=image_body(),
)
async def feature_vector(
    engine: EngineDep,
    call: CallDep,
    form: Annotated[str, Depends(offers("json", "npy"))],
    file: ImageDep,
    port: OptionalPortDep,
    model: ModelQuery = None,
    pool: Annotated[
        Pool,
        Query(
            description="How feature maps or tokens become a vector: average or maximum over their "
            "positions, or all of it.",
            examples=["avg"],
        ),
    ] = "avg",
) -> Response:
    """The picture's place in feature space: near vectors, similar pictures."""
    result = await engine.classifier.feature_vector(
        file, model=model, port=port, pool=pool, call=call
    )
    if form == "npy":
        return npy_answer(result.vector)
    return json_answer(FeatureVectorPublic.of(result))


@router.post(
    "/view",
    summary="Show a picture as the model sees it",
    response_class=Response,
    responses=_ERRORS
    | {
        200: {
            "description": "A PNG picture; `format=npy` or `Accept: application/x-npy` answers a "
            "NumPy file, (H, W, 3) uint8."
        }
    },
    openapi_extra=image_body(),
)
async def view(
    engine: EngineDep,
    call: CallDep,
    form: Annotated[str, Depends(offers("png", "npy"))],
    file: ImageDep,
    model: ModelQuery = None,
) -> Response:
    """The picture upright, scaled and cropped to the model's input; colors as they are."""
    seen = await engine.classifier.view(file, model=model, call=call)
    if form == "npy":
        return npy_answer(seen.pixels)
    return png_answer(await engine.classifier.draw_view(seen, call))
