"""Makes labels: written as people write them, and as nobody should."""

import json
import random

from tests.fuzz.models.folder import Files

CLASSES = 10
_CLOTHES = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag"]
LABELS = [*_CLOTHES, "Stiefel für Füße 👢"]

_LINES = "\n".join(LABELS)
_JSON = (
    LABELS,
    list(range(CLASSES)),
    {str(index): label for index, label in enumerate(LABELS)},
    {label: index for index, label in enumerate(LABELS)},
    {str(index): [f"n{index:08}", label] for index, label in enumerate(LABELS)},
)
_TEXTS = (
    _LINES,
    _LINES + "\n\n\n",
    _LINES.replace("\n", "\r\n"),
    "\ufeff" + _LINES,
    _LINES.replace("\n", "  \n"),
)
_ODD_JSON = (
    "",
    "null",
    "NaN",
    "[]",
    "{}",
    '"T-shirt"',
    "[1, 2",
    "[null, null]",
    "[[]]" * 10,
    "[" * 100_000,
    "[[" + "[" * 900 + "]" * 900 + "]]",
    '{"a":' * 50_000,
    "9" * 6000,
    "[" + "9" * 6000 + "]",
    json.dumps([["n1", ["n2"]]] * CLASSES),
    json.dumps([True] * CLASSES),
    json.dumps([0.5] * CLASSES),
    json.dumps([""] * CLASSES),
    json.dumps(["a\nb"] * CLASSES),
    json.dumps(["a\0b"] * CLASSES),
    json.dumps(["x" * 100_000] * CLASSES),
    json.dumps(["half a letter \ud83d"] * CLASSES),
    json.dumps({str(index): "a" for index in range(1, CLASSES + 1)}),
    json.dumps(dict.fromkeys(LABELS, 0)),
    json.dumps(dict.fromkeys(LABELS)),
    json.dumps({str(index): [] for index in range(CLASSES)}),
    json.dumps({"labels": LABELS}),
    '{"a": 0, "a": 1}',
    "\x00" * 200,
    "// a comment\n" + json.dumps(LABELS),
)
_ODD_TEXTS = (
    "",
    "\n\n\n",
    "\ufeff",
    " \t \n" * 100,
    "one\n",
    "\0\n" * CLASSES,
    "a\0b\n" * CLASSES,
    "\x1b[31mred\n" * CLASSES,
    "x" * 5_000_000,
    "\u2028".join(LABELS),
    "same\n" * CLASSES,
    "\r".join(LABELS),
    ",".join(LABELS),
)
_ENCODINGS = ("utf-16", "utf-32", "latin-1", "cp1251", "utf-7")
_MILLION = "label\n" * 1_000_000


def sound_labels(rng: random.Random, files: Files) -> tuple[str, str]:
    """What stands in `model.toml` for them, and in words."""
    match rng.randrange(4):
        case 0:
            files["labels.txt"] = rng.choice(_TEXTS).encode()
            return '"labels.txt"', "labels in a text"
        case 1:
            mark = rng.choice(("", "\ufeff"))
            text = mark + json.dumps(rng.choice(_JSON), ensure_ascii=rng.random() < 0.5)
            files["labels.json"] = text.encode()
            return '"labels.json"', "labels as JSON"
        case 2:
            return str(list(range(CLASSES))), "labels that are numbers"
        case _:
            return json.dumps(LABELS, ensure_ascii=False), "labels in place"


def odd_labels(rng: random.Random, files: Files) -> tuple[str, str]:
    """The same, of labels that may be wrong."""
    name = rng.choice(("labels.json", "labels.json", "labels.txt", "LABELS.JSON"))
    text = rng.choice(_ODD_TEXTS if name == "labels.txt" else _ODD_JSON)
    note = f"odd {name}: {text[:40]!r}"
    content = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        encoding = rng.choice(_ENCODINGS)
        content = _LINES.encode(encoding, "replace")
        note = f"{name} in {encoding}"
    elif rng.random() < 0.02:
        content, note = _MILLION.encode(), f"{name} of a million lines"
    files[name] = content
    return f'"{name}"', note
