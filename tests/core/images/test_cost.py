import ctypes
import gc
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.images.cost import Cost
from core.images.decode import decode
from core.images.rgb import to_rgb
from tests.files import GRAY, SMALL, save
from tests.files.deep import deep_png
from tests.pictures import encode

SLACK_BYTES = 12 * 2**20
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


def large(kind: str) -> bytes:
    """Some four megapixels of a file that says little."""
    pixels = np.ascontiguousarray(SMALL.repeat(40, axis=0).repeat(40, axis=1))
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x112] = 6
    match kind:
        case "turned JPEG":
            return save(image, "JPEG", exif=exif)
        case "progressive JPEG":
            return save(image, "JPEG", progressive=True, subsampling=0)
        case "CMYK JPEG":
            return save(image.convert("CMYK"), "JPEG")
        case "turned PNG":
            return save(image, "PNG", compress_level=1, exif=exif)
        case "RGBA PNG":
            return save(image.convert("RGBA"), "PNG", compress_level=1)
        case "PNG of 16 bits":
            deep = GRAY.astype(np.uint16).repeat(40, axis=0).repeat(40, axis=1)
            return deep_png(np.stack([deep] * 4, axis=2), 6)
        case "RGBA WEBP":
            return save(image.convert("RGBA"), "WEBP", method=0, exif=exif)
        case "TIFF of floats":
            floats = np.ascontiguousarray(pixels[:1600]).astype(np.float32)
            return save(Image.fromarray(floats[..., 0]), "TIFF", compression="tiff_deflate")
        case "RGBA TIFF":
            return save(image.convert("RGBA"), "TIFF", compression="tiff_lzw")
        case "AVIF":
            return save(image, "AVIF", speed=10)
    return save(image.convert("P"), "GIF")


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the peak of memory")
@pytest.mark.parametrize(
    "kind",
    [
        *("turned JPEG", "progressive JPEG", "CMYK JPEG", "turned PNG", "RGBA PNG"),
        *("PNG of 16 bits", "RGBA WEBP", "TIFF of floats", "RGBA TIFF", "AVIF", "GIF"),
    ],
)
def test_decoding_takes_no_more_memory_than_its_cost(kind: str) -> None:
    content, bits = large(kind), 12 if "16 bits" in kind else None
    said = cost(content, bits=bits)  # type: ignore[arg-type]
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    decode(content, bits=bits)
    assert memory("VmHWM") - before <= said.bytes + SLACK_BYTES


def memory(name: str) -> int:
    """A field of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(each for each in lines if each.startswith(name)).split()[1]) * 1024


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
