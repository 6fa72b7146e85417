"""Weights files as people have them: what fits is taken and said, all else is named."""

import argparse
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from core.errors import ModelUnusable
from core.models.checkpoint import weights_of


class Net(nn.Module):
    """A convolution, a BatchNorm, and a linear layer whose weights another one shares."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.bn = nn.BatchNorm2d(2)
        self.fc = nn.Linear(2, 2)
        self.twin = nn.Linear(2, 2)
        self.twin.weight = self.fc.weight


def trained() -> Net:
    torch.manual_seed(7)
    module = Net()
    module.bn.running_mean.normal_()  # type: ignore[union-attr]
    return module


def state(prefix: str = "") -> dict[str, Tensor]:
    return {f"{prefix}{name}": each for name, each in trained().state_dict().items()}


def assert_taken(file: Path, key: str | None = None) -> str:
    """Whether a file's tensors are those of the trained network; what was said of it."""
    found = weights_of(Net(), file, key)
    expected = trained().state_dict()
    assert found.state.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found.state[name], tensor), name
    return "; ".join(found.notes)


def refused(file: Path) -> str:
    with pytest.raises(ModelUnusable) as caught:
        weights_of(Net(), file)
    message = str(caught.value)
    assert message.startswith(file.name)
    assert "\n" not in message
    assert "weights_only" not in message
    return message


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod."])
def test_a_prefix_is_taken_off_and_said(tmp_path: Path, prefix: str) -> None:
    torch.save(state(prefix), tmp_path / "w.pth")
    assert f"'{prefix}' taken off" in assert_taken(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (lambda: state(), ""),
        (lambda: {"model_state_dict": state(), "epoch": 3}, "below 'model_state_dict'"),
        (lambda: {"state_dict": state("model."), "lr": 0.1}, "'model.' taken off"),
        (
            lambda: {"state_dict": state("model.") | {"loss.weight": torch.ones(3)}},
            "'loss.weight' left out",
        ),
        (
            lambda: {
                "model": state(),
                "optimizer": torch.optim.Adam(trained().parameters()).state_dict(),
                "best": np.float64(0.93),
                "history": np.zeros(3),
                "args": argparse.Namespace(lr=0.1, out=Path("runs")),
            },
            "below 'model'",
        ),
        (lambda: {"a": {"b": state()}}, "below 'a.b'"),
    ],
)
def test_what_training_loops_save_is_taken(
    tmp_path: Path, wrap: Callable[[], dict[str, Any]], said: str
) -> None:
    torch.save(wrap(), tmp_path / "w.pth")
    assert said in assert_taken(tmp_path / "w.pth")


def test_counters_of_batch_norm_may_be_missing(tmp_path: Path) -> None:
    older = {name: each for name, each in state().items() if "num_batches" not in name}
    torch.save(older, tmp_path / "w.pth")
    assert_taken(tmp_path / "w.pth")


def test_tensors_that_a_network_shares_may_be_said_once(tmp_path: Path) -> None:
    save_model(trained(), str(tmp_path / "w.safetensors"))
    assert_taken(tmp_path / "w.safetensors")


def test_a_name_says_nothing_of_what_a_file_is(tmp_path: Path) -> None:
    save_file({k: v.clone() for k, v in state().items()}, tmp_path / "w.pth")
    torch.save(state(), tmp_path / "w.safetensors")
    assert_taken(tmp_path / "w.pth")
    assert_taken(tmp_path / "w.safetensors")


def test_two_that_fit_are_named_and_one_can_be_chosen(tmp_path: Path) -> None:
    averaged = {name: each * 0 for name, each in state().items()}
    torch.save({"model": state(), "model_ema": averaged}, tmp_path / "w.pth")
    message = refused(tmp_path / "w.pth")
    assert "'model', 'model_ema'" in message
    assert 'weights_key = "model"' in message
    assert_taken(tmp_path / "w.pth", "model")
    with pytest.raises(ModelUnusable, match="no state dict 'ema'"):
        weights_of(Net(), tmp_path / "w.pth", "ema")


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    for change, words in (
        ({"extra": torch.ones(1)}, "has more than the network: 'extra'"),
        ({"fc.bias": torch.ones(3)}, "'fc.bias' of shape (3,), the network's is (2,)"),
        ({"fc.bias": torch.tensor([0, torch.nan])}, "NaN or infinity in 'fc.bias'"),
        ({"fc.bias": torch.tensor([0, 1e300]).double()}, "NaN or infinity in 'fc.bias'"),
        ({"fc.bias": torch.ones(2) * 1j}, "of torch.complex64, the network's is torch.float32"),
        ({"fc.bias": torch.ones(2, device="meta")}, "'fc.bias' without values"),
        ({"fc.bias": torch.ones(2).to_sparse()}, "'fc.bias' sparse: save it as a plain tensor"),
        ({"fc.bias": _quantized(torch.ones(2))}, "'fc.bias' quantized"),
    ):
        torch.save({"model": state() | change}, tmp_path / "w.pth")
        message = refused(tmp_path / "w.pth")
        assert words in message
        assert "below 'model'" in message
    torch.save({n: t for n, t in state().items() if n != "conv.bias"}, tmp_path / "w.pth")
    assert "lacks 'conv.bias'" in refused(tmp_path / "w.pth")
    torch.save({"epoch": 3, "names": ["a"]}, tmp_path / "w.pth")
    assert "holds no state dict" in refused(tmp_path / "w.pth")


def _quantized(tensor: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to take them away
        return torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.float8_e4m3fn, torch.int8])
def test_numbers_of_another_kind_become_the_networks(tmp_path: Path, dtype: torch.dtype) -> None:
    rounded = {name: each.to(dtype) for name, each in state().items()}
    torch.save(rounded, tmp_path / "w.pth")
    found = weights_of(Net(), tmp_path / "w.pth").state
    assert found["fc.bias"].dtype == torch.float32
    assert found["bn.num_batches_tracked"].dtype == torch.int64
    assert torch.equal(found["fc.bias"], rounded["fc.bias"].float())


def test_a_checkpoint_inside_itself_is_searched_once(tmp_path: Path) -> None:
    looped: dict[str, Any] = {"model": state()}
    looped |= {f"run {number}": looped for number in range(200)}
    torch.save(looped, tmp_path / "w.pth")
    assert "below 'model'" in assert_taken(tmp_path / "w.pth")


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


def test_two_prefixes_that_fit_are_named_and_one_can_be_chosen(tmp_path: Path) -> None:
    averaged = {f"ema_model.module.{name}": each * 0 for name, each in state().items()}
    torch.save({"state_dict": averaged | state("model.")}, tmp_path / "w.pth")
    message = refused(tmp_path / "w.pth")
    assert "'state_dict.ema_model.module', 'state_dict.model'" in message
    assert 'weights_key = "state_dict.ema_model.module"' in message
    for key in ("model", "model.", "state_dict.model"):
        assert "'model.' taken off" in assert_taken(tmp_path / "w.pth", key)
    with pytest.raises(ModelUnusable, match="more than one"):
        weights_of(Net(), tmp_path / "w.pth", "state_dict")
    with pytest.raises(ModelUnusable, match="no state dict 'teacher': 'state_dict"):
        weights_of(Net(), tmp_path / "w.pth", "teacher")


def test_of_two_prefixes_the_one_that_fits_is_taken(tmp_path: Path) -> None:
    other = {name: each[:1] for name, each in state("student.").items() if each.ndim}
    torch.save(other | state("teacher."), tmp_path / "w.pth")
    assert "'teacher.' taken off" in assert_taken(tmp_path / "w.pth")


def test_a_network_that_two_modules_hold_is_one(tmp_path: Path) -> None:
    torch.save(state("model.") | state("loss.model."), tmp_path / "w.pth")
    assert "'model.' taken off" in assert_taken(tmp_path / "w.pth")


class Normed(nn.Module):
    """Weights that are made of others, and something beside weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 3))
        self.scale = 1

    def get_extra_state(self) -> dict[str, int]:
        return {"scale": self.scale}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.scale = state["scale"]


@pytest.mark.parametrize("prefix", ["", "module."])
def test_names_that_a_layer_had_once_are_taken(tmp_path: Path, prefix: str) -> None:
    today = Normed().state_dict()
    before = {
        "conv.weight_g": today["conv.parametrizations.weight.original0"],
        "conv.weight_v": today["conv.parametrizations.weight.original1"],
        "conv.bias": today["conv.bias"],
    }
    torch.save({f"{prefix}{name}": each for name, each in before.items()}, tmp_path / "w.pth")
    found = weights_of(Normed(), tmp_path / "w.pth").state
    assert found.keys() == today.keys()
    assert torch.equal(found["conv.parametrizations.weight.original1"], before["conv.weight_v"])


@pytest.mark.parametrize("scale", [None, 3])
def test_what_a_network_says_beside_its_tensors_is_taken_where_it_is_there(
    tmp_path: Path, scale: int | None
) -> None:
    saved = Normed()
    saved.scale = scale or 7
    kept = {n: each for n, each in saved.state_dict().items() if scale or n != "_extra_state"}
    torch.save({"model": kept}, tmp_path / "w.pth")
    module = Normed()
    module.load_state_dict(weights_of(module, tmp_path / "w.pth").state)
    assert module.scale == (scale or 1)
