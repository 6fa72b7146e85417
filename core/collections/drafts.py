"""`Draft`: a picture to store, with what its sender says of it; and the item made of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.checks import require_choice
from core.compute.embedder import Embedding
from core.errors import InvalidValue
from core.gallery.limits import (
    require_id,
    require_label,
    require_metadata,
)
from core.gallery.records import (
    ON_DUPLICATE,
    CollectionSpec,
    Idempotency,
    IfMatch,
    NewItem,
    OnDuplicate,
    Put,
    StoredPrediction,
    Written,
)
from core.types import ImageFile, ImageSource, Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a caller says of a picture to store.

    Attributes:
        id: None = one is made.
        upsert: an item of this id is replaced; False: it is a conflict.
        if_match: only if the item has one of these versions.
        idempotency_key: two requests with the same key are one.
    """

    id: str | None = None
    label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    upsert: bool = False
    on_duplicate: OnDuplicate = "keep"
    if_match: IfMatch | None = None
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        if self.id is not None:
            require_id(self.id)
        require_label(self.label)
        require_metadata(self.metadata)
        require_choice("on_duplicate", self.on_duplicate, ON_DUPLICATE)
        key = self.idempotency_key
        if key is not None and not (1 <= len(key) <= 200 and key.isprintable()):
            raise InvalidValue("Idempotency-Key", key, "1 to 200 printable characters")

    def put(self, spec: CollectionSpec, file: ImageFile, embedding: Embedding) -> Put:
        """The write that stores the picture.

        Args:
            spec: of the collection it goes into.
            file: the picture as it was sent.
            embedding: what the collection's network makes of it.
        """
        promise = None
        if self.idempotency_key is not None:
            promise = Idempotency(self.idempotency_key, self._fingerprint(file))
        return Put(
            spec.name,
            self._item(embedding, file if spec.keep_originals else None),
            upsert=self.upsert,
            on_duplicate=self.on_duplicate,
            if_match=self.if_match,
            idempotency=promise,
        )

    def _item(self, embedding: Embedding, original: ImageFile | None) -> NewItem:
        width, height = embedding.source.upright
        return NewItem(
            id=self.id,
            label=require_label(self.label),
            metadata=self.metadata,
            sha256=embedding.source.sha256,
            width=width,
            height=height,
            prediction=stored_prediction(embedding.prediction),
            vector=embedding.vector,
            pixels=embedding.reduced.tiny,
            thumbnail=embedding.reduced.thumbnail,
            original=original,
        )

    def _fingerprint(self, file: ImageFile) -> str:
        """Digest of all that the request says."""
        said = [self.id, self.label, self.metadata, self.upsert, self.on_duplicate, file.bits]
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        digest.update(hashlib.sha256(file.content).digest())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture that was stored, and how it was received."""

    written: Written
    image: ImageSource


def stored_prediction(best: Prediction) -> StoredPrediction:
    """What is kept of a picture's most probable class."""
    return StoredPrediction(best.class_index, best.label, best.probability)
