"""Rounds of load, SIGKILL, damage, restart and checks on one data folder that lives on."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tests.crash import checks
from tests.crash.api import Api
from tests.crash.damage import KINDS, damage, keep_copies
from tests.crash.ledger import Ledger
from tests.crash.network import NAME, network_folder
from tests.crash.writers import Writer
from tests.service.live import LiveServer, running

_SERVER = "tests.crash.server"
_MADE_ANEW = "is made from the stored vectors"
_FILES = 2  # of the collection: one per space
_FEW_ITEMS = 50  # the index of so few may have no file yet
_PATIENCE_S = 300.0  # building has the lowest priority, and six clients keep the cores busy


@dataclass(frozen=True)
class Crash:
    """What was done to the server and its files.

    Attributes:
        kind: of damage to the indexes' files; empty = none.
        broken: files that cannot be believed any more.
    """

    after_s: float
    acknowledged: Counter[str]
    in_flight: int
    kind: str = ""
    broken: tuple[Path, ...] = ()


@dataclass
class Campaign:
    """A data folder and what clients were told of it.

    Attributes:
        folder: holds all of it; look there when something failed.
        seed: of every decision; threads still meet in their own way.
        writers: client threads.
        longest_s: until the server is killed, at most; longer where its indexes are awaited.
        settled_share: rounds in which the server lives until its indexes have files. In the
            others it may be killed while it still makes those that were damaged before.
        damaged_share: rounds in which the indexes' files are damaged.
        say: takes a line per round.
    """

    folder: Path
    seed: int
    writers: int = 6
    longest_s: float = 3.0
    settled_share: float = 0.8
    damaged_share: float = 0.4
    say: Callable[[str], None] = print
    ledger: Ledger = field(default_factory=Ledger)
    totals: Counter[str] = field(default_factory=Counter)

    def run(self, rounds: int) -> Counter[str]:
        """All rounds, and `seethrough verify` at the end.

        Raises:
            AssertionError: something was lost, doubled, or came back.
        """
        network_folder(self.folder / "models")
        with self._server(0) as server:
            api = Api(server.port)
            api.create()
            api.close()
            crash = self._kill(server, 1)
        for number in range(1, rounds + 1):
            with self._server(number) as server:
                self.say(self._survey(server, number, crash))
                if number < rounds:
                    crash = self._kill(server, number + 1)
                else:
                    assert server.terminate() == 0
        self.say(self._sum(rounds))
        self.say(self._verify())
        return self.totals

    @contextmanager
    def _server(self, number: int) -> Iterator[LiveServer]:
        with (
            self._log(number).open("w") as log,
            running(
                log,
                _SERVER,
                models=NAME,
                models_dir=str(self.folder / "models"),
                data_dir=str(self.folder / "data"),
            ) as server,
        ):
            yield server

    def _log(self, number: int) -> Path:
        return self.folder / f"server-{number}.log"

    def _kill(self, server: LiveServer, number: int) -> Crash:
        """Load, SIGKILL, and maybe damage."""
        random = np.random.default_rng([self.seed, number])
        self.ledger.acknowledged.clear()
        seeds = [[self.seed, number, index] for index in range(self.writers)]
        threads = [Writer(server.port, self.ledger, seed[2], seed) for seed in seeds]
        for thread in threads:
            thread.start()
        started = time.monotonic()
        time.sleep(float(random.uniform(0.2, self.longest_s)))
        if random.random() < self.settled_share:
            self._await_indexes()
        after_s = time.monotonic() - started
        all_write = all(thread.writes for thread in threads)
        server.process.kill()
        server.process.wait(30)
        for thread in threads:
            thread.join()
            if thread.failed is not None:
                raise thread.failed
        assert all_write, "a client lost its connection before the server was killed"
        acknowledged = Counter(self.ledger.acknowledged)
        crash = Crash(after_s, acknowledged, self.ledger.in_flight)
        if random.random() < self.damaged_share:
            return self._damaged(crash, random)
        keep_copies(self.folder / "data" / "index", self.folder / "copies")
        return crash

    def _await_indexes(self) -> None:
        """Until there are files to damage or to trust, while clients go on writing."""
        end = time.monotonic() + _PATIENCE_S
        while len(self._indexes()) < _FILES and len(self.ledger.living) > _FEW_ITEMS:
            assert time.monotonic() < end, "the indexes of a busy server are not saved"
            time.sleep(0.02)

    def _indexes(self) -> list[Path]:
        """Files; number 1 is the default collection: it is empty, and has none worth having."""
        files = (self.folder / "data" / "index").glob("*.index")
        return sorted(file for file in files if not file.name.startswith("1-"))

    def _damaged(self, crash: Crash, random: np.random.Generator) -> Crash:
        kind, copies = str(random.choice(KINDS)), self.folder / "copies"
        files = self._indexes()
        broken = tuple(file for file in files if damage(file, kind, copies, random))
        return replace(crash, kind=kind if files else "", broken=broken)

    def _survey(self, server: LiveServer, number: int, crash: Crash) -> str:
        """Everything that has to be true; answers the round's line."""
        random = np.random.default_rng([self.seed, number, 1000])
        api = Api(server.port)
        found = checks.listed(api)
        done, left = self.ledger.settle(found)
        checks.check_rows(self.folder / "data" / "seethrough.db", len(found))
        checks.check_deleted(api, self.ledger, random)
        checks.check_promises(api, self.ledger, random)
        api.close()
        approximate = checks.check_neighbors(server.port, self.ledger, random)
        anew = self._check_log(number, crash)
        drafts = list((self.folder / "data" / "index").glob("*.draft.*"))
        assert not drafts, f"left behind: {drafts}"
        assert server.get("/health/ready")[0] == 200
        self._count(crash, done, left, approximate, anew)
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(crash.acknowledged.items()))
        answers = "exact and approximate" if approximate else "exact"
        return (
            f"round {number}: killed after {crash.after_s:.2f} s; "
            f"acknowledged {counts or 'nothing'}; in flight {crash.in_flight}: {done} done, "
            f"{left} not; indexes {crash.kind or 'untouched'}, made anew {anew or 'none'}; "
            f"{len(found)} items, neighbors {answers}"
        )

    def _check_log(self, number: int, crash: Crash) -> list[str]:
        """A file that cannot be believed is said to be; answers what was said of each."""
        lines = self._log(number).read_text().splitlines()
        anew = [line for line in lines if _MADE_ANEW in line]
        for file in crash.broken:
            assert any(str(file) in line for line in anew), f"{file} was {crash.kind}: no log line"
        return [line.partition(f"{_MADE_ANEW}: ")[2] for line in anew]

    def _count(
        self, crash: Crash, done: int, left: int, approximate: bool, anew: list[str]
    ) -> None:
        self.totals.update(crash.acknowledged)
        self.totals["in flight, done"] += done
        self.totals["in flight, not done"] += left
        self.totals["rounds with damaged indexes"] += bool(crash.kind)
        self.totals["rounds with approximate answers"] += approximate
        self.totals["indexes made anew"] += len(anew)

    def _sum(self, rounds: int) -> str:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(self.totals.items()))
        return f"{rounds} rounds, seed {self.seed}: {counts}; nothing lost, doubled or come back"

    def _verify(self) -> str:
        """`seethrough verify` on the folder, once as it is built and once with small indexes."""
        said = []
        for module in ("service", _SERVER):
            command = ["-W", "ignore", "-m", module, "verify", "--data-dir"]
            done = subprocess.run(
                [sys.executable, *command, str(self.folder / "data")],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            said.append(done.stdout.strip())
        return said[-1]
