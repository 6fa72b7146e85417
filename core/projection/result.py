"""`Result`: a finished map with its items, as arrays and as bytes."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np

from core.types import FloatArray

_VERSION: Final = 1


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Result:
    """A map of items.

    Attributes:
        ids: (n,) of the items, in the order in which they were stored.
        labels: (n,) as they were then.
        predictions: (n,) labels of their most probable classes.
        coordinates: (n, dims) float32.
        preserved: (n,) float32, 0 to 1: of each item's nearest neighbors, how many are near it in
            the map.
        trustworthiness: 0 to 1: how few strangers are among neighbors in the map.
        knn_preservation: mean of `preserved`.
        neighbors: of how many neighbors `preserved` tells.
        asked: items that trustworthiness was measured on.
        extras: what only its method answers, by the name clients see.
    """

    ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    predictions: tuple[str, ...]
    coordinates: FloatArray
    preserved: FloatArray
    trustworthiness: float
    knn_preservation: float
    neighbors: int
    asked: int
    extras: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """An npz archive of plain arrays."""
        figures = {
            "version": _VERSION,
            "ids": self.ids,
            "labels": self.labels,
            "predictions": self.predictions,
            "trustworthiness": self.trustworthiness,
            "knn_preservation": self.knn_preservation,
            "neighbors": self.neighbors,
            "asked": self.asked,
            **self.extras,
        }
        file = io.BytesIO()
        text = np.frombuffer(json.dumps(figures).encode(), dtype=np.uint8)
        np.savez_compressed(
            file, figures=text, coordinates=self.coordinates, preserved=self.preserved
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Result":
        """What `to_bytes` wrote; nothing in the bytes is run.

        Raises:
            ValueError: the bytes are damaged, or something else.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                figures = json.loads(archive["figures"].tobytes())
                coordinates, preserved = archive["coordinates"], archive["preserved"]
        except (KeyError, ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise ValueError(f"not a projection: {error}") from error
        if figures.pop("version") != _VERSION:
            raise ValueError("not a projection of this version")
        known = {each.name for each in fields(cls)} & figures.keys()
        own = {name: figures.pop(name) for name in known}
        for name in ("ids", "labels", "predictions"):
            own[name] = tuple(own[name])
        # Maps of earlier versions hold null for what only other methods answer.
        extras = {name: value for name, value in figures.items() if value is not None}
        return cls(coordinates=coordinates, preserved=preserved, extras=extras, **own)
