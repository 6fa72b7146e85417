"""The process that computes one projection: arrays in, arrays out, progress on stdout.

Run as `python -m core.projection.child FOLDER THREADS`. It is gentle to whoever serves requests
beside it, and ends when its parent does.
"""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Final

import numpy as np

from core.errors import InvalidValue
from core.projection.methods import project
from core.projection.placement import to_bytes
from core.projection.quality import measure
from core.projection.request import Request
from core.projection.result import Result
from core.projection.vectors import part

ASKED: Final = "asked.json"
VECTORS: Final = "vectors.f32"
RESULT: Final = "result.npz"
PLACEMENT: Final = "placement.npz"

_NICE: Final = 15
_QUALITY_FROM: Final = 0.9


def compute(folder: Path, threads: int) -> None:
    """Lay out what is in the folder, and put there what comes of it.

    Args:
        folder: holds ASKED and VECTORS, (n, D) float32; RESULT is written, and PLACEMENT where new
            vectors can be placed.
        threads: of the computation.
    """
    asked = json.loads((folder / ASKED).read_text(encoding="utf-8"))
    request = Request.of(asked["parameters"])
    vectors = np.fromfile(folder / VECTORS, dtype=np.float32).reshape(-1, asked["dim"])
    progress = part(tell, 0, _QUALITY_FROM)
    made = project(vectors, request.parameters, threads=threads, progress=progress)
    quality = measure(
        vectors,
        made.coordinates,
        metric=made.metric,
        threads=threads,
        progress=part(tell, _QUALITY_FROM, 1),
    )
    trust, kept = quality.trustworthiness, quality.knn_preservation
    result = Result(
        ids=tuple(asked["ids"]),
        labels=tuple(asked["labels"]),
        predictions=tuple(asked["predictions"]),
        coordinates=made.coordinates,
        preserved=kept.per_point,
        trustworthiness=trust.value,
        knn_preservation=kept.mean,
        neighbors=kept.neighbors,
        asked=trust.asked,
        extras=made.extras,
    )
    if made.placer is not None:
        (folder / PLACEMENT).write_bytes(to_bytes(made.placer))
    (folder / RESULT).write_bytes(result.to_bytes())


def tell(fraction: float, text: str) -> None:
    """One line of JSON to the parent."""
    print(json.dumps({"progress": fraction, "text": text}), flush=True)


def _end_with_parent() -> None:
    """The parent holds the other end of stdin: it closes when the parent ends, however it ends."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main() -> int:
    """Compute; what goes wrong for a reason of the caller's is a line, too."""
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    os.nice(_NICE)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        compute(folder, threads)
    except (InvalidValue, ValueError, MemoryError) as error:
        print(json.dumps({"reason": str(error) or type(error).__name__}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
