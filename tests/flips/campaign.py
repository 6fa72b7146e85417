"""Flips of one byte, each in a fresh copy of one data folder, and what becomes of each."""

import logging
import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from core.errors import GalleryUnusable, RecordDamaged, SeethroughError
from core.gallery.records import Patch, Remove
from core.gallery.sqlite.local import LocalGallery
from tests.core.gallery.records import WAIT_S
from tests.flips.places import flips
from tests.flips.sample import CLOSED, EARLIER, ITEMS, KILLED, OPTIONS, item_id, make
from tests.flips.seen import Answer, reads

Outcome = Literal["named", "repaired", "in what nothing reads", "refused at open", "served wrong"]
Answers = Mapping[str, Answer]
_FEW: Final = 8
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


@dataclass
class Campaign:
    """A folder that is whole, and what its copies answered.

    Attributes:
        folder: where all of it is made.
        seed: of every decision.
        say: takes a line of each flip that failed.
        counts: by kind of file, then by outcome.
        failed: a line of each flip after which something wrong was served, or a stack.
    """

    folder: Path
    seed: int
    say: Callable[[str], None] = print
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def run(self, count: int) -> None:
        """All flips, one at a time."""
        make(self.folder)
        before = {state: self._answers(state) for state in (CLOSED, KILLED, EARLIER)}
        for number, flip in enumerate(flips(self.folder, count, self.seed)):
            copy = self._copy(flip.state)
            flip.apply(copy)
            outcome, wrong = _tried(copy, before[flip.state], before[EARLIER])
            if wrong:
                self.failed.append(f"flip {number}, {flip}: {'; '.join(wrong[:6])}")
                self.say(self.failed[-1])
            self.counts.setdefault(flip.kind, Counter())[outcome] += 1

    def _copy(self, state: str) -> Path:
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        return shutil.copytree(self.folder / state, copy)

    def _answers(self, state: str) -> Answers:
        with closing(LocalGallery(self._copy(state), OPTIONS)) as gallery:
            assert gallery.verify() == []
            return {name: read() for name, read in reads(gallery)}


def _tried(copy: Path, before: Answers, earlier: Answers) -> tuple[Outcome, list[str]]:
    """What became of a flip, and what is wrong with that."""
    try:
        outcome, wrong = _judged(copy, before, earlier)
    except Exception as error:  # that there is one is what is wrong
        wrong = [f"{each.name}:{each.lineno}" for each in traceback.extract_tb(error.__traceback__)]
        wrong = [f"{type(error).__name__}: {error}", *wrong[-6:]]
    return ("served wrong" if wrong else outcome), wrong


def _judged(copy: Path, before: Answers, earlier: Answers) -> tuple[Outcome, list[str]]:
    with _logged() as said:
        try:
            gallery = LocalGallery(copy, OPTIONS)
        except GalleryUnusable:
            return "refused at open", []
        with closing(gallery):
            faults = [fault.text for fault in gallery.verify()]
            if any("the last change in" in text for text in faults):
                before = earlier
            wrong, left_out = _read(gallery, before)
            if left_out and not faults:
                wrong += [f"silent: {each}" for each in left_out]
            wrong += list(_use(gallery, left_out))
    if wrong:
        wrong += faults
    if faults:
        return "named", wrong
    anew = any("is made from the stored vectors" in line for line in said)
    return "repaired" if anew else "in what nothing reads", wrong


def _read(gallery: LocalGallery, before: Answers) -> tuple[list[str], list[str]]:
    """Answers that are not those of before; and what is refused or left out of one."""
    wrong, left_out = list[str](), list[str]()
    for name, read in reads(gallery):
        try:
            other, gone = compared(before[name], read())
        except SeethroughError as error:
            left_out.append(f"{name}: {error}")
            continue
        wrong += [f"{name}: {each}" for each in other]
        left_out += [f"{name}: {each}" for each in gone]
    return wrong, left_out


def compared(before: Answer, now: Answer) -> tuple[list[Any], list[Any]]:
    """What an answer has that it must not have, and what it lacks."""
    if not isinstance(before, dict):
        return ([] if now == before else [now]), []
    other = [now[part] for part in now if part not in before or now[part] != before[part]]
    return other, [part for part in before if part not in now]


def _use(gallery: LocalGallery, left_out: list[str]) -> Iterator[str]:
    """Change and remove items, the damaged ones above all; what cannot be removed, in words."""
    for name, items in ITEMS.items():
        damaged = [seed for seed in range(items) if f"{name} {seed}:" in " ".join(left_out)]
        for seed in {0, items - 1, *damaged[:_FEW]}:
            with suppress(SeethroughError):
                gallery.write(Patch(name, item_id(seed), label="new")).result(WAIT_S)
            yield from _removed(gallery.write(Remove(name, item_id(seed))))
    gallery.verify()
    for name in ITEMS:
        yield from _removed(gallery.drop(name))
    gallery.verify()


def _removed(done: "Future[Any]") -> Iterator[str]:
    """What is damaged can be removed, unless all of its collection or of the file is."""
    try:
        done.result(WAIT_S)
    except RecordDamaged as error:
        if "stored collection" not in str(error):
            yield f"cannot be removed: {error}"
    except SeethroughError:  # the file is damaged, or it is not found under its name
        pass


@contextmanager
def _logged() -> Iterator[list[str]]:
    lines: list[str] = []

    class _Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    log, handler = logging.getLogger("seethrough"), _Lines()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
