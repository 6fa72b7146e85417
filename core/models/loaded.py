"""`LoadedModel`: a network in memory with its forward paths, compared when it is loaded."""

import hashlib
import logging
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from core.errors import ANY_FAILURE, MethodUnsupported, ModelUnusable, first_line, summary
from core.models.memory import require_no_memory, seen
from core.models.outputs import make_logits
from core.models.probing import ONE_AMONG_OTHERS, observe, probes
from core.models.runtimes.incremental import Incremental
from core.models.runtimes.memory_format import ContiguousNorms, memory_format
from core.models.runtimes.runtime import (
    MAX_RELATIVE_DIFFERENCE,
    Alone,
    LogitsAndFeatures,
    OpenVinoRuntime,
    Runtime,
    TorchRuntime,
    relative_difference,
)
from core.models.spec import ModelSpec
from core.models.structure.anatomy import Ports
from core.models.structure.axes import Axes, Pool
from core.models.structure.batch import mixes
from core.models.structure.chart import chart
from core.models.structure.layout import Layout
from core.models.structure.ports import Port
from core.types import FloatArray

_log = logging.getLogger(__name__)


class LoadedModel:
    """A network ready to run: frozen weights, eval mode, never toggled.

    Two forward paths: `runtime` is compiled where that is possible and was checked against the
    torch module when loaded; `module` is the torch network, for gradients and activations.

    Args:
        spec: what is known of the model.
        module: the network with its weights; taken over, put in eval mode, gradients off.
        device: where the torch module runs.
        threads: CPU threads of a compiled forward; 0 = all.

    Attributes:
        runtime: logits and features of (B, C, H, W) float32 rows on the CPU, as `spec.preprocess`
            gives them, by the fastest path that was checked.
        features: where the feature vector is taken.
        notes: what an operator may want to know of it, a sentence each.
        rows_at_once: of a piece of long work, and of one backward pass; other work waits for it.

    Raises:
        ModelUnusable: the network does not fit the spec.
    """

    def __init__(
        self,
        spec: ModelSpec,
        module: nn.Module,
        device: torch.device,
        *,
        threads: int = 0,
    ) -> None:
        self.spec = spec
        self.device = device
        self._threads = threads
        self._mixing: dict[Port, bool] = {}
        module.eval()  # of one's own it may give nothing back
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        self.module = module
        # A backward pass of eager torch on two cores: 1 -> 39, 2 -> 28, 4 -> 26, 8 -> 33 ms a row;
        # on an H100: 1 -> 10, 4 -> 3.4, 32 -> 0.6 ms.
        self.rows_at_once = 32 if device.type == "cuda" else 4
        self.digest = _digest(module)
        probe = probes(spec.preprocess)
        guesses = make_logits(module, probe, spec.labels, spec.activation)
        for each in guesses:
            _log.warning("%s: %s", spec.name, each)
        require_no_memory(module, probe)
        self._chart = chart(module, probe, _said(spec))
        self.features = self._chart.features
        found = self._chart
        network = LogitsAndFeatures(module, found.features, found.features_axes, found.width)
        network.eval()
        compiled, self.runtime_note = _compiled(network, probe, device, threads)
        self._memory_format = memory_format(module.to(device), probe[:2].to(device))
        self.runtime: Runtime = TorchRuntime(network, device, self._memory_format)
        behavior = observe(self.runtime, probe, self._chart.why_alone)
        self.notes = spec.notes + guesses + behavior.notes
        if behavior.alone:
            self.rows_at_once = 1
            self.runtime = Alone(self.runtime)
        if not behavior.traceable:
            self.runtime_note = "OpenVINO would take the same way for every picture"
        elif compiled is not None:
            self.runtime_note = _difference(compiled, self.runtime, probe)
            self.runtime = self.runtime if self.runtime_note or behavior.alone else compiled
        outputs = self.runtime(probe)
        self.num_classes = outputs.logits.shape[1]
        self.feature_dim = outputs.features.shape[1]
        if self.num_classes != len(spec.labels):
            raise ModelUnusable(
                f"it puts out {self.num_classes} classes and has {len(spec.labels)} labels"
            )

    def layer_vectors(self, batch: Tensor, port: Port, pool: Pool) -> FloatArray:
        """What enters or leaves any layer, one vector per row.

        Args:
            batch: (B, C, H, W) float32 on the CPU.
            port: of the layer.
            pool: see `core.models.structure.axes.Axes.pooled`.

        Returns:
            (B, D) float32.

        Raises:
            UnknownLayer: no such layer.
            MethodUnsupported: the layer did not run, or not on whole pictures.
            ModelUnusable: its output is not a tensor.
        """
        self.require_apart(port)
        with torch.no_grad(), port.captured(self.module) as seen:
            self.module(self.to_device(batch))
        activation = self.known_axes.taken(port, seen, len(batch))
        axes = self.axes(port, activation)
        vectors = axes.pooled(axes.batch_first(activation), pool)
        return cast(FloatArray, vectors.float().cpu().numpy())

    def axes(self, port: Port, activation: Tensor) -> Axes:
        """The axes of what was captured at a layer.

        Args:
            activation: as the layer has it.
        """
        return self.known_axes.of(port, activation)

    def require_apart(self, port: Port) -> None:
        """Refuse a layer that mixes the pictures of a batch; not to be called while one runs.

        Two forwards when a layer is first asked for, none after that.

        Raises:
            UnknownLayer: no such layer.
            MethodUnsupported: what is there for one picture depends on the others.
        """
        if isinstance(self.runtime, Alone):
            return
        if port not in self._mixing:
            axes, probe = self.known_axes.readable(port), probes(self.spec.preprocess)
            batches = [self.to_device(probe[rows]) for rows in ONE_AMONG_OTHERS]
            mixing = axes is not None and mixes(self.module, port, axes.batch or 0, batches)
            self._mixing[port] = mixing
        if self._mixing[port]:
            raise MethodUnsupported(
                f"what is at layer {port.layer!r} for one picture depends on the others of its "
                "batch, though the network's answer does not"
            )

    @property
    def known_axes(self) -> Layout:
        """The axes of what enters and leaves each layer that runs."""
        return self._chart.layout

    @cached_property
    def maps(self) -> Ports:
        """Where the last feature maps are, or tokens in a grid; empty where there are none.

        All that the logits depend on passes through there, and the logits depend on more than one
        position of them: of a transformer's last block only the class token counts.
        """
        found = self._chart.maps
        row = probes(self.spec.preprocess)[-1:]
        try:
            return next((ports for ports in found if self._counts(ports, row)), ())
        except ANY_FAILURE as error:  # the network's own code, which need not run with gradients
            _log.info("%s has no maps to explain: %s", self.spec.name, summary(error))
            return ()

    def _counts(self, ports: Ports, row: Tensor) -> bool:
        """Whether the logits depend on more than one position of these maps."""
        with torch.enable_grad(), ExitStack() as hooks:
            seen = [hooks.enter_context(port.tapped(self.module)) for port in ports]
            logits = self.module(self.to_device(row))
            if not logits.requires_grad:
                return False
            activations = [
                self.known_axes.taken(*each, len(row)) for each in zip(ports, seen, strict=True)
            ]
            weights = torch.linspace(-1, 1, logits.shape[1], device=logits.device)
            gradients = torch.autograd.grad((logits * weights).sum(), activations)
        for port, gradient in zip(ports, gradients, strict=True):
            axes = self.known_axes[port]
            maps = axes.maps(axes.batch_first(gradient))
            if maps is None or (maps != 0).any(1).sum() <= 1:
                return False
        return True

    @cached_property
    def incremental(self) -> Incremental | None:
        """The compiled network cut in two; None where that cannot be done or gains nothing.

        Made on first use, which takes up to a second: the engine uses it while loading.
        """
        if not isinstance(self.runtime, OpenVinoRuntime):
            return None
        try:
            return Incremental(self.runtime.converted, self._threads)
        except (ValueError, RuntimeError) as error:  # OpenVINO raises RuntimeError for everything
            _log.info("%s is not run incrementally: %s", self.spec.name, error)
            return None

    def going_back(self) -> AbstractContextManager[object]:
        """Stands around `torch.autograd.grad`, and has it give the right gradients."""
        contiguous = self._memory_format == torch.contiguous_format
        return ContiguousNorms() if contiguous else nullcontext()

    def to_device(self, batch: Tensor) -> Tensor:
        """A copy of the batch where the torch module is, in its memory format."""
        return batch.to(self.device, copy=True, memory_format=self._memory_format)


def _said(spec: ModelSpec) -> Port | None:
    return Port(spec.feature_layer, spec.feature_at) if spec.feature_layer else None


def _compiled(
    network: LogitsAndFeatures, probe: Tensor, device: torch.device, threads: int
) -> tuple[OpenVinoRuntime | None, str]:
    """The compiled runtime, for a CPU, or why there is none."""
    if device.type != "cpu":
        return None, ""
    try:
        return OpenVinoRuntime(network, probe[:1], threads), ""
    except Exception as error:  # whatever a compiler raises, the torch module still runs
        _log.warning("OpenVINO could not compile the model", exc_info=error)
        return None, f"OpenVINO could not compile this network ({type(error).__name__})"


def _difference(compiled: OpenVinoRuntime, reference: Runtime, probe: Tensor) -> str:
    """What keeps a compiled runtime from being used; empty if nothing does."""
    try:
        difference = relative_difference(compiled(probe), reference(probe))
    except RuntimeError as error:  # what was compiled does not run on more than one row
        note = f"OpenVINO's forward failed: {first_line(error)}"
    else:
        if difference <= MAX_RELATIVE_DIFFERENCE:
            return ""
        note = f"OpenVINO's forward differs by {difference:.1e}, allowed {MAX_RELATIVE_DIFFERENCE}"
    _log.warning("%s; using torch", note)
    return note


def _digest(module: nn.Module) -> str:
    """sha256 over the names, types and bytes of all weights and buffers, in order."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        if not isinstance(tensor, Tensor):  # what a module says of itself beside its tensors
            digest.update(f"{name} {seen(tensor)}\n".encode())
            continue
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return f"sha256:{digest.hexdigest()}"
