"""What a network's outputs are, logits or probabilities, said or guessed; logits made of them."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from core.errors import ModelUnusable, summary

_logger = logging.getLogger(__name__)

Activation = Literal["none", "softmax", "log_softmax", "sigmoid"]
ACTIVATIONS: tuple[str, ...] = get_args(Activation)

_TINY: Final = torch.finfo(torch.float32).tiny
_TWO: Final = 2  # labels, for which one output does
_SAME: Final = 1e-3
_FAR: Final = 1e6
"""What a made-up picture is multiplied by, to see whether outputs are bounded or just small."""

_aten = torch.ops.aten
_SIGMOIDS: Final = {_aten.sigmoid, _aten.sigmoid_}
_GUESSES: Final = {
    "softmax": "it ends with a softmax, undone so that `probability` is what it puts out",
    "sigmoid": "it ends with a sigmoid for each class, undone: `probability` is that of this class "
    "and no other",
}
_ONE_SIGMOID: Final = "it ends with a sigmoid, undone: its one output is the probability of {!r}"
_SATURATED: Final = (
    "what it ends with gives some class 0 or 1, as float32 has it, for a made-up picture: there "
    "gradients are 0, and logits end at 87; have the network put out what enters that, and every "
    "explanation says more"
)
_PROBABLY: Final = (
    "its outputs lie between 0 and 1 for every made-up picture: if they are probabilities, say "
    "what it ends with as [output] activation in a model.toml"
)


def make_logits(
    module: nn.Module, rows: Tensor, labels: Sequence[str], said: Activation | None
) -> tuple[str, ...]:
    """Have a network put out logits, in every forward of it; its layers keep their names.

    Args:
        module: in eval mode, where the rows are.
        rows: (B, C, H, W) float32, as `core.models.probing.probes` gives.
        labels: with two of them, one output is the second's.
        said: what the network ends with; None = guessed.

    Returns:
        What an operator should know of a guess, a sentence each.

    Raises:
        ModelUnusable: its outputs cannot be what was said.
    """
    outputs, is_sigmoid = _run(module, rows)
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        return ()  # refused by those who check what a network puts out
    outputs = outputs[outputs.isfinite().all(1)].double()
    if said in ("softmax", "sigmoid") and not _within_one(outputs):
        raise ModelUnusable(
            f'[output] activation is "{said}", which gives 0 to 1, and the network puts out '
            f"{outputs.min():.3g} to {outputs.max():.3g}"
        )
    found = said or _guess(outputs, is_sigmoid, len(labels))
    is_one = outputs.shape[1] == 1
    if found in ("softmax", "sigmoid") or (is_one and len(labels) == _TWO):
        _end(module, found)
    notes = (_SATURATED,) if found in _GUESSES and _is_saturated(outputs) else ()
    if said is not None:
        return notes
    if found in _GUESSES:
        what = _ONE_SIGMOID.format(labels[1]) if is_one else _GUESSES[found]
        say = f'say [output] activation = "{found}" in a model.toml, or "none" where that is wrong'
        return (f"a guess: {what}; {say}", *notes)
    return (_PROBABLY,) if found == "none" and _is_bounded(module, outputs, rows) else ()


def logits_of(outputs: Tensor, activation: Activation) -> Tensor:
    """Logits whose softmax are the probabilities that the network means.

    One output x is the second of two classes: its logits are -x/2 and x/2, whose softmax is the
    sigmoid, and each class has a gradient of its own.
    Of a sigmoid for each class the softmax is how probable it is that only this class is there,
    given that just one is and that they do not depend on each other: p / (1 - p), as a share.

    Args:
        outputs: (B, K), after the activation.

    Returns:
        (B, K), or (B, 2) where K = 1.
    """
    if activation == "softmax":
        return _log(outputs)
    if activation == "sigmoid":
        outputs = _log(outputs) - _log(1 - outputs)
    if outputs.shape[1] == 1:
        return torch.cat((-outputs / 2, outputs / 2), 1)
    return outputs


def _log(shares: Tensor) -> Tensor:
    """Of 0 as of the least there is; not by a clamp, which would count among the activations."""
    return torch.where(shares > _TINY, shares, _TINY).log()


def _end(module: nn.Module, activation: Activation) -> None:
    def ended(_module: nn.Module, _inputs: object, outputs: object) -> object:
        if isinstance(outputs, Tensor) and outputs.ndim == 2:
            return logits_of(outputs, activation)
        return outputs

    module.register_forward_hook(ended)


def _guess(outputs: Tensor, is_sigmoid: bool, labels: int) -> Activation:
    """What finite outputs (B, K) look like; "none" where they are like logits."""
    count = outputs.shape[1]
    if len(outputs) < _TWO or (count == 1 and labels != _TWO):
        return "none"
    if count > 1 and (outputs >= 0).all() and ((outputs.sum(1) - 1).abs() < _SAME).all():
        return "softmax"
    if count > 1 and (outputs.logsumexp(1).abs() < _SAME).all():
        return "log_softmax"  # is what it is: the softmax of log p is p
    return "sigmoid" if is_sigmoid and _within_one(outputs) else "none"


def _within_one(outputs: Tensor) -> bool:
    return bool(((outputs >= 0) & (outputs <= 1)).all())


def _is_saturated(outputs: Tensor) -> bool:
    """Whether a probability is 0 or, of a sigmoid, 1, where only the logits would tell more."""
    return bool(((outputs <= _TINY) | (outputs >= 1)).any())


def _is_bounded(module: nn.Module, outputs: Tensor, rows: Tensor) -> bool:
    """Whether outputs stay between 0 and 1 far away from pictures, too."""
    if not len(outputs) or not _within_one(outputs):
        return False
    with torch.no_grad():
        far = module(rows * _FAR)
    return _within_one(far[far.isfinite().all(1)])


def _run(module: nn.Module, rows: Tensor) -> tuple[object, bool]:
    """What a network puts out, and whether that is a sigmoid's output, as far as can be seen."""
    with torch.no_grad():
        try:
            with _LastSigmoid() as last:
                outputs = module(rows.clone())
        except Exception as error:  # the network's own, which runs unwatched
            _logger.info("cannot be watched operator by operator: %s", summary(error))
            return module(rows.clone()), False
    return outputs, isinstance(outputs, Tensor) and last.is_in(outputs)


class _LastSigmoid(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps what the last sigmoid put out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._output: Tensor | None = None

    def is_in(self, outputs: Tensor) -> bool:
        """Whether these are that output, perhaps in another shape."""
        if self._output is None:
            return False
        ours, theirs = (each.untyped_storage() for each in (self._output, outputs))
        return ours.data_ptr() == theirs.data_ptr()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if func.overloadpacket in _SIGMOIDS:
            self._output = found
        return found
