"""Jobs: one after another, in a process of their own, ended at any moment."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from core.errors import Conflict, Draining, InvalidValue, QueueFull
from core.projection.jobs import Job, Jobs, Loaded
from core.projection.pca import PcaPlacer
from core.projection.placement import from_bytes
from core.projection.request import Request
from core.projection.result import Result

WAIT_S = 60
COUNT, DIM = 30, 8
FOREVER = {
    "method": "tsne",
    "perplexity": 5,
    "iterations": 5000,
    "early_iterations": 5000,
}


class Kept:
    """What was kept of each job."""

    def __init__(self) -> None:
        self.states: dict[str, list[str]] = {}
        self.reasons: dict[str, str] = {}
        self.results: dict[str, tuple[bytes, bytes]] = {}
        self.ended: dict[str, threading.Event] = {}
        self.running = threading.Event()

    def __call__(
        self, job: Job, result: bytes | None = None, placement: bytes | None = None
    ) -> None:
        self.states.setdefault(job.id, []).append(job.state)
        self.reasons[job.id] = job.reason
        if result is not None and placement is not None:
            self.results[job.id] = (result, placement)
        if job.state == "running":
            self.running.set()
        elif job.state != "queued":
            self.ended.setdefault(job.id, threading.Event()).set()

    def wait(self, id: str) -> list[str]:
        assert self.ended.setdefault(id, threading.Event()).wait(WAIT_S)
        return self.states[id]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def jobs(kept: Kept) -> Iterator[Jobs]:
    jobs = Jobs(kept, limit=2)
    yield jobs
    jobs.close()


def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(COUNT, DIM)).astype(np.float32)


def load(file: Path) -> Loaded:
    file.write_bytes(rows().tobytes())
    ids = [f"i{index}" for index in range(COUNT)]
    return Loaded(ids, ["a", None, "b"] * 10, ["cat"] * COUNT, DIM, seq=7)


def job(id: str, load: Callable[[Path], Loaded] = load, **parameters: object) -> Job:
    return Job(id, "c", Request.of({"method": "pca", **parameters}), load)


def test_a_job_ends_with_a_map_and_what_places_more(jobs: Jobs, kept: Kept) -> None:
    asked = job("one")
    jobs.submit(asked)
    assert kept.wait("one") == ["running", "done"]
    content, placement = kept.results["one"]
    result = Result.from_bytes(content)
    assert result.ids == tuple(f"i{index}" for index in range(COUNT))
    assert result.labels[:3] == ("a", None, "b")
    assert (asked.count, asked.seq, asked.progress) == (COUNT, 7, 1)
    placed = from_bytes(placement, PcaPlacer.of).place_one(rows()[4])
    assert placed == pytest.approx(result.coordinates[4], abs=1e-4)


def test_jobs_run_one_after_another(jobs: Jobs, kept: Kept) -> None:
    jobs.submit(job("one"))
    jobs.submit(job("two", dims=3))
    assert kept.wait("two")[-1] == "done"
    assert list(kept.states) == ["one", "two"]


def test_a_full_queue_says_when_to_come_back(jobs: Jobs, kept: Kept) -> None:
    jobs.submit(job("runs", **FOREVER))
    assert kept.running.wait(WAIT_S)
    jobs.submit(job("waits"))
    jobs.submit(job("waits, too"))
    with pytest.raises(QueueFull) as caught:
        jobs.submit(job("too many"))
    assert caught.value.retry_after_s > 0


def test_a_running_job_is_ended_and_the_next_begins(jobs: Jobs, kept: Kept) -> None:
    forever = job("forever", **FOREVER)
    jobs.submit(forever)
    jobs.submit(job("next"))
    assert kept.running.wait(WAIT_S)
    assert jobs.find("forever") is forever
    jobs.cancel(forever)
    assert kept.wait("forever")[-1] == "cancelled"
    assert kept.wait("next")[-1] == "done"
    assert jobs.find("forever") is None


def test_a_waiting_job_that_is_cancelled_never_begins(jobs: Jobs, kept: Kept) -> None:
    jobs.submit(job("runs", **FOREVER))
    assert kept.running.wait(WAIT_S)
    waiting = job("waits")
    jobs.submit(waiting)
    jobs.cancel(waiting)
    assert kept.wait("waits") == ["cancelled"]


def test_what_cannot_be_read_fails_with_its_reason(jobs: Jobs, kept: Kept) -> None:
    def gone(_file: Path) -> Loaded:
        raise Conflict("it is gone")

    def broken(_file: Path) -> Loaded:
        raise RuntimeError("a secret")

    jobs.submit(job("gone", gone))
    jobs.submit(job("broken", broken))
    assert kept.wait("gone")[-1] == "failed"
    assert kept.reasons["gone"] == "it is gone"
    assert kept.wait("broken")[-1] == "failed"
    assert "secret" not in kept.reasons["broken"]


def test_too_few_points_fail_with_the_allowed_range(jobs: Jobs, kept: Kept) -> None:
    jobs.submit(job("few", method="tsne", perplexity=15))
    assert kept.wait("few")[-1] == "failed"
    assert "third of the 30" in kept.reasons["few"]


def test_closing_ends_what_runs_and_takes_no_more(kept: Kept) -> None:
    jobs = Jobs(kept)
    jobs.submit(job("runs", **FOREVER))
    assert kept.running.wait(WAIT_S)
    jobs.close()
    assert kept.states["runs"][-1] == "failed"
    assert "stopped" in kept.reasons["runs"]
    with pytest.raises(Draining):
        jobs.submit(job("late"))


def test_requests_are_checked_and_keep_their_parameters() -> None:
    request = Request.of({"method": "tsne", "perplexity": 5, "dims": None})
    assert Request.of(request.to_json()) == request
    assert request.to_json()["dims"] == 2
    for wrong in (
        {},
        {"method": "x"},
        {"method": "pca", "perplexity": 3},
        {"method": "pca", "sample": 1},
    ):
        with pytest.raises(InvalidValue):
            Request.of(wrong)
    with pytest.raises(InvalidValue, match="200000"):
        Request.of({"method": "pca"}).check(200_001, 4)
    Request.of({"method": "pca", "sample": 1000}).check(200_001, 4)


def test_a_damaged_result_is_no_result() -> None:
    for content in (b"", b"x" * 100):
        with pytest.raises(ValueError, match="not a projection"):
            Result.from_bytes(content)
