import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import Any

import pytest

from core.compute.metrics import Metrics
from core.compute.worker import BatchWorker, Lane, Solo
from core.errors import DeadlinePassed, Draining, QueueFull


class Recorder:
    """A batch function that notes its batches and fails on payloads marked bad."""

    def __init__(self, max_batch: int = 4, then: Callable[[], None] = lambda: None) -> None:
        self.max_batch = max_batch
        self.batches: list[list[Any]] = []
        self._then = then

    def __call__(self, payloads: Sequence[Any]) -> Sequence[Any]:
        self.batches.append(list(payloads))
        self._then()
        for payload in payloads:
            if isinstance(payload, BaseException):
                raise payload
        return [f"done {payload}" for payload in payloads]


class Gate:
    """Keeps the worker busy until opened."""

    def __init__(self, worker: BatchWorker, lane: Lane = Lane.INTERACTIVE) -> None:
        self._entered = threading.Event()
        self._opened = threading.Event()
        self.ticket = worker.submit(Solo(self._wait), None, lane=lane)

    def _wait(self) -> str:
        self._entered.set()
        assert self._opened.wait(10)
        return "gate"

    def reached(self) -> "Gate":
        assert self._entered.wait(10)
        return self

    def open(self) -> None:
        self._opened.set()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def worker(metrics: Metrics) -> Iterator[BatchWorker]:
    worker = BatchWorker(queue_size=32, metrics=metrics, clock=Clock())
    worker.start()
    yield worker
    assert worker.close(10)


def outcome(metrics: Metrics, name: str) -> float:
    value = metrics.registry.get_sample_value("seethrough_tickets_total", {"outcome": name})
    return value or 0.0


def test_an_idle_worker_runs_a_single_ticket_at_once(worker: BatchWorker) -> None:
    assert worker.submit(Recorder(), "a").future.result(10) == "done a"


def test_what_gathers_while_the_worker_is_busy_becomes_one_batch(worker: BatchWorker) -> None:
    gate = Gate(worker).reached()
    function = Recorder(max_batch=4)
    tickets = [worker.submit(function, i) for i in range(6)]
    gate.open()
    assert [each.future.result(10) for each in tickets] == [f"done {i}" for i in range(6)]
    assert function.batches == [[0, 1, 2, 3], [4, 5]]


def test_only_equal_functions_share_a_batch_and_order_is_kept(worker: BatchWorker) -> None:
    gate = Gate(worker).reached()
    one, two = Recorder(), Recorder()
    tickets = [worker.submit(one if i % 2 else two, i) for i in range(6)]
    gate.open()
    for ticket in tickets:
        ticket.future.result(10)
    assert two.batches == [[0, 2, 4]]
    assert one.batches == [[1, 3, 5]]


def test_batch_error_reaches_only_its_culprit(worker: BatchWorker) -> None:
    gate = Gate(worker).reached()
    function = Recorder(max_batch=8)
    culprit = ValueError("bad picture")
    tickets = [worker.submit(function, culprit if i == 5 else i) for i in range(8)]
    gate.open()
    for i, ticket in enumerate(tickets):
        if i == 5:
            assert ticket.future.exception(10) is culprit
        else:
            assert ticket.future.result(10) == f"done {i}"


def test_a_function_that_answers_too_few_results_fails_its_tickets(worker: BatchWorker) -> None:
    class Short:
        max_batch = 4

        def __call__(self, payloads: Sequence[Any]) -> Sequence[Any]:
            return []

    with pytest.raises(RuntimeError, match="0 results for 1 payloads"):
        worker.submit(Short(), "a").future.result(10)


def test_the_worker_survives_errors(worker: BatchWorker) -> None:
    function = Recorder()
    assert worker.submit(function, MemoryError()).future.exception(10) is not None
    assert worker.submit(function, "next").future.result(10) == "done next"


def test_interactive_tickets_go_before_bulk_ones(worker: BatchWorker) -> None:
    gate = Gate(worker).reached()
    order: list[str] = []
    bulk = worker.submit(Solo(lambda: order.append("bulk")), None, lane=Lane.BULK)
    quick = worker.submit(Solo(lambda: order.append("interactive")), None)
    gate.open()
    bulk.future.result(10)
    quick.future.result(10)
    assert order == ["interactive", "bulk"]


def test_probes_of_health_go_first_and_are_let_in_where_the_queue_is_full(
    metrics: Metrics,
) -> None:
    worker = BatchWorker(queue_size=2, metrics=metrics)
    order: list[str] = []
    for name in ("one", "two"):
        worker.submit(Solo(partial(order.append, name)), None)
    probe = worker.submit(Solo(partial(order.append, "probe")), None, lane=Lane.URGENT)
    with pytest.raises(QueueFull):
        worker.submit(Solo(partial(order.append, "three")), None)
    worker.start()
    probe.future.result(10)
    assert worker.close(10)
    assert order == ["probe", "one", "two"]


def test_bulk_work_is_not_starved_by_a_stream_of_interactive_work(worker: BatchWorker) -> None:
    gate = Gate(worker).reached()
    order: list[str] = []
    bulk = worker.submit(Solo(lambda: order.append("bulk")), None, lane=Lane.BULK)
    quick = [worker.submit(Solo(lambda: order.append("interactive")), None) for _ in range(20)]
    gate.open()
    for ticket in [bulk, *quick]:
        ticket.future.result(10)
    assert order.index("bulk") < len(order) - 1


def test_a_full_queue_refuses_and_says_when_to_come_back(metrics: Metrics) -> None:
    worker = BatchWorker(queue_size=3, metrics=metrics)
    tickets = [worker.submit(Recorder(), i) for i in range(3)]
    with pytest.raises(QueueFull) as refused:
        worker.submit(Recorder(), "one too many")
    assert refused.value.retry_after_s >= 1
    worker.start()
    assert [each.future.result(10) for each in tickets] == ["done 0", "done 1", "done 2"]
    assert worker.close(10)


def test_retry_after_grows_with_the_queue_and_the_measured_time(metrics: Metrics) -> None:
    clock = Clock()
    worker = BatchWorker(queue_size=8, metrics=metrics, clock=clock)
    worker.start()

    def take_ten_seconds() -> None:
        clock.now += 10

    before = worker.retry_after_s(8)
    worker.submit(Recorder(then=take_ten_seconds), "slow").future.result(10)
    assert worker.close(10)
    assert worker.retry_after_s(8) > before
    assert worker.retry_after_s(16) > worker.retry_after_s(8)


def test_places_of_cancelled_tickets_are_free_again(metrics: Metrics) -> None:
    worker = BatchWorker(queue_size=2, metrics=metrics)
    gone = [worker.submit(Recorder(), i) for i in range(2)]
    assert all(each.future.cancel() for each in gone)
    worker.submit(Recorder(), "fits")
    assert outcome(metrics, "cancelled") == 2


def test_cancelled_work_never_runs(worker: BatchWorker, metrics: Metrics) -> None:
    gate = Gate(worker).reached()
    function = Recorder()
    gone = worker.submit(function, "gone")
    stays = worker.submit(function, "stays")
    assert gone.future.cancel()
    gate.open()
    assert stays.future.result(10) == "done stays"
    assert function.batches == [["stays"]]
    with pytest.raises(CancelledError):
        gone.future.result(10)
    assert outcome(metrics, "cancelled") == 1


def test_expired_work_never_runs(metrics: Metrics) -> None:
    clock = Clock()
    worker = BatchWorker(queue_size=8, metrics=metrics, clock=clock)
    function = Recorder()
    late = worker.submit(function, "late", deadline=5.0)
    early = worker.submit(function, "early", deadline=50.0)
    clock.now = 6.0
    worker.start()
    assert early.future.result(10) == "done early"
    with pytest.raises(DeadlinePassed):
        late.future.result(10)
    assert function.batches == [["early"]]
    assert outcome(metrics, "expired") == 1
    assert worker.close(10)


def test_closing_finishes_what_waits_and_refuses_what_comes(metrics: Metrics) -> None:
    worker = BatchWorker(queue_size=8, metrics=metrics)
    tickets = [worker.submit(Recorder(), i) for i in range(3)]
    worker.start()
    assert worker.close(10)
    assert [each.future.result(0) for each in tickets] == ["done 0", "done 1", "done 2"]
    with pytest.raises(Draining):
        worker.submit(Recorder(), "late")


def test_code_that_calls_exit_fails_alone_and_ends_no_event_loop(worker: BatchWorker) -> None:
    gate = Gate(worker).reached()
    function = Recorder()
    exiting, other = worker.submit(function, SystemExit(3)), worker.submit(function, "other")
    gate.open()
    assert other.future.result(10) == "done other"
    with pytest.raises(RuntimeError, match=r"it ends the program by exit\(3\)"):
        exiting.future.result(10)
    assert worker.alive


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_every_ticket_ends_even_if_the_thread_dies(metrics: Metrics) -> None:
    worker = BatchWorker(queue_size=8, metrics=metrics)
    fatal = worker.submit(Recorder(max_batch=1), KeyboardInterrupt())
    waiting = worker.submit(Recorder(max_batch=1), "waiting")
    worker.start()
    for ticket in (fatal, waiting):
        with pytest.raises(Draining):
            ticket.future.result(10)
    assert worker.close(10)
    assert not worker.alive


def test_accepted_tickets_equal_those_that_ended(worker: BatchWorker, metrics: Metrics) -> None:
    gate = Gate(worker).reached()
    function = Recorder()
    tickets = [worker.submit(function, ValueError() if i % 3 == 0 else i) for i in range(12)]
    for ticket in tickets[::4]:
        ticket.future.cancel()
    gate.open()
    assert worker.close(10)
    ended = sum(outcome(metrics, name) for name in ("answered", "failed", "cancelled", "expired"))
    assert outcome(metrics, "accepted") == ended == 13


def test_tickets_submitted_from_many_threads_all_end(worker: BatchWorker) -> None:
    function = Recorder(max_batch=3)
    results: list[str] = []

    def client(number: int) -> None:
        for i in range(5):
            results.append(worker.submit(function, (number, i)).future.result(10))

    threads = [threading.Thread(target=client, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(results) == 30
    assert all(len(batch) <= 3 for batch in function.batches)
