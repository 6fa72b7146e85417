"""Explanations against Captum, and how far to trust them: `python -m benchmarks.explain`.

In one run, on one machine, rounds interleaved: occlusion, saliency, guided backpropagation and
integrated gradients against Captum on the same network and picture; classify's p99 with and without
an occlusion running; how adaptive occlusion ranks pixels compared with exact; and where the methods
put their mass on mosaics of two classes. Writes benchmarks/results/explain.md.
"""

import argparse
import copy
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import captum.attr
import numpy as np
import torch
from scipy.stats import spearmanr
from skimage.transform import resize
from torch import Tensor, nn

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
    """The same job done by us and by peers, in turn; a peer may have several ways to do it."""

    def __init__(
        self,
        name: str,
        ours: Callable[[], object],
        peers: dict[str, list[Callable[[], object]]],
        target: str = "",
    ):
        self.name = name
        self._ours = ours
        self._peers = peers
        self._target = target
        self.ours_s: list[float] = []
        self.peers_s: dict[str, list[float]] = {peer: [] for peer in peers}

    def round(self) -> None:
        """Once each; of several ways of a peer the fastest counts."""
        self.ours_s.append(_seconds(self._ours))
        for peer, ways in self._peers.items():
            self.peers_s[peer].append(min(map(_seconds, ways)))

    def row(self) -> list[str]:
        """Ratios first, a pair of columns for each peer."""
        ours_ms = f"{statistics.median(self.ours_s) * 1000:.0f}"
        ratios, times = [], []
        for theirs in self.peers_s.values():
            ratio = statistics.median(t / o for o, t in zip(self.ours_s, theirs, strict=True))
            ratios.append(f"{ratio:.2f}")
            times.append(f"{statistics.median(theirs) * 1000:.0f}")
        return [self.name, *ratios, self._target, ours_ms, *times]


def _captum_occlusion(
    module: nn.Module, model: LoadedModel, view: Tensor, target: int, at_once: int
) -> Tensor:
    normalise = model.spec.preprocess.normalise
    oracle = captum.attr.Occlusion(lambda rows: torch.softmax(module(rows), 1))
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


def _duels(model: LoadedModel, view: Tensor, name: str, targets: dict[str, str]) -> list[Duel]:
    row = model.spec.preprocess.normalise(view)[None]
    target = int(model.forward(row).logits.argmax())
    eight = row.repeat(8, 1, 1, 1)
    objectives = [ClassObjective(target)] * 4
    modules = {
        "as in its docs": copy.deepcopy(model.module).to(memory_format=torch.contiguous_format),
        "with our channels-last module": model.module,
    }

    def saliency_of_eight() -> None:
        for start in (0, 4):  # as the worker batches them
            for each in input_gradients(model, eight[start : start + 4], objectives):
                Saliency()(each.gradient)

    def captum_saliency_of_eight(module: nn.Module) -> None:
        oracle = captum.attr.Saliency(module)
        for _ in range(8):
            oracle.attribute(row.clone().requires_grad_(), target=target)

    def captum_guided(module: nn.Module) -> None:
        oracle = captum.attr.GuidedBackprop(module)
        oracle.attribute(row.clone().requires_grad_(), target=target)

    def captum_integrated(module: nn.Module, at_once: int) -> None:
        oracle = captum.attr.IntegratedGradients(module)
        oracle.attribute(row, target=target, n_steps=32, internal_batch_size=at_once)

    def peers(
        work: Callable[..., object], settings: tuple[tuple[int, ...], ...] = ((),)
    ) -> dict[str, list[Callable[[], object]]]:
        return {
            peer: [partial(work, module, *each) for each in settings]
            for peer, module in modules.items()
        }

    def captum_occlusion(module: nn.Module, at_once: int) -> None:
        _captum_occlusion(module, model, view, target, at_once)

    jobs: list[tuple[str, Callable[[], object], dict[str, list[Callable[[], object]]]]] = [
        (
            "occlusion, exact, 169 windows",
            lambda: exhaust(occlude(model, view, Occlusion(), target)),
            peers(captum_occlusion, ((1,), (4,), (8,))),
        ),
        (
            "occlusion, adaptive",
            lambda: exhaust(occlude(model, view, Occlusion(mode="adaptive"), target)),
            peers(captum_occlusion, ((1,), (4,), (8,))),
        ),
        ("saliency of 8 requests", saliency_of_eight, peers(captum_saliency_of_eight)),
        (
            "guided backpropagation",
            lambda: input_gradients(model, row, objectives[:1], "guided"),
            peers(captum_guided),
        ),
        (
            "integrated gradients, 32 steps",
            lambda: exhaust(integrated_gradients(model, view, IntegratedGradients(), target)),
            peers(captum_integrated, ((1,), (4,))),
        ),
    ]
    return [Duel(f"{name}: {job}", *rest, targets.get(job, "")) for job, *rest in jobs]


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
    beside_ms, alone_ms = statistics.median(beside), statistics.median(alone)
    return [
        ["4 clients on efficientnet-lite0", f"{ratio:.2f}", "<= 3"]
        + [f"{each:.0f}" for each in (beside_ms, alone_ms)]
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
    exact, adaptive_job = "occlusion, exact, 169 windows", "occlusion, adaptive"
    networks = {
        "efficientnet-lite0": {
            exact: ">= 3.5",
            adaptive_job: ">= 8",
            "saliency of 8 requests": ">= 1.3",
        },
        "torchvision:resnet50": {exact: ">= 2.5"},
    }
    rows, registry = [], standard_registry()
    for name, targets in networks.items():
        model = registry.load(name, _CPU, pretrained=name == "efficientnet-lite0")
        view = model.spec.preprocess.view(arrays()[0])
        _ = model.incremental  # made at start-up, as the service does
        for duel in _duels(model, view, name, targets):
            print(duel.name, file=sys.stderr, flush=True)
            for _ in range(options.rounds):
                duel.round()
            rows.append(duel.row())
        if name == "efficientnet-lite0":
            adaptive, mosaics = _adaptive(model), _mosaics(model, 20)
    latency = _latency(options.seconds, options.rounds)
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
            "Captum runs twice: on the module as timm and torchvision give it, which is how its "
            "documentation uses it, and on the very module we serve (channels last, which its "
            "users would have to know of). Neither keeps gradients of parameters.",
            "",
            table(
                [
                    "what",
                    "ratio, docs",
                    "ratio, channels last",
                    "target",
                    "ours, ms",
                    "docs, ms",
                    "channels last, ms",
                ],
                rows,
            ),
            "Classify's p99 with / without occlusions running, one after the other:",
            "",
            table(["load", "ratio", "target", "with, ms", "without, ms"], latency),
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
