"""First frames that cover a part of their screen: the rest is transparent, so white."""

import io
import resource
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from core.errors import ImageCorrupt
from core.images.decode import decode
from tests.files import SMALL
from tests.files.gif import COLORS, gif
from tests.files.webp import ANIMATION, chunk, extended, frame, lossless, riff

BOX = (2, 1, 3, 2)
INDEXES = [0, 1, 2, 3, 1, 0]


def expected(transparent: int | None, table: str) -> np.ndarray:
    shown = np.full((5, 6, 3), 255)
    for i, index in enumerate(INDEXES):
        color = COLORS[index] if table != "none" else (index,) * 3
        shown[1 + i // 3, 2 + i % 3] = 255 if index == transparent else color
    return shown


@pytest.mark.parametrize("table", ["global", "local", "none"])
@pytest.mark.parametrize("transparent", [None, 2])
@pytest.mark.parametrize("background", [0, 3])
def test_a_gif_is_white_where_its_first_frame_is_not(
    table: str, transparent: int | None, background: int
) -> None:
    content = gif((6, 5), BOX, INDEXES, transparent=transparent, background=background, table=table)
    image = decode(content)
    np.testing.assert_array_equal(image.pixels, expected(transparent, table))
    assert (image.source.width, image.source.height) == (6, 5)


@pytest.mark.parametrize("screen", [(0, 0), (2, 1), (3, 2)])
def test_a_gif_frame_that_covers_its_screen_is_all_there_is(screen: tuple[int, int]) -> None:
    image = decode(gif(screen, (0, 0, 3, 2), INDEXES))
    np.testing.assert_array_equal(image.pixels.reshape(-1, 3), [COLORS[i] for i in INDEXES])


def test_a_gif_without_its_end_mark_is_read() -> None:
    content = gif((6, 5), BOX, INDEXES)
    np.testing.assert_array_equal(decode(content[:-1]).pixels, expected(None, "global"))


@pytest.mark.parametrize("flags", [0x02, 0x12], ids=["opaque", "with alpha"])
def test_a_webp_is_white_where_its_first_frame_is_not(flags: int) -> None:
    image = decode(riff(extended(flags), ANIMATION, frame(10, 6, 20, 16)))
    shown = np.full_like(SMALL, 255)
    shown[6:22, 10:30] = SMALL[:16, :20]
    np.testing.assert_array_equal(image.pixels, shown)


def test_a_webp_frame_that_covers_the_canvas_is_all_there_is() -> None:
    content = riff(extended(2), ANIMATION, frame(0, 0, 60, 40), frame(0, 0, 20, 16))
    image = decode(content)
    np.testing.assert_array_equal(image.pixels, SMALL)
    assert image.source.frames == 2


def test_a_frame_that_claims_to_be_larger_than_its_canvas_takes_no_memory() -> None:
    """Found by `make fuzz`: 20 x 16711696 pixels in a file of 13 kB took 2.8 GB."""
    content = bytearray(riff(extended(2), ANIMATION, frame(10, 6, 20, 16)))
    at = content.index(b"ANMF") + 8 + 9
    content[at : at + 3] = b"\xff\xff\xfe"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with suppress(ImageCorrupt):
        decode(bytes(content))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


def test_a_first_frame_is_turned_after_it_is_put_on_its_canvas() -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    content = riff(
        extended(0x0A), ANIMATION, frame(10, 6, 20, 16), chunk(b"EXIF", exif.tobytes()[6:])
    )
    shown = np.full_like(SMALL, 255)
    shown[6:22, 10:30] = SMALL[:16, :20]
    np.testing.assert_array_equal(decode(content).pixels, np.rot90(shown, -1))


def test_the_first_frame_of_an_animated_png_is_its_whole_picture() -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "red")
    second.putpixel((3, 3), (0, 0, 255))
    file = io.BytesIO()
    first.save(file, "PNG", save_all=True, append_images=[second])
    assert (decode(file.getvalue()).pixels == (255, 0, 0)).all()


DAMAGE = {
    "profile of 2 MB": riff(
        extended(0x20), b"ICCP" + (2 * 10**6).to_bytes(4, "little") + bytes(2 * 10**6), lossless()
    ),
    "XMP cut off": riff(extended(4), lossless(), b"XMP " + (400).to_bytes(4, "little") + bytes(40)),
    "trailing bytes": riff(lossless()) + b"more",
    "length too small": riff(lossless())[:4] + bytes(4) + riff(lossless())[8:],
    "length too large": riff(lossless())[:4] + b"\xff\xff\xff\x7f" + riff(lossless())[8:],
    "unknown chunk": riff(extended(0), b"ABCD\4\0\0\0abcd", lossless()),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_wrong_beside_the_pixels_of_a_webp_is_no_reason_to_refuse(name: str) -> None:
    np.testing.assert_array_equal(decode(DAMAGE[name]).pixels, SMALL)
