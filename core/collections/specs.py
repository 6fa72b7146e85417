"""What binds a collection to a network: its weights, the layer, and checks that they match."""

import logging
from dataclasses import replace
from typing import Final, cast

from core.compute.embedder import Layer
from core.errors import ModelMismatch, RecordDamaged
from core.gallery.gallery import Gallery
from core.gallery.records import CollectionSpec, Metric
from core.models.structure.axes import Pool
from core.models.structure.ports import Port
from core.types import ModelCard

_log = logging.getLogger("seethrough")

DEFAULT_COLLECTION: Final = "default"
"""The collection that always exists, of the default model."""


def features_of(
    model: ModelCard,
    name: str = DEFAULT_COLLECTION,
    metric: Metric = "l2",
    *,
    pixel_space: bool = True,
    keep_originals: bool = False,
) -> CollectionSpec:
    """A collection of a model's feature vectors."""
    return CollectionSpec(
        name=name,
        model=model.name,
        digest=model.digest,
        layer=model.feature_layer,
        at=model.feature_at,
        pool="avg",
        dim=model.feature_dim,
        metric=metric,
        pixel_space=pixel_space,
        keep_originals=keep_originals,
    )


def pooled_at(spec: CollectionSpec, layer: Layer, dim: int) -> CollectionSpec:
    """The same collection, of what enters or leaves another layer, pooled."""
    return replace(spec, layer=layer.port.layer, at=layer.port.at, pool=layer.pool, dim=dim)


def rebound(spec: CollectionSpec, model: ModelCard, dim: int | None) -> CollectionSpec:
    """The same collection of another network: the layer of that name, or its feature vector.

    Args:
        spec: as it was.
        model: the other network.
        dim: of the layer's output there; None = the collection holds feature vectors.
    """
    if dim is None:
        keeps = {"pixel_space": spec.pixel_space, "keep_originals": spec.keep_originals}
        return features_of(model, spec.name, spec.metric, **keeps)
    other = replace(spec, model=model.name, digest=model.digest)
    return pooled_at(other, layer_of(spec), dim)


def layer_of(spec: CollectionSpec) -> Layer:
    """Where a collection's vectors are taken that are not the model's features."""
    port = Port(spec.layer, "input" if spec.at == "input" else "output")
    return Layer(port, cast(Pool, spec.pool))


def takes_features(spec: CollectionSpec, model: ModelCard) -> bool:
    """Whether a collection's vectors are what every forward gives beside the logits."""
    return (spec.layer, spec.at, spec.pool) == (model.feature_layer, model.feature_at, "avg")


def require_same_weights(spec: CollectionSpec, model: ModelCard) -> None:
    """Raise ModelMismatch unless the model has the weights that made the collection's vectors."""
    if model.digest != spec.digest:
        raise ModelMismatch(
            f"the collection {spec.name!r} holds vectors of {spec.model!r} with the weights "
            f"{_short(spec.digest)}, and now it has {_short(model.digest)}: bring those weights "
            f"back, {_advice(spec)}"
        )


def not_served(spec: CollectionSpec) -> ModelMismatch:
    """The collection's network is not there."""
    return ModelMismatch(
        f"the collection {spec.name!r} holds vectors of {spec.model!r}, which is not served: "
        f"add it to SEETHROUGH_MODELS, {_advice(spec)}"
    )


def ensure_default(gallery: Gallery, spec: CollectionSpec) -> None:
    """The default collection is there, and follows the default model while it is empty."""
    for collection in gallery.collections():
        if collection.spec.name == DEFAULT_COLLECTION:
            same = (collection.spec.model, collection.spec.digest) == (spec.model, spec.digest)
            if same or collection.count:
                return
            gallery.drop(DEFAULT_COLLECTION).result()
    try:
        gallery.create(spec).result()
    except RecordDamaged as error:  # there is one; who asks for it gets the same answer
        _log.error("%s", error)


def _short(digest: str) -> str:
    return digest[:19] + "…"


def _advice(spec: CollectionSpec) -> str:
    if spec.keep_originals:
        return f"or embed its pictures anew: seethrough reindex {spec.name} --model NAME"
    return "or make another collection and store the pictures anew: this one keeps no originals"
