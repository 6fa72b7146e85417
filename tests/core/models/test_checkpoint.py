"""Weights files as people have them: what fits is taken and said, all else is named."""

import argparse
import warnings
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
from tests.core.models.checkpoints import Net, assert_taken, refused, state, trained


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
