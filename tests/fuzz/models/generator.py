"""Makes a model folder of weights, labels, network and manifest: sound, or some of them odd."""

import random

from tests.fuzz.models.folder import Files, Known, ModelFolder
from tests.fuzz.models.labels import odd_labels, sound_labels
from tests.fuzz.models.manifests import odd_manifest, sound_manifest
from tests.fuzz.models.networks import Odd, odd_network, sound_network
from tests.fuzz.models.weights import odd_weights, sound_weights

_KINDS = ("weights", "labels", "network", "manifest")


def model_folder(seed: int, number: int) -> ModelFolder:
    """The folder of a number: the same for the same seed, whatever came before."""
    rng = random.Random(f"{seed}/{number}")
    sound = rng.random() < 0.1
    odd = () if sound else rng.sample(_KINDS, rng.choice((1, 1, 1, 1, 2)))
    files: Files = {}
    weights, of_weights = (odd_weights if "weights" in odd else sound_weights)(rng, files)
    labels, of_labels = (odd_labels if "labels" in odd else sound_labels)(rng, files)
    network = odd_network(rng, files) if "network" in odd else Odd(sound_network(rng, files))
    make = odd_manifest if "manifest" in odd else sound_manifest
    notes = (of_weights, of_labels, network.note, make(rng, files, weights, labels))
    note = "; ".join(note for note, kind in zip(notes, _KINDS, strict=True) if sound or kind in odd)
    compiled = rng.random() < 0.05
    return ModelFolder(Known(note, sound, network.greedy, compiled, network.alone), files)
