import numpy as np
import pytest
from numpy.typing import NDArray

from core.render.palette import MAX_LABELS, colored, colors

# Machado et al. 2009, severity 1, for linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(rgb: NDArray[np.float64], vision: str) -> NDArray[np.float64]:
    """(n, 3) sRGB -> CIELAB, as that vision has it."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = (linear @ VISIONS[vision].T).clip(0, 1) @ XYZ.T / (0.9505, 1, 1.089)
    x, y, z = np.where(seen > 0.008856, np.cbrt(seen), 7.787 * seen + 16 / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def closest(count: int, vision: str) -> float:
    """The distance in CIELAB between the two most alike; 2.3 can just be told apart."""
    seen = lab(np.array(colors(count)) / 255, vision)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=2)
    return float(apart[~np.eye(count, dtype=bool)].min())


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("count", range(2, 11))
def test_up_to_ten_labels_are_told_apart_by_color_blind_eyes(count: int, vision: str) -> None:
    assert closest(count, vision) > 12


@pytest.mark.parametrize("vision", ["normal", "deuteranopia"])
def test_twelve_labels_are_told_apart_by_most_color_blind_eyes(vision: str) -> None:
    assert closest(MAX_LABELS, vision) > 10


def test_the_legend_goes_by_frequency_and_then_by_name() -> None:
    found = colored(["b", "c", "a", "c", None, "b", "c"])
    assert [(entry.text, entry.count) for entry in found.entries] == [
        ("c", 3),
        ("b", 2),
        ("a", 1),
        ("no label", 1),
    ]
    assert [found.entries[index].text for index in found.of_points[:5]] == [
        "b",
        "c",
        "a",
        "c",
        "no label",
    ]
    assert found.named == 3


def test_the_rarest_of_many_labels_share_a_gray() -> None:
    labels = [f"{number:02}" for number in range(15) for _ in range(20 - number)]
    found = colored(labels)
    assert len(found.entries) == MAX_LABELS + 1
    assert found.entries[-1].text == "other (3 labels)"
    assert len(set(found.entries[-1].color)) == 1
    assert (found.of_points[-21:] == MAX_LABELS).all()
    assert found.colors.shape == (len(labels), 3)
