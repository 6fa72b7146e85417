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
    """The network compiled by OpenVINO for the CPU, in float32, any batch size."""

    name = "openvino"
    # 1 -> 172, 4 -> 205, 8 -> 190, 16 -> 179 img/s for EfficientNet-Lite0 on two cores: beyond
    # some rows the activations fall out of the cache. See benchmarks/results/serving.md.
    max_batch = 8

    def __init__(self, network: LogitsAndFeatures, example: Tensor, threads: int = 0) -> None:
        # Half precision is the plugin's default where the CPU has it, and not equal to 1e-3.
        config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            config["INFERENCE_NUM_THREADS"] = str(threads)
        traced = _convert(network, example)
        self._request = openvino.Core().compile_model(traced, "CPU", config).create_infer_request()

    def __call__(self, batch: Tensor) -> Outputs:
        """Run (B, C, H, W) float32 rows."""
        self._request.infer([np.ascontiguousarray(batch.numpy())], share_inputs=True)
        logits, features = (self._request.get_output_tensor(i).data.copy() for i in (0, 1))
        return Outputs(logits, features)


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
