"""What a gallery takes and returns: collections, items, writes, projections; frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core.types import FloatArray, ImageFile, JobStatus, Pixels

Numbers = NDArray[np.int64]
"""(n,) numbers of vectors, see `Item.number`."""

Metric = Literal["l2", "l1", "cosine"]
"""Euclidean distance, sum of absolute differences, 1 - cosine of the angle."""

Space = Literal["features", "pixels"]
"""The network's feature space, or the space of the pictures' own pixels."""

OnDuplicate = Literal["keep", "reject", "replace"]
"""What to do with bytes that the collection already holds under another id."""

IfMatch = frozenset[int] | Literal["*"]
"""Versions, one of which an item must have to be changed; "*": any, as long as it is there."""

ANY_VERSION: Final[Literal["*"]] = "*"

METRICS: Final[tuple[Metric, ...]] = get_args(Metric)
SPACES: Final[tuple[Space, ...]] = get_args(Space)
ON_DUPLICATE: Final[tuple[OnDuplicate, ...]] = get_args(OnDuplicate)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionSpec:
    """What a collection is bound to for good.

    Attributes:
        model: the network's name.
        digest: "sha256:..." of its weights: vectors of two networks never meet.
        layer: the layer whose input or output the vectors are.
        at: "input" or "output" of that layer.
        pool: how an activation of that layer became a vector: avg, max or flatten.
        dim: numbers in a vector, D.
        metric: how distance is measured, in both spaces.
        pixel_space: whether the pictures' pixels are kept and can be compared.
        keep_originals: whether the pictures' files are kept, so that they can be embedded anew.
    """

    name: str
    model: str
    digest: str
    layer: str
    at: str
    pool: str
    dim: int
    metric: Metric
    pixel_space: bool = False
    keep_originals: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A collection as it stands.

    Attributes:
        key: its number in this gallery, never given to another.
        count: items in it.
        seq: number of the last change to it.
    """

    key: int
    spec: CollectionSpec
    count: int
    seq: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """The most probable class when the picture was stored."""

    class_index: int
    label: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NewItem:
    """A picture about to be stored.

    Attributes:
        id: None = one is made.
        label: the caller's own word for it; None = none.
        metadata: any JSON object.
        sha256: hex digest of the picture's file.
        width: pixels, of the upright picture.
        height: pixels, of the upright picture.
        vector: (D,) float32, finite.
        pixels: (32, 32, 3) uint8; None where the collection has no pixel space.
        thumbnail: a JPEG file of at most 320 px.
        original: the picture as it was sent; None where originals are not kept.
        created_at: when it was first stored, in another gallery; None = now. An item that is
            replaced keeps its own.
    """

    id: str | None
    label: str | None
    metadata: Mapping[str, Any]
    sha256: str
    width: int
    height: int
    prediction: StoredPrediction
    vector: FloatArray
    pixels: Pixels | None
    thumbnail: bytes
    original: ImageFile | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reembedded:
    """What another network makes of a stored picture.

    Attributes:
        vector: (D,) float32 of that network.
    """

    id: str
    vector: FloatArray
    prediction: StoredPrediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A stored picture, without its arrays.

    Attributes:
        number: of its vector in this gallery: a new one each time the picture is replaced, and
            never given to another.
        version: number of the last change of the item, so that no two versions of an id are the
            same, not even of one that was removed and stored again.
    """

    id: str
    number: int
    label: str | None
    metadata: Mapping[str, Any]
    sha256: str
    width: int
    height: int
    prediction: StoredPrediction
    created_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's promise that two requests with the same key are one.

    Attributes:
        fingerprint: digest of all the request says; the same key with another is a conflict.
    """

    key: str
    fingerprint: str


class Unset(Enum):
    """Stands for "leave it as it is" where None means "none"."""

    UNSET = "unset"


UNSET = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Put:
    """Store a picture.

    Attributes:
        upsert: an item of this id is replaced; False: it is a conflict.
        if_match: only if the item of this id exists and has one of these versions; None = whatever
            it is.
    """

    collection: str
    item: NewItem
    _: KW_ONLY
    upsert: bool = False
    on_duplicate: OnDuplicate = "keep"
    if_match: IfMatch | None = None
    idempotency: Idempotency | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """Change an item's label or metadata, or both; the picture stays."""

    collection: str
    id: str
    _: KW_ONLY
    label: str | Unset | None = UNSET
    metadata: Mapping[str, Any] | Unset = UNSET
    if_match: IfMatch | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    """Take an item out."""

    collection: str
    id: str
    _: KW_ONLY
    if_match: IfMatch | None = None


Write = Put | Patch | Remove


@dataclass(frozen=True, slots=True)
class Written:
    """A write that is on disk.

    Attributes:
        item: as it now stands; of a removal, as it stood.
        seq: the number of the change; whoever asks with `min_seq` of this sees it.
        created: whether the item is new.
        replayed: whether this is the answer of an earlier request with the same idempotency key.
    """

    item: Item
    seq: int
    _: KW_ONLY
    created: bool = False
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some items, in the order in which they were stored.

    Attributes:
        next_cursor: where the next page begins; None = there is none.
        total: items that match, on all pages.
    """

    items: tuple[Item, ...]
    next_cursor: str | None
    total: int


ENDED: Final[tuple[JobStatus, ...]] = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredProjection:
    """A collection laid out, or about to be.

    Attributes:
        parameters: all that was asked for, as JSON: the same parameters, the same map.
        reason: why it failed; empty otherwise.
        count: items in the map; 0 until it is known.
        seq: the collection's last change when it was read; the one asked about, before.
    """

    id: str
    collection: str
    parameters: Mapping[str, Any]
    status: JobStatus
    reason: str
    count: int
    seq: int
    created_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that store, index and brute force do not agree on."""

    collection: str
    space: Space | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """A piece of what is stored, compared with its checksums; `ended`: the last of all of it."""

    items: int
    size_bytes: int
    damaged: int
    ended: bool
