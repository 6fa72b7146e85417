import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from core.compute.bridge import State
from core.compute.worker import Solo
from core.engine import Engine
from core.models.registry import ModelRegistry
from service.app import create_app
from tests.conftest import settings, wait_until_ready
from tests.pictures import jpeg


@pytest.fixture
def engine(registry: ModelRegistry) -> Engine:
    return Engine(settings(models="tiny", queue_size=2).engine_config(), registry)


@pytest.fixture
def tiny(engine: Engine) -> Iterator[TestClient]:
    app = create_app(settings(models="tiny", queue_size=2, deadline_s=5), engine)
    with TestClient(app) as client:
        wait_until_ready(client, engine)
        yield client


class Gate:
    """Keeps an engine's worker busy until opened."""

    def __init__(self, engine: Engine) -> None:
        self._opened = threading.Event()
        entered = threading.Event()

        def wait() -> None:
            entered.set()
            assert self._opened.wait(30)

        engine.bridge.worker.submit(Solo(wait), None)
        assert entered.wait(10)

    def open(self) -> None:
        self._opened.set()


def sample(engine: Engine, name: str, **labels: str) -> float:
    return engine.metrics.registry.get_sample_value(name, labels) or 0.0


def test_the_loop_is_watched(engine: Engine, tiny: TestClient) -> None:
    name = "seethrough_loop_held_seconds_bucket"
    assert tiny.portal is not None
    tiny.portal.call(time.sleep, 0.5)  # on the loop
    _until(lambda: sample(engine, name, le="+Inf") > sample(engine, name, le="0.25"), tiny)


def test_live_answers_while_models_load_and_ready_does_not(registry: ModelRegistry) -> None:
    released = threading.Event()

    class Slow(ModelRegistry):
        def load(self, *args: object, **options: object) -> object:  # type: ignore[override]
            assert released.wait(10)
            return registry.load(*args, **options)  # type: ignore[arg-type]

    chosen = settings(models="tiny")
    engine = Engine(chosen.engine_config(), Slow())
    with TestClient(create_app(chosen, engine)) as client:
        assert client.get("/health/live").status_code == 200
        loading = client.get("/health/ready")
        assert (loading.status_code, loading.json()["code"]) == (503, "not_ready")
        assert int(loading.headers["retry-after"]) >= 1
        refused = client.post("/v1/classify", files={"image": jpeg()})
        assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
        released.set()
        wait_until_ready(client, engine)
        assert client.get("/health/ready").status_code == 200


def test_ready_sends_a_picture_through_the_whole_path(tiny: TestClient, engine: Engine) -> None:
    before = sample(engine, "seethrough_tickets_total", outcome="answered")
    assert tiny.get("/health/ready").json()["status"] == "ready"
    assert sample(engine, "seethrough_tickets_total", outcome="answered") == before + 1


def test_ready_fails_when_the_worker_is_dead(tiny: TestClient, engine: Engine) -> None:
    assert engine.bridge.worker.close(10)
    assert tiny.get("/health/ready").status_code == 503
    assert tiny.get("/health/live").status_code == 200


def test_ready_fails_while_draining_and_new_work_is_refused(
    tiny: TestClient, engine: Engine
) -> None:
    engine.drain()
    for answer in (tiny.get("/health/ready"), tiny.post("/v1/classify", files={"image": jpeg()})):
        assert (answer.status_code, answer.json()["code"]) == (503, "draining")
        assert answer.headers["connection"] == "close"
        assert "retry-after" in answer.headers


def test_work_under_way_ends_while_draining(tiny: TestClient, engine: Engine) -> None:
    gate = Gate(engine)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(tiny.post, "/v1/classify", files={"image": jpeg()})
        _until(lambda: engine.bridge.worker.waiting == 1, tiny)
        engine.drain()
        gate.open()
        assert waiting.result(10).status_code == 200


def test_a_full_service_answers_503_with_retry_after(tiny: TestClient, engine: Engine) -> None:
    gate = Gate(engine)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(tiny.post, "/v1/classify", files={"image": jpeg()}) for _ in "ab"]
        _until(lambda: engine.bridge.worker.waiting == 2, tiny)
        refused = tiny.post("/v1/classify", files={"image": jpeg()})
        assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        gate.open()
        assert [each.result(10).status_code for each in waiting] == [200, 200]
    assert sample(engine, "seethrough_requests_shed_total", reason="queue_full") == 1


def test_a_deadline_that_passes_is_504_and_the_work_never_runs(
    tiny: TestClient, engine: Engine
) -> None:
    gate = Gate(engine)
    answer = tiny.post("/v1/classify", files={"image": jpeg()}, headers={"X-Deadline-Ms": "500"})
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_passed")
    gate.open()
    assert tiny.get("/health/ready").status_code == 200
    _until(lambda: sample(engine, "seethrough_tickets_total", outcome="cancelled") == 1, tiny)


@pytest.mark.parametrize("text", ["0", "-5", "soon", "1e3", "5001", "9" * 40, "٣"])
def test_a_wrong_deadline_is_refused(tiny: TestClient, text: str) -> None:
    headers = {"X-Deadline-Ms": text.encode("utf-8")}
    answer = tiny.post("/v1/classify", files={"image": jpeg()}, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "X-Deadline-Ms"


def test_metrics_count_requests_batches_and_times(tiny: TestClient) -> None:
    tiny.post("/v1/classify", files={"image": jpeg()})
    tiny.post("/v1/classify", content=b"text", headers={"Content-Type": "image/png"})
    text = tiny.get("/metrics").text
    route = 'seethrough_requests_answered_total{method="POST",route="/v1/classify",status='
    for line in (
        route + '"200"} 1.0',
        route + '"415"} 1.0',
        "seethrough_requests_cancelled_total 0.0",
        'seethrough_queue_tickets{lane="interactive"} 0.0',
    ):
        assert line in text
    for name in ("request", "decode", "forward", "queue"):
        assert f"seethrough_{name}_seconds_bucket" in text
    assert "seethrough_batch_size_bucket" in text


def test_accepted_requests_equal_those_answered(tiny: TestClient, engine: Engine) -> None:
    before = sample(engine, "seethrough_requests_accepted_total")
    for path in ("/nope", "/v1/models", "/health/ready", "/docs"):
        tiny.get(path)
    family = engine.metrics.answered.collect()[0]
    answered = sum(each.value for each in family.samples if each.name.endswith("_total"))
    assert sample(engine, "seethrough_requests_accepted_total") == answered >= before + 4


def test_an_engine_that_cannot_start_says_so_and_is_never_ready() -> None:
    failures: list[BaseException] = []
    chosen = settings(models="no-such-model")
    engine = Engine(chosen.engine_config())
    with TestClient(create_app(chosen, engine, on_failure=failures.append)) as client:
        _until(lambda: bool(failures), client)
        assert client.get("/health/ready").status_code == 503
    assert "no-such-model" in str(failures[0])
    assert engine.bridge.state is not State.READY


def _until(done: object, client: TestClient) -> None:
    """Poll through the server's own loop, so that its tasks move on; no timing is asserted."""
    for _ in range(5000):
        if done():  # type: ignore[operator]
            return
        client.get("/health/live")
    raise AssertionError("it never happened")


def test_closing_twice_is_harmless(registry: ModelRegistry) -> None:
    async def live() -> None:
        engine = Engine(settings(models="tiny").engine_config(), registry)
        await engine.start()
        assert await engine.close(10)
        assert await engine.close(10)

    asyncio.run(live())
