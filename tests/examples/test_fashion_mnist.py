import gzip
import importlib
import os
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

FOLDER = Path(__file__).parents[2] / "examples" / "fashion_mnist"
WEIGHTS = FOLDER / "weights.safetensors"
CONFIG = tomllib.loads((FOLDER / "model.toml").read_text())
LABELS: list[str] = CONFIG["classes"]["labels"]
PICTURES = {
    "ankle-boot.png": "Ankle boot",
    "bag.png": "Bag",
    "dress.png": "Dress",
    "pullover.png": "Pullover",
    "sneaker.png": "Sneaker",
    "trouser.png": "Trouser",
}
DATA_SET = Path(os.environ.get("SEETHROUGH_FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))


@pytest.fixture(scope="module")
def train() -> Iterator[ModuleType]:
    """train.py as a module; it finds net.py beside it, as it does when run as a script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("train")
    for name in ("train", "net"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def net(train: ModuleType) -> torch.nn.Module:
    """The network with the committed weights."""
    net = train.Net(**CONFIG["model"]["args"])
    net.load_state_dict(load_file(WEIGHTS), strict=True)
    return net.eval()


def idx(array: NDArray[np.uint8]) -> bytes:
    """An idx file written out by its definition: zero, zero, unsigned bytes, dimensions, sizes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def random_pictures(n: int, size: int = 28) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, size, size), dtype=np.uint8)


def made_up(folder: Path) -> Path:
    """A data set of noise, half of its files packed."""
    for split, n in (("train", 48), ("t10k", 20)):
        labels = (np.arange(n) % 10).astype(np.uint8)
        (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(
            gzip.compress(idx(random_pictures(n)))
        )
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(idx(labels))
    return folder


def run_train(*given: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / "train.py"), *map(str, given)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [(7,), (3, 4, 5)])
def test_an_idx_file_gives_the_array_it_was_made_of(
    train: ModuleType, tmp_path: Path, shape: tuple[int, ...], packed: bool
) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / ("some.gz" if packed else "some")
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    read = train.read_idx(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)


GOOD = idx(random_pictures(2))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a", b"\x89PNG" + GOOD[4:], r"2049 \(labels\) or 2051 \(pictures\), found 2303741511"),
        ("a", b"", "magic number"),
        ("a", GOOD[:9], "header of 16 bytes, found 9"),
        ("a", GOOD[:-1], "expected 1584 bytes .* found 1583"),
        ("a", GOOD + b"\0", "expected 1584 bytes .* found 1585"),
        ("a.gz", GOOD, "whole gzip file"),
        ("a.gz", gzip.compress(GOOD)[:-20], "whole gzip file"),
    ],
)
def test_a_damaged_idx_file_is_refused_by_name(
    train: ModuleType, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as refused:
        train.read_idx(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte.gz", gzip.compress(idx(random_pictures(48, 20))), "28, 28"),
        ("train-labels-idx1-ubyte", idx(np.zeros(47, np.uint8)), "expected 48 labels"),
        ("t10k-labels-idx1-ubyte", idx(np.full(20, 10, np.uint8)), "labels 0 to 9, found 10"),
        ("t10k-labels-idx1-ubyte", None, "or t10k-labels-idx1-ubyte.gz"),
    ],
)
def test_files_that_do_not_make_a_data_set_are_refused_by_name(
    train: ModuleType, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = made_up(tmp_path) / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises((FileNotFoundError, ValueError), match=message) as refused:
        [train.read_split(tmp_path, split) for split in ("train", "t10k")]
    assert name in str(refused.value)


def test_training_says_which_folder_is_missing(tmp_path: Path) -> None:
    run = run_train(tmp_path / "nowhere")
    assert run.returncode == 1
    assert f"{tmp_path / 'nowhere'}: expected a folder" in run.stderr
    assert "Traceback" not in run.stderr


def test_training_for_an_epoch_writes_weights_that_load_and_the_same_again(
    train: ModuleType, tmp_path: Path
) -> None:
    made_up(tmp_path)
    written = []
    for name in ("one.safetensors", "two.safetensors"):
        run = run_train(tmp_path, "--epochs", 1, "--seed", 3, "--output", tmp_path / name)
        assert run.returncode == 0, run.stderr
        written.append(load_file(tmp_path / name))
        train.Net(**CONFIG["model"]["args"]).load_state_dict(written[-1], strict=True)
    one, two = written
    assert all(torch.equal(one[key], two[key]) for key in one)
    with safe_open(tmp_path / "one.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata["epochs"] == "1"
    assert metadata["seed"] == "3"
    assert 0 <= float(metadata["test_accuracy"]) <= 1


def test_an_augmented_picture_is_the_picture_shifted_and_perhaps_mirrored(
    train: ModuleType,
) -> None:
    torch.manual_seed(0)
    picture = torch.rand(28, 28)
    framed = torch.zeros(32, 32)
    framed[2:30, 2:30] = picture
    shifted = [framed[y : y + 28, x : x + 28] for y in range(5) for x in range(5)]
    allowed = [*shifted, *(each.flip(-1) for each in shifted)]
    made = train.augment(picture.expand(200, 1, 28, 28))
    found = {next(i for i, each in enumerate(allowed) if torch.equal(each, one[0])) for one in made}
    assert len(found) > len(shifted)


def test_the_weights_are_small_and_say_how_good_they_are() -> None:
    assert WEIGHTS.stat().st_size < 2_000_000
    with safe_open(WEIGHTS, "pt") as file:
        metadata = file.metadata()
    assert metadata["dataset"] == "Fashion-MNIST"
    assert float(metadata["test_accuracy"]) >= 0.91


def test_the_readme_gives_the_measured_accuracy() -> None:
    with safe_open(WEIGHTS, "pt") as file:
        accuracy = float(file.metadata()["test_accuracy"])
    assert f"{accuracy:.2%}".replace("%", " %") in (FOLDER / "README.md").read_text()


def test_the_layer_of_the_features_is_the_classifier(net: torch.nn.Module) -> None:
    layer: Any = net.get_submodule(CONFIG["features"]["layer"])
    assert layer.out_features == len(LABELS) == CONFIG["model"]["args"]["n_classes"]


@pytest.mark.parametrize("name", PICTURES)
def test_a_committed_picture_is_classified_right(
    net: torch.nn.Module, train: ModuleType, name: str
) -> None:
    pixels = np.array(Image.open(FOLDER / "pictures" / name))
    assert pixels.shape == (28, 28)
    with torch.no_grad():
        logits = net(train.normalize(torch.from_numpy(pixels / np.float32(255))[None, None]))
    assert LABELS[int(logits.argmax())] == PICTURES[name]


@pytest.mark.skipif(not DATA_SET.is_dir(), reason=f"no data set in {DATA_SET}")
def test_the_weights_are_as_good_on_the_real_test_set_as_they_say(
    net: torch.nn.Module, train: ModuleType
) -> None:
    pixels, labels = train.read_split(DATA_SET, "t10k")
    assert pixels.shape == (10_000, 1, 28, 28)
    with torch.no_grad():
        guessed = torch.cat([net((some - 0.2860) / 0.3530).argmax(1) for some in pixels.split(500)])
    with safe_open(WEIGHTS, "pt") as file:
        said = float(file.metadata()["test_accuracy"])
    # Another processor may round a near tie the other way.
    assert (guessed == labels).double().mean().item() == pytest.approx(said, abs=0.001)


@pytest.mark.skipif(not DATA_SET.is_dir(), reason=f"no data set in {DATA_SET}")
@pytest.mark.parametrize("name", PICTURES)
def test_a_committed_picture_is_the_first_of_its_class_in_the_test_set(
    train: ModuleType, name: str
) -> None:
    pixels, labels = train.read_split(DATA_SET, "t10k")
    first = int((labels == LABELS.index(PICTURES[name])).nonzero()[0])
    shown = np.array(Image.open(FOLDER / "pictures" / name)) / np.float32(255)
    np.testing.assert_array_equal(pixels[first, 0].numpy(), shown)
