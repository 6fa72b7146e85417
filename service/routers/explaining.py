"""Endpoints of explanations: one per method, and one that compares them."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from core.explain.method import Method
from core.explain.methods import METHODS
from core.explain.objective import LayerObjective
from core.types import Explanation
from service.answers import array_answer, npy_answer, png_answer
from service.requests.deps import CallDep, EngineDep, ImageDep, ModelQuery, offers
from service.requests.described import query_of
from service.requests.explaining import (
    DrawingDep,
    MethodsDep,
    TargetQuery,
    layer_objective,
    no_layer_objective,
)
from service.schemas.explaining import (
    ComparePublic,
    MethodPublic,
    MethodsPublic,
    answer_of,
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
    faithfulness: Annotated[
        bool,
        Query(
            description="In JSON: also how far the map can be trusted, for about 34 more forwards.",
            examples=[False],
        ),
    ] = False

    @property
    def draws_original(self) -> bool:
        """Whether the answer is drawn on the whole picture."""
        return self.form == "png" and self.drawing.size == "original"

    async def answer(self, found: Explanation) -> Response:
        """An explanation in the form asked for."""
        if self.form == "png":
            return png_answer(await self.engine.explainer.draw(found, self.drawing, self.call))
        if self.form == "npy":
            return npy_answer(found.values)
        return array_answer(explanation_body(found))


AskedDep = Annotated[Asked, Depends()]


@router.get("", summary="List the explanation methods", responses=problems(*KEYED))
async def list_methods() -> MethodsPublic:
    """Every method with its parameters; `explanations` of a model names those that apply to it."""
    return MethodsPublic(methods=[MethodPublic.of(each) for each in METHODS.values()])


def _add(method: Method[Any]) -> None:
    """The endpoint of a method, which follows from its row."""
    parameters = Depends(query_of(method.parameters))
    objective = Depends(layer_objective if method.layers else no_layer_objective)

    async def explain(
        asked: AskedDep,
        method: Annotated[object, parameters],
        what: Annotated[LayerObjective | None, objective],
        target: TargetQuery = None,
    ) -> Response:
        (found,) = await asked.engine.explainer.explain(
            asked.file,
            [method],
            model=asked.model,
            target=target,
            layer_objective=what,
            keep_original=asked.draws_original,
            judge=asked.faithfulness and asked.form == "json",
            call=asked.call,
        )
        return await asked.answer(found)

    router.add_api_route(
        f"/{method.name}",
        explain,
        methods=["POST"],
        name=method.name.replace("-", "_"),
        description=method.text,
        **_documented(f"Explain by {method.title}", answer_of(method)),
    )


for _method in METHODS.values():
    _add(_method)


@router.post(
    "/compare",
    **_documented("Compare explanations", ComparePublic)
    | {
        "responses": problems(*KEYED, *IMAGE, 404)
        | {200: {"description": "All maps as JSON; `format=png` answers one labeled strip."}}
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
    found = await engine.explainer.explain(
        file,
        methods,
        model=model,
        target=target,
        judge=True,
        keep_original=form == "png" and drawing.size == "original",
        call=call,
    )
    if form == "png":
        return png_answer(await engine.explainer.draw_strip(found, drawing, call))
    return array_answer(compare_body(found))
