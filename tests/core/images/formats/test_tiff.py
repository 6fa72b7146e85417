import io
import struct

import pytest
from PIL import Image

from core.images.formats.tiff import tiff_frames, tiff_pieces
from tests.files import frames, save


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_tiff_frames_agree_with_pillow(count: int, big: bool, compression: str) -> None:
    content = frames("TIFF", count, big_tiff=big, compression=compression)
    with Image.open(io.BytesIO(content)) as image:
        assert tiff_frames(content, 1000) == image.n_frames == count


def test_frames_of_a_tiff_are_counted_up_to_the_limit() -> None:
    assert tiff_frames(frames("TIFF", 9), 4) == 4


def test_a_cut_off_tiff_has_at_least_one_frame() -> None:
    for end in range(4, 60):
        assert tiff_frames(frames("TIFF", 2)[:end], 10) >= 1


def test_a_tiff_that_turns_back_to_its_start_has_one_frame() -> None:
    content = b"II*\0" + struct.pack("<IHI", 8, 0, 8)
    assert tiff_frames(content, 1000) == 1


@pytest.mark.parametrize("big", [False, True])
def test_a_tiffs_strips_are_counted(big: bool) -> None:
    image = Image.new("L", (10, 100))
    content = save(image, "TIFF", compression="tiff_lzw", strip_size=50, big_tiff=big)
    with Image.open(io.BytesIO(content)) as image:
        assert tiff_pieces(content) == len(image.tag_v2[273]) > 1


@pytest.mark.parametrize("tag", [273, 324])
def test_strips_and_tiles_of_a_big_endian_tiff_are_counted(tag: int) -> None:
    entries = struct.pack(">HHII", 256, 4, 1, 5) + struct.pack(">HHII", tag, 4, 77, 5)
    content = b"MM\0*" + struct.pack(">IH", 8, 2) + entries + bytes(4)
    assert tiff_pieces(content) == 77


@pytest.mark.parametrize("end", [4, 8, 9, 12, 30])
def test_a_cut_off_tiff_has_pieces_or_none(end: int) -> None:
    assert tiff_pieces(frames("TIFF", 1)[:end]) in (0, 1)
