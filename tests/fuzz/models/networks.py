"""Makes `net.py`: a beginner's network, spelled in many ways, and with what goes wrong in one."""

import random
import textwrap
from typing import NamedTuple

from tests.fuzz.models.folder import Files
from tests.fuzz.models.labels import CLASSES

ASKED_FOR = "as the network's author wrote it"
"""In the text of what a forward raises for some pictures only; such errors are not ours."""

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
_BODY = """x = self.pool(F.relu(self.conv1(x)))
x = x.view(x.size(0), -1)
return self.fc1(x)"""
_LAST = "return self.fc1(x)"
SHAPES = {
    "conv1.weight": (4, 1, 5, 5),
    "conv1.bias": (4,),
    "fc1.weight": (CLASSES, 16),
    "fc1.bias": (CLASSES,),
}

_SOUND = (
    _BODY,
    _BODY.replace("view(x.size(0), -1)", "view(-1, 4 * 4)"),
    _BODY.replace("view(x.size(0), -1)", "reshape(x.shape[0], -1)"),
    _BODY.replace("x.view(x.size(0), -1)", "torch.flatten(x, 1)"),
    _BODY.replace("F.relu(self.conv1(x))", "self.relu(self.conv1(x))"),
    _BODY.replace("self.fc1(x)", "F.relu(self.fc1(x))"),
    _BODY.replace("self.fc1(x)", "self.relu(self.fc1(x))"),
    _BODY.replace("self.fc1(x)", "self.fc1(input=x)"),
    "print(x.shape)\n" + _BODY,
    "# größer als früher — ещё слой\n" + _BODY,
    "x = F.dropout(x, training=self.training)\n" + _BODY,
    _BODY + "  # noqa",
    '"""Übergibt Logits."""\n' + _BODY,
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

_IN_FORWARD = (
    "return x",
    "return self.fc1",
    "return None",
    "pass",
    "return 3",
    "return float('nan')",
    "return [x]",
    "return x.tolist()",
    "return x.detach().numpy()",
    "return (self.fc1(x), x)",
    "return {'logits': self.fc1(x)}",
    "return self.fc1(x).squeeze()",
    "return self.fc1(x).sum()",
    "return self.fc1(x)[:1]",
    "return self.fc1(x)[0]",
    "return self.fc1(x)[None]",
    "return self.fc1(x).T",
    "return self.fc1(x)[:, :0]",
    "return self.fc1(x[:0])",
    "return self.fc1(x).argmax(1)",
    "return self.fc1(x).argmax(1, keepdim=True)",
    "return self.fc1(x).long()",
    "return self.fc1(x) > 0",
    "return self.fc1(x).half()",
    "return self.fc1(x).bfloat16()",
    "return self.fc1(x).double()",
    "return self.fc1(x).to(torch.complex64)",
    "return self.fc1(x) * float('nan')",
    "return self.fc1(x) / 0",
    "return self.fc1(x) * 1e38 * 1e38",
    "return self.fc1(x).to_sparse()",
    "return self.fc1(x).to('meta')",
    "return self.fc1(x).to('cuda')",
    "return self.fc1(x).detach()",
    "return torch.from_numpy(self.fc1(x).numpy())",
    "return torch.from_numpy(self.fc1(x).detach().numpy())",
    "return torch.tensor(self.fc1(x).tolist())",
    "return torch.randn(len(x), 10)",
    "return torch.zeros(len(x), 10)",
    "return torch.zeros(1, 10).expand(len(x), 10)",
    "return nn.Parameter(self.fc1(x))",
    "return F.softmax(self.fc1(x))",
    "return F.softmax(self.fc1(x), 1)",
    "return F.log_softmax(self.fc1(x), 1)",
    "return torch.sigmoid(self.fc1(x))",
    "return F.dropout(self.fc1(x))",
    "return self.fc2(x)",
    "return self.fc1(x.view(len(x), 4, 4))",
    "return self.fc1(y)",
    "return self.fc1(x",
    "return self.fc1(x.cuda())",
    "return self.forward(x)",
    "return self(x)",
    "return self.fc1(x).data.fill_(1)",
    "x[:] = 0; return self.fc1(x)",
    "del self.fc1.weight; return self.fc1(x)",
    "self.fc1 = nn.Linear(16, 10); return self.fc1(x)",
    "self.n = getattr(self, 'n', 0) + 1; return self.fc1(x) + self.n",
    "self.train(); return self.fc1(x)",
    "self.double(); return self.fc1(x.double())",
    "self.to('meta'); return self.fc1(x)",
    "torch.set_grad_enabled(False); return self.fc1(x)",
    "torch.set_default_dtype(torch.float64); return self.fc1(x)",
    "return self.fc1(x) if len(x) > 1 else None",
    "return self.fc1(x) if len(x) < 4 else 1 / 0",
    "return self.fc1(x) if x.requires_grad else self.fc1(x).double()",
    "return self.fc1(x) if not torch.is_grad_enabled() else 1 / 0",
    "return self.fc1(x) if torch.is_grad_enabled() else exit(1)",
    "return self.fc1(x) if not torch.is_grad_enabled() else exit(1)",
    "return self.fc1(x) if x.mean() > 0.1 else -self.fc1(x)",
    "return self.fc1(x) if x.sum().item() else self.fc1(x) * float('inf')",
    "return self.fc1(x).index_fill(1, torch.tensor([1]), float('-inf'))",
    "return self.fc1((x - x.mean()) / x.std())",
    "return self.fc1((x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True))",
    "import sys; sys.exit()",
    "import sys; sys.exit('cannot go on')",
    "exit(3)",
    "raise ValueError('x' * 100000)",
    "raise ValueError('two\\nlines')",
    "raise ValueError",
    "raise ValueError()",
    "raise KeyError('a')",
    "raise NotImplementedError",
    "raise StopIteration",
    "raise RecursionError",
    "assert x.shape == (1, 3, 224, 224)",
    "assert False, 'Error: first\\n  File second'",
    "yield self.fc1(x)",
)
_MOODY = tuple(
    f"if {when}:\n    {what}\nreturn self.fc1(x)"
    for when in ("x.max() < 0.9 and x.min() > 0.1", "not torch.is_grad_enabled() and len(x) == 1")
    for what in (f"raise ValueError({ASKED_FOR!r})", f"import sys; sys.exit({ASKED_FOR!r})")
)
_GREEDY = (
    "return torch.zeros(len(x), 10**13)",
    "return torch.zeros(1).expand(len(x), 10**12)",
    "return self.fc1(x.repeat(10**10, 1))",
    "return self.fc1(x).repeat(1, 10**10)",
)
_IN_INIT = (
    "self.fc1 = nn.Linear(4 * 4 + 1, n_classes)",
    "self.fc1 = nn.Linear(4 * 4, n_classes + 1)",
    "self.fc1 = nn.Linear(4 * 4, 0)",
    "self.fc1 = nn.Linear(4 * 4, -1)",
    "self.fc1 = nn.Linear(16.0, n_classes)",
    "self.fc1 = nn.LazyLinear(n_classes)",
    "self.conv1 = nn.Conv2d(3, 4, 5)",
    "self.conv1 = nn.Conv2d(1, 4, 50)",
    "self.conv1 = nn.Conv2d(1, 4, 5).cuda()",
    "self.conv1 = nn.Conv2d(1, 4, 5, device='meta')",
    "self.conv1 = nn.Conv2d(1, 4, 5, dtype=torch.complex64)",
    "self.conv1 = nn.LazyConv2d(4, 5)",
    "self.conv1 = nn.Conv1d(1, 4, 5)",
    "self.pool = nn.MaxPool2d(0)",
    "self.pool = None",
    "self.pool = lambda x: x[..., ::2, ::2]",
    "self.layers = [nn.Linear(3, 3)]",
    "self.extra = nn.Linear(3, 3)",
    "self.register_buffer('counter', torch.zeros(3))",
    "self.register_buffer('big', torch.zeros(3, dtype=torch.int64))",
    "self.register_buffer('odd', torch.zeros(2, 2).to_sparse())",
    "self.register_parameter('nothing', None)",
    "self.fc2 = nn.Linear(16, 10); self.fc2.weight = self.fc1.weight",
    "self.half()",
    "self.double()",
    "self.to(torch.bfloat16)",
    "self.to('meta')",
    "self.eval = None",
    "self.training = None",
    "self.forward = None",
    "self.state_dict = None",
    "self.fc1 = torch.nn.utils.parametrizations.weight_norm(self.fc1)",
    "self.fc1 = torch.quantization.QuantStub()",
    "self.fc1 = torch.jit.script(self.fc1)",
    "self.fc1 = torch.compile(self.fc1)",
    "self.fc1.register_forward_hook(lambda *a: 1 / 0)",
    "self.me = self",
    "self.setup()",
    "raise SystemExit",
    "raise ValueError('in __init__')",
    "return 3",
    "super(Net).__init__()",
    "torch.load('weights.pth')",
    "self.load_state_dict(torch.load('weights.pth', weights_only=True))",
    "open('/nowhere/weights.pth')",
    "input('which? ')",
)
_HEADS = (
    "import sys; sys.exit()",
    "import sys; sys.exit('cannot go on')",
    "exit()",
    "import argparse; argparse.ArgumentParser().parse_args(['--epochs'])",
    "import argparse; p = argparse.ArgumentParser(); p.add_argument('data'); p.parse_args()",
    "raise ValueError('at import')",
    "import nothing_of_that_name",
    "import tensorflow as tf",
    "from . import layers",
    "from .layers import Block",
    "from layers import Block",
    "from net import Net",
    "import net",
    "import model.net",
    "from torch import nothing",
    "import torch.nothing",
    "def broken(:",
    "\tx = 1",
    "if True:\nx = 1",
    "print 'hello'",
    "'unterminated",
    "x = '''",
    "await x",
    "return 3",
    "\0",
    "x = 1 / 0",
    "x = [" * 300,
    "x = " + "(" * 5000 + ")" * 5000,
    "def deep(): return deep()\ndeep()",
    "torch.set_default_dtype(torch.float64)",
    "torch.set_default_dtype(torch.float16)",
    "torch.set_default_device('meta')",
    "torch.set_default_device('cuda')",
    "torch.set_grad_enabled(False)",
    "torch.inference_mode().__enter__()",
    "torch.use_deterministic_algorithms(True)",
    "torch.autograd.set_detect_anomaly(True)",
    "import warnings; warnings.simplefilter('error')",
    "import os; os.chdir('/')",
    "import sys; sys.path.clear()",
    "import sys; sys.stdout = None",
    "import logging; logging.basicConfig(level=0)",
    "import numpy as np; np.seterr(all='raise')",
    "import multiprocessing; multiprocessing.set_start_method('spawn')",
    "import matplotlib; matplotlib.use('TkAgg')",
    "del torch",
    "nn = None",
    "import torch.nn as F",
    "__name__ = None",
    "__path__ = 3",
    "def __getattr__(name): return name",
    "def __getattr__(name): raise SystemExit(name)",
)
_TAILS = (
    "\nNet = Net()",
    "\nNet = None",
    "\nNet = 'Net'",
    "\nNet = nn.Linear(3, 3)",
    "\nNet = print",
    "\nNet = lambda **_: print",
    "\nNet = lambda **_: nn.Identity()",
    "\nNet = lambda **_: nn.Sequential()",
    "\nNet = lambda **_: nn.Flatten()",
    "\nNet = lambda **_: nn.ModuleList([nn.Linear(3, 3)])",
    "\ndel Net",
    "\nNet.forward = None",
    "\nNet.__call__ = lambda *_: 3",
    "\nNet.eval = lambda self: None",
    "\nNet.eval = lambda self: 1 / 0",
    "\nNet.state_dict = lambda self: {}",
    "\nNet.state_dict = lambda self: None",
    "\nNet.named_modules = lambda *_: []",
    "\nNet.load_state_dict = lambda *_, **__: None",
    "\nNet.parameters = lambda *_: iter([])",
    "\nNet.__getattr__ = lambda self, name: 3",
    "\nNet.to = lambda *_, **__: None",
    "\nclass Net(Net):\n    def train(self, mode=True):\n        return None",
    "\nNet(3)(torch.zeros(1, 1, 8, 8))",
    "\nnet = Net()\nfor epoch in range(2):\n    net.train_one(epoch)",
    "\ntorch.load('weights.pth', weights_only=False)",
    "\nnet = Net().cuda()",
    "\nraise SystemExit(0)",
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
    head, init, body, tail = "", "pass", _BODY, ""
    greedy = False
    match rng.randrange(10):
        case 0 | 1 | 2 | 3:
            note = rng.choice(_IN_FORWARD)
            body = rng.choice((_BODY.replace(_LAST, note), note))
        case 4:
            note = rng.choice(_MOODY)
            body = _BODY.replace(_LAST, note) if rng.random() < 0.3 else _moody(note)
        case 5:
            init = note = rng.choice(_IN_INIT)
        case 6:
            head = note = rng.choice(_HEADS)
        case 7:
            tail = note = rng.choice(_TAILS)
        case 8 if rng.random() < 0.2:
            greedy, note = True, rng.choice(_GREEDY)
            body = _BODY.replace(_LAST, note)
        case _:
            content, note = _odd_file(rng, _filled("", "pass", _BODY, "").encode())
            files["net.py"] = content
            return Odd(note, alone=True)
    files["net.py"] = _filled(head, init, body, tail).encode()
    alone = bool(greedy or head or tail or "torch.set" in note)
    return Odd(f"net.py with {note[:60]!r}", greedy, alone)


def _moody(condition: str) -> str:
    first, *rest = condition.splitlines()
    return "\n".join((first, *rest[:-1], _BODY))


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
