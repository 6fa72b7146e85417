import threading

import numpy as np
import pytest
from PIL import Image

from core.errors import ImageCorrupt, SeethroughError
from core.images import ImageLimits, decode
from tests.files import SMALL, frames, save
from tests.files.oriented import oriented
from tests.pictures import encode, jpeg


def test_threads_decode_independently() -> None:
    contents = [jpeg(), encode(SMALL, "PNG"), frames("GIF", 2), encode(SMALL, "AVIF")]
    expected = [decode(each).pixels for each in contents]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(3):
            for i, content in enumerate(contents):
                if not np.array_equal(decode(content).pixels, expected[i]):
                    wrong.append(i)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def grown() -> dict[str, bytes]:
    """One file of every kind that takes its own way through a decoder."""
    _, exif = oriented(SMALL, 6)
    plain = {
        format: encode(SMALL, format, exif=exif)
        for format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
    }
    several = {f"{format} frames": frames(format, 3) for format in ("GIF", "PNG", "WEBP", "TIFF")}
    deep = Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30))
    palette = Image.fromarray(SMALL).quantize(16)
    return (
        plain
        | several
        | {
            "BMP": encode(SMALL, "BMP"),
            "MPO": frames("MPO", 2),
            "JPEG progressive": encode(SMALL, "JPEG", progressive=True),
            "JPEG CMYK": save(Image.fromarray(SMALL).convert("CMYK"), "JPEG"),
            "PNG deep": save(deep, "PNG"),
            "PNG palette": save(palette, "PNG", transparency=bytes(range(16))),
            "TIFF deep": save(deep, "TIFF", compression="tiff_lzw"),
            "TIFF float": save(deep.convert("F"), "TIFF"),
        }
    )


@pytest.mark.parametrize("kind", sorted(grown()))
def test_no_mutation_of_a_file_escapes_the_error_tree(kind: str) -> None:
    whole = grown()[kind]
    random = np.random.default_rng(sum(kind.encode()))
    messages: list[str] = []
    for _ in range(40):
        mutated = bytearray(whole)
        reach = len(mutated) if random.random() < 0.5 else min(len(mutated), 200)
        for at in random.integers(0, reach, size=random.integers(1, 12)):
            mutated[at] = random.integers(0, 256)
        end = random.integers(1, len(mutated)) if random.random() < 0.5 else len(mutated)
        try:
            image = decode(bytes(mutated[:end]), ImageLimits(max_pixels=1_000_000))
            assert image.pixels.dtype == np.uint8
            assert image.pixels.shape[2] == 3
        except SeethroughError as error:
            messages.append(str(error))
    assert not [text for text in messages if "<_io" in text or " at 0x" in text or "/" in text]


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_file_cut_off_anywhere_before_its_last_pixels_is_corrupt(format: str) -> None:
    content = encode(SMALL, format)
    for end in range(12, len(content) - 40, len(content) // 25):
        with pytest.raises(ImageCorrupt, match=format):
            decode(content[:end])
