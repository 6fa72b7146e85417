"""The error tree of the engine. Knows no HTTP statuses: `service.errors` maps them.

A request walks decode -> preprocess -> ticket -> forward -> result, and each step has its branch::

    SeethroughError
    ├── RequestUnreadable            the bytes do not form a request (empty, cut off, not JSON)
    ├── ImageRefused                 the request is fine, the picture in it is not
    │   ├── ImageUnsupported         not one of the formats we take
    │   ├── ImageCorrupt             a format we take, damaged or cut off
    │   └── ImageTooLarge            more bytes or pixels than the limit
    ├── InvalidValue                 a parameter outside its allowed set; names both
    │   ├── TargetOutOfRange         a class the model does not have
    │   └── CostTooHigh              the work asked for is more than one request may cost
    ├── MethodUnsupported            the method does not apply to this network
    ├── UnknownName                  no such model, layer ...; names the valid ones
    │   ├── UnknownModel
    │   ├── UnknownLayer
    │   ├── UnknownCollection
    │   ├── UnknownItem
    │   └── UnknownProjection
    ├── Conflict                     what is stored does not allow it
    │   ├── VersionMismatch          the item has changed since the caller saw it
    │   └── ModelMismatch            the collection's network is not the one that is served
    ├── RecordDamaged                what is stored of it was changed by something else
    ├── StorageFull                  no space on the disk; nothing was changed
    ├── Unavailable                  not now; says when to come back
    │   ├── NotReady                 models are still loading
    │   ├── QueueFull                as much work waits as is allowed to wait
    │   ├── MemoryFull               requests under way hold as many bytes as they may
    │   ├── Draining                 the process is shutting down
    │   ├── NotYetApplied            the change asked for has not been seen yet
    │   └── StorageUnusable          the data folder was taken away, replaced or made read-only
    ├── DeadlinePassed               the caller's deadline came first
    ├── OutputNotFinite              the network answered NaN or infinity for this picture
    ├── ModelUnusable                an operator's problem, found when a model is loaded
    │   └── WeightsUnavailable       the pretrained weights could not be fetched
    ├── GalleryUnusable              an operator's problem, found when the gallery is opened
    └── SettingsUnreadable           an operator's problem, found before anything starts

What a model raises during a forward is none of these: it reaches its own ticket unchanged.
"""

from collections.abc import Sequence
from itertools import accumulate, islice
from typing import Final

_MAX_SHOWN_CHARS = 80
_MAX_SHOWN_NAMES = 20
_MAX_LISTED_CHARS = 400
_MAX_LINE_CHARS = 300


ANY_FAILURE: Final = (Exception, SystemExit)
"""What a network's own code may raise: an exit, which ends a script, must not end a service."""


def shown(value: object) -> str:
    """The value as it may stand in a message: quoted, escaped, cut to a bounded length."""
    try:
        text = repr(_head(value))
    except ValueError:  # an integer of more digits than Python writes
        text = type(value).__name__
    return text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 1] + "…"


def _head(value: object) -> object:
    """As much of it as can be shown: all of a body would take seconds to write."""
    if isinstance(value, str | bytes):
        return value[: _MAX_SHOWN_CHARS + 1]
    if isinstance(value, list):
        return [_head(each) for each in value[:_MAX_SHOWN_CHARS]]
    if isinstance(value, dict):
        return {_head(name): _head(value[name]) for name in islice(value, _MAX_SHOWN_CHARS)}
    return value


def first_line(error: BaseException) -> str:
    """What an error of another library says, on one line of a bounded length."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    line = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
    return line if len(line) <= _MAX_LINE_CHARS else line[: _MAX_LINE_CHARS - 1] + "…"


def summary(error: BaseException) -> str:
    """An error of another library: its kind and what it says, on one line."""
    if isinstance(error, SystemExit):
        return f"it ends the program by exit({shown(error.code)}), as only a script may"
    return f"{type(error).__name__}: {first_line(error)}"


class SeethroughError(Exception):
    """Root of everything this engine raises on purpose."""


class RequestUnreadable(SeethroughError):
    """The bytes do not form a request."""


class ImageRefused(SeethroughError):
    """The picture cannot be taken."""


class ImageUnsupported(ImageRefused):
    """Not one of the formats we take."""


class ImageCorrupt(ImageRefused):
    """A format we take, but damaged or cut off."""


class ImageTooLarge(ImageRefused):
    """More bytes or pixels than the limit allows."""


class InvalidValue(SeethroughError):
    """A parameter's value is outside what is allowed.

    Args:
        parameter: the name the caller used.
        value: what the caller sent.
        allowed: what would have been taken, in words.
    """

    def __init__(self, parameter: str, value: object, allowed: str) -> None:
        super().__init__(f"{parameter}={shown(value)} is not allowed: {allowed}")
        self.parameter = parameter
        self.value = value
        self.allowed = allowed


class TargetOutOfRange(InvalidValue):
    """The model has no such class."""


class CostTooHigh(InvalidValue):
    """The work asked for costs more than one request may."""


class MethodUnsupported(SeethroughError):
    """The method does not apply to this network."""


class UnknownName(SeethroughError):
    """Nothing is known under this name.

    Args:
        name: what the caller sent.
        known: the names that exist; the message shows a bounded number of them.
    """

    kind = "name"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        chars = accumulate(len(each) for each in known[:_MAX_SHOWN_NAMES])
        some = sum(1 for each in chars if each <= _MAX_LISTED_CHARS)
        listed = ", ".join(known[:some]) or "none"
        more = len(known) - some
        tail = f" and {more} more" if more > 0 else ""
        super().__init__(f"no {self.kind} named {shown(name)}; known: {listed}{tail}")
        self.name = name


class UnknownModel(UnknownName):
    """No such model is served."""

    kind = "model"


class UnknownLayer(UnknownName):
    """The model has no such layer."""

    kind = "layer"


class UnknownCollection(UnknownName):
    """There is no such collection."""

    kind = "collection"


class UnknownInCollection(UnknownName):
    """The collection has no such thing; what else it has would be too much to list."""

    where = "in"

    def __init__(self, name: str, collection: str) -> None:
        text = f"no {self.kind} {shown(name)} {self.where} the collection {shown(collection)}"
        SeethroughError.__init__(self, text)
        self.name = name


class UnknownItem(UnknownInCollection):
    """The collection holds no such item."""

    kind = "item"


class UnknownProjection(UnknownInCollection):
    """The collection has no such projection."""

    kind = "projection"
    where = "of"


class Conflict(SeethroughError):
    """What is stored does not allow the change."""


class VersionMismatch(Conflict):
    """The item has changed since the caller saw it."""


class ModelMismatch(Conflict):
    """The collection belongs to a network that is not served, or not with these weights."""


class RecordDamaged(SeethroughError):
    """What is stored is not what was written: a disk or a memory has changed it.

    Args:
        kind: item, vector, thumbnail ...
        name: the item's or projection's id.
        wrong: what was found.
    """

    def __init__(self, kind: str, name: object, wrong: str) -> None:
        super().__init__(
            f"the stored {kind} of {shown(name)} is damaged ({wrong}); it can be removed or "
            "stored again"
        )
        self.wrong = wrong


class StorageFull(SeethroughError):
    """There is no space on the disk; nothing was changed."""


class Unavailable(SeethroughError):
    """The work cannot be taken now.

    Args:
        reason: why, in words.
        retry_after_s: when trying again makes sense, in seconds.
    """

    def __init__(self, reason: str, *, retry_after_s: float) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class NotReady(Unavailable):
    """Models are still loading."""


class QueueFull(Unavailable):
    """As much work is waiting as is allowed to wait."""


class MemoryFull(Unavailable):
    """Requests under way hold as many bytes as they may."""


class Draining(Unavailable):
    """The process is shutting down."""


class NotYetApplied(Unavailable):
    """The change the caller asks for has not been seen here yet."""


class StorageUnusable(Unavailable):
    """The data folder was taken away, replaced or made read-only while it was in use."""


class DeadlinePassed(SeethroughError):
    """The caller's deadline came before the answer."""


class OutputNotFinite(SeethroughError):
    """The network answered NaN or infinity."""


class ModelUnusable(SeethroughError):
    """A model cannot be served as it is configured."""


class WeightsUnavailable(ModelUnusable):
    """The pretrained weights could not be fetched."""


class GalleryUnusable(SeethroughError):
    """What is stored cannot be opened: in use by another process, or not a gallery."""


class SettingsUnreadable(SeethroughError):
    """A file of settings cannot be read."""
