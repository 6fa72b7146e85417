"""Forwards without gradient: torch, OpenVINO, one row at a time. Knows no labels, no pictures."""

import warnings
from typing import NamedTuple, Protocol

import numpy as np
import openvino
import torch
from torch import Tensor, nn

from core.errors import MethodUnsupported
from core.models.structure.axes import Axes
from core.models.structure.layers import last_seen
from core.models.structure.ports import Operand, Port
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
    """A classifier that also answers its features, from one forward.

    Args:
        module: the classifier.
        features: where they are.
        axes: theirs.
        width: how many there are; NaN where a picture takes a way past their layer.
    """

    def __init__(
        self, module: nn.Module, features: Port | Operand, axes: Axes, width: int | None = None
    ) -> None:
        super().__init__()
        self.width = width
        self.module = module
        self.features = features
        self.axes = axes

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> logits (B, K), features (B, D)."""
        with self.features.captured(self.module) as seen:
            logits = self.module(batch)
        if not seen and self.width is not None:
            return logits, logits.new_full((len(batch), self.width), float("nan"))
        found = last_seen(seen, self.features.layer)
        if not self.axes.holds(found, len(batch)):
            raise MethodUnsupported(
                f"the features, at layer {self.features.layer!r}, have the shape "
                f"{tuple(found.shape)} for {len(batch)} pictures"
            )
        return logits, self.axes.pooled(self.axes.batch_first(found), "avg")


class TorchRuntime:
    """The torch module itself, on any device."""

    name = "torch"

    def __init__(
        self,
        network: LogitsAndFeatures,
        device: torch.device,
        memory_format: torch.memory_format = torch.channels_last,
    ) -> None:
        self._network = network
        self._device = device
        self._memory_format = memory_format
        # CUDA gains from large batches; eager torch on a CPU was flat from 8 on.
        self.max_batch = 64 if device.type == "cuda" else 8

    def __call__(self, batch: Tensor) -> Outputs:
        """Run (B, C, H, W) float32 rows."""
        # A copy, which the network may change in place.
        rows = batch.to(
            self._device, non_blocking=True, copy=True, memory_format=self._memory_format
        )
        with torch.no_grad():
            logits, features = self._network(rows)
        return Outputs(logits.float().cpu().numpy(), features.float().cpu().numpy())


class Compiled:
    """A graph compiled by OpenVINO for the CPU, in float32.

    Compiled twice: with all threads on one request, which answers a single row soonest; and with
    one thread on each of as many streams, among which the rows of a batch are dealt out, each to
    the stream that is free. Nothing is gained from larger inputs on a CPU, and a stream never
    waits for another: with two threads decoding pictures meanwhile, two cores ran 20 % more rows.

    Args:
        model: one input (B, ...), outputs (B, ...).
        threads: CPU threads; 0 = all.
    """

    def __init__(self, model: openvino.Model, threads: int) -> None:
        whole = _compile(model, threads, streams=1)
        self._whole = whole.create_infer_request()
        self.streams = int(whole.get_property("INFERENCE_NUM_THREADS"))
        dealt = _compile(model, threads, self.streams)
        self._queue = openvino.AsyncInferQueue(dealt, self.streams)
        self._count = len(model.outputs)

    def __call__(self, rows: FloatArray, at_once: int = 1) -> list[FloatArray]:
        """Each output (B, ...) for (B, ...) rows, dealt out evenly, at most so many at a time."""
        if len(rows) == 1:
            self._whole.infer([rows], share_inputs=True)
            return _outputs(self._whole, self._count)
        done: dict[int, list[FloatArray]] = {}
        count = self._count

        # The queue holds it where no garbage collector looks: with `self` in it, neither would go.
        def keep(request: openvino.InferRequest, number: int) -> None:
            done[number] = _outputs(request, count)

        self._queue.set_callback(keep)
        rounds = -(-len(rows) // (at_once * self.streams))
        pieces = np.array_split(rows, min(len(rows), rounds * self.streams))
        for number, piece in enumerate(pieces):
            self._queue.start_async([piece], number, share_inputs=True)
        self._queue.wait_all()
        ordered = [done[number] for number in range(len(pieces))]
        return [np.concatenate(outputs) for outputs in zip(*ordered, strict=True)]


def _outputs(request: openvino.InferRequest, count: int) -> list[FloatArray]:
    """Copies, since a request's output is overwritten by its next run."""
    return [request.get_output_tensor(i).data.copy() for i in range(count)]


class OpenVinoRuntime:
    """The network compiled by OpenVINO for the CPU.

    Attributes:
        converted: the graph that was compiled, for those who compile parts of it.
    """

    name = "openvino"

    def __init__(self, network: LogitsAndFeatures, example: Tensor, threads: int = 0) -> None:
        self.converted = _convert(network, example)
        self._compiled = Compiled(self.converted, threads)
        # Enough that the wait for the last row of a batch is small beside the batch.
        self.max_batch = 4 * self._compiled.streams

    def __call__(self, batch: Tensor) -> Outputs:
        """Run (B, C, H, W) float32 rows."""
        return Outputs(*self._compiled(np.ascontiguousarray(batch.numpy())))


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


class Alone:
    """Another runtime, one row at a time: for a network whose rows do not keep to themselves."""

    max_batch = 1

    def __init__(self, runtime: Runtime) -> None:
        self.name = runtime.name
        self._runtime = runtime

    def __call__(self, batch: Tensor) -> Outputs:
        """Run (B, C, H, W) float32 rows."""
        outputs = [self._runtime(row[None]) for row in batch]
        return Outputs(*(np.concatenate(each) for each in zip(*outputs, strict=True)))


def relative_difference(ours: Outputs, theirs: Outputs) -> float:
    """Largest difference between two answers to the same rows, relative to the largest value.

    Returns:
        The larger figure of logits and features; infinite where only one is a number, or the shapes
        are not the same.
    """
    worst = 0.0
    for one, other in zip(ours, theirs, strict=True):
        finite = np.isfinite(one)
        if one.shape != other.shape or not (finite == np.isfinite(other)).all():
            return float("inf")
        if finite.any():
            scale = max(float(np.abs(other[finite]).max()), _TINY)
            worst = max(worst, float(np.abs(one[finite] - other[finite]).max()) / scale)
    return worst
