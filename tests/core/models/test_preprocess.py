import numpy as np
import pytest
import torch
import torchvision.transforms.v2 as transforms
from PIL import Image

from core.errors import ModelUnusable
from core.models.preprocess import STRETCH, Preprocessing, to_pixels
from tests.pictures import NAMES, photo

IMAGENET = Preprocessing(
    channels=3,
    height=224,
    width=224,
    resize=256,
    interpolation="bicubic",
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.3, 0.4),
)


@pytest.mark.parametrize("name", NAMES)
def test_input_equals_torchvision_on_pillow(name: str) -> None:
    reference = transforms.Compose(
        [
            transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToImage(),
            transforms.ToDtype(torch.float32, scale=True),
            transforms.Normalize(IMAGENET.mean, IMAGENET.std),
        ]
    )
    expected = reference(Image.fromarray(photo(name)))
    one_gray_level = 1 / 255 / min(IMAGENET.std)
    assert torch.allclose(IMAGENET(photo(name)), expected, atol=1.01 * one_gray_level)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (40, 1), (224, 224), (300, 451)])
def test_any_size_becomes_the_input_size(height: int, width: int) -> None:
    tensor = IMAGENET(np.zeros((height, width, 3), np.uint8))
    assert tensor.shape == (3, 224, 224)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()


def test_frame_of_a_landscape_picture_by_hand() -> None:
    frame = IMAGENET.frame(height=300, width=600)
    assert frame.scaled == (256, 512)
    assert frame.origin == (16, 144)
    assert frame.crop == (224, 224)


def test_stretch_keeps_no_aspect_and_crops_nothing() -> None:
    stretch = Preprocessing(
        channels=1,
        height=28,
        width=28,
        resize=STRETCH,
        interpolation="bilinear",
        mean=(0.0,),
        std=(1.0,),
    )
    assert stretch.frame(300, 600).scaled == (28, 28)
    assert stretch.frame(300, 600).origin == (0, 0)
    assert stretch(photo("chelsea")).shape == (1, 28, 28)


def test_gray_input_is_the_luma_pillow_computes() -> None:
    gray = Preprocessing(
        channels=1,
        height=300,
        width=451,
        resize=STRETCH,
        interpolation="bilinear",
        mean=(0.0,),
        std=(1.0,),
    )
    expected = np.asarray(Image.fromarray(photo("chelsea")).convert("L"), dtype=int)
    assert np.abs(gray.view(photo("chelsea"))[0].numpy().astype(int) - expected).max() <= 1


def test_nearest_picks_pixels_and_invents_none() -> None:
    nearest = Preprocessing(
        channels=3,
        height=2,
        width=2,
        resize=STRETCH,
        interpolation="nearest",
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
    )
    pixels = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    view = to_pixels(nearest.view(pixels))
    assert {tuple(each) for each in view.reshape(-1, 3)} <= {
        tuple(each) for each in pixels.reshape(-1, 3)
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 2},
        {"height": 0},
        {"mean": (0.5,)},
        {"std": (0.5, 0.5, 0.0)},
        {"resize": 100},
    ],
)
def test_contradictions_are_refused(wrong: dict[str, object]) -> None:
    good: dict[str, object] = {
        "channels": 3,
        "height": 224,
        "width": 224,
        "resize": 256,
        "interpolation": "bicubic",
        "mean": (0.5,) * 3,
        "std": (0.5,) * 3,
    }
    with pytest.raises(ModelUnusable):
        Preprocessing(**(good | wrong))  # type: ignore[arg-type]
