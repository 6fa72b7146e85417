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
import torch
from torch import Tensor, nn

from benchmarks.machine import describe, table
from benchmarks.photos import arrays, photos
from benchmarks.server_process import ServerProcess
from benchmarks.trust import adaptive_ranks, mosaics
from benchmarks.wrk import drive, script
from core.explain.fill import filled
from core.explain.gradients import input_gradients
from core.explain.integrated import IntegratedGradients, integrated_gradients
from core.explain.objective import ClassObjective
from core.explain.occlusion import Occlusion, occlude
from core.explain.saliency import Saliency
from core.explain.steps import exhaust
from core.models.loaded import LoadedModel
from core.models.registry import standard_registry

_RESULTS = Path(__file__).parent / "results"
_PORT = 8751
EXACT, ADAPTIVE = "occlusion, exact, 169 windows", "occlusion, adaptive"
SALIENCY = "saliency of 8 requests"
_AT_ONCE = {"cpu": ((1,), (4,), (8,)), "cuda": ((1,), (32,), (256,))}
"""Batches that Captum is tried with: `perturbations_per_eval`, `internal_batch_size`."""


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():  # Captum leaves its answers there, maybe not yet computed
        torch.cuda.synchronize()
    return time.perf_counter() - start


class Comparison:
    """The same job done by us, in one way or several, and by peers, interleaved."""

    def __init__(
        self,
        ours: dict[str, Callable[[], object]],
        peers: dict[str, list[Callable[[], object]]],
    ):
        self._ours = ours
        self._peers = peers
        self._ours_s: dict[str, list[float]] = {name: [] for name in ours}
        self._peers_s: dict[str, list[float]] = {peer: [] for peer in peers}

    def round(self) -> None:
        """Once each; of several ways of a peer the fastest counts."""
        for name, work in self._ours.items():
            self._ours_s[name].append(_seconds(work))
        for peer, ways in self._peers.items():
            self._peers_s[peer].append(min(map(_seconds, ways)))

    def rows(self, model: str, targets: dict[str, str]) -> list[list[str]]:
        """Ratios first, a pair of columns for each peer; a row for each of our ways."""
        return [
            [f"{model}: {name}", *self._ratios(ours_s), targets.get(name, "")]
            + [_milliseconds(each) for each in (ours_s, *self._peers_s.values())]
            for name, ours_s in self._ours_s.items()
        ]

    def _ratios(self, ours_s: list[float]) -> list[str]:
        return [
            f"{statistics.median(t / o for o, t in zip(ours_s, theirs, strict=True)):.2f}"
            for theirs in self._peers_s.values()
        ]


def _milliseconds(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f}"


def _captum_occlusion(
    module: nn.Module, model: LoadedModel, view: Tensor, target: int, at_once: int
) -> Tensor:
    normalize = model.spec.preprocess.normalize
    oracle = captum.attr.Occlusion(lambda rows: torch.softmax(module(rows), 1))
    with torch.no_grad():
        found: Tensor = oracle.attribute(
            normalize(view)[None].to(model.device),
            sliding_window_shapes=(3, 32, 32),
            strides=(3, 16, 16),
            baselines=normalize(filled(view, "mean"))[None].to(model.device),
            target=target,
            perturbations_per_eval=at_once,
        )
    return found


def _comparisons(model: LoadedModel, view: Tensor) -> list[Comparison]:
    row = model.spec.preprocess.normalize(view)[None]
    there = row.to(model.device)
    target = int(model.runtime(row).logits.argmax())
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
            oracle.attribute(there.clone().requires_grad_(), target=target)

    def captum_guided(module: nn.Module) -> None:
        oracle = captum.attr.GuidedBackprop(module)
        oracle.attribute(there.clone().requires_grad_(), target=target)

    def captum_integrated(module: nn.Module, at_once: int) -> None:
        oracle = captum.attr.IntegratedGradients(module)
        oracle.attribute(there, target=target, n_steps=32, internal_batch_size=at_once)

    def peers(
        work: Callable[..., object], settings: tuple[tuple[int, ...], ...] = ((),)
    ) -> dict[str, list[Callable[[], object]]]:
        return {
            peer: [partial(work, module, *each) for each in settings]
            for peer, module in modules.items()
        }

    def captum_occlusion(module: nn.Module, at_once: int) -> None:
        _captum_occlusion(module, model, view, target, at_once)

    return [
        Comparison(
            {
                EXACT: lambda: exhaust(occlude(model, view, Occlusion(), target)),
                ADAPTIVE: lambda: exhaust(occlude(model, view, Occlusion(mode="adaptive"), target)),
            },
            peers(captum_occlusion, _AT_ONCE[model.device.type]),
        ),
        Comparison({SALIENCY: saliency_of_eight}, peers(captum_saliency_of_eight)),
        Comparison(
            {
                "guided backpropagation": lambda: input_gradients(
                    model, row, objectives[:1], "guided"
                )
            },
            peers(captum_guided),
        ),
        Comparison(
            {
                "integrated gradients, 32 steps": lambda: exhaust(
                    integrated_gradients(model, view, IntegratedGradients(), target)
                )
            },
            peers(captum_integrated, _AT_ONCE[model.device.type]),
        ),
    ]


def _sizes(device: str) -> str:
    *some, last = (str(size) for (size,) in _AT_ONCE[device])
    return f"{', '.join(some)} and {last}"


def _latency(seconds: int, rounds: int, device: str) -> list[list[str]]:
    """Classify's p99 at 4 clients, alone and while occlusions run one after the other."""
    options = ["--port", str(_PORT), "--device", device, "--log-level", "error"]
    alone, contended = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(["-m", "service", "serve", *options], _PORT, "/health/ready") as server,
    ):
        lua, url = script(Path(folder), "raw"), server.url + "/v1/classify"
        drive(url, lua, 4, 2)
        for _ in range(rounds):
            alone.append(drive(url, lua, 4, seconds).p99_ms)
            stop = threading.Event()
            busy = threading.Thread(target=_occlude_until, args=(server.url, stop))
            busy.start()
            contended.append(drive(url, lua, 4, seconds).p99_ms)
            stop.set()
            busy.join()
    ratio = statistics.median(b / a for a, b in zip(alone, contended, strict=True))
    contended_ms, alone_ms = statistics.median(contended), statistics.median(alone)
    return [
        ["4 clients on efficientnet-lite0", f"{ratio:.2f}", "<= 3"]
        + [f"{each:.0f}" for each in (contended_ms, alone_ms)]
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
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="of all (cpu)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Captum's, about its own hooks
    networks = {
        "efficientnet-lite0": {EXACT: ">= 3.5", ADAPTIVE: ">= 8", SALIENCY: ">= 1.3"},
        "torchvision:resnet50": {EXACT: ">= 2.5"},
    }
    rows, registry, device = [], standard_registry(), torch.device(options.device)
    for name, targets in networks.items():
        model = registry.load(name, device, pretrained=name == "efficientnet-lite0")
        view = model.spec.preprocess.view(arrays()[0])
        _ = model.incremental  # made at start-up, as the service does
        for comparison in _comparisons(model, view):
            for _ in range(options.rounds):
                comparison.round()
            rows += comparison.rows(name, targets)
            print(rows[-1], file=sys.stderr, flush=True)
        if name == "efficientnet-lite0":
            ranks, shares = adaptive_ranks(model), mosaics(model, 20)
    latency = _latency(options.seconds, options.rounds, options.device)
    packages = ("torch", "openvino", "captum", "timm")
    text = "\n".join(
        [
            "# Explanations at 224 px",
            "",
            f"`python -m benchmarks.explain --rounds {options.rounds} --device {options.device}` "
            f"on {describe(*packages, device=options.device)}.",
            "",
            "Ratio = Captum's time / ours, the same work on the same network; the median of the "
            "rounds' own ratios. Captum's occlusion and integrated gradients count at their best "
            f"of {_sizes(options.device)} pictures at once. "
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
            table(["of", "mean", "worst"], ranks),
            "Mosaics: 2 x 2 photos, two of class A, two of B, A explained; share of the positive "
            "mass on A's half, 20 mosaics (0.5 = chance):",
            "",
            table(["method", "mean", "median"], shares),
        ]
    )
    name = "explain.md" if options.device == "cpu" else f"explain-{options.device}.md"
    (_RESULTS / name).write_text(text)
    print(text)


if __name__ == "__main__":
    main()
