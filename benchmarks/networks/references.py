"""A slow, obvious second way to every figure that is compared; imports nothing of core."""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks.written_out import GuidedRelus, NormsWrittenOut

_AsMaps = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Guided:
    """What guided backpropagation gives.

    Attributes:
        gradient: (C, H, W) float64.
        guided: ReLUs and their like that ran.
        others: activations of other kinds that ran.
    """

    gradient: Tensor
    guided: int
    others: int


class Reference:
    """A copy of a network in float64, one picture at a time, nothing compiled, nothing in place.

    All rows are (1, C, H, W) float64.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = copy.deepcopy(module).double().eval().requires_grad_(False)
        layer: Any
        for layer in self.module.modules():
            if getattr(layer, "inplace", False):
                layer.inplace = False

    def logits(self, row: Tensor) -> Tensor:
        """(K,)."""
        with torch.no_grad():
            found: Tensor = self.module(row)
        return found[0]

    def features(self, row: Tensor, head: str) -> Tensor:
        """(D,): what a timm network says itself; else what is left with the head taken off.

        Args:
            head: a layer's name, or nothing for timm's.
        """
        module: Any = self.module
        if not head:
            with torch.no_grad():
                timm: Tensor = module.forward_head(module.forward_features(row), pre_logits=True)
            return timm[0]
        taken = module.get_submodule(head)
        # Behind SqueezeNet's, a convolution, come a ReLU, which changes nothing that has passed one
        # already, and the pooling.
        module.set_submodule(head, nn.Identity())
        try:
            return self.logits(row)
        finally:
            module.set_submodule(head, taken)

    def entering(self, row: Tensor, head: str) -> Tensor:
        """(D,): what enters the head, where others beside it make the logits, too."""
        seen: list[Tensor] = []
        layer = self.module.get_submodule(head)
        with layer.register_forward_pre_hook(lambda _, given: seen.append(given[0])):
            self.logits(row)
        return seen[-1][0]

    def gradient(self, row: Tensor, target: int) -> Tensor:
        """(C, H, W) of a class's logit."""
        inputs = row.clone().requires_grad_(True)
        with NormsWrittenOut():
            logits = self.module(inputs)
        (found,) = torch.autograd.grad(logits[0, target], inputs)
        return found[0]

    def slope(self, row: Tensor, target: int, way: Tensor) -> float:
        """How a class's logit changes along a way (C, H, W), by central differences."""
        step = 1e-5
        ahead, behind = (self.logits(row + sign * step * way)[target] for sign in (1, -1))
        return float(ahead - behind) / (2 * step)

    def integrated(self, row: Tensor, start: Tensor, target: int) -> Tensor:
        """(H, W): two nodes of Gauss and Legendre between two pictures, summed over channels."""
        first, last = start.float(), row.float()  # as all pictures that a network gets
        gradients = [
            self.gradient((first + (1 + node / 3**0.5) / 2 * (last - first)).double(), target)
            for node in (-1, 1)
        ]
        return ((row - start)[0] * (gradients[0] + gradients[1]) / 2).sum(0)

    def smoothed(self, row: Tensor, target: int, noise: float, samples: int, seed: int) -> Tensor:
        """(C, H, W): the mean gradient over copies with seeded noise, a share of the range."""
        generator = torch.Generator().manual_seed(seed)
        picture = row.float()  # as all that a network gets
        spread = noise * float(picture.max() - picture.min())
        total = torch.zeros_like(row[0])
        for _ in range(samples):
            noisy = picture + spread * torch.randn(row.shape, generator=generator)
            total += self.gradient(noisy.double(), target)
        return total / samples

    def guided(self, row: Tensor, target: int) -> Guided:
        """The gradient with all ReLUs passing back only what is positive."""
        inputs = row.clone().requires_grad_(True)
        with GuidedRelus() as mode:
            logits = self.module(inputs)
        if (logits[0].detach() - self.logits(row)).abs().max() > 1e-9 * logits.detach().abs().max():
            raise AssertionError("guiding the ReLUs changed the forward")
        (found,) = torch.autograd.grad(logits[0, target], inputs)
        return Guided(found[0], mode.guided, mode.others)

    def outputs(self, row: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """What layers put out, without the batch axis; of several tensors the first."""
        with torch.no_grad(), _watched(self.module, names) as seen:
            self.module(row)
        return {name: each[0] for name, each in seen.items()}

    def cam(self, row: Tensor, targets: Sequence[int], name: str, as_maps: _AsMaps) -> list[Tensor]:
        """Grad-CAM of classes, (h, w) each: maps weighted by their mean gradient, then ReLU.

        Args:
            as_maps: makes maps (C, h, w) of what the layer puts out.
        """
        with _watched(self.module, [name]) as seen, NormsWrittenOut():
            logits = self.module(row.clone().requires_grad_(True))[0]
        found = []
        for target in targets:
            (gradient,) = torch.autograd.grad(logits[target], seen[name], retain_graph=True)
            weights = as_maps(gradient[0]).mean((1, 2))
            maps = as_maps(seen[name][0].detach())
            found.append(torch.einsum("c,chw->hw", weights, maps).relu())
        return found

    def progress(self, row: Tensor, name: str) -> float:
        """Share of all runs of innermost layers that are over when this layer's last one is."""
        ended: list[str] = []
        wanted = self.module.get_submodule(name)
        layers = [
            (other, each)
            for other, each in self.module.named_modules()
            if each is wanted or not list(each.children())
        ]
        handles = [
            each.register_forward_hook(lambda *_, other=other: ended.append(other))
            for other, each in layers
        ]
        with torch.no_grad():
            self.module(row)
        for handle in handles:
            handle.remove()
        last = len(ended) - 1 - ended[::-1].index(name)
        return last / len(ended)

    def probability(self, row: Tensor, target: int, hidden: Tensor, box: Sequence[int]) -> float:
        """Of a class, with the pixels of a box taken from another picture (1, C, H, W).

        Args:
            box: top, left, height, width.
        """
        top, left, height, width = box
        changed = row.clone()
        changed[:, :, top : top + height, left : left + width] = hidden[
            :, :, top : top + height, left : left + width
        ]
        return float(self.logits(changed).softmax(0)[target])

    def multiply_adds(self, row: Tensor) -> int:
        """Of the whole network, by torch's counter."""
        # With a gradient wanted, attention takes no fused path that the counter does not know.
        inputs = row.clone().requires_grad_(True)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as count:
            self.module(inputs)
        return int(count.get_total_flops()) // 2

    def layers_multiply_adds(self, row: Tensor) -> dict[str, list[int]]:
        """Of each run of each convolution and linear layer, by their textbook formulas."""
        found: dict[str, list[int]] = defaultdict(list)

        def counts(name: str) -> Callable[..., None]:
            def hook(layer: Any, _inputs: object, output: Tensor) -> None:
                # Each number put out is a sum over the inputs of one filter, or over all of them.
                found[name].append(output.numel() * layer.weight[0].numel())

            return hook

        kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
        layers = [(n, each) for n, each in self.module.named_modules() if isinstance(each, kinds)]
        handles = [each.register_forward_hook(counts(name)) for name, each in layers]
        with torch.no_grad():
            self.module(row)
        for handle in handles:
            handle.remove()
        return dict(found)


def channels_first(output: Tensor, axes: str, prefix: int) -> Tensor:
    """(C, h, w) maps of a layer's output: (C, h, w), (h, w, C), (T, C) square tokens, (C,)."""
    if axes == "hwc":
        return output.permute(2, 0, 1)
    if axes == "tokens":
        tokens = output[prefix:]
        side = round(len(tokens) ** 0.5)
        return tokens.reshape(side, side, -1).permute(2, 0, 1)
    return output


def by_channel(output: Tensor, axes: str) -> Tensor:
    """(C, positions) of a layer's output; all tokens are positions."""
    if axes in ("hwc", "tokens"):
        return output.flatten(0, -2).T
    return output.flatten(1)


@contextmanager
def _watched(module: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """What layers put out in their last run, part of the graph; what follows gets a copy."""
    seen: dict[str, Tensor] = {}

    def keeps(name: str) -> Callable[..., Any]:
        def hook(_layer: nn.Module, _inputs: object, output: Any) -> Any:
            if isinstance(output, Tensor):
                seen[name] = output.clone()
                return seen[name].clone()
            seen[name] = output[0].clone()
            return type(output)((seen[name].clone(), *output[1:]))

        return hook

    handles = [module.get_submodule(name).register_forward_hook(keeps(name)) for name in names]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
