"""Owns the ways to run a forward that needs no gradient; refuses to know labels or pictures."""

import warnings
from typing import NamedTuple, Protocol

import numpy as np
import openvino
import torch
from torch import Tensor, nn

from core.models.layers import captured_input, pooled
from core.types import FloatArray

MAX_RELATIVE_DIFFERENCE = 1e-3
_TINY = float(np.finfo(np.float32).tiny)


class Outputs(NamedTuple):
    """What one forward gives: logits (B, K) and features (B, D), both float32 on the CPU."""

    logits: FloatArray
    features: FloatArray


class Runtime(Protocol):
    """Something that runs batches.

    Attributes:
        name: what /v1/models calls it.
        max_batch: rows per forward beyond which it gains nothing; measured, not a hard limit.
    """

    name: str
    max_batch: int

    def __call__(self, batch: Tensor) -> Outputs:
        """Run (B, C, H, W) float32 rows."""


class LogitsAndFeatures(nn.Module):
    """A classifier that also answers the input of its feature layer, from the same forward."""

    def __init__(self, module: nn.Module, feature_layer: str) -> None:
        super().__init__()
        self.module = module
        self.feature_layer = feature_layer

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> logits (B, K), features (B, D)."""
        with captured_input(self.module, self.feature_layer) as seen:
            logits = self.module(batch)
        return logits, pooled(seen[-1], "avg")


class TorchRuntime:
    """The torch module itself, on any device."""

    name = "torch"

    def __init__(self, network: LogitsAndFeatures, device: torch.device) -> None:
        self._network = network
        self._device = device
        # CUDA gains from large batches; eager torch on a CPU was flat from 8 on.
        self.max_batch = 64 if device.type == "cuda" else 8

    def __call__(self, batch: Tensor) -> Outputs:
        """Run (B, C, H, W) float32 rows."""
        rows = batch.to(self._device, non_blocking=True, memory_format=torch.channels_last)
        with torch.no_grad():
            logits, features = self._network(rows)
        return Outputs(logits.float().cpu().numpy(), features.float().cpu().numpy())


class OpenVinoRuntime:
    """The network compiled by OpenVINO for the CPU, in float32, any batch size.

    Compiled twice: with all threads on one request, which answers a single row soonest; and with
    one thread on each of as many streams, among which a batch is dealt out. A stream never waits
    for another at a layer's end, so that threads which decode pictures meanwhile cost less: with
    two of them on two cores a batch of 8 ran at 81 instead of 63 img/s (EfficientNet-Lite0).
    """

    name = "openvino"

    def __init__(self, network: LogitsAndFeatures, example: Tensor, threads: int = 0) -> None:
        model = _convert(network, example)
        whole = _compile(model, threads, streams=1)
        self._whole = whole.create_infer_request()
        count = int(whole.get_property("INFERENCE_NUM_THREADS"))
        dealt = _compile(model, threads, streams=count)
        self._streams = [dealt.create_infer_request() for _ in range(count)]
        # Beyond some rows per stream the activations fall out of the cache: on two cores 4 rows
        # ran at 205, 8 at 190, 16 at 179 img/s.
        self.max_batch = max(8, 2 * count)

    def __call__(self, batch: Tensor) -> Outputs:
        """Run (B, C, H, W) float32 rows."""
        rows = np.ascontiguousarray(batch.numpy())
        count = len(self._streams)
        if len(rows) < 2 * count and len(rows) % count:
            self._whole.infer([rows], share_inputs=True)
            return _outputs([self._whole])
        parts = np.array_split(rows, min(count, len(rows)))
        requests = self._streams[: len(parts)]
        for request, part in zip(requests, parts, strict=True):
            request.start_async([part], share_inputs=True)
        for request in requests:
            request.wait()
        return _outputs(requests)


def _outputs(requests: list[openvino.InferRequest]) -> Outputs:
    """Copies, since a request's output is overwritten by its next run."""
    return Outputs(
        *(np.concatenate([each.get_output_tensor(i).data for each in requests]) for i in (0, 1))
    )


def _compile(model: openvino.Model, threads: int, streams: int) -> openvino.CompiledModel:
    # Half precision is the plugin's default where the CPU has it, and not equal to 1e-3.
    config = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": str(streams)}
    if threads:
        config["INFERENCE_NUM_THREADS"] = str(threads)
    return openvino.Core().compile_model(model, "CPU", config)


def _convert(network: LogitsAndFeatures, example: Tensor) -> openvino.Model:
    with warnings.catch_warnings():
        # OpenVINO 2026 still traces with torch.jit, which warns of its own deprecation, and
        # tracing warns of every Python branch on a shape; the agreement check is our answer.
        warnings.simplefilter("ignore")
        return openvino.convert_model(
            network,
            example_input=example,
            input=[openvino.PartialShape([-1, *example.shape[1:]])],
        )


def disagreement(runtime: Runtime, reference: Runtime, probe: Tensor) -> float:
    """Largest difference between two runtimes on a probe batch, relative to the largest value.

    Args:
        probe: (B, C, H, W) float32.

    Returns:
        The larger figure of logits and features; infinite where one is not finite.
    """
    worst = 0.0
    for ours, theirs in zip(runtime(probe), reference(probe), strict=True):
        if ours.shape != theirs.shape or not (
            np.isfinite(ours).all() and np.isfinite(theirs).all()
        ):
            return float("inf")
        scale = max(float(np.abs(theirs).max()), _TINY)
        worst = max(worst, float(np.abs(ours - theirs).max()) / scale)
    return worst
