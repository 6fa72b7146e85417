"""The tensors of the fuzzer's network, and files of them that are the same for the same seed."""

import io
import random
import re
import struct
import warnings
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from tests.fuzz.models.networks import SHAPES

State = dict[str, Tensor]

_KEY = re.compile(rb"X.\0\0\0(\d{9,})", re.DOTALL)


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
