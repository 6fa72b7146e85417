"""Tries one case after another, and keeps those that go wrong."""

import faulthandler
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.fuzz.case import GENERATORS, Case, Generator
from tests.fuzz.multipart import multipart_case
from tests.fuzz.pictures import picture_case
from tests.fuzz.requests import Requests
from tests.fuzz.target import MAX_SECONDS, Target

_SHOWN = 3
"""Failures of one kind that are told; all are counted."""


class Campaign:
    """Makes cases from a seed and tries them.

    Args:
        target: what they are tried on.
        folder: where cases that fail are written; the one that runs lies in `running.json`, so
            that it is there even if it ends the process.
        seed: of every decision.
        generators: what is made.
        say: is told of each failure.
    """

    def __init__(
        self,
        target: Target,
        folder: Path,
        seed: int,
        generators: Sequence[Generator] = GENERATORS,
        say: Callable[[str], None] = print,
    ) -> None:
        self._target = target
        self._folder = folder
        self._seed = seed
        self._generators = generators
        self._say = say
        self._requests = Requests(target.document)
        self.tried: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def run(self, *, cases: int | None = None, seconds: float | None = None) -> None:
        """Try so many cases, or for so long."""
        self._folder.mkdir(parents=True, exist_ok=True)
        end = None if seconds is None else time.monotonic() + seconds
        number = 0
        while (cases is None or number < cases) and (end is None or time.monotonic() < end):
            self._try(self.made(number), number)
            number += 1
        (self._folder / "running.json").unlink(missing_ok=True)

    def made(self, number: int) -> Case:
        """The case of a number: the same for the same seed, whatever came before."""
        rng = random.Random(f"{self._seed}/{number}")
        generator = self._generators[number % len(self._generators)]
        if generator == "pictures":
            case = picture_case(rng)
            if rng.random() < 0.1:  # the whole way, too
                headers = ((b"content-type", b"image/jpeg"),)
                case = Case(generator, case.note, case.body, path=b"/v1/classify", headers=headers)
            return case
        return multipart_case(rng) if generator == "multipart" else self._requests.case(rng)

    def _try(self, case: Case, number: int) -> None:
        case.write(self._folder / "running.json")
        # A decoder that hangs in C cannot be interrupted: the process ends, and its case is kept.
        faulthandler.dump_traceback_later(3 * MAX_SECONDS, exit=True)
        try:
            faults = self._target.faults(case)
        finally:
            faulthandler.cancel_dump_traceback_later()
        self.tried[case.generator] += 1
        if faults:
            self._keep(case, number, faults)

    def _keep(self, case: Case, number: int, faults: Sequence[str]) -> None:
        kind = f"{case.generator}: {faults[0][:60]}"
        self.failed[kind] += 1
        if self.failed[kind] > _SHOWN:
            return
        file = self._folder / f"{case.generator}-{self._seed}-{number}.json"
        case.write(file)
        self._say(f"{case.note}: {'; '.join(faults)}\n  python -m tests.fuzz --replay {file}")
