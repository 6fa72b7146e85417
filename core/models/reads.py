"""Notice where Python reads values of tensors that depend on the picture."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any, Final

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from core.models.structure.layers import storage_of, tensors_in

_aten = torch.ops.aten

# What hands values to Python without an operator that would say so.
_PAST_OPERATORS: Final = frozenset({
    Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__dlpack__, Tensor.apply_, Tensor.map_,
})  # fmt: skip
# What answers a number that is none of a value.
_OF_SHAPES: Final = frozenset({_aten.is_same_size, _aten.size, _aten.stride, _aten.numel})


class Reads:
    """While entered, notices whether Python sees values that depend on the pictures.

    A number handed out (`.item()`, `if x.mean() > 0`, `torch.allclose`), a whole tensor handed out
    (`.tolist()`, `.numpy()`), or a shape that depends on values (`x[x > 0]`, `.nonzero()`). What is
    read of anything else, such as a buffer, is the same for every picture.

    Args:
        rows: the pictures.
    """

    def __init__(self, rows: Tensor) -> None:
        self._known: dict[int, StorageWeakRef] = {}
        self._stack = ExitStack()
        self._locations: dict[str, None] = {}
        self._know(rows)

    @property
    def locations(self) -> tuple[str, ...]:
        """Where they are read, "net.py, line 7"; "a library's layer" where no own code does."""
        return tuple(self._locations)

    def __enter__(self) -> "Reads":
        self._stack.enter_context(_Operators(self))
        self._stack.enter_context(_Functions(self))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def depends(self, value: Any) -> bool:
        """Whether a tensor in it depends on the pictures."""
        return any(storage_of(each) in self._known for each in tensors_in(value))

    def met(self, func: Any, given: Any, out: Any) -> None:
        """Book an operator that has run."""
        if not self.depends(given):
            return
        if _hands_out(func, given, out):
            self.found()
        for tensor in tensors_in(out):
            self._know(tensor)

    def found(self) -> None:
        """Note the place that runs, if it is the network's."""
        if location := _location():
            self._locations[location] = None

    def _know(self, tensor: Tensor) -> None:
        # While a storage is referred to, even weakly, no other has its address.
        reference = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
        self._known.setdefault(storage_of(tensor), reference)


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, reads: Reads) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._reads = reads

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self._reads.met(func, (args, kwargs), out)
        return out


class _Functions(TorchFunctionMode):
    def __init__(self, reads: Reads) -> None:
        super().__init__()
        self._reads = reads

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _PAST_OPERATORS and self._reads.depends(args[:1]):
            self._reads.found()
        return func(*args, **(kwargs or {}))


def _hands_out(func: Any, given: Any, out: Any) -> bool:
    if isinstance(out, bool | int | float | complex):
        return func.overloadpacket not in _OF_SHAPES
    if torch.Tag.dynamic_output_shape not in func.tags:
        return False
    masks = (torch.bool, torch.uint8)
    picked = func.overloadpacket is _aten.index
    return not picked or any(each.dtype in masks for each in list(tensors_in(given))[1:])


def _location() -> str:
    """The innermost line that is no library's; empty if this program reads, or who prints."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", "")) + "."
        if name == "torch._tensor_str.":
            return ""
        if name.startswith("core.") and name != f"{__name__}.":
            # Where it runs a network of nothing but torch's layers, one of these reads.
            return "a library's layer" if frame.f_code.co_name == "forward" else ""
        if not name.startswith(("torch.", "numpy.", f"{__name__}.")):
            return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"
        frame = frame.f_back
    return ""
