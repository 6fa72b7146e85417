"""The list of checks, and running them on one network."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from benchmarks.networks.cells import Cell
from benchmarks.networks.gradients import (
    cam_default,
    cam_named,
    guided,
    integrated,
    saliency,
    smoothgrad,
)
from benchmarks.networks.layers import channels, multiply_adds, parameters, vectors
from benchmarks.networks.outputs import batch, features, logits, occlusion, unchanged
from benchmarks.networks.subject import Subject
from benchmarks.networks.zoo import Network
from core.errors import MethodUnsupported, first_line


@dataclass(frozen=True, slots=True)
class Check:
    """A column of the table.

    Attributes:
        against: what the service's answer is compared with.
    """

    name: str
    run: Callable[[Subject], Cell]
    against: str


CHECKS: Final = (
    Check("logits", logits, "the module's own"),
    Check(
        "features",
        features,
        "timm: `forward_head(forward_features(x), pre_logits=True)`, or what enters the head where "
        "there are two or a norm is in it; torchvision (tv): what is "
        "left with the head, named by hand, taken off",
    ),
    Check(
        "saliency",
        saliency,
        "plain autograd, itself checked by central differences; largest magnitude of the color "
        "channels",
    ),
    Check("integrated", integrated, "integrated gradients by their definition, with two nodes"),
    Check("SmoothGrad", smoothgrad, "mean gradient of two copies with the same seeded noise"),
    Check(
        "guided",
        guided,
        "a function behind every ReLU, ReLU6 and leaky ReLU that lets only positive gradients "
        "back; and how many there were of these, and of other activations (GELU, SiLU, tanh). "
        "*422*: fewer than half could be guided, and it is refused with both numbers",
    ),
    Check(
        "CAM, default",
        cam_default,
        "nothing: where no layer is named, the map must have more than one cell and not be "
        "constant. *after 5 %*: its layer is so early in the network",
    ),
    Check(
        "CAM, named",
        cam_named,
        "Grad-CAM by its definition, of the layer that the literature takes for the family: maps "
        "(C, h, w) or (h, w, C), or tokens, without those of class and registers, as a square",
    ),
    Check(
        "occlusion",
        occlusion,
        "drop of the probability in 3 of 16 to 25 windows, hidden one by one; the map, added up "
        "window by window; 2^-22 of the probability, which is float32's, says nothing",
    ),
    Check(
        "activations",
        channels,
        "mean and maximum of each channel: of a layer in the middle, and of the one named for "
        "Grad-CAM",
    ),
    Check("vector", vectors, "`avg` and `max` over all positions of that layer in the middle"),
    Check(
        "multiply-adds",
        multiply_adds,
        "each convolution and linear layer by its formula; the total by torch's FLOP counter",
    ),
    Check("parameters", parameters, "sum over the module's parameters"),
    Check(
        "batch",
        batch,
        "two pictures in a batch, each alone: logits, features, vectors, gradients, guided ones",
    ),
    Check("left alone", unchanged, "weights, mode, hooks and gradients before all this"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one network.

    Attributes:
        runtime: what its forwards run on.
        input_px: side of its input.
        features: where the feature vector is taken.
        cam: Grad-CAM's default layer and its cells.
        cells: by check.
        cpu_s: processor time it took.
    """

    name: str
    runtime: str = ""
    input_px: int = 0
    features: str = ""
    cam: str = ""
    cells: dict[str, Cell] = field(default_factory=dict)
    cpu_s: float = 0.0


def examine(network: Network) -> Report:
    """Load a network and run every check on it."""
    start_s = time.process_time()
    subject = Subject(network)
    model = subject.model
    report = Report(
        network.name,
        model.runtime.name + (f" ({model.runtime_note})" if model.runtime_note else ""),
        model.spec.preprocess.height,
        f"{model.features.at} of {model.features.layer}",
        subject.cam_layer,
    )
    for check in CHECKS:
        report.cells[check.name] = _tried(check, subject)
    return replace(report, cpu_s=time.process_time() - start_s)


def _tried(check: Check, subject: Subject) -> Cell:
    try:
        return check.run(subject)
    except MethodUnsupported as error:
        return Cell("refused", "refused", str(error))
    except Exception as error:  # a crash is a finding, and other checks go on
        return Cell("wrong", type(error).__name__, first_line(error))
