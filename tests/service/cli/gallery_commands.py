"""The commands about stored pictures with toy networks, and pictures for them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from service.cli.main import main
from tests.folders import TOY_WEIGHTS, toy_folder
from tests.pictures import encode

OTHER_WEIGHTS = TOY_WEIGHTS | {"conv.bias": torch.ones(1)}
"""Another network: each of its features is greater by one."""


class Commands:
    """Runs commands on one gallery.

    Attributes:
        folder: of the gallery.
        out: what the last command printed.
        err: what it complained of.
    """

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str] | None = None) -> None:
        self.folder = directory / "data"
        self._models = directory / "models"
        if not self._models.exists():
            toy_folder(self._models)
            toy_folder(self._models, "other", weights=OTHER_WEIGHTS)
        self._capsys = capsys
        self.out = self.err = ""

    def plain(self, command: str, *arguments: object) -> int:
        """A command that needs no network."""
        return self._run(command, *arguments, "--data-dir", self.folder)

    def __call__(self, command: str, *arguments: object, models: str = "toy") -> int:
        """A command that needs the networks."""
        where = ("--data-dir", self.folder, "--models-dir", self._models)
        return self._run(command, *arguments, *where, "--models", models)

    def _run(self, *arguments: object) -> int:
        if self._capsys is None:
            return main([str(each) for each in arguments])
        self._capsys.readouterr()
        code = main([str(each) for each in arguments])
        self.out, self.err = self._capsys.readouterr()
        assert "Traceback" not in self.err
        return code


def quadrants(*gray: int) -> bytes:
    """A PNG file of 4 x 4 pixels in four quadrants; the toy network's features are their sums."""
    return encode(np.kron(np.reshape(gray, (2, 2)), np.ones((2, 2))).astype(np.uint8), "PNG")


def pictures(folder: Path, count: int = 6) -> Path:
    """A folder of pictures "dark/0.png", "bright/1.png", ...: each differs from the others."""
    for i in range(count):
        file = folder / ("bright" if i % 2 else "dark") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(quadrants(100 + 100 * (i % 2), i, 2 * i, 3 * i))
    return folder
