import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from core import errors as core_errors
from core.compute.served import Served
from core.engine import Engine
from core.errors import InvalidValue, QueueFull, SeethroughError, UnknownModel
from core.models.registry import ModelRegistry
from service import errors as service_errors
from service.app import create_app
from service.errors import TABLE, answer_of, problem_of
from tests.conftest import settings, wait_until_ready
from tests.pictures import jpeg


def every_error() -> list[type[SeethroughError]]:
    found = [
        each
        for module in (core_errors, service_errors)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, SeethroughError)
    ]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("error", every_error())
def test_every_error_has_its_own_status_and_code(error: type[SeethroughError]) -> None:
    assert error in TABLE


def test_codes_are_not_shared() -> None:
    codes = [answer.code for answer in TABLE.values()]
    assert len(codes) == len(set(codes))


def test_an_error_without_a_row_answers_as_its_nearest_ancestor() -> None:
    class Special(QueueFull):
        """A kind of QueueFull."""

    assert answer_of(Special("full", retry_after_s=1)) == TABLE[QueueFull]


def test_the_text_of_an_unexpected_error_stays_inside() -> None:
    problem = problem_of(RuntimeError("/secret/path at 0x7f"))
    assert problem["status"] == 500
    assert "secret" not in str(problem)


def test_a_long_value_is_cut_and_escaped() -> None:
    detail = problem_of(InvalidValue("q", "x\n" * 1000, "short texts"))["detail"]
    assert len(detail) < 200
    assert "\n" not in detail


def test_a_long_list_of_known_names_is_bounded() -> None:
    detail = problem_of(UnknownModel("a", [f"model-{i}" for i in range(1000)]))["detail"]
    assert "and 980 more" in detail


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nope", 404, "not_found"),
        ("GET", "/v1/classify", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/models/nope", 404, "unknown_model"),
        ("POST", "/v1/classify?top_k=x", 422, "invalid_value"),
    ],
)
def test_every_error_is_a_problem(
    client: TestClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.request(method, path, content=jpeg() if method == "POST" else None)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert {"type", "title", "detail", "request_id"} <= problem.keys()
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_a_wrong_method_names_the_right_one(client: TestClient) -> None:
    answer = client.get("/v1/classify")
    assert "POST" in answer.json()["detail"]
    assert answer.headers["allow"] == "POST"


def test_a_sane_request_id_is_kept_and_a_strange_one_replaced(client: TestClient) -> None:
    kept = client.get("/v1/models", headers={"X-Request-ID": "job-7:a/b"})
    assert kept.headers["x-request-id"] == "job-7:a/b"
    for strange in ("a b", "x" * 129, "<script>", ""):
        answer = client.get("/v1/models", headers={"X-Request-ID": strange})
        assert answer.headers["x-request-id"] != strange
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


def test_server_timing_names_the_stages(client: TestClient) -> None:
    timing = client.post("/v1/classify", content=jpeg()).headers["server-timing"]
    stages = dict(each.split(";dur=") for each in timing.split(", "))
    assert set(stages) == {"body", "decode", "queue", "forward", "total"}
    assert all(float(each) >= 0 for each in stages.values())


def test_an_unexpected_error_is_a_500_with_an_id_and_no_details(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(_self: Served) -> None:
        raise RuntimeError("/etc/secret")

    monkeypatch.setattr(Served, "cards", explode)
    answer = client.get("/v1/models", headers={"X-Request-ID": "trace-me"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "trace-me"
    assert "secret" not in answer.text
    assert "/etc/secret" in caplog.text


@pytest.fixture(scope="module")
def locked(registry: ModelRegistry) -> Iterator[TestClient]:
    chosen = settings(models="tiny", api_keys="first-key, second-key")
    engine = Engine(chosen.engine_config(), registry)
    with TestClient(create_app(chosen, engine)) as client:
        wait_until_ready(client, engine)
        yield client


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer nope"}, 403),
        ({"X-API-Key": "first-ke"}, 403),
        ({"Authorization": "Bearer first-key"}, 200),
        ({"X-API-Key": "second-key"}, 200),
    ],
)
def test_api_keys_guard_v1(locked: TestClient, headers: dict[str, str], status: int) -> None:
    answer = locked.get("/v1/models", headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"


def test_health_metrics_and_pages_need_no_key(locked: TestClient) -> None:
    for path in ("/health/live", "/health/ready", "/metrics", "/", "/docs", "/openapi.json"):
        assert locked.get(path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/classify?topk=3"),
        ("POST", "/v1/explain/occlusion?mod=exact"),
        ("POST", "/v1/collections/default/neighbors?exat=true"),
        ("POST", "/v1/collections/default/items/batch?lable=cat"),
        ("GET", "/v1/collections/default/items?text=espresso"),
        ("GET", "/v1/models?model=tiny"),
    ],
)
def test_a_misspelled_parameter_does_not_pass_for_a_default(
    client: TestClient, method: str, path: str
) -> None:
    answer = client.request(method, path, content=jpeg() if method == "POST" else None)
    body = answer.json()
    assert (answer.status_code, body["code"]) == (422, "invalid_value")
    name = path.partition("?")[2].partition("=")[0]
    assert body["errors"][0]["parameter"] == name
    assert "the parameters here" in body["detail"] or "no parameters here" in body["detail"]


@pytest.mark.parametrize("label", ["%FF", "%ED%A0%80", "caf%E9"])
def test_a_query_that_is_not_utf_8_is_refused_not_mangled(client: TestClient, label: str) -> None:
    path = f"/v1/collections/default/items?label={label}"
    answer = client.post(path, content=jpeg(), headers={"Content-Type": "image/jpeg"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")
    assert label in answer.json()["detail"]
    assert "UTF-8" in answer.json()["detail"]


def test_a_strange_parameters_name_is_cut_and_escaped(client: TestClient) -> None:
    answer = client.get("/v1/models", params={"x\n" * 1000: "1"})
    assert answer.status_code == 422
    assert len(answer.json()["detail"]) < 300
    assert "\n" not in answer.json()["detail"]
