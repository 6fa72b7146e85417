import io
import struct
from typing import Any

import pytest
from PIL import Image

from core.formats import FORMATS, gif_frames, hint, sniff, tiff_frames, tiff_pieces, webp_size


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def frames(format: str, count: int, **options: Any) -> bytes:
    made = [Image.new("RGB", (5, 7), (i, 2 * i, 0)) for i in range(count)]
    return save(made[0], format, save_all=True, append_images=made[1:], **options)


@pytest.mark.parametrize("format", [each for each in FORMATS if each != "HEIF"])
def test_every_format_is_recognised_by_its_first_bytes(format: str) -> None:
    assert sniff(save(Image.new("RGB", (16, 16)), format)[:16]) == format


@pytest.mark.parametrize(
    "content", [b"", b"B", b"RIFF\0\0\0\0WAVE", b"\0\0\0\x18ftypisom", b"text"]
)
def test_what_is_not_taken_is_not_recognised(content: bytes) -> None:
    assert sniff(content) is None


def test_nobody_knows_what_plain_text_is() -> None:
    assert hint(b"hello") == ""


@pytest.mark.parametrize("count", [1, 2, 9])
def test_gif_frames_agree_with_pillow(count: int) -> None:
    content = frames("GIF", count)
    with Image.open(io.BytesIO(content)) as image:
        assert gif_frames(content, 1000) == image.n_frames == count


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_tiff_frames_agree_with_pillow(count: int, big: bool, compression: str) -> None:
    content = frames("TIFF", count, big_tiff=big, compression=compression)
    with Image.open(io.BytesIO(content)) as image:
        assert tiff_frames(content, 1000) == image.n_frames == count


def test_frames_are_counted_up_to_the_limit() -> None:
    assert gif_frames(frames("GIF", 9), 4) == 4
    assert tiff_frames(frames("TIFF", 9), 4) == 4


def test_a_cut_off_file_has_at_least_one_frame() -> None:
    for end in range(14, 60):
        assert gif_frames(frames("GIF", 2)[:end], 10) == 1
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
