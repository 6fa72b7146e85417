"""Checks of gradients: saliency, integrated, smoothed and guided ones, Grad-CAM."""

from functools import partial
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.networks.cells import Cell, compared
from benchmarks.networks.references import channels_first
from benchmarks.networks.subject import Subject
from core.errors import MethodUnsupported
from core.explain.cam import GradCam
from core.explain.guided import GuidedBackprop
from core.explain.integrated import IntegratedGradients
from core.explain.saliency import Saliency
from core.explain.smoothgrad import SmoothGrad

DOUBLE_LIMIT: Final = 1e-5
"""Difference allowed where the service's own code runs in float64."""
FLIPPED: Final = 0.2
"""The most that a few ReLUs on the other side of zero, by float32's rounding, may explain."""
_SLOPE_LIMIT: Final = 1e-2
"""How far central differences may be from the reference's gradient."""
_EARLY: Final = 0.5


def _map(subject: Subject, method: object, target: int, theirs: Tensor) -> Cell:
    """A method's map; where rounding may have flipped ReLUs, the same code once more in float64."""
    cell = compared(subject.found(method, target).values, theirs)
    if cell.verdict == "ok" or not 0 < cell.figure < FLIPPED:
        return cell
    with subject.doubled():
        exact = compared(subject.found(method, target).values, theirs, DOUBLE_LIMIT)
    text = f"{cell.text} ({exact.text})"
    return Cell(exact.verdict, text, f"{cell.why}; in float64 {exact.why}", cell.figure)


def saliency(subject: Subject) -> Cell:
    target = subject.ranked[0]
    theirs = subject.reference.gradient(subject.row, target)
    # Along the gradient itself the slope is largest, and so least lost in rounding.
    way = theirs / theirs.norm()
    slope = subject.reference.slope(subject.row, target, way)
    if abs(slope - float(theirs.norm())) > _SLOPE_LIMIT * float(theirs.norm()):
        return Cell("wrong", "reference", f"slope {slope:.3e}, by autograd {theirs.norm():.3e}")
    return _map(subject, Saliency(), target, theirs.abs().amax(0))


def integrated(subject: Subject) -> Cell:
    target = subject.ranked[1]
    theirs = subject.reference.integrated(subject.row, subject.filled(torch.zeros(3)), target)
    return _map(subject, IntegratedGradients(steps=2), target, theirs)


def smoothgrad(subject: Subject) -> Cell:
    target = subject.ranked[0]
    method = SmoothGrad(samples=2, noise=0.15, seed=5, reduce="sum", signed=True)
    theirs = subject.reference.smoothed(subject.row, target, 0.15, samples=2, seed=5).sum(0)
    return _map(subject, method, target, theirs)


def guided(subject: Subject) -> Cell:
    target = subject.ranked[0]
    theirs = subject.reference.guided(subject.row, target)
    kinds = f"{theirs.guided} to guide, {theirs.others} others"
    few = theirs.guided == 0 or theirs.guided < theirs.others
    try:
        found = subject.found(GuidedBackprop(), target)
    except MethodUnsupported as error:
        return Cell("refused" if few else "wrong", "422", f"{kinds}: {error}")
    said = found.extras["coverage"]
    if few:
        return Cell("wrong", "answers", f"nearly the plain gradient: {kinds}")
    if (said["guided"], sum(said["unguided"].values())) != (theirs.guided, theirs.others):
        return Cell("wrong", "count", f"says {said}: {kinds}")
    return _map(subject, GuidedBackprop(), target, theirs.gradient.abs().amax(0))


def cam_default(subject: Subject) -> Cell:
    for target in subject.ranked:
        found = subject.found(GradCam(), target)
        height, width = found.extras["cells"]
        size = f"{height} x {width}"
        if height * width == 1:
            return Cell("wrong", size, f"one cell, of {found.extras['layer']}")
        if found.values.max() > found.values.min():
            last = found.extras["layer"].split(", ")[-1]  # there may be branches
            share = subject.reference.progress(subject.row, last)
            late = "" if share > _EARLY else f", after {100 * share:.0f} %"
            return Cell("ok", size + late)
    return Cell("wrong", "constant", f"for {len(subject.ranked)} classes")


def cam_named(subject: Subject) -> Cell:
    layer = subject.network.cam
    as_maps = partial(channels_first, axes=layer.axes, prefix=layer.prefix)
    cams = subject.reference.cam(subject.row, subject.ranked, layer.name, as_maps)
    # A map whose every cell speaks against the class is blank, in the service as here.
    target, theirs = max(zip(subject.ranked, cams, strict=True), key=lambda each: each[1].max())
    size = tuple(subject.row.shape[2:])
    whole = interpolate(theirs[None, None], size=size, mode="bilinear")[0, 0]
    found = subject.found(GradCam(layer=layer.name), target)
    if found.extras["cells"] != tuple(theirs.shape):
        return Cell("wrong", "cells", f"{found.extras['cells']}, not {tuple(theirs.shape)}")
    return compared(found.values, whole)
