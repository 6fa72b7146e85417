"""A stratified sample: some of the items, each label in proportion."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def stratified(labels: Sequence[str | None], size: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Indices of `size` items, each label in its proportion, and present where that is possible.

    Each label gets its proportion of `size`, rounded by largest remainders; where there are at most
    `size` labels, none gets less than one item, at the cost of those with the most. Which of a
    label's items are taken is drawn.

    Args:
        labels: one for each item; None, no label, counts as a label of its own.
        size: how many; all of them where there are no more.
        seed: of the draw.

    Returns:
        (min(size, n),) int64, ascending.

    Raises:
        ValueError: size below 1.
    """
    if size < 1:
        raise ValueError(f"a sample of {size}")
    if size >= len(labels):
        return np.arange(len(labels))
    members: dict[str | None, list[int]] = {}
    for index, label in enumerate(labels):
        members.setdefault(label, []).append(index)
    counts = shares([len(each) for each in members.values()], size)
    random = np.random.default_rng(seed)
    chosen = [
        random.choice(each, count, replace=False)
        for each, count in zip(members.values(), counts, strict=True)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def shares(counts: Sequence[int], size: int) -> list[int]:
    """`size` split in proportion to `counts`, by largest remainders; of equal ones the first.

    Args:
        counts: each at least 1, of a sum of at least `size`.
        size: at least 1; at least len(counts) for none to be left without.
    """
    whole = sum(counts)
    given = [count * size // whole for count in counts]
    remainders = [count * size % whole for count in counts]
    order = sorted(range(len(counts)), key=lambda index: -remainders[index])
    for index in order[: size - sum(given)]:
        given[index] += 1
    if size >= len(counts):
        for index in [index for index, share in enumerate(given) if share == 0]:
            given[given.index(max(given))] -= 1
            given[index] = 1
    return given
