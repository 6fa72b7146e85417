"""Owns the way of one picture through one or more explanation methods; refuses to know them."""

from collections.abc import Sequence

from core.compute.bridge import Bridge
from core.compute.call import Call
from core.compute.pictures import Picture, look
from core.errors import InvalidValue
from core.explain.faithfulness import faithfulness
from core.explain.objective import ClassObjective, LayerObjective, Objective, Task
from core.explain.plan import Finding, Method, method_name, plan
from core.images.decode import ImageLimits
from core.models.loaded import LoadedModel
from core.models.predictions import prediction, probabilities, require_finite
from core.models.preprocess import to_pixels
from core.models.structure.layers import find_layer
from core.render.heat import Drawing, draw, png
from core.render.sheet import strip
from core.types import Explanation, ImageFile, Judged, Pixels, Prediction, UnitValue


class Explainer:
    """What `Engine.explain` and `Engine.compare` do once the model is known.

    Args:
        bridge: to the threads.
        limits: what pictures are taken.
        limit_forwards: the most forwards one occlusion may take.
    """

    def __init__(self, bridge: Bridge, limits: ImageLimits, limit_forwards: int) -> None:
        self._bridge = bridge
        self._limits = limits
        self._limit_forwards = limit_forwards

    async def explain(
        self,
        model: LoadedModel,
        file: ImageFile,
        method: Method,
        target: str | None,
        part: LayerObjective | None,
        keep_original: bool,
        call: Call,
    ) -> Explanation:
        """One method; see `Engine.explain`."""
        if part is not None and target is not None:
            raise InvalidValue("target", target, "left out, where layer is given")
        if part is not None:
            find_layer(model.module, part.layer)
        objective = part or ClassObjective(_class(model, target))
        async with self._bridge.admitted(call):
            picture = await self._look(file, model, keep_original, call)
            return await self._find(model, picture, method, objective, call)

    async def compare(
        self,
        model: LoadedModel,
        file: ImageFile,
        methods: Sequence[Method],
        target: str | None,
        keep_original: bool,
        call: Call,
    ) -> list[Judged]:
        """Several methods and their faithfulness; see `Engine.compare`."""
        objective = ClassObjective(_class(model, target))
        judged = []
        async with self._bridge.admitted(call):
            picture = await self._look(file, model, keep_original, call)
            for method in methods:
                found = await self._find(model, picture, method, objective, call)
                assert isinstance(found.target, Prediction)  # the objective is a class
                index = found.target.class_index
                objective = ClassObjective(index)
                steps = faithfulness(model, picture.view, found.values, index)
                trust = await self._bridge.finish(Task(steps), call)
                judged.append(Judged(found, trust.deletion, trust.insertion))
        return judged

    async def draw(self, found: Explanation, drawing: Drawing, call: Call) -> bytes:
        """An explanation as a PNG file."""
        return await self._bridge.draw(lambda: png(_drawn(found, drawing)), call)

    async def draw_strip(self, judged: Sequence[Judged], drawing: Drawing, call: Call) -> bytes:
        """Several explanations as a PNG file; see `Engine.draw_strip`."""
        first = judged[0].explanation
        seen = first.view if first.original is None else first.original
        panels = (
            (
                f"{each.explanation.method}\ndel {each.deletion:.2f}  ins {each.insertion:.2f}",
                _drawn(each.explanation, drawing),
            )
            for each in judged
        )
        label = getattr(first.target, "label", "")
        return await self._bridge.draw(lambda: png(strip([(label, seen), *panels])), call)

    async def _find(
        self,
        model: LoadedModel,
        picture: Picture,
        method: Method,
        objective: Objective,
        call: Call,
    ) -> Explanation:
        planned = plan(model, picture.view, method, objective, self._limit_forwards)
        if isinstance(planned.work, Task):
            found = planned.finish(await self._bridge.finish(planned.work, call))
        else:
            found = planned.finish(await self._bridge.run(*planned.work, call))
        require_finite(found.values)
        return Explanation(
            model=model.spec.name,
            method=method_name(method),
            image=picture.source,
            target=_target(found, model, objective),
            values=found.values,
            extras=found.extras,
            view=to_pixels(picture.view),
            frame=picture.frame,
            original=picture.original,
        )

    async def _look(
        self, file: ImageFile, model: LoadedModel, keep_original: bool, call: Call
    ) -> Picture:
        return await self._bridge.decode(
            lambda: look(file, self._limits, model.spec.preprocess, keep_original=keep_original),
            call,
        )


def _drawn(found: Explanation, drawing: Drawing) -> Pixels:
    return draw(found.values, found.view, drawing, frame=found.frame, original=found.original)


def _class(model: LoadedModel, target: str | None) -> int | None:
    return None if target is None else model.spec.class_index(target)


def _target(found: Finding, model: LoadedModel, objective: Objective) -> Prediction | UnitValue:
    if isinstance(objective, LayerObjective):
        assert found.value is not None  # only gradients explain layers, and they have one
        place = objective.channel, objective.row, objective.col
        return UnitValue(objective.layer, *place, found.value, objective.at)
    assert found.target is not None  # a class objective always has one
    likely = probabilities(found.logits)
    return prediction(found.logits, likely, model.spec.labels, found.target)
