"""Read and check a `model.toml`. Imports no code, reads no weights."""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from core.errors import ModelUnusable, first_line, shown, summary
from core.models.outputs import ACTIVATIONS, Activation
from core.models.preprocess import STRETCH, Preprocessing
from core.models.structure.ports import ATS, At

MANIFEST = "model.toml"

T = TypeVar("T")

# With the byte order mark that some editors write, or without.
_ENCODING = "utf-8-sig"
_MAX_LABEL_CHARS = 1000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
_LIBRARIES = ("torchvision:", "timm:")
_WORDS: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    dict: "a table",
    list: "a list, in brackets",
}


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """A `model.toml`, its fields checked.

    Attributes:
        file: where it lies; messages name it.
        source: `net.py:Net`, `torchvision:NAME` or `timm:NAME`.
        weights: a file of the folder; None = the library's own pretrained ones.
        arguments: keyword arguments of the callable that makes the network.
        preprocess: the way from a picture to its input; None = as the library says.
        labels: (K,) text of each class; None = as the library says.
        feature_layer: None = found by running the network.
        feature_at: whether the features enter or leave that layer.
        weights_key: where in the file the weights are; None = wherever they fit.
        activation: what the network ends with, and so what its outputs are; None = not said.
    """

    file: Path
    source: str
    weights: Path | None
    arguments: Mapping[str, Any]
    preprocess: Preprocessing | None
    labels: tuple[str, ...] | None
    feature_layer: str | None
    feature_at: At
    weights_key: str | None = None
    activation: Activation | None = None

    @property
    def of_library(self) -> bool:
        """Whether the network comes from torchvision or timm, not from a file of the folder."""
        return self.source.startswith(_LIBRARIES)

    def unusable(self, field: str, problem: str) -> ModelUnusable:
        """The error that names this file and a field."""
        return ModelUnusable(f"{self.file}: {field}: {problem}")


def model_folders(directory: Path) -> list[Path]:
    """The folders in a directory that hold a `model.toml`, by name.

    Raises:
        ModelUnusable: there is no such directory.
    """
    if not directory.is_dir():
        raise ModelUnusable(f"SEETHROUGH_MODELS_DIR={str(directory)!r} is no directory")
    return sorted(each.parent for each in directory.glob(f"*/{MANIFEST}"))


def require_name(folder: Path) -> None:
    """Raise ModelUnusable unless the folder's name can be a model's."""
    if not _NAME.fullmatch(folder.name):
        raise ModelUnusable(
            f"{folder}: a folder's name is the model's: letters, digits, '.', '_' and '-'"
        )


def read_manifest(folder: Path) -> Manifest:
    """What the folder's `model.toml` says.

    Raises:
        ModelUnusable: it is missing or a field is wrong; one sentence names file and field.
    """
    file = folder / MANIFEST
    whole = _Table(file, "", _content(file))
    model = whole.table("model")
    source = model.take("source", str)
    weights = model.take("weights", str, None)
    weights_key = model.take("weights_key", str, None)
    arguments = model.take("args", dict, {})
    model.close()
    of_library = source.startswith(_LIBRARIES)
    if weights is None and not of_library:
        raise model.wrong("weights", "is missing: a .safetensors file, or a saved state dict")
    features = whole.table("features", optional=True)
    layer = features.take("layer", str, None)
    at = features.choice("at", ATS, ATS[0])
    features.close()
    output = whole.table("output", optional=True)
    activation = output.choice("activation", ACTIVATIONS, None)
    output.close()
    manifest = Manifest(
        file=file,
        source=source,
        weights=None if weights is None else model.file("weights", weights),
        arguments=arguments,
        preprocess=_preprocessing(whole.table("input", optional=of_library)),
        labels=_labels(whole.table("classes", optional=of_library)),
        feature_layer=layer,
        feature_at=at,
        weights_key=weights_key,
        activation=activation,
    )
    whole.close()
    return manifest


def _content(file: Path) -> dict[str, Any]:
    try:
        if not file.is_file():
            raise ModelUnusable(f"{file}: there is no such file")
        text = file.read_text(encoding=_ENCODING)
    except OSError as error:
        raise ModelUnusable(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelUnusable(f"{file}: is not UTF-8 text: save it as UTF-8") from error
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of a number of 5000 digits
        problem = first_line(error)
        if found := re.search(r"at line (\d+)", problem):
            line = text.split("\n")[int(found[1]) - 1]
            problem += f": {shown(line.strip())}"
        raise ModelUnusable(f"{file}: is not TOML: {problem}") from error


def _preprocessing(table: "_Table") -> Preprocessing | None:
    if table.empty:
        return None
    channels, height, width = (table.take(name, int) for name in ("channels", "height", "width"))
    resize = table.take("resize", (int, str), max(height, width))
    if isinstance(resize, str) and resize != STRETCH:
        raise table.wrong("resize", f"{shown(resize)} is not allowed: pixels, or {STRETCH!r}")
    said = {
        "channels": channels,
        "height": height,
        "width": width,
        "resize": resize,
        "interpolation": table.choice("interpolation", _INTERPOLATIONS, "bilinear"),
        **{name: table.numbers(name) for name in ("mean", "std")},
    }
    table.close()
    try:
        return Preprocessing(**said)
    except ModelUnusable as error:
        raise ModelUnusable(f"{table.path}: {error}") from error


def _labels(table: "_Table") -> tuple[str, ...] | None:
    if table.empty:
        return None
    labels = table.take("labels", (list, str))
    table.close()
    if isinstance(labels, str):
        labels = _labels_of_file(table, labels)
    for label in labels:
        if not _is_label(label):
            problem = f"a list of texts, one for each class, or a file; not {shown(label)}"
            raise table.wrong("labels", problem)
    if not labels:
        raise table.wrong("labels", "there are none")
    return tuple(map(str, labels))


def _is_label(value: object) -> bool:
    if not isinstance(value, str):
        return type(value) is int
    # JSON may hold halves of letters, which no answer can.
    return 0 < len(value) <= _MAX_LABEL_CHARS and not re.search("[\ud800-\udfff]", value)


def _labels_of_file(table: "_Table", name: str) -> list[Any]:
    """A line for each class; or JSON: a list, texts by class index, or class indices by text."""
    try:
        text = table.file("labels", name).read_text(encoding=_ENCODING)
        if not name.lower().endswith(".json"):
            return [line.strip() for line in text.splitlines() if line.strip()]
        found = json.loads(text)
    except UnicodeDecodeError as error:
        raise table.wrong("labels", f"{name!r} is not UTF-8 text: save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise table.wrong("labels", f"{name!r} is not JSON: {first_line(error)}") from error
    if isinstance(found, dict):
        indices = [str(index) for index in range(len(found))]
        if found and all(type(each) is int for each in found.values()):
            found = {str(index): text for text, index in found.items()}
        if sorted(found) != sorted(indices):
            problem = f"{name!r} has not one label for each class index, 0 to {len(indices) - 1}"
            raise table.wrong("labels", problem)
        found = [found[index] for index in indices]
    if not isinstance(found, list):
        raise table.wrong("labels", f"{name!r} holds no list of labels, nor labels by class index")
    # As in imagenet_class_index.json: a key of WordNet, then the text.
    return [each[-1] if isinstance(each, list) and each else each for each in found]


class _Table:
    """One table of the file: hands out its fields, checked, and knows which were not asked for."""

    def __init__(self, file: Path, name: str, fields: Mapping[str, Any]) -> None:
        self._file = file
        self._name = name
        self._fields = dict(fields)
        self._known: list[str] = []

    @property
    def path(self) -> str:
        """The file, and the table's name where it has one."""
        return f"{self._file}: [{self._name}]" if self._name else str(self._file)

    @property
    def empty(self) -> bool:
        """Whether nothing is in it."""
        return not self._fields

    def wrong(self, field: str, problem: str) -> ModelUnusable:
        """The error that names the file and a field of this table."""
        plain = re.fullmatch(r"[\w\[\]-]{1,40}", field)
        field = field if plain else shown(field)
        return ModelUnusable(f"{self.path} {field}: {problem}")

    def take(self, field: str, kind: type[T] | tuple[type, ...], *default: Any) -> Any:
        """A field of one of these kinds; missing, the default if there is one."""
        self._known.append(field)
        if field not in self._fields:
            if default:
                return default[0]
            near = difflib.get_close_matches(field, self._fields, n=1)
            hint = f"; is {shown(near[0])} meant?" if near else ""
            raise self.wrong(f"[{field}]" if kind is dict else field, f"is missing{hint}")
        value = self._fields.pop(field)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or isinstance(value, bool):
            allowed = " or ".join(_WORDS[each] for each in kinds)
            raise self.wrong(field, f"{shown(value)} is not allowed: {allowed}")
        return value

    def choice(self, field: str, allowed: tuple[str, ...], default: str | None) -> Any:
        """A text, one of those allowed."""
        value = self.take(field, str, default)
        if value not in allowed and value is not default:
            raise self.wrong(field, f"{shown(value)} is not allowed: one of {', '.join(allowed)}")
        return value

    def numbers(self, field: str) -> tuple[float, ...]:
        """A list of numbers."""
        values = self.take(field, list)
        try:
            if all(type(each) in (int, float) for each in values):
                return tuple(map(float, values))
        except OverflowError:
            pass  # more than any float
        raise self.wrong(field, f"{shown(values)} is not allowed: numbers, one per channel")

    def table(self, name: str, optional: bool = False) -> "_Table":
        """A table inside this one; an empty one where it may be missing."""
        fields = self.take(name, dict, {}) if optional else self.take(name, dict)
        return _Table(self._file, name, fields)

    def file(self, field: str, name: str) -> Path:
        """A file that lies in the folder of this `model.toml`."""
        folder = self._file.parent.resolve()
        try:
            path = (folder / name).resolve()
            if not path.is_relative_to(folder):
                raise self.wrong(field, f"{shown(name)} lies outside the folder")
            if not path.is_file():
                raise self.wrong(field, f"there is no file {shown(name)} in the folder")
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL, too long
            raise self.wrong(field, f"{shown(name)} is no file: {summary(error)}") from error
        return path

    def close(self) -> None:
        """Refuse fields that nobody asked for."""
        for field in self._fields:
            raise self.wrong(field, f"is not a field; known are {', '.join(self._known)}")
