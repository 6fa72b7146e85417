"""BMPs as Windows, its clipboard and old programs write them."""

import numpy as np
import pytest
from PIL import Image

from core.errors import ImageCorrupt, ImageUnsupported
from core.images.decode import decode
from tests.files import FADE, SMALL, save, white_behind
from tests.files.bmp import ALPHA_MASK, RGB_MASKS, bmp, rows


@pytest.mark.parametrize("header", [56, 108, 124])
@pytest.mark.parametrize("alpha", [0, 255])
def test_an_alpha_that_says_nothing_hides_nothing(header: int, alpha: int) -> None:
    """A screenshot by the Print key: 32 bits with an alpha mask, and zeros under it."""
    content = bmp(rows(alpha), compression=3, header=header, masks=(*RGB_MASKS, ALPHA_MASK))
    np.testing.assert_array_equal(decode(content).pixels, SMALL)


def test_an_alpha_that_says_something_is_composited_on_white() -> None:
    pixels = np.dstack([SMALL[::-1, :, ::-1], FADE[::-1]]).tobytes()
    content = bmp(pixels, compression=3, header=124, masks=(*RGB_MASKS, ALPHA_MASK))
    assert np.abs(decode(content).pixels - white_behind(SMALL, FADE)).max() <= 1


@pytest.mark.parametrize(
    "content",
    [
        bmp(rows()),
        bmp(rows(), compression=3, masks=RGB_MASKS),
        bmp(rows(), header=124),
        bmp(rows(), compression=3, header=108, masks=(0, 0, 0, 0)),
        bmp(np.dstack([SMALL[..., ::-1], SMALL[..., 0]]).tobytes(), top_down=True),
        save(Image.fromarray(SMALL), "BMP"),
    ],
    ids=["plain", "masks", "V5", "zero masks", "top down", "24 bits"],
)
def test_the_fourth_byte_of_a_bmp_without_alpha_means_nothing(content: bytes) -> None:
    np.testing.assert_array_equal(decode(content).pixels, SMALL)


@pytest.mark.parametrize(
    ("bits", "compression", "masks"),
    [
        ((5, 5, 5), 0, ()),
        ((5, 6, 5), 3, (0xF800, 0x7E0, 0x1F)),
        ((5, 5, 5), 3, (0x7C00, 0x3E0, 0x1F)),
    ],
)
def test_sixteen_bits_hold_five_or_six_of_each_color(
    bits: tuple[int, ...], compression: int, masks: tuple[int, ...]
) -> None:
    cut = [SMALL[..., i].astype(np.uint16) >> 8 - bits[i] for i in range(3)]
    stored = cut[0] << bits[1] + bits[2] | cut[1] << bits[2] | cut[2]
    expected = np.stack([each * 255 / (2**n - 1) for each, n in zip(cut, bits, strict=True)], 2)
    image = decode(bmp(stored[::-1].tobytes(), 16, compression, masks=masks))
    assert np.abs(image.pixels - expected).max() <= 2


def test_runs_of_a_palette_are_read() -> None:
    palette = bytes(range(256)) * 4
    image = decode(bmp(b"\x3c\5\0\0" * 40 + b"\0\1", 8, 1, palette=palette))
    assert image.pixels[0, 0].tolist() == [22, 21, 20]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (bmp(rows(), 0, 4), "with a JPEG inside"),
        (bmp(rows(), 0, 5), "with a PNG inside"),
        (bmp(rows(), compression=3, masks=(0x3FF00000, 0xFFC00, 0x3FF)), "bit masks 0x3ff00000"),
        (bmp(rows(), 16, 3, masks=(0xF00, 0xF0, 0xF)), "bit masks 0xf00, 0xf0, 0xf"),
        (bmp(rows(), compression=6), "compression 6"),
        (bmp(rows(), 2), "2 bits per pixel"),
        (b"BM" + bytes(12) + b"\x10\0\0\0" + bytes(200), "a header of 16 bytes"),
    ],
)
def test_a_bmp_that_hardly_anybody_writes_is_named(content: bytes, kind: str) -> None:
    with pytest.raises(ImageUnsupported, match=f"BMP .*{kind}.*not taken"):
        decode(content)


@pytest.mark.parametrize("masks", [(), (*RGB_MASKS, ALPHA_MASK)])
def test_a_bmp_that_ends_early_is_cut_off_whatever_its_kind(masks: tuple[int, ...]) -> None:
    content = bmp(rows(), compression=3 if masks else 0, header=124, masks=masks)
    with pytest.raises(ImageCorrupt, match="cut off"):
        decode(content[:-1])
