"""Progress callbacks of a computation, and `Cancelled`."""

from collections.abc import Callable, Iterator

Progress = Callable[[float, str], None]
"""(fraction from 0 to 1, never falling; what is being done). What it raises ends the work."""


class Cancelled(Exception):
    """For a progress callback to raise: nobody wants the result any more."""


def ignored(fraction: float, text: str) -> None:
    """The progress of work that nobody watches."""


def part(progress: Progress, start: float, end: float) -> Progress:
    """The progress of a step that takes the whole from `start` to `end`."""

    def report(fraction: float, text: str) -> None:
        progress(start + (end - start) * min(1.0, max(0.0, fraction)), text)

    return report


def blocks(n: int, size: int, progress: Progress, text: str) -> Iterator[slice]:
    """Slices of `size` rows that cover `n`, telling after each how much is done."""
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))
        progress(min(1.0, (start + size) / n), text)
