import hashlib
import struct

import numpy as np
import pytest
from PIL import Image

from core.images.decode import MAX_COUNTED_FRAMES, decode
from core.images.formats.known import FORMATS
from tests.files import SMALL, frames, save
from tests.pictures import encode, jpeg


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_frame_of_several_is_taken(format: str) -> None:
    image = decode(frames(format, 3))
    assert image.source.frames == 3
    assert np.abs(image.pixels.astype(int) - (250, 0, 0)).max() <= 8


def test_a_phones_multi_picture_jpeg_is_a_jpeg() -> None:
    image = decode(frames("MPO", 2))
    assert (image.source.format, image.source.frames) == ("JPEG", 2)


def test_a_still_picture_has_one_frame() -> None:
    for format in FORMATS:
        if format != "HEIF":
            assert decode(encode(SMALL, format)).source.frames == 1


def test_frames_are_counted_no_further_than_a_bound() -> None:
    single = save(Image.new("P", (1, 1)), "GIF")
    start = single.index(b"\x2c")
    gif = single[:start] + single[start:-1] * (MAX_COUNTED_FRAMES + 50) + b";"
    assert decode(gif).source.frames == MAX_COUNTED_FRAMES


def test_a_chain_of_tiff_directories_is_counted_no_further_than_a_bound() -> None:
    tags = struct.pack("<HHII", 256, 4, 1, 1), struct.pack("<HHII", 257, 4, 1, 1)
    strip = struct.pack("<HHII", 273, 4, 1, 8), struct.pack("<HHII", 279, 4, 1, 1)
    bits = struct.pack("<HHII", 258, 3, 1, 8), struct.pack("<HHII", 262, 3, 1, 1)
    entries = b"".join((*tags, *bits, *strip))
    size = 2 + len(entries) + 4
    body = b"".join(
        struct.pack("<H", 6) + entries + struct.pack("<I", 9 + (i + 1) * size)
        for i in range(MAX_COUNTED_FRAMES + 50)
    )
    image = decode(b"II*\0" + struct.pack("<I", 9) + b"\x7f" + body)
    assert image.source.frames == MAX_COUNTED_FRAMES


def test_what_was_received_is_known_by_its_digest() -> None:
    content = jpeg()
    assert decode(content).source.sha256 == hashlib.sha256(content).hexdigest()
