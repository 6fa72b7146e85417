import pytest
from PIL import Image

from core.images.formats.known import FORMATS, sniff
from tests.files import save


@pytest.mark.parametrize("format", [each for each in FORMATS if each != "HEIF"])
def test_every_format_is_recognized_by_its_first_bytes(format: str) -> None:
    assert sniff(save(Image.new("RGB", (16, 16)), format)[:16]) == format


@pytest.mark.parametrize(
    "content", [b"", b"B", b"RIFF\0\0\0\0WAVE", b"\0\0\0\x18ftypisom", b"text"]
)
def test_what_is_not_taken_is_not_recognized(content: bytes) -> None:
    assert sniff(content) is None
