"""Makes weights files: as training loops leave them, damaged, and of other kinds."""

import io
import json
import pickle
import random
import re
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from tests.fuzz.models.folder import Files, Link
from tests.fuzz.models.networks import SHAPES

State = dict[str, Tensor]

_KEY = re.compile(rb"X.\0\0\0(\d{9,})", re.DOTALL)

_NAMES = ("weights.pth", "weights.pt", "weights.safetensors", "weights.bin", "model.ckpt")
_NUMBERS = (0, 1, 7, 8, 127, 128, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
_DTYPES = (
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
    torch.complex128,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.uint16,
    torch.uint64,
)
_MAGICS = (
    b"",
    b"\0",
    b"\x89PNG\r\n\x1a\n" + bytes(64),
    b"\x89HDF\r\n\x1a\n" + bytes(64),
    b"\xff\xd8\xff\xe0" + bytes(64),
    b"GIF89a" + bytes(64),
    b"\x1f\x8b\x08" + bytes(64),
    b"BZh91AY" + bytes(64),
    b"%PDF-1.7\n",
    b"PK\x03\x04" + bytes(64),
    b"PK\x05\x06" + bytes(18),
    b"PK",
    b"\x93NUMPY\x01\0" + bytes(64),
    b"\x08\x07\x12\x07pytorch" + bytes(64),
    b"\x08\x07",
    b"GGUF\x03\0\0\0" + bytes(64),
    b"\x80\x02}q\0.",
    b"\x80\x04.",
    b"\x80\xff.",
    b"\x80\x02" + b"(" * 10_000 + b".",
    b"\x80\x02" + b"]" * 100_000 + b".",
    b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"abc.",
    b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"abc.",
    b"cos\nsystem\n(S'echo pwned'\ntR.",
    b"\x80\x02cbuiltins\neval\nX\x01\0\0\0" + b"1\x85R.",
    b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.",
    b"\x80\x02ctorch\nTensor\n.",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    b"<!DOCTYPE html>\n<html><title>Sign in</title>",
    b"<?xml version='1.0'?>",
    b'{"conv1.weight": [1, 2, 3]}',
    b"conv1.weight 1 2 3\n" * 1000,
    b"Just a text that someone saved as weights.pth",
    b"\n" * 5000,
    bytes(range(256)) * 10,
    bytes(100_000),
)


def sound_weights(rng: random.Random, files: Files) -> tuple[str, str]:
    """Weights that must be taken; the file's name, and in words."""
    tensors = state(rng)
    if rng.random() < 0.1:
        tensors = {name: each.half().float() for name, each in tensors.items()}
    prefix = rng.choice(("", "", "module.", "_orig_mod.", "model."))
    tensors = {f"{prefix}{name}": each for name, each in tensors.items()}
    name = rng.choice(_NAMES)
    if rng.random() < 0.3:
        files[name] = save(tensors)
        return name, f"safetensors {prefix}"
    content: Any = rng.choice(
        (
            tensors,
            OrderedDict(tensors),
            {"state_dict": tensors, "epoch": 3},
            {"model_state_dict": tensors, "loss": 0.5, "classes": ["a", "b"]},
            {"model": tensors, "best": np.float64(0.9), "history": np.zeros(3)},
            {"ckpt": {"net": tensors}, "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}}},
            {name: nn.Parameter(each) for name, each in tensors.items()},
        )
    )
    files[name] = saved(content, legacy=rng.random() < 0.2)
    return name, f"a checkpoint {prefix}"


def odd_weights(rng: random.Random, files: Files) -> tuple[str, str]:
    """Weights that may be wrong; the file's name, and in words."""
    name = rng.choice(_NAMES)
    make = rng.choice(_ODD)
    content, note = make(rng)
    files[name] = content
    if isinstance(content, Link) and content.target == ".":
        files[name] = Link(name)
    return name, f"{name} {note}"


def state(rng: random.Random) -> State:
    """The tensors of the network in `networks`."""
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    return {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def saved(content: Any, legacy: bool = False) -> bytes:
    """What `torch.save` writes."""
    file = io.BytesIO()
    # The old format names storages by their addresses, and sorts them by that.
    unsorted = patch.object(torch.serialization, "sorted", list, create=True)
    with warnings.catch_warnings(), unsorted:
        warnings.simplefilter("ignore")  # quantized and sparse tensors are old or new
        torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return _KEY.sub(_numbered(), file.getvalue()) if legacy else file.getvalue()


def _numbered() -> Callable[[re.Match[bytes]], bytes]:
    """Numbers in the order of appearance, in place of addresses."""
    known: dict[bytes, int] = {}

    def number(found: re.Match[bytes]) -> bytes:
        digits = b"%014d" % known.setdefault(found[1], len(known))
        return b"X" + struct.pack("<I", len(digits)) + digits

    return number


# ---- what is wrong ----

_Odd = tuple[bytes | Link | None, str]


def _other_kind(rng: random.Random) -> _Odd:
    content = rng.choice(_MAGICS)
    return content, f"that begin with {content[:20]!r}"


def _no_file(rng: random.Random) -> _Odd:
    match rng.randrange(4):
        case 0:
            return None, "are a directory"
        case 1:
            return Link("."), "link to themselves"
        case 2:
            return Link("nowhere"), "link to nothing"
        case _:
            return Link("/dev/zero"), "link to a device"


def _damaged(rng: random.Random) -> _Odd:
    """A good file, cut, flipped or with a number set: in its head half of the time."""
    good = state(rng)
    content = bytearray(
        save(good) if rng.random() < 0.4 else saved(good, legacy=rng.random() < 0.3)
    )
    if rng.random() < 0.3:
        return bytes(content[: rng.randrange(len(content))]), "that are cut off"
    for _ in range(rng.randint(1, 6)):
        reach = len(content) if rng.random() < 0.5 else 300
        at = rng.randrange(reach) if rng.random() < 0.8 else -1 - rng.randrange(300)
        if rng.random() < 0.5:
            content[at] = rng.randrange(256)
        else:
            code = rng.choice(("<H", "<I", "<Q"))
            size = struct.calcsize(code)
            at = max(0, min(at % len(content), len(content) - size))
            content[at : at + size] = struct.pack(code, rng.choice(_NUMBERS) % 2 ** (8 * size))
    return bytes(content), "with other bytes"


def _header(rng: random.Random) -> _Odd:
    """A header of safetensors that says what it should not."""
    good = save(state(rng))
    length = struct.unpack("<Q", good[:8])[0]
    header, rest = json.loads(good[8 : 8 + length]), good[8 + length :]
    name = rng.choice(list(SHAPES))
    match rng.randrange(9):
        case 0:
            return struct.pack("<Q", rng.choice(_NUMBERS)) + good[8:], "with another length"
        case 1:
            header[name]["shape"] = rng.choice(([10**6, 10**6], [-1], [], [2**63], ["a"], None))
        case 2:
            header[name]["dtype"] = rng.choice(("F8_E4M3", "C64", "U64", "F4", "", None, "I64"))
        case 3:
            header[name]["data_offsets"] = rng.choice(
                ([0, 0], [0, 10**15], [-4, 0], [8, 4], [0], None)
            )
        case 4:
            header = {"__metadata__": {"format": rng.choice(("tf", "np", ""))}, **header}
        case 5:
            header = {"__metadata__": header}
        case 6:
            header = rng.choice(([], {}, None, 3, {"a": 1}))
        case 7:
            header[name * rng.choice((1, 1000)) + rng.choice(("\n", "\0", "é", ""))] = header.pop(
                name
            )
        case _:
            text = b'{"a":' * rng.choice((100, 100_000))
            return struct.pack("<Q", len(text)) + text, "with a deep header"
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest, f"with the header {text[:60]!r}"


def _misfit(rng: random.Random) -> _Odd:
    """Tensors that are not the network's."""
    tensors: dict[Any, Any] = dict(state(rng))
    name = rng.choice(list(SHAPES))
    old = tensors[name]
    match rng.randrange(11):
        case 0:
            del tensors[name]
        case 1:
            tensors["extra" * rng.choice((1, 1000))] = torch.zeros(2)
        case 2:
            tensors[name] = old.flatten() if rng.random() < 0.5 else old[None]
        case 3:
            tensors[name] = rng.choice((torch.zeros(()), torch.zeros(0), old[:0], old.flip(0)))
        case 4:
            value = rng.choice((float("nan"), float("inf"), -float("inf"), 3e38, 1e-45))
            tensors[name] = old.clone().view(-1).index_fill(0, torch.tensor([0]), value)
            tensors[name] = tensors[name].view(old.shape)
        case 5:
            name = name if rng.random() < 0.5 else "every one"
            dtype = rng.choice(_DTYPES)
            chosen = SHAPES if name == "every one" else (name,)
            tensors |= {each: tensors[each].abs().to(dtype) for each in chosen}
            return saved(tensors), f"with {name} as {dtype}"
        case 6:
            renamed = rng.choice((name.upper(), name.replace(".", "_"), f"module.{name}", ""))
            tensors[renamed] = tensors.pop(name)
        case 7:
            tensors[rng.choice((3, None, ("a",), 2.5, b"a", True))] = old
        case 8:
            tensors[name] = rng.choice((None, 3, "text", [1.0], old.tolist(), {}, old.numpy()))
        case 9:
            tensors = {f"{each}\n" if each == name else each: t for each, t in tensors.items()}
        case _:
            return saved(_strange(rng, tensors, name)), f"with a strange {name}"
    return saved(tensors, legacy=rng.random() < 0.2), f"of {list(tensors)[:6]!r:.60}"


def _strange(rng: random.Random, tensors: dict[Any, Any], name: str) -> dict[Any, Any]:
    old = tensors[name]
    match rng.randrange(6):
        case 0:
            tensors[name] = old.to("meta")
        case 1:
            tensors[name] = old.to_sparse()
        case 2:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tensors[name] = torch.quantize_per_tensor(old, 0.1, 0, torch.qint8)
        case 3:
            tensors[name] = old[..., :1].expand(old.shape)
        case 4:
            tensors[name] = old.requires_grad_(True)
        case _:
            tensors[name] = torch.nested.nested_tensor([old, old])
    return tensors


def _other_content(rng: random.Random) -> _Odd:
    """What `torch.save` writes of something that is no state dict."""
    tensors = state(rng)
    looped: dict[str, Any] = {}
    looped.update({str(number): looped for number in range(200)}, a=tensors)
    deep: Any = tensors
    for _ in range(rng.choice((4, 50))):
        deep = {"net": deep}
    make = rng.choice(
        (
            lambda: None,
            lambda: 3,
            lambda: "text",
            lambda: [],
            lambda: {},
            lambda: [tensors],
            lambda: (tensors, 3),
            lambda: list(tensors.values()),
            lambda: tensors["fc1.weight"],
            lambda: {"epoch": 3},
            lambda: {"model": None, "state_dict": []},
            lambda: {"model": tensors, "ema": tensors},
            lambda: {
                "model": tensors,
                "ema": {k: 2 * v for k, v in tensors.items()},
                "a\nb": tensors,
            },
            lambda: {"x" * 5000: {k: v[:0] for k, v in tensors.items()}},
            lambda: {f"run {number}": dict(tensors) for number in range(300)},
            lambda: looped,
            lambda: deep,
            lambda: nn.Linear(2, 2),
            lambda: nn.Linear,
            lambda: torch.optim.SGD,
            lambda: {"model": nn.Linear(2, 2), "state_dict": tensors},
            lambda: {"state_dict": tensors, "config": complex(1, 2), "seen": {1, 2}},
            lambda: {"state_dict": tensors, "rng": torch.get_rng_state(), "dtype": torch.float32},
            lambda: {"state_dict": tensors, "device": torch.device("cpu"), "size": torch.Size([3])},
            lambda: {f"name {number}": torch.zeros(1) for number in range(5000)},
        )
    )
    content = make()
    return saved(content), f"that hold {content!r:.60}"


def _pickled(rng: random.Random) -> _Odd:
    """A plain pickle, of a protocol that torch may not read."""
    tensors = {name: each.numpy() for name, each in state(rng).items()}
    content = rng.choice((tensors, [1], {"a": {"b": 1}}, print, slice(3), ValueError("x"), {1, 2}))
    protocol = rng.randrange(6)
    return pickle.dumps(content, protocol), f"pickled by protocol {protocol}"


def _archive(rng: random.Random) -> _Odd:
    """An archive: with a record changed, missing, or packed small; or of other files."""
    good = zipfile.ZipFile(io.BytesIO(saved(state(rng))))
    records = {each: good.read(each) for each in good.namelist()}
    method = zipfile.ZIP_STORED
    match rng.randrange(7):
        case 0:
            del records[rng.choice(list(records))]
        case 1:
            name = rng.choice(list(records))
            records[name] = records[name][: len(records[name]) // 2]
        case 2:
            name = rng.choice(list(records))
            records[name] = records[name] + bytes(rng.choice((1, 3000)))
        case 3:
            method = zipfile.ZIP_DEFLATED
            if rng.random() < 0.3:
                records[next(each for each in records if "/data/" in each)] = bytes(2 * 10**8)
        case 4:
            name = next(each for each in records if each.endswith("data.pkl"))
            program = bytearray(records[name])
            for _ in range(rng.randint(1, 3)):
                program[rng.randrange(len(program))] = rng.randrange(256)
            records[name] = bytes(program)
        case 5:
            # A tensor that says it is larger than its record: K\x04 is the pickled number 4.
            name = next(each for each in records if each.endswith("data.pkl"))
            larger = b"J" + struct.pack("<i", rng.choice((5, 400, 10**6, 2**31 - 1)))
            records[name] = records[name].replace(b"K\x04", larger)
        case _:
            names = rng.choice(
                (["a.npy"], ["net/code/net.py"], ["word/document.xml"], ["../../x"], [])
            )
            records = dict.fromkeys(names, b"x")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    return file.getvalue(), f"in an archive of {list(records)!r:.60}"


_ODD: tuple[Callable[[random.Random], _Odd], ...] = (
    _other_kind,
    _no_file,
    _damaged,
    _damaged,
    _header,
    _misfit,
    _misfit,
    _other_content,
    _pickled,
    _archive,
)
