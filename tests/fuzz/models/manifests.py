"""Makes `model.toml`: as people write it, misspelt, of wrong types, in other encodings."""

import random
import re
from collections.abc import Callable

from tests.fuzz.models.folder import Files, Link

_FIELDS = {
    "model": {"source": '"net.py:Net"', "weights": ""},
    "input": {
        "channels": "1",
        "height": "8",
        "width": "8",
        "mean": "[0.5]",
        "std": "[0.25]",
    },
    "classes": {"labels": ""},
}
_SOUND_EXTRAS: tuple[tuple[str, str, str], ...] = (
    ("input", "resize", "8"),
    ("input", "resize", "12"),
    ("input", "resize", '"stretch"'),
    ("input", "interpolation", '"nearest"'),
    ("input", "interpolation", "'bicubic'"),
    ("input", "mean", "[0]"),
    ("input", "std", "[ 1, ]"),
    ("input", "std", "[\n  0.5,  # of the training set\n]"),
    ("input", "height", "0x8"),
    ("input", "width", "+8"),
    ("model", "source", "'net.py:Net'"),
    ("model", "source", '"""net.py:Net"""'),
    ("model", "args", "{ n_classes = 10 }"),
    ("model.args", "n_classes", "10"),
    ("features", "layer", '"fc1"'),
    ("features", "layer", '"conv1"'),
    ("features", "at", '"output"'),
    ("output", "activation", '"none"'),
)
_VALUES = (
    "",
    "true",
    "0",
    "-1",
    "1",
    "2",
    "3",
    "4",
    "9",
    "1.0",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "9" * 30,
    "9" * 5000,
    "-" + "9" * 30,
    "0x" + "f" * 5000,
    "1_000_000",
    "2147483648",
    "100000",
    "5000",
    "1979-05-27",
    "1979-05-27T07:32:00Z",
    "07:32:00",
    '""',
    '" "',
    '"8"',
    '"a\\nb"',
    '"\\u0000"',
    '"\\u001b[31m"',
    '"é"',
    '"' + "x" * 5000 + '"',
    '"' + "я" * 300 + '"',
    "[]",
    "[[]]",
    "[1, 2, 3]",
    "[1, 'a']",
    "[nan]",
    "[inf]",
    "[-0.0]",
    "[0]",
    "[1e-320]",
    "[1e-30]",
    "[1e39]",
    "[1e308]",
    "[true]",
    "[" + "9" * 400 + "]",
    "[-1.5]",
    "[0.5, 0.5, 0.5]",
    "[" * 2000 + "]" * 2000,
    "[" * 30_000,
    "{}",
    "{a = 1}",
    "{a = {a = {a = {a = 1}}}}",
    "[" + "1," * 100_000 + "]",
    "{" + ",".join(f"k{i}=1" for i in range(3000)) + "}",
)
_SOURCES = (
    "net.py",
    "net",
    "net:Net",
    "net.py:",
    ":Net",
    ":",
    "net.py:Nett",
    "net.py:Net.forward",
    "net.py:Net()",
    "net.py::Net",
    "net.py : Net",
    "net.py:torch",
    "net.py:nn",
    "net.py:F",
    "net.py:__name__",
    "net.py:__builtins__",
    "net.py:__class__",
    "NET.py:Net",
    "./net.py:Net",
    "../net/net.py:Net",
    "sub/net.py:Net",
    "/etc/passwd:Net",
    "model.toml:Net",
    "weights.pth:Net",
    "labels.txt:Net",
    "os:system",
    "os.py:system",
    "torch.nn:Linear",
    "net.py:Net\n",
    "net\0.py:Net",
    "x" * 300 + ".py:Net",
    ".py:Net",
    "..py:Net",
    "net.py:Né",
    "torchvision:",
    "torchvision:nope",
    "torchvision:list_models",
    "torchvision:../x",
    "timm:",
    "timm:nope",
    "timm:hf-hub:a/b",
    "timm:local-dir:.",
    "timm:*",
    "timm:\0",
    "Torchvision:resnet18",
    "hub:resnet18",
)
_PATHS = (
    "",
    ".",
    "..",
    "/",
    "~",
    "weights.pth/",
    "weights.pth/x",
    "net.py",
    "model.toml",
    "labels.txt",
    "../net/net.py",
    "/dev/zero",
    "/dev/stdin",
    "/proc/self/mem",
    "\\u0000",
    "a\\u0000b",
    "x" * 300,
    "x/" * 3000,
    "здесь.pth",
    "weights.pth ",
    "WEIGHTS.PTH",
    "C:\\\\models\\\\weights.pth",
    "https://example.com/weights.pth",
    "loop",
    "loop/x",
)
_KEYS = (
    "x",
    "colour",
    '"a b"',
    '""',
    '"a\\nb"',
    '"' + "k" * 5000 + '"',
    '"\\u0000"',
    "'é'",
    "a.b.c",
    ".".join("a" * 900),
    "1",
    "args",
    "__class__",
)
_TABLES = ("input", "model", "classes", "features", "output", "inputs", "model.args", "a.b.c", '""')
_ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "latin-1", "cp1251", "utf-8-sig")
_WHOLE = (
    b"",
    b"\n",
    b"\xef\xbb\xbf",
    b"\0" * 100,
    b"{}",
    b"model: net.py\n",
    b"[model]\n",
    b"[input]\nchannels = 1\n",
    b"[" * 100_000,
    b"[[model]]\nsource = 'net.py:Net'\n",
    b"[model]\n[model]\n",
    b"model = 3\n",
    b"model = []\n",
    b"a" * 1_000_000,
    b"a = " + b"[" * 100_000,
    b"a = " + b"{a = " * 100_000,
    b"." * 100_000,
    b"a." * 1000 + b"a = 1\n",
    b"# only a comment",
    b"\r\r\r",
    b"\xff\xfe",
    b"\x80\x02}q\0.",
    b"[model]\nsource = 'net.py:Net'\nweights = 'weights.pth'\n" + b"x = 1\n" * 10,
)

Lines = list[str]


def sound_manifest(rng: random.Random, files: Files, weights: str, labels: str) -> str:
    """A `model.toml` that must be taken; in words."""
    lines, note = _lines(rng, weights, labels)
    files["model.toml"] = _written(rng, lines)
    return note


def odd_manifest(rng: random.Random, files: Files, weights: str, labels: str) -> str:
    """A `model.toml` that may be wrong; in words."""
    if rng.random() < 0.1:
        whole = rng.choice(_WHOLE)
        files["model.toml"] = whole
        return f"model.toml of {whole[:40]!r}"
    if rng.random() < 0.02:
        files["model.toml"] = rng.choice((None, Link("model.toml"), Link("/dev/zero")))
        return "model.toml that is no file"
    lines, _ = _lines(rng, weights, labels)
    notes = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        lines, note = rng.choice(_STEPS)(rng, lines)
        notes.append(note)
    content = "\n".join(lines).encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        encoding = rng.choice(_ENCODINGS)
        content = "\n".join([*lines, "# größer"]).encode(encoding, "replace")
        notes.append(f"in {encoding}")
    elif rng.random() < 0.1:
        changed = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        content = bytes(changed)
        notes.append("with other bytes")
    if any("loop" in line for line in lines):
        files["loop"] = Link("loop")
    files["model.toml"] = content
    return "model.toml: " + ", ".join(notes)


def _lines(rng: random.Random, weights: str, labels: str) -> tuple[Lines, str]:
    tables = {name: dict(fields) for name, fields in _FIELDS.items()}
    tables["model"]["weights"] = f'"{weights}"'
    tables["classes"]["labels"] = labels
    note = "a model.toml"
    for _ in range(rng.randrange(3)):
        table, field, value = rng.choice(_SOUND_EXTRAS)
        tables.setdefault(table, {})[field] = value
        note += f", {field} = {value}"
    if "model.args" in tables:
        tables["model"].pop("args", None)
    if tables.get("features", {}).keys() == {"at"} or '"conv1"' in str(tables.get("features")):
        tables["features"] = {"layer": '"fc1"'}
    names = list(tables)
    if rng.random() < 0.3:
        rng.shuffle(names)
    lines = []
    for name in names:
        fields = list(tables[name].items())
        rng.shuffle(fields)
        lines += [f"[{name}]", *(f"{field} = {value}" for field, value in fields)]
    return lines, note


def _written(rng: random.Random, lines: Lines) -> bytes:
    if rng.random() < 0.3:
        lines = [each + rng.choice(("", "  # wie beim Üben", "   ")) for each in lines]
    text = rng.choice(("\n", "\n", "\r\n")).join([*lines, ""])
    return rng.choice(("", "", "\ufeff")).encode() + text.encode()


# ---- what is wrong ----


def _any(rng: random.Random, lines: Lines) -> int:
    return rng.randrange(len(lines)) if lines else 0


def _lost(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    at = _any(rng, lines)
    return lines[:at] + lines[at + 1 :], f"without {lines[at] if lines else ''!r:.40}"


def _twice(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    at = _any(rng, lines)
    return lines[:at] + lines[at : at + 1] + lines[at:], f"twice {lines[at] if lines else ''!r:.40}"


def _misspelt(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    at = _any(rng, lines)
    line = lines[at]
    letters = [i for i, c in enumerate(line.partition("=")[0]) if c.isalpha()]
    if letters:
        i = rng.choice(letters)
        line = line[:i] + rng.choice(("", line[i] * 2, "x", line[i].upper())) + line[i + 1 :]
    return [*lines[:at], line, *lines[at + 1 :]], f"misspelt {line!r:.40}"


def _value(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    return _set(rng, lines, r"(?!source|weights)", rng.choice(_VALUES))


def _any_value(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    return _set(rng, lines, "", rng.choice(_VALUES))


def _source(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    return _set(rng, lines, "source", _quoted(rng.choice(_SOURCES)))


def _path(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    return _set(rng, lines, "weights|labels", f'"{rng.choice(_PATHS)}"')


def _set(rng: random.Random, lines: Lines, pattern: str, value: str) -> tuple[Lines, str]:
    places = [i for i, line in enumerate(lines) if " = " in line and re.match(pattern, line)]
    if not places:
        return lines, "as it was"
    at = rng.choice(places)
    line = f"{lines[at].partition(' = ')[0]} = {value}"
    return [*lines[:at], line, *lines[at + 1 :]], f"{line:.60}"


def _known_extra(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    extra = rng.choice(
        (
            "[features]\nlayer = " + rng.choice(('"nope"', '""', '"conv1"', '"pool"', '"relu"')),
            '[features]\nat = "middle"',
            '[features]\nlayer = "conv1"\nat = "output"',
            '[features]\nlayer = "fc1"\nat = "output"',
            '[features]\nlayer = "conv1"\nat = "input"',
            "[output]\nactivation = "
            + rng.choice(('"softmax"', '"sigmoid"', '"log_softmax"', '"relu"', "1")),
            "[model.args]\nn_classes = "
            + rng.choice(("9", "0", "-1", "1", '"10"', "10.0", "1000000000000", "true", "[10]")),
            "[model.args]\n"
            + rng.choice(("classes = 10", "self = 1", '"" = 1', "__init__ = 2", "n_classes = {}")),
        )
    )
    return [*lines, *extra.split("\n")], f"{extra!r:.60}"


def _weights_key(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    if "[model]" not in lines:
        return lines, "as it was"
    at = lines.index("[model]") + 1
    key = rng.choice(("state_dict", "model", "ckpt.net", "nope", "", ".", "k" * 5000, "a\\nb"))
    return [*lines[:at], f'weights_key = "{key}"', *lines[at:]], f"the key {key:.30}"


def _extra_key(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    at = _any(rng, lines) + 1
    line = f"{rng.choice(_KEYS)} = {rng.choice(('1', rng.choice(_VALUES)))}"
    return [*lines[:at], line, *lines[at:]], f"more: {line:.40}"


def _table(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    at = _any(rng, lines)
    table = rng.choice(_TABLES)
    line = rng.choice((f"[{table}]", f"[[{table}]]"))
    kept = lines[at + 1 :] if lines and lines[at].startswith("[") else lines[at:]
    return [*lines[:at], line, *kept], f"the table {line}"


def _cut(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    text = "\n".join(lines)
    return text[: rng.randrange(len(text) + 1)].split("\n"), "cut off"


def _fragment(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    text = "\n".join(lines)
    at = rng.randrange(len(text) + 1)
    piece = rng.choice(
        (
            '"',
            "'",
            '"""',
            "[",
            "]",
            "{",
            "=",
            "#",
            "\\",
            ".",
            ",",
            "\0",
            "\r",
            "\x7f",
            "é",
            "\ud800",
        )
    )
    return (text[:at] + piece + text[at:]).split("\n"), f"with {piece!r}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace("\n", "\\n").replace("\0", "\\u0000") + '"'


_STEPS: tuple[Callable[[random.Random, Lines], tuple[Lines, str]], ...] = (
    _lost,
    _twice,
    _misspelt,
    _value,
    _value,
    _value,
    _any_value,
    _source,
    _path,
    _known_extra,
    _known_extra,
    _weights_key,
    _extra_key,
    _table,
    _cut,
    _fragment,
)
