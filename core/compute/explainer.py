"""`Explainer`: run any explanation method on a picture, and draw its map. Names no method."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from core.compute.bridge import Bridge
from core.compute.call import Call
from core.compute.pictures import Picture, Pictures
from core.compute.served import Served
from core.errors import InvalidValue
from core.explain.faithfulness import faithfulness
from core.explain.method import Finding, Inquiry
from core.explain.methods import method_of, plan
from core.explain.objective import ClassObjective, LayerObjective, Objective
from core.explain.steps import Task
from core.images.cost import Cost, Reserve
from core.models.loaded import LoadedModel
from core.models.predictions import prediction, probabilities, require_finite
from core.models.preprocess import to_pixels
from core.models.structure.layers import find_layer
from core.render.heat import png
from core.render.overlay import Drawing, draw
from core.render.sheet import strip
from core.types import Explanation, ImageFile, Pixels, Prediction, UnitValue

_DRAWING_BYTES_PER_PIXEL: Final = 24
"""What drawing on a picture takes besides: a map as large, its order, the drawing, its file."""


class Explainer:
    """Says why a network answers as it does.

    Args:
        bridge: to the threads.
        models: those served.
        pictures: the way from files to inputs.
        limit_forwards: the most forwards one explanation may take.
    """

    def __init__(
        self, bridge: Bridge, models: Served, pictures: Pictures, limit_forwards: int
    ) -> None:
        self._bridge = bridge
        self._models = models
        self._pictures = pictures
        self._limit_forwards = limit_forwards

    async def explain(
        self,
        file: ImageFile,
        methods: Sequence[object],
        *,
        model: str | None = None,
        target: str | None = None,
        layer_objective: LayerObjective | None = None,
        keep_original: bool = False,
        judge: bool = False,
        call: Call,
    ) -> list[Explanation]:
        """Why the network answers as it does, by each of these methods; all of one class.

        Args:
            file: the picture.
            methods: parameters, which name their method; at least one.
            model: a served model; None = the default.
            target: a class's index or exact label; None = the top prediction.
            layer_objective: what to explain instead of a class, with guided backpropagation.
            keep_original: also keep the picture's file, to draw on the whole of it.
            judge: also measure how far each map can be trusted; only of a class.
            call: the request's deadline and stopwatch.

        Raises:
            InvalidValue: a parameter is outside what is allowed; TargetOutOfRange, CostTooHigh.
            MethodUnsupported: a method does not apply to this network.
            ImageRefused, UnknownModel, UnknownLayer, Unavailable, DeadlinePassed.
        """
        loaded = self._models.model(model)
        objective = _objective(loaded, target, layer_objective, judge)
        found: list[Explanation] = []
        async with self._bridge.admitted(call):
            picture = await self._pictures.look(
                file, loaded.spec.preprocess, call, whole=keep_original
            )
            original = file if keep_original else None
            for parameters in methods:
                inquiry = Inquiry(loaded, picture.view, objective, self._limit_forwards)
                planned = plan(parameters, inquiry)
                finding = planned.finish(await self._bridge.finish(planned.work, call))
                name = method_of(parameters).name
                one = _explanation(name, inquiry, picture, finding, original)
                found.append(await self._judged(loaded, picture, one, call) if judge else one)
                if isinstance(one.target, Prediction):
                    objective = ClassObjective(one.target.class_index)
        return found

    async def draw(self, found: Explanation, drawing: Drawing, call: Call) -> bytes:
        """An explanation as a PNG file."""

        def drawn(reserve: Reserve) -> bytes:
            return png(_drawn(found, drawing, self._original(found, reserve)))

        return await self._bridge.draw_large(drawn, call)

    async def draw_strip(self, found: Sequence[Explanation], drawing: Drawing, call: Call) -> bytes:
        """Several explanations side by side as a PNG file, each with its name and faithfulness."""
        first = found[0]
        label = getattr(first.target, "label", "")

        def drawn(reserve: Reserve) -> bytes:
            original = self._original(first, reserve)
            panels = ((_caption(each), _drawn(each, drawing, original)) for each in found)
            return png(strip([(label, first.view if original is None else original), *panels]))

        return await self._bridge.draw_large(drawn, call)

    def _original(self, found: Explanation, reserve: Reserve) -> Pixels | None:
        """The whole picture, decoded anew: kept, it would take its memory while others wait."""
        if found.original is None:
            return None

        def drawing_too(cost: Cost) -> None:
            reserve(cost.and_bytes_per_pixel(_DRAWING_BYTES_PER_PIXEL))

        return self._pictures.pixels(found.original, drawing_too)

    async def _judged(
        self, model: LoadedModel, picture: Picture, found: Explanation, call: Call
    ) -> Explanation:
        steps = faithfulness(model, picture.view, found.values, _index(found))
        return replace(found, faithfulness=await self._bridge.finish(Task(steps), call))


def _objective(
    model: LoadedModel, target: str | None, layer_objective: LayerObjective | None, judge: bool
) -> Objective:
    if layer_objective is None:
        return ClassObjective(None if target is None else model.spec.class_index(target))
    if target is not None:
        raise InvalidValue("target", target, "left out, where layer is given")
    if judge:
        raise InvalidValue("faithfulness", judge, "false, where layer is given")
    find_layer(model.module, layer_objective.layer)
    return layer_objective


def _explanation(
    method: str, inquiry: Inquiry, picture: Picture, found: Finding, original: ImageFile | None
) -> Explanation:
    require_finite(found.values)
    return Explanation(
        model=inquiry.model.spec.name,
        method=method,
        image=picture.source,
        target=_target(found, inquiry.model, inquiry.objective),
        values=found.values,
        extras=found.extras,
        view=to_pixels(picture.view),
        frame=picture.frame,
        original=original,
    )


def _index(found: Explanation) -> int:
    assert isinstance(found.target, Prediction)  # the objective is a class
    return found.target.class_index


def _caption(found: Explanation) -> str:
    trust = found.faithfulness
    figures = f"\ndel {trust.deletion:.2f}  ins {trust.insertion:.2f}" if trust else ""
    return found.method + figures


def _drawn(found: Explanation, drawing: Drawing, original: Pixels | None) -> Pixels:
    return draw(found.values, found.view, drawing, frame=found.frame, original=original)


def _target(found: Finding, model: LoadedModel, objective: Objective) -> Prediction | UnitValue:
    if isinstance(objective, LayerObjective):
        assert found.value is not None  # only gradients explain layers, and they have one
        position = objective.channel, objective.row, objective.col
        return UnitValue(objective.layer, *position, found.value, objective.at)
    assert found.target is not None  # a class objective always has one
    likely = probabilities(found.logits)
    return prediction(found.logits, likely, model.spec.labels, found.target)
