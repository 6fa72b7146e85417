"""Explanations against Captum, and how far to trust them: `python -m benchmarks.explain`.

In one run, on one machine, rounds interleaved: occlusion, saliency, guided backpropagation and
integrated gradients against Captum on the same network and picture; classify's p99 with and without
an occlusion running; how adaptive occlusion ranks pixels compared with exact; and where the methods
put their mass on mosaics of two classes. Writes benchmarks/results/explain.md.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path

import captum.attr
import numpy as np
import torch
from scipy.stats import spearmanr
from skimage.transform import resize
from torch import Tensor

from benchmarks.contestant import Contestant
from benchmarks.machine import describe, table
from benchmarks.photos import arrays, photos
from benchmarks.wrk import drive, script
from core.explain.base import ClassObjective, exhaust
from core.explain.cam import grad_cam
from core.explain.fill import filled
from core.explain.gradients import Saliency, input_gradients
from core.explain.occlusion import Occlusion, occlude
from core.explain.path import IntegratedGradients, integrated_gradients
from core.models.loaded import LoadedModel
from core.models.registry import standard_registry
from core.types import FloatArray, Pixels

_RESULTS = Path(__file__).parent / "results" / "explain.md"
_PORT = 8751
_CPU = torch.device("cpu")


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Duel:
    """The same job done by both, in turn."""

    def __init__(self, name: str, ours: Callable[[], object], theirs: list[Callable[[], object]]):
        self.name = name
        self._ours = ours
        self._theirs = theirs
        self.ours_s: list[float] = []
        self.theirs_s: list[float] = []

    def round(self) -> None:
        """Once each; of several ways of theirs the fastest counts."""
        self.ours_s.append(_seconds(self._ours))
        self.theirs_s.append(min(map(_seconds, self._theirs)))

    def row(self, target: str = "") -> list[str]:
        """Ratio first."""
        ratio = statistics.median(t / o for o, t in zip(self.ours_s, self.theirs_s, strict=True))
        ours, theirs = (statistics.median(each) * 1000 for each in (self.ours_s, self.theirs_s))
        return [self.name, f"{ratio:.2f}", target, f"{ours:.0f}", f"{theirs:.0f}"]


def _captum_occlusion(model: LoadedModel, view: Tensor, target: int, at_once: int) -> Tensor:
    normalise = model.spec.preprocess.normalise
    oracle = captum.attr.Occlusion(lambda rows: torch.softmax(model.module(rows), 1))
    with torch.no_grad():
        found: Tensor = oracle.attribute(
            normalise(view)[None],
            sliding_window_shapes=(3, 32, 32),
            strides=(3, 16, 16),
            baselines=normalise(filled(view, "mean"))[None],
            target=target,
            perturbations_per_eval=at_once,
        )
    return found


def _duels(model: LoadedModel, view: Tensor, name: str) -> list[Duel]:
    row = model.spec.preprocess.normalise(view)[None]
    target = int(model.forward(row).logits.argmax())
    eight = row.repeat(8, 1, 1, 1)
    objectives = [ClassObjective(target)] * 4

    def saliency_of_eight() -> None:
        for start in (0, 4):  # as the worker batches them
            for each in input_gradients(model, eight[start : start + 4], objectives):
                Saliency()(each.gradient)

    def captum_saliency_of_eight() -> None:
        oracle = captum.attr.Saliency(model.module)
        for _ in range(8):
            oracle.attribute(row.clone().requires_grad_(), target=target)

    guided, integrated = (
        captum.attr.GuidedBackprop(model.module),
        captum.attr.IntegratedGradients(model.module),
    )
    return [
        Duel(
            f"{name}: occlusion, exact, 169 windows",
            lambda: exhaust(occlude(model, view, Occlusion(), target)),
            [lambda p=p: _captum_occlusion(model, view, target, p) for p in (1, 4, 8)],
        ),
        Duel(
            f"{name}: occlusion, adaptive",
            lambda: exhaust(occlude(model, view, Occlusion(mode="adaptive"), target)),
            [lambda p=p: _captum_occlusion(model, view, target, p) for p in (1, 4, 8)],
        ),
        Duel(f"{name}: saliency of 8 requests", saliency_of_eight, [captum_saliency_of_eight]),
        Duel(
            f"{name}: guided backpropagation",
            lambda: input_gradients(model, row, objectives[:1], "guided"),
            [lambda: guided.attribute(row.clone().requires_grad_(), target=target)],
        ),
        Duel(
            f"{name}: integrated gradients, 32 steps",
            lambda: exhaust(integrated_gradients(model, view, IntegratedGradients(), target)),
            [
                lambda n=n: integrated.attribute(
                    row, target=target, n_steps=32, internal_batch_size=n
                )
                for n in (1, 4)
            ],
        ),
    ]


def _crops(count: int) -> list[Pixels]:
    """Seeded crops of the photos."""
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        whole = arrays()[number % len(arrays())]
        height, width = (int(side * random.uniform(0.5, 1)) for side in whole.shape[:2])
        top = random.integers(0, whole.shape[0] - height + 1)
        left = random.integers(0, whole.shape[1] - width + 1)
        found.append(np.ascontiguousarray(whole[top : top + height, left : left + width]))
    return found


def _adaptive(model: LoadedModel) -> list[list[str]]:
    """Rank correlation of adaptive to exact occlusion over 20 photos."""
    maps, scores, forwards = [], [], 0
    for pixels in _crops(20):
        view = model.spec.preprocess.view(pixels)
        exact = exhaust(occlude(model, view, Occlusion()))
        fast = exhaust(occlude(model, view, Occlusion(mode="adaptive")))
        maps.append(spearmanr(exact.values.ravel(), fast.values.ravel())[0])
        scores.append(spearmanr(exact.score_map.ravel(), fast.score_map.ravel())[0])
        forwards = fast.forwards
    return [
        [f"per-pixel map ({forwards} of 170 forwards)", f"{np.mean(maps):.3f}", f"{min(maps):.3f}"],
        ["score_map, window by window", f"{np.mean(scores):.3f}", f"{min(scores):.3f}"],
    ]


def _mosaics(model: LoadedModel, count: int) -> list[list[str]]:
    """Mean share of the positive mass that lies on the quadrants of the class explained."""
    height, width = model.spec.preprocess.height, model.spec.preprocess.width
    tiles = [
        (resize(pixels, (height // 2, width // 2), anti_aliasing=True) * 255).astype(np.uint8)
        for pixels in arrays()
    ]
    whole = torch.stack([model.spec.preprocess(pixels) for pixels in arrays()])
    tops = model.forward(whole).logits.argmax(1)
    random = np.random.default_rng(1)
    shares: dict[str, list[float]] = {}
    for _ in range(count):
        first, second = random.choice(len(tiles), 2, replace=False)
        layout = random.permutation([True, True, False, False]).reshape(2, 2)
        rows = [
            np.concatenate([tiles[first if of_first else second] for of_first in row], axis=1)
            for row in layout
        ]
        mosaic = np.concatenate(rows, axis=0)
        view = torch.from_numpy(mosaic).permute(2, 0, 1)
        inside = np.kron(layout, np.ones((height // 2, width // 2), bool))
        for name, values in _maps(model, view, int(tops[first])).items():
            positive = np.clip(values, 0, None)
            shares.setdefault(name, []).append(
                float(positive[inside].sum() / max(positive.sum(), 1e-12))
            )
    return [
        [name, f"{np.mean(each):.2f}", f"{np.median(each):.2f}"] for name, each in shares.items()
    ]


def _maps(model: LoadedModel, view: Tensor, target: int) -> dict[str, FloatArray]:
    row = model.spec.preprocess.normalise(view)[None]
    (plain,) = input_gradients(model, row, [ClassObjective(target)])
    (guided,) = input_gradients(model, row, [ClassObjective(target)], "guided")
    assert model.last_convolution is not None
    return {
        "occlusion": exhaust(occlude(model, view, Occlusion(), target)).values,
        "grad-cam": grad_cam(model, row, [target], model.last_convolution)[0].values,
        "integrated-gradients": exhaust(
            integrated_gradients(model, view, IntegratedGradients(), target)
        ).values,
        "saliency": Saliency()(plain.gradient),
        "guided-backprop": Saliency()(guided.gradient),
    }


def _latency(seconds: int, rounds: int) -> list[list[str]]:
    """Classify's p99 at 4 clients, alone and while occlusions run one after the other."""
    command = ["-m", "service", "serve", "--port", str(_PORT), "--log-level", "error"]
    alone, beside = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        Contestant(command, _PORT, "/health/ready") as server,
    ):
        lua, url = script(Path(folder), "raw"), server.url + "/v1/classify"
        drive(url, lua, 4, 2)
        for _ in range(rounds):
            alone.append(drive(url, lua, 4, seconds).p99_ms)
            stop = threading.Event()
            busy = threading.Thread(target=_occlude_until, args=(server.url, stop))
            busy.start()
            beside.append(drive(url, lua, 4, seconds).p99_ms)
            stop.set()
            busy.join()
    ratio = statistics.median(b / a for a, b in zip(alone, beside, strict=True))
    return [
        [
            "classify p99 with / without an occlusion running, 4 clients",
            f"{ratio:.2f}",
            "<= 3",
            f"{statistics.median(beside):.0f}",
            f"{statistics.median(alone):.0f}",
        ]
    ]


def _occlude_until(url: str, stop: threading.Event) -> None:
    while not stop.is_set():
        request = urllib.request.Request(
            f"{url}/v1/explain/occlusion?format=npy",
            data=photos()[0],
            headers={"Content-Type": "image/jpeg"},
        )
        urllib.request.urlopen(request, timeout=120).read()


def main() -> None:
    """Run everything and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each latency run")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Captum's, about its own hooks
    targets = {"exact": ">= 3.5", "adaptive": ">= 8", "saliency": ">= 1.3"}
    rows = []
    registry = standard_registry()
    networks = [("efficientnet-lite0", options.rounds), ("torchvision:resnet50", 1)]
    for name, rounds in networks:
        model = registry.load(name, _CPU, pretrained=name == "efficientnet-lite0")
        view = model.spec.preprocess.view(arrays()[0])
        duels = _duels(model, view, name)
        for duel in duels if rounds > 1 else [each for each in duels if "adapt" not in each.name]:
            print(duel.name, file=sys.stderr, flush=True)
            for _ in range(rounds):
                duel.round()
            target = next((t for word, t in targets.items() if word in duel.name), "")
            if "resnet" in name:
                target = ">= 2.5" if "exact" in duel.name else ""
            rows.append(duel.row(target))
        if name == "efficientnet-lite0":
            adaptive, mosaics = _adaptive(model), _mosaics(model, 20)
    rows += _latency(options.seconds, options.rounds)
    packages = ("torch", "openvino", "captum", "timm")
    text = "\n".join(
        [
            "# Explanations at 224 px",
            "",
            f"`python -m benchmarks.explain --rounds {options.rounds}` on {describe(*packages)}.",
            "",
            "Ratio = Captum's time / ours, the same work on the same network; the median of the "
            "rounds' own ratios. Captum's occlusion counts at its best of 1, 4 and 8 "
            "`perturbations_per_eval`, its integrated gradients at their best of two batch sizes. "
            "Captum runs the same torch module (channels last, no parameter gradients).",
            "",
            table(["what", "ratio", "target", "ours, ms", "theirs, ms"], rows),
            "Adaptive against exact occlusion, Spearman's rank correlation over 20 photos:",
            "",
            table(["of", "mean", "worst"], adaptive),
            "Mosaics: 2 x 2 photos, two of class A, two of B, A explained; share of the positive "
            "mass on A's half, 20 mosaics (0.5 = chance):",
            "",
            table(["method", "mean", "median"], mosaics),
        ]
    )
    _RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
