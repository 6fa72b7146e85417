"""Makes `model.toml`: as people write it, misspelled, of wrong types, in other encodings."""

import random
import re
from collections.abc import Callable

from tests.fuzz.models.folder import Files, Link
from tests.fuzz.models.values import ENCODINGS, KEYS, PATHS, SOURCES, TABLES, VALUES, WHOLE

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
Lines = list[str]


def sound_manifest(rng: random.Random, files: Files, weights: str, labels: str) -> str:
    """A `model.toml` that must be taken; in words."""
    lines, note = _lines(rng, weights, labels)
    files["model.toml"] = _written(rng, lines)
    return note


def odd_manifest(rng: random.Random, files: Files, weights: str, labels: str) -> str:
    """A `model.toml` that may be wrong; in words."""
    if rng.random() < 0.1:
        whole = rng.choice(WHOLE)
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
        encoding = rng.choice(ENCODINGS)
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


def _misspelled(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    at = _any(rng, lines)
    line = lines[at]
    letters = [i for i, c in enumerate(line.partition("=")[0]) if c.isalpha()]
    if letters:
        i = rng.choice(letters)
        line = line[:i] + rng.choice(("", line[i] * 2, "x", line[i].upper())) + line[i + 1 :]
    return [*lines[:at], line, *lines[at + 1 :]], f"misspelled {line!r:.40}"


def _value(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    return _set(rng, lines, r"(?!source|weights)", rng.choice(VALUES))


def _any_value(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    return _set(rng, lines, "", rng.choice(VALUES))


def _source(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    return _set(rng, lines, "source", _quoted(rng.choice(SOURCES)))


def _path(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    return _set(rng, lines, "weights|labels", f'"{rng.choice(PATHS)}"')


def _set(rng: random.Random, lines: Lines, pattern: str, value: str) -> tuple[Lines, str]:
    indices = [i for i, line in enumerate(lines) if " = " in line and re.match(pattern, line)]
    if not indices:
        return lines, "as it was"
    at = rng.choice(indices)
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
    line = f"{rng.choice(KEYS)} = {rng.choice(('1', rng.choice(VALUES)))}"
    return [*lines[:at], line, *lines[at:]], f"more: {line:.40}"


def _table(rng: random.Random, lines: Lines) -> tuple[Lines, str]:
    at = _any(rng, lines)
    table = rng.choice(TABLES)
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
    _misspelled,
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
