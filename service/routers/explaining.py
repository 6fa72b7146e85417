"""Owns why: one endpoint per method, and one that compares them."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from core.explain.objective import LayerObjective
from core.explain.plan import Method
from service.answers import array_answer, npy_answer, png_answer
from service.requests.deps import CallDep, EngineDep, ImageDep, ModelQuery, offers
from service.requests.explaining import (
    DrawingDep,
    GradCamDep,
    GuidedDep,
    IntegratedDep,
    MethodsDep,
    OcclusionDep,
    PartDep,
    SaliencyDep,
    SmoothGradDep,
    TargetQuery,
)
from service.schemas.explaining import (
    ComparePublic,
    ExplanationPublic,
    GradCamPublic,
    GuidedPublic,
    IntegratedPublic,
    OcclusionPublic,
    SmoothGradPublic,
    compare_body,
    explanation_body,
)
from service.schemas.problems import IMAGE, KEYED, problems
from service.schemas.uploads import image_body

router = APIRouter(prefix="/v1/explain", tags=["Explaining"])

_PICTURE = (
    "The map as JSON; `format=png` or `Accept: image/png` answers a picture of it, `format=npy` or "
    "`Accept: application/x-npy` a NumPy file."
)


def _documented(summary: str, schema: type) -> dict[str, Any]:
    return {
        "summary": summary,
        "response_model": schema,
        "responses": problems(*KEYED, *IMAGE, 404) | {200: {"description": _PICTURE}},
        "openapi_extra": image_body(),
    }


@dataclass(frozen=True, slots=True)
class Asked:
    """What every explanation is asked with."""

    engine: EngineDep
    call: CallDep
    form: Annotated[str, Depends(offers("json", "png", "npy"))]
    drawing: DrawingDep
    file: ImageDep
    model: ModelQuery = None

    async def answer(
        self, method: Method, target: str | None, part: LayerObjective | None = None
    ) -> Response:
        """The engine's explanation in the form asked for."""
        found = await self.engine.explainer.explain(
            self.file,
            method,
            model=self.model,
            target=target,
            part=part,
            keep_original=self.form == "png" and self.drawing.size == "original",
            call=self.call,
        )
        if self.form == "png":
            return png_answer(await self.engine.explainer.draw(found, self.drawing, self.call))
        if self.form == "npy":
            return npy_answer(found.values)
        return array_answer(explanation_body(found))


AskedDep = Annotated[Asked, Depends()]


@router.post("/occlusion", **_documented("Explain by occlusion", OcclusionPublic))
async def occlusion(asked: AskedDep, method: OcclusionDep, target: TargetQuery = None) -> Response:
    """Hide a window, record the target's probability and the predicted class, go on.

    The map is the drop of the probability, averaged over the windows that cover a pixel; the raw
    scores are in `score_map`. The cost is known before it starts: a request that would take too
    many forwards is refused with the estimate.
    """
    return await asked.answer(method, target)


@router.post("/saliency", **_documented("Explain by saliency", ExplanationPublic))
async def saliency(asked: AskedDep, method: SaliencyDep, target: TargetQuery = None) -> Response:
    """The gradient of the target's logit with respect to the normalised input."""
    return await asked.answer(method, target)


@router.post("/guided-backprop", **_documented("Explain by guided backpropagation", GuidedPublic))
async def guided_backprop(
    asked: AskedDep, method: GuidedDep, part: PartDep, target: TargetQuery = None
) -> Response:
    """Saliency that lets only positive gradients pass back through each ReLU.

    With `layer` (and `channel`, `row`, `col`) it explains what that part of the network puts out
    instead of a class. `coverage` says how many activations were guided.
    """
    return await asked.answer(method, target, part)


@router.post("/smoothgrad", **_documented("Explain by SmoothGrad", SmoothGradPublic))
async def smoothgrad(
    asked: AskedDep, method: SmoothGradDep, target: TargetQuery = None
) -> Response:
    """Saliency averaged over noisy copies of the picture."""
    return await asked.answer(method, target)


@router.post(
    "/integrated-gradients", **_documented("Explain by integrated gradients", IntegratedPublic)
)
async def integrated_gradients(
    asked: AskedDep, method: IntegratedDep, target: TargetQuery = None
) -> Response:
    """Gradients along the line from a baseline to the picture: the map adds up to the logit."""
    return await asked.answer(method, target)


@router.post("/grad-cam", **_documented("Explain by Grad-CAM", GradCamPublic))
async def grad_cam(asked: AskedDep, method: GradCamDep, target: TargetQuery = None) -> Response:
    """Feature maps of a convolution, weighted by how much they speak for the target."""
    return await asked.answer(method, target)


@router.post(
    "/compare",
    **_documented("Compare explanations", ComparePublic)
    | {
        "responses": problems(*KEYED, *IMAGE, 404)
        | {200: {"description": "All maps as JSON; `format=png` answers one labelled strip."}}
    },
)
async def compare(
    engine: EngineDep,
    call: CallDep,
    form: Annotated[str, Depends(offers("json", "png"))],
    drawing: DrawingDep,
    file: ImageDep,
    methods: MethodsDep,
    model: ModelQuery = None,
    target: TargetQuery = None,
) -> Response:
    """Several methods on one picture, each with its faithfulness.

    Deletion: the area under the target's probability while the most important pixels go; low is
    good. Insertion: while they come; high is good.
    """
    judged = await engine.explainer.compare(
        file,
        methods,
        model=model,
        target=target,
        keep_original=form == "png" and drawing.size == "original",
        call=call,
    )
    if form == "png":
        return png_answer(await engine.explainer.draw_strip(judged, drawing, call))
    return array_answer(compare_body(judged))
