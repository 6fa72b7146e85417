"""Measures A (forward only) and C (decode + resize + forward) in this process; prints JSON.

No HTTP: C is the ceiling for a server that does this work. It is taken as the best of several
ways to write the loop. Call: `python -m benchmarks.inprocess SECONDS DEVICE`, then one line on
standard input for each round; one JSON line is printed for each.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import count

import torch
from torch import Tensor

from benchmarks.photos import photos
from core.images.decode import decode
from core.models.registry import standard_registry
from core.models.sources import DEFAULT_MODEL

_BATCHES = (1, 2, 4, 8, 16)


def main() -> None:
    """Measure once per input line."""
    seconds = float(sys.argv[1])
    model = standard_registry().load(DEFAULT_MODEL, torch.device(sys.argv[2]))
    preprocess = model.spec.preprocess

    def prepare(number: int) -> Tensor:
        content = photos()[number % len(photos())]
        return preprocess(decode(content, min_side_px=preprocess.min_side_px).pixels)

    print("ready", flush=True)
    for _ in sys.stdin:
        rows = [prepare(number) for number in range(max(_BATCHES))]
        forward = {
            size: _rate(partial(_run, model.runtime, rows[:size]), seconds / 5) for size in _BATCHES
        }
        whole = {"serial": _rate(lambda: _run(model.runtime, [prepare(0)]), seconds / 4)}
        for size in (4, 8):
            whole[f"overlapped {size}"] = _overlapped(prepare, model.runtime, size, seconds / 4)
            whole[f"in turn {size}"] = _sequential(prepare, model.runtime, size, seconds / 4)
        print(
            json.dumps(
                {
                    "A": max(forward.values()),
                    "A_by_batch": forward,
                    "C": max(whole.values()),
                    "C_by_way": whole,
                    "C_one_ms": 1000 / whole["serial"],
                }
            ),
            flush=True,
        )


def _run(forward: Callable[[Tensor], object], rows: list[Tensor]) -> int:
    forward(torch.stack(rows))
    return len(rows)


def _rate(step: Callable[[], int], seconds: float) -> float:
    """Pictures per second of a step that does some."""
    step()
    done, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        done += step()
    return done / elapsed


def _overlapped(
    prepare: Callable[[int], Tensor], forward: Callable[[Tensor], object], size: int, seconds: float
) -> float:
    """Two threads prepare the next batch while this one runs."""
    numbers = count()
    with ThreadPoolExecutor(2) as pool:

        def submit() -> list[Future[Tensor]]:
            return [pool.submit(prepare, next(numbers)) for _ in range(size)]

        waiting = [submit()]

        def step() -> int:
            rows = [each.result() for each in waiting.pop()]
            waiting.append(submit())
            return _run(forward, rows)

        return _rate(step, seconds)


def _sequential(
    prepare: Callable[[int], Tensor], forward: Callable[[Tensor], object], size: int, seconds: float
) -> float:
    """Two threads prepare a batch, then it runs."""
    with ThreadPoolExecutor(2) as pool:
        return _rate(lambda: _run(forward, list(pool.map(prepare, range(size)))), seconds)


if __name__ == "__main__":
    main()
