"""Train `net.py` on Fashion-MNIST.

The last twelfth of the training set (5000 of 60 000 pictures) is held out and its accuracy shown
after each epoch, to tune by; the weights saved are always those of the last epoch, and the test
set is looked at once, at the end.
"""

import argparse
import gzip
import math
import struct
import sys
import tomllib
import zlib
from pathlib import Path

import numpy as np
import torch
from net import Net
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

HERE = Path(__file__).parent
CONFIG = tomllib.loads((HERE / "model.toml").read_text())
MEAN, STD = CONFIG["input"]["mean"][0], CONFIG["input"]["std"][0]
SIZE = (CONFIG["input"]["height"], CONFIG["input"]["width"])
N_CLASSES = CONFIG["model"]["args"]["n_classes"]
HELD_OUT = 12  # one training picture in so many is held out
BATCH = 128
MAX_SHIFT = 2
MAX_RATE = 4e-3
DIMENSIONS = {2049: 1, 2051: 3}  # by magic number: labels, pictures


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked if its name ends in .gz.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the gzip stream is damaged or cut short.
    """
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: expected a whole gzip file: {error}") from error


def read_idx(path: Path | str) -> np.ndarray:
    """The array in an idx file of labels or pictures; unpacked first if its name ends in .gz.

    Returns:
        (n,) labels or (n, H, W) pixels, uint8, read-only.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not an idx file, or not as long as its header says.

    Source: the idx format, http://yann.lecun.com/exdb/mnist/.
    """
    content = read_bytes(Path(path))
    magic = int.from_bytes(content[:4], "big")
    if magic not in DIMENSIONS:
        expected = "2049 (labels) or 2051 (pictures)"
        raise ValueError(f"{path}: expected magic number {expected}, found {magic}")
    start = 4 + 4 * DIMENSIONS[magic]
    if len(content) < start:
        raise ValueError(f"{path}: expected a header of {start} bytes, found {len(content)}")
    shape = struct.unpack(f">{DIMENSIONS[magic]}I", content[4:start])
    wanted = start + math.prod(shape)
    if len(content) != wanted:
        raise ValueError(f"{path}: expected {wanted} bytes for {shape}, found {len(content)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def find(folder: Path, name: str) -> Path:
    """The file of that name in the folder, or the one with .gz appended.

    Raises:
        FileNotFoundError: neither is there, or no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected a folder with the data set's four files")
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder}: expected a file {name} or {name}.gz")


def read_pictures(path: Path) -> Tensor:
    """(n, 1, H, W) float32 pixels, 0 to 1.

    Raises:
        ValueError: the file is damaged, or its pictures are too few or of another size.
    """
    pictures = read_idx(path)
    if pictures.shape[1:] != SIZE or len(pictures) < HELD_OUT:
        expected = f"(at least {HELD_OUT}, {SIZE[0]}, {SIZE[1]})"
        raise ValueError(f"{path}: expected pictures of shape {expected}, found {pictures.shape}")
    return torch.from_numpy(pictures.astype(np.float32) / 255)[:, None]


def read_labels(path: Path, n: int) -> Tensor:
    """(n,) int64 labels.

    Raises:
        ValueError: the file is damaged, or holds another number of labels, or unknown ones.
    """
    labels = read_idx(path)
    if labels.shape != (n,):
        raise ValueError(f"{path}: expected {n} labels, found shape {labels.shape}")
    if labels.max() >= N_CLASSES:
        raise ValueError(f"{path}: expected labels 0 to {N_CLASSES - 1}, found {labels.max()}")
    return torch.from_numpy(labels.astype(np.int64))


def read_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Pictures and labels of "train" or "t10k", as `read_pictures` and `read_labels` give them.

    Raises:
        FileNotFoundError: the folder or a file is missing.
        ValueError: a file is damaged, or is not what its name says.
    """
    pictures = read_pictures(find(folder, f"{split}-images-idx3-ubyte"))
    labels = read_labels(find(folder, f"{split}-labels-idx1-ubyte"), len(pictures))
    return pictures, labels


def normalize(pixels: Tensor) -> Tensor:
    """Pixels from 0 to 1, as the network wants them; the same numbers as `model.toml`."""
    return (pixels - MEAN) / STD


def augment(pixels: Tensor) -> Tensor:
    """(B, 1, H, W) -> the same, each picture shifted a little and half of them mirrored."""
    rows = torch.arange(len(pixels))
    padded = nn.functional.pad(pixels, [MAX_SHIFT] * 4)
    height, width = pixels.shape[-2:]
    shifted = padded.unfold(2, height, 1).unfold(3, width, 1)  # (B, 1, dy, dx, H, W)
    dy, dx = torch.randint(2 * MAX_SHIFT + 1, (2, len(pixels)))
    pixels = shifted[rows, :, dy, dx]
    mirrored = torch.rand(len(pixels)) < 0.5
    return torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)


def train(net: Net, pixels: Tensor, labels: Tensor, epochs: int) -> None:
    """Train on all but the held-out pictures, showing progress; leaves the last epoch's weights."""
    n_train = len(pixels) - len(pixels) // HELD_OUT
    steps = math.ceil(n_train / BATCH)
    optimizer = torch.optim.AdamW(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, MAX_RATE, total_steps=epochs * steps)
    for epoch in range(1, epochs + 1):
        net.train()
        with tqdm(torch.randperm(n_train).split(BATCH), f"epoch {epoch}/{epochs}") as bar:
            for rows in bar:
                logits = net(normalize(augment(pixels[rows])))
                loss = nn.functional.cross_entropy(logits, labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.set_postfix(loss=f"{loss.item():.3f}")
        held_out = accuracy(net, pixels[n_train:], labels[n_train:])
        print(f"epoch {epoch}/{epochs}: {held_out:.2%} of the held-out pictures are right")


@torch.no_grad()
def accuracy(net: Net, pixels: Tensor, labels: Tensor) -> float:
    """The share of pictures whose largest logit is the label's."""
    net.eval()
    right = [
        (net(normalize(some)).argmax(1) == wanted).sum().item()
        for some, wanted in zip(pixels.split(1000), labels.split(1000), strict=True)
    ]
    return sum(right) / len(labels)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Train net.py on Fashion-MNIST.")
    parser.add_argument("folder", type=Path, help="holds the four idx files, .gz or not")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=HERE / "weights.safetensors")
    given = parser.parse_args()
    if given.epochs < 1:
        parser.error(f"--epochs: expected at least 1, found {given.epochs}")
    if not given.output.absolute().parent.is_dir():
        parser.error(f"--output: no folder {given.output.absolute().parent} to write to")
    return given


def main() -> None:
    """Read, train, test once, save."""
    given = arguments()
    torch.manual_seed(given.seed)
    try:
        train_set, test_set = read_split(given.folder, "train"), read_split(given.folder, "t10k")
    except (OSError, ValueError) as error:
        sys.exit(f"train.py: {error}")
    net = Net(**CONFIG["model"]["args"])
    train(net, *train_set, given.epochs)
    measured = accuracy(net, *test_set)
    print(f"{measured:.2%} of the {len(test_set[0])} test pictures are right")
    metadata = {
        "dataset": "Fashion-MNIST",
        "epochs": str(given.epochs),
        "seed": str(given.seed),
        "test_accuracy": f"{measured:.4f}",
    }
    save_file(net.state_dict(), given.output, metadata)


if __name__ == "__main__":
    main()
