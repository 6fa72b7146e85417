"""Makes `net.py`: a beginner's network, spelled in many ways, and with what goes wrong in one."""

import random
import textwrap
from typing import NamedTuple

from tests.fuzz.models.folder import Files
from tests.fuzz.models.labels import CLASSES
from tests.fuzz.models.statements import (
    BODY,
    CONDITIONAL,
    HEADS,
    HUGE,
    IN_FORWARD,
    IN_INIT,
    LAST,
    TAILS,
)

_FILE = """import torch
import torch.nn as nn
import torch.nn.functional as F
{head}

class Net(nn.Module):
    def __init__(self, n_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.relu = nn.ReLU()
        self.fc1 = nn.Linear(4 * 4, n_classes)
        {init}

    def forward(self, x):
        {body}
{tail}
"""
SHAPES = {
    "conv1.weight": (4, 1, 5, 5),
    "conv1.bias": (4,),
    "fc1.weight": (CLASSES, 16),
    "fc1.bias": (CLASSES,),
}

_SOUND = (
    BODY,
    BODY.replace("view(x.size(0), -1)", "view(-1, 4 * 4)"),
    BODY.replace("view(x.size(0), -1)", "reshape(x.shape[0], -1)"),
    BODY.replace("x.view(x.size(0), -1)", "torch.flatten(x, 1)"),
    BODY.replace("F.relu(self.conv1(x))", "self.relu(self.conv1(x))"),
    BODY.replace("self.fc1(x)", "F.relu(self.fc1(x))"),
    BODY.replace("self.fc1(x)", "self.relu(self.fc1(x))"),
    BODY.replace("self.fc1(x)", "self.fc1(input=x)"),
    "print(x.shape)\n" + BODY,
    "# größer als früher — ещё слой\n" + BODY,
    "x = F.dropout(x, training=self.training)\n" + BODY,
    BODY + "  # noqa",
    '"""Übergibt Logits."""\n' + BODY,
)
_SOUND_HEADS = (
    "",
    "import numpy as np",
    "print('loading', __name__)",
    "torch.manual_seed(0)",
    "import warnings; warnings.warn('old')",
    "from typing import Any",
)
_SOUND_TAILS = (
    "",
    "\nif __name__ == '__main__':\n    raise SystemExit(Net()(torch.zeros(1, 1, 8, 8)))",
    "\n\ndef count(net):\n    return sum(p.numel() for p in net.parameters())",
)


def sound_network(rng: random.Random, files: Files) -> str:
    """A network that must be taken; in words."""
    text = _filled(rng.choice(_SOUND_HEADS), "pass", rng.choice(_SOUND), rng.choice(_SOUND_TAILS))
    note = "a network"
    match rng.randrange(8):
        case 0:
            text, note = text.replace("\n", "\r\n"), "a network with CRLF"
        case 1:
            text, note = "\ufeff" + text, "a network with a byte order mark"
        case 2:
            files["layers.py"] = b"from torch.nn import Conv2d as Conv\n"
            text, note = "from layers import Conv\n" + text, "a network of two files"
        case 3:
            text, note = text.replace("        ", "\t\t").replace("    def", "\tdef"), "with tabs"
    content = text.encode()
    if rng.random() < 0.1:
        latin = text.replace("—", "-").encode("latin-1", "ignore").removeprefix(b"\xef\xbb\xbf")
        content, note = b"# -*- coding: latin-1 -*-\n" + latin, f"{note}, in Latin-1"
    files["net.py"] = content
    return note


class Odd(NamedTuple):
    """A network that may be wrong: in words, and what its code may do to a process."""

    note: str
    greedy: bool = False
    alone: bool = False


def odd_network(rng: random.Random, files: Files) -> Odd:
    """A network that may be wrong."""
    head, init, body, tail = "", "pass", BODY, ""
    greedy = False
    match rng.randrange(10):
        case 0 | 1 | 2 | 3:
            note = rng.choice(IN_FORWARD)
            body = rng.choice((BODY.replace(LAST, note), note))
        case 4:
            note = rng.choice(CONDITIONAL)
            body = BODY.replace(LAST, note) if rng.random() < 0.3 else _conditional(note)
        case 5:
            init = note = rng.choice(IN_INIT)
        case 6:
            head = note = rng.choice(HEADS)
        case 7:
            tail = note = rng.choice(TAILS)
        case 8 if rng.random() < 0.2:
            greedy, note = True, rng.choice(HUGE)
            body = BODY.replace(LAST, note)
        case _:
            content, note = _odd_file(rng, _filled("", "pass", BODY, "").encode())
            files["net.py"] = content
            return Odd(note, alone=True)
    files["net.py"] = _filled(head, init, body, tail).encode()
    alone = bool(greedy or head or tail or "torch.set" in note)
    return Odd(f"net.py with {note[:60]!r}", greedy, alone)


def _conditional(condition: str) -> str:
    first, *rest = condition.splitlines()
    return "\n".join((first, *rest[:-1], BODY))


def _filled(head: str, init: str, body: str, tail: str) -> str:
    fields = {"{init}": init, "{body}": body}
    text = _FILE.replace("{head}", head).replace("{tail}", tail)
    for field, block in fields.items():
        text = text.replace(field, textwrap.indent(block, " " * 8).strip() or "pass")
    return text


def _odd_file(rng: random.Random, content: bytes) -> tuple[bytes | None, str]:
    match rng.randrange(10):
        case 0:
            return None, "net.py is a directory"
        case 1:
            return b"", "net.py is empty"
        case 2:
            return content.decode().encode("utf-16"), "net.py in UTF-16"
        case 3:
            return content + b"\n# caf\xe9\n", "net.py that is not UTF-8"
        case 4:
            return b"# -*- coding: no-such-code -*-\n" + content, "net.py in no known encoding"
        case 5:
            return b"\x80\x02}q\0.", "net.py is a pickle"
        case 6:
            return content[: rng.randrange(len(content))], "net.py is cut off"
        case _:
            changed = bytearray(content)
            for _ in range(rng.randint(1, 4)):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            return bytes(changed), "net.py with other bytes"
