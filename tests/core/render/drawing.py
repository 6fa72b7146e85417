"""What the tests of drawing share: a picture to draw on, and colors."""

import numpy as np
from matplotlib import colormaps

STYLES = ("overlay", "heatmap", "mask", "cutout")


def color(name, position):
    return list(colormaps[name](float(position), bytes=True)[:3])


def noise(height=12, width=16, seed=0):
    """A picture with no two equal rows or columns, and no pixel of the cut-out's gray."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels[(pixels == 128).all(axis=2)] = 0
    return pixels
