import threading

import numpy as np
import pytest

from core.errors import ImageCorrupt, SeethroughError
from core.images.decode import ImageLimits, decode
from tests.files import SMALL, frames
from tests.files.kinds import kinds
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


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_of_file_is_taken(kind: str) -> None:
    assert decode(kinds()[kind]).pixels.shape[2] == 3


@pytest.mark.parametrize("kind", kinds())
def test_no_mutation_of_a_file_escapes_the_error_tree(kind: str) -> None:
    whole = kinds()[kind]
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
