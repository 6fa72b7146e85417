import io

import pytest
from PIL import Image

from core.images.formats.gif import gif_frames
from tests.files import frames


@pytest.mark.parametrize("count", [1, 2, 9])
def test_gif_frames_agree_with_pillow(count: int) -> None:
    content = frames("GIF", count)
    with Image.open(io.BytesIO(content)) as image:
        assert gif_frames(content, 1000) == image.n_frames == count


def test_frames_of_a_gif_are_counted_up_to_the_limit() -> None:
    assert gif_frames(frames("GIF", 9), 4) == 4


def test_a_cut_off_gif_has_at_least_one_frame() -> None:
    for end in range(14, 60):
        assert gif_frames(frames("GIF", 2)[:end], 10) == 1
