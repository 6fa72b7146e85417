from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.projection.sample import shares, stratified

LABELS: list[str | None] = ["a"] * 70 + ["b"] * 20 + [None] * 9 + ["rare"]


@given(
    st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=60),
    st.integers(1, 70),
    st.integers(0, 3),
)
def test_a_sample_has_the_size_asked_for_no_item_twice_and_keeps_the_order(
    labels: list[str | None], size: int, seed: int
) -> None:
    chosen = stratified(labels, size, seed=seed)
    assert len(chosen) == min(size, len(labels))
    assert (np.diff(chosen) > 0).all()
    if size >= len(set(labels)):
        assert {labels[index] for index in chosen} == set(labels)


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ([50, 30, 20], 10, [5, 3, 2]),
        ([47, 32, 21], 10, [5, 3, 2]),  # 4.7, 3.2, 2.1: the one left over goes to the first
        ([1, 1, 1], 2, [1, 1, 0]),
        ([98, 1, 1], 10, [8, 1, 1]),  # each is there, at the cost of the largest
        ([98, 1, 1], 2, [2, 0, 0]),  # too few for each
    ],
)
def test_shares_are_by_largest_remainder(counts: list[int], size: int, expected: list[int]) -> None:
    assert shares(counts, size) == expected


def test_no_label_is_a_label_of_its_own() -> None:
    chosen = stratified(LABELS, 20)
    counts = Counter(LABELS[index] for index in chosen)
    assert counts == {"a": 13, "b": 4, None: 2, "rare": 1}


def test_the_same_seed_draws_the_same_and_another_one_others() -> None:
    draws = [stratified(LABELS, 30, seed=seed).tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="sample of 0"):
        stratified(LABELS, 0)
