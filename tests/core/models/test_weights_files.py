"""Weights files that are something else, each of which says what it is."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.core.models.checkpoints import refused, state, trained


def test_a_pickled_module_is_refused_and_its_class_named(tmp_path: Path) -> None:
    torch.save(trained(), tmp_path / "w.pth")
    message = refused(tmp_path / "w.pth")
    assert "Net)" in message
    assert "module.state_dict()" in message


def _script(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("net/data.pkl", "net/code/net.py", "net/constants.pkl"):
            archive.writestr(name, b"x")


def _npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


def _compressed(path: Path) -> None:
    torch.save(state(), path)
    with zipfile.ZipFile(path) as stored:
        records = {name: stored.read(name) for name in stored.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in records.items():
            archive.writestr(name, content)


def _cut_off(path: Path) -> None:
    torch.save(state(), path)
    path.write_bytes(path.read_bytes()[:900])


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (b"", "is empty"),
        (LFS, "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
        (b"\x08\x07\x12\x07pytorch\x1a\x052.4.0" + bytes(64), "ONNX"),
        (b"<!DOCTYPE html>\n<html><title>Sign in</title>", "an HTML page"),
        ("Gewichte für später\n".encode(), "a text"),
        (("a" + "веса модели " * 100).encode(), "a text"),
        (_script, "TorchScript"),
        (_compressed, "is compressed"),
        (bytes(20_000), "is damaged, or no weights"),  # to torch an empty tar archive
        (_cut_off, "is damaged"),
        (b"\x93NUMPY\x01\0" + bytes(64), "a NumPy array"),
        (_npz, "a NumPy archive"),
        (bytes(range(256)), "is damaged, or no weights"),
        (b"\x10\0\0\0\0\0\0\0{not json, cut off", "is damaged, or no weights"),
    ],
)
def test_a_file_that_is_something_else_says_what_it_is(
    tmp_path: Path, made: bytes | Callable[[Path], None], words: str
) -> None:
    file = tmp_path / "w.pth"
    if isinstance(made, bytes):
        file.write_bytes(made)
    else:
        made(file)
    assert words in refused(file)
