"""Tries one model folder after another, and keeps those that go wrong."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.models.generator import model_folder
from tests.fuzz.models.trials import Trials

_SHOWN = 3
"""Failures of one kind that are told; all are counted."""


class FolderCampaign:
    """Makes model folders from a seed and tries them.

    Args:
        trials: where they are tried.
        folder: where those that fail are kept.
        seed: of every decision.
        say: is told of each failure.
    """

    def __init__(
        self, trials: Trials, folder: Path, seed: int, say: Callable[[str], None] = print
    ) -> None:
        self._trials = trials
        self._folder = folder
        self._seed = seed
        self._say = say
        self.tried = 0
        self.failed: Counter[str] = Counter()

    def run(self, *, cases: int | None = None, seconds: float | None = None) -> None:
        """Try so many folders, or for so long."""
        end = None if seconds is None else time.monotonic() + seconds
        while (cases is None or self.tried < cases) and (end is None or time.monotonic() < end):
            self._try(self.tried)
            self.tried += 1

    def _try(self, number: int) -> None:
        made = model_folder(self._seed, number)
        with TemporaryDirectory(prefix="seethrough-fuzz-") as directory:
            made.write(Path(directory))
            if faults := self._trials.faults(Path(directory)):
                self._keep(Path(directory), number, made.known.note, faults)

    def _keep(self, directory: Path, number: int, note: str, faults: Sequence[str]) -> None:
        kind = f"model folders: {faults[0].replace(str(directory), '')[:60]}"
        self.failed[kind] += 1
        if self.failed[kind] > _SHOWN:
            return
        kept = self._folder / f"model-{self._seed}-{number}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(directory, kept, symlinks=True)
        self._say(f"{note}: {'; '.join(faults)}\n  python -m tests.fuzz --replay {kept}")
