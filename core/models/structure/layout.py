"""`Layout`: the axes of every port of one network, and why some cannot be read."""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from core.errors import MethodUnsupported
from core.models.structure.axes import Axes, axes_of
from core.models.structure.layers import last_seen
from core.models.structure.ports import Port


class Layout(Mapping[Port, Axes]):
    """The axes of each port that has pictures, or parts of them, along one of them.

    Args:
        axes: by port.
        problems: of the ports that cannot be read: what they have instead of a row for each
            picture, a sentence's end after their name; "" = parts of pictures.
    """

    def __init__(self, axes: Mapping[Port, Axes], problems: Mapping[Port, str]) -> None:
        self._axes = axes
        self._problems = problems

    def __getitem__(self, port: Port) -> Axes:
        return self._axes[port]

    def __iter__(self) -> Iterator[Port]:
        return iter(self._axes)

    def __len__(self) -> int:
        return len(self._axes)

    def of(self, port: Port, activation: Tensor) -> Axes:
        """The axes at a port; of one that never ran before, as the convention is."""
        return self.get(port) or axes_of(activation.shape, None)

    def readable(self, port: Port) -> Axes | None:
        """The axes at a port that has a row for each picture; None = it is not known to."""
        return None if port in self._problems else self.get(port)

    def taken(self, port: Port, seen: Sequence[Tensor], rows: int) -> Tensor:
        """What was captured in the last run of a layer, as the layer has it.

        Args:
            port: of the layer.
            seen: what was captured there in one forward.
            rows: how many pictures ran.

        Raises:
            MethodUnsupported: the layer did not run, or there are no pictures along an axis.
        """
        tensor, axes = last_seen(seen, port.layer), self.readable(port)
        if axes is not None and axes.holds(tensor, rows):
            return tensor
        if axes is None and port not in self._problems and rows == 1:
            return last_seen(seen, port.layer, rows)
        if self._problems.get(port) == "":
            last_seen(seen, port.layer, rows)  # which says how many parts there are
        problem = self._problems.get(port) or (
            f"has the shape {tuple(tensor.shape)} for {rows} pictures, and had no such one when "
            "the network was tried: whose picture's it is is not known"
        )
        raise MethodUnsupported(f"layer {port.layer!r} {problem}")
