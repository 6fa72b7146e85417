from typing import Any

import pytest
from PIL import Image

from core.images.formats.webp import webp_size
from tests.files import save


@pytest.mark.parametrize("size", [(1, 1), (37, 23), (300, 2)])
@pytest.mark.parametrize(
    ("mode", "options"),
    [("RGB", {}), ("RGB", {"lossless": True}), ("RGBA", {}), ("RGB", {"xmp": b"<x/>"})],
)
def test_a_webp_tells_its_size(size: tuple[int, int], mode: str, options: dict[str, Any]) -> None:
    assert webp_size(save(Image.new(mode, size), "WEBP", **options)) == size


def test_a_cut_off_webp_tells_no_size() -> None:
    content = save(Image.new("RGB", (4, 4)), "WEBP")
    assert [webp_size(content[:end]) for end in (12, 16, 29)] == [None] * 3
