"""Arrays that one writer extends and changes while readers keep the state they took.

One writer makes each new state from the newest one; readers keep the state they took. What a
longer state has behind an older one's end the older never looks at, so growing copies nothing.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_CHUNK = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Grown:
    """Values that are only ever added to, in one piece.

    Attributes:
        buffer: (capacity,) the values and room for more.
        count: values there are.
    """

    buffer: NDArray[Any]
    count: int

    @property
    def values(self) -> NDArray[Any]:
        """(n,) all of them."""
        return self.buffer[: self.count]

    def extended(self, values: NDArray[Any]) -> Self:
        """With these behind; only of the newest state."""
        count = self.count + len(values)
        buffer = self.buffer
        if count > len(buffer):
            buffer = np.empty(max(count, len(buffer) * 3 // 2, 64), dtype=buffer.dtype)
            buffer[: self.count] = self.values
        buffer[self.count : count] = values
        return type(self)(buffer, count)


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Values that are added to and changed: a change copies the chunks it touches.

    Attributes:
        chunks: (8192,) each, the last one with room behind its end.
        count: values there are.
        dtype: of the values.
    """

    chunks: tuple[NDArray[Any], ...]
    count: int
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, values: NDArray[Any]) -> "Column":
        """A column of these values."""
        return cls((), 0, values.dtype).extended(values)

    @property
    def values(self) -> NDArray[Any]:
        """(n,) all of them, a copy."""
        if not self.chunks:
            return np.empty(0, dtype=self.dtype)
        return np.concatenate(self.chunks)[: self.count]

    def at(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """(m,) values at (m,) positions."""
        found = np.empty(len(positions), dtype=self.dtype)
        which = positions // _CHUNK
        for chunk in np.unique(which).tolist():
            here = which == chunk
            found[here] = self.chunks[chunk][positions[here] % _CHUNK]
        return found

    def extended(self, values: NDArray[Any]) -> "Column":
        """With these behind; only of the newest state."""
        chunks, at = list(self.chunks), self.count
        while len(values):
            if at % _CHUNK == 0:
                chunks.append(np.zeros(_CHUNK, dtype=self.dtype))
            piece = values[: _CHUNK - at % _CHUNK]
            chunks[-1][at % _CHUNK : at % _CHUNK + len(piece)] = piece
            at, values = at + len(piece), values[len(piece) :]
        return Column(tuple(chunks), at, self.dtype)

    def changed(self, positions: NDArray[np.int64], values: NDArray[Any]) -> "Column":
        """With (m,) values at (m,) positions."""
        chunks = list(self.chunks)
        touched = positions // _CHUNK
        for chunk in np.unique(touched).tolist():
            here = touched == chunk
            chunks[chunk] = chunks[chunk].copy()
            chunks[chunk][positions[here] % _CHUNK] = values[here]
        return Column(tuple(chunks), self.count, self.dtype)
