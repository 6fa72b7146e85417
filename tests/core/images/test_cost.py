import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.images.cost import Cost
from core.images.decode import decode
from core.images.rgb import to_rgb
from tests.core.images.peaks import KINDS
from tests.files import GRAY, SMALL
from tests.pictures import encode

ROOT = Path(__file__).parent.parent.parent.parent
SLACK_BYTES = 20 * 2**20
"""What threads, codecs and the allocator take besides."""


def cost(content: bytes, **options: int) -> Cost:
    seen: list[Cost] = []
    decode(content, reserve=seen.append, **options)  # type: ignore[arg-type]
    return seen[-1]


class Stop(BaseException):
    """No error: a picture that is not decoded now."""


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_the_cost_is_known_before_any_pixel_is_decoded(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encode(SMALL, format)
    loaded: list[object] = []

    def stop(cost: Cost) -> None:
        loaded.append(cost.pixels)
        raise Stop

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: loaded.append("pixels"))
    with pytest.raises(Stop):
        decode(content, reserve=stop)
    assert loaded == [SMALL.shape[0] * SMALL.shape[1]]


def test_fewer_pixels_of_a_jpeg_cost_less_memory_and_the_same_time() -> None:
    content = encode(SMALL.repeat(8, axis=0).repeat(8, axis=1))
    whole, fewer = cost(content), cost(content, min_side_px=80)
    assert whole.pixels == fewer.pixels == 320 * 480
    assert fewer.bytes * 16 == whole.bytes  # 80 of 320: a quarter each way


def test_a_progressive_jpeg_costs_its_coefficients() -> None:
    plain, progressive = encode(SMALL), encode(SMALL, progressive=True)
    assert cost(progressive).bytes == cost(plain).bytes + 2 * SMALL.size


@pytest.fixture(scope="module")
def peaks() -> dict[str, tuple[int, int]]:
    """What was said and what was taken, of each kind, by a process of its own."""
    command = [sys.executable, "-m", "tests.core.images.peaks"]
    found: dict[str, tuple[int, int]] = json.loads(subprocess.check_output(command, cwd=ROOT))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the peak of memory")
@pytest.mark.parametrize("kind", KINDS)
def test_decoding_takes_no_more_memory_than_its_cost(
    kind: str, peaks: dict[str, tuple[int, int]]
) -> None:
    said, taken = peaks[kind]
    assert taken <= said + SLACK_BYTES


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_a_large_picture_is_converted_as_a_small_one(
    mode: str,
) -> None:
    image = Image.fromarray(SMALL)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(GRAY))
    image = image.convert(mode)
    whole = to_rgb(image)
    np.testing.assert_array_equal(to_rgb(image, band_pixels=7 * SMALL.shape[1]), whole)
