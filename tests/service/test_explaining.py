import asyncio
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from PIL import Image

from core.compute.call import Call
from core.compute.worker import Solo
from core.engine import Engine
from core.errors import DeadlinePassed, InvalidValue
from core.explain.cam import GradCam
from core.explain.guided import GuidedBackprop
from core.explain.integrated import IntegratedGradients
from core.explain.methods import METHODS
from core.explain.occlusion import Occlusion
from core.explain.saliency import Saliency
from core.explain.smoothgrad import SmoothGrad
from core.models.registry import ModelRegistry
from core.types import ImageFile
from tests.conftest import settings
from tests.pictures import encode, jpeg, photo
from tests.tinycnn import tiny_spec

QUICK = {
    "occlusion": {"window": "8", "stride": "8"},
    "smoothgrad": {"samples": "2"},
    "integrated-gradients": {"steps": "4"},
}


def explain(client: TestClient, method: str, name: str = "chelsea", **params: str) -> Response:
    query = {"model": "tiny"} | QUICK.get(method, {}) | params
    return client.post(f"/v1/explain/{method}", content=jpeg(name), params=query)


def picture(answer: Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.array(Image.open(io.BytesIO(answer.content)))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_a_map_for_its_target(client: TestClient, method: str) -> None:
    body = explain(client, method, target="3").json()
    assert (body["model"], body["method"]) == ("tiny", method)
    assert body["target"]["class_index"] == 3
    assert body["target"]["label"] == "class 3"
    assert 0 < body["target"]["probability"] < 1
    assert np.array(body["map"]).shape == (32, 32)
    assert body["image"]["format"] == "JPEG"
    assert body["scale"]["high"] > 0


@pytest.mark.parametrize("method", METHODS)
def test_json_png_and_npy_come_from_one_result(client: TestClient, method: str) -> None:
    body = explain(client, method).json()
    file = explain(client, method, format="npy")
    array = np.load(io.BytesIO(file.content), allow_pickle=False)
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, np.array(body["map"]), rtol=1e-4, atol=1e-6)
    drawn = picture(explain(client, method, format="png"))
    assert drawn.shape == (32, 32, 3)


@pytest.mark.parametrize("method", METHODS)
def test_the_default_target_is_the_top_prediction(client: TestClient, method: str) -> None:
    top = client.post("/v1/classify?model=tiny&top_k=1", content=jpeg()).json()["predictions"][0]
    target = explain(client, method).json()["target"]
    assert target["class_index"] == top["class_index"]
    assert target["probability"] == pytest.approx(top["probability"], abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("target", "text"),
    [("10", "0 to 9"), ("-1", "0 to 9"), ("class 33", "class 3"), ("nonsense", "exact text")],
)
def test_a_wrong_target_names_the_range(
    client: TestClient, method: str, target: str, text: str
) -> None:
    answer = explain(client, method, target=target)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "target"
    assert text in answer.json()["detail"]


def test_a_labels_exact_text_is_a_target(client: TestClient) -> None:
    assert explain(client, "saliency", target="class 7").json()["target"]["class_index"] == 7


def test_a_label_of_two_classes_is_refused_with_both() -> None:
    spec = replace(tiny_spec(), labels=("crane", "tabby", "crane"))
    with pytest.raises(InvalidValue, match=r"\[0, 2\], by index"):
        spec.class_index("crane")
    assert spec.class_index("tabby") == spec.class_index("1") == 1


def test_occlusion_reports_its_grid_scores_and_cost(client: TestClient) -> None:
    body = explain(client, "occlusion", window="8x16", stride="8", fill="gray").json()
    assert body["grid"]["tops"] == [0, 8, 16, 24]
    assert body["grid"]["lefts"] == [0, 8, 16]
    assert (body["grid"]["rows"], body["grid"]["cols"]) == (4, 3)
    assert (body["grid"]["window"], body["grid"]["fill"]) == ([8, 16], "gray")
    assert np.array(body["score_map"]).shape == np.array(body["class_map"]).shape == (4, 3)
    assert body["forwards"] == 13
    assert body["baseline"] == pytest.approx(body["target"]["probability"], abs=1e-5)
    assert set(body["labels"]) == {str(each) for row in body["class_map"] for each in row}


def test_too_much_work_is_refused_with_the_estimate(client: TestClient) -> None:
    answer = explain(client, "occlusion", model="efficientnet-lite0", window="4", stride="1")
    assert (answer.status_code, answer.json()["code"]) == (422, "cost_too_high")
    assert str(221 * 221 + 1) in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "params", "parameter"),
    [
        ("occlusion", {"window": "33"}, "window"),
        ("occlusion", {"window": "a"}, "window"),
        ("occlusion", {"stride": "9"}, "stride"),
        ("occlusion", {"fill": "pink"}, "fill"),
        ("saliency", {"reduce": "mean"}, "reduce"),
        ("smoothgrad", {"samples": "0"}, "samples"),
        ("smoothgrad", {"noise": "nan"}, "noise"),
        ("integrated-gradients", {"steps": "501"}, "steps"),
        ("saliency", {"colormap": "viridsi", "format": "png"}, "colormap"),
        ("saliency", {"alpha": "2"}, "alpha"),
        ("guided-backprop", {"layer": "conv1", "channel": "99"}, "channel"),
        ("guided-backprop", {"channel": "1"}, "channel"),
        ("guided-backprop", {"layer": "conv1", "target": "1"}, "target"),
        ("compare", {"methods": "saliency,magic"}, "methods"),
    ],
)
def test_a_wrong_parameter_is_named(
    client: TestClient, method: str, params: dict[str, str], parameter: str
) -> None:
    answer = explain(client, method, **params)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["parameter"] == parameter


def test_an_unknown_layer_is_404(client: TestClient) -> None:
    for method in ("grad-cam", "guided-backprop"):
        answer = explain(client, method, layer="conv9")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_layer")


def test_guided_backprop_explains_a_layer_a_channel_and_a_unit(client: TestClient) -> None:
    places = ({}, {"channel": "3"}, {"channel": "3", "row": "4", "col": "5"})
    for place in places:
        body = explain(client, "guided-backprop", layer="conv2", **place).json()
        expected = {"layer": "conv2", "channel": None, "row": None, "col": None}
        expected |= {name: int(value) for name, value in place.items()}
        assert {key: body["target"][key] for key in expected} == expected
        assert isinstance(body["target"]["value"], float)
        assert body["coverage"] == {"guided": 2, "unguided": {}, "rule": "guided"}


def test_integrated_gradients_add_up(client: TestClient) -> None:
    body = explain(client, "integrated-gradients", steps="300").json()
    total = np.array(body["map"]).sum()
    assert abs(total - body["logit_difference"]) == pytest.approx(
        body["completeness_error"], abs=1e-4
    )
    assert body["completeness_error"] < 0.01


def test_compare_judges_each_method(client: TestClient) -> None:
    body = explain(client, "compare", methods="saliency,grad-cam").json()
    assert [each["method"] for each in body["methods"]] == ["saliency", "grad-cam"]
    for each in body["methods"]:
        assert np.array(each["map"]).shape == (32, 32)
        assert 0 <= each["faithfulness"]["deletion"] <= 1
        assert 0 <= each["faithfulness"]["insertion"] <= 1


def test_compare_draws_one_strip(client: TestClient) -> None:
    one = picture(explain(client, "compare", methods="saliency", format="png"))
    two = picture(explain(client, "compare", methods="saliency,grad-cam", format="png"))
    assert two.shape[1] > 1.4 * one.shape[1]


@pytest.mark.parametrize("style", ["overlay", "heatmap", "mask", "cutout"])
def test_every_style_can_be_drawn_on_the_original(client: TestClient, style: str) -> None:
    stored = np.rot90(photo("chelsea"))
    content = encode(stored, "PNG")
    drawn = client.post(
        "/v1/explain/grad-cam",
        content=content,
        params={"model": "tiny", "format": "png", "size": "original", "style": style},
    )
    assert picture(drawn).shape == stored.shape


def test_the_methods_that_apply_are_listed(client: TestClient) -> None:
    assert set(client.get("/v1/models/tiny").json()["explanations"]) == set(METHODS)


def test_no_answer_holds_nan(client: TestClient) -> None:
    def refuse(text: str) -> None:
        raise AssertionError(text)

    black = encode(np.zeros((40, 40, 3), np.uint8), "PNG")
    for method in METHODS:
        query = {"model": "tiny"} | QUICK.get(method, {})
        text = client.post(f"/v1/explain/{method}", content=black, params=query).text
        json.loads(text, parse_constant=refuse)
        png = client.post(f"/v1/explain/{method}", content=black, params=query | {"format": "png"})
        assert picture(png).shape == (32, 32, 3)


@pytest.fixture
def engine(registry: ModelRegistry) -> Engine:
    return Engine(settings(models="tiny,gray").engine_config(), registry)


def test_concurrent_mixed_requests_equal_the_same_ones_alone(engine: Engine) -> None:
    quick = Occlusion((8, 8), (8, 8))
    methods = [Saliency(), GuidedBackprop(), GradCam(), quick, SmoothGrad(samples=2),
               IntegratedGradients(steps=3), Saliency("l2"), quick]  # fmt: skip
    asked = [
        (("chelsea", "coffee")[i % 2], methods[i % 8], ("tiny", "gray")[i // 8 % 2], str(i % 4))
        for i in range(32)
    ]

    async def compare() -> None:
        await engine.start()

        async def one(name: str, method: object, model: str, target: str) -> np.ndarray:
            (found,) = await engine.explainer.explain(
                ImageFile(jpeg(name)),
                [method],
                model=model,
                target=target,
                call=Call(),  # type: ignore[arg-type]
            )
            assert found.target.class_index == int(target)  # type: ignore[union-attr]
            return found.values

        together = await asyncio.gather(*(one(*each) for each in asked))
        for each, found in zip(asked, together, strict=True):
            alone = await one(*each)
            np.testing.assert_allclose(found, alone, rtol=1e-3, atol=1e-6, err_msg=str(each))
        await engine.close()

    asyncio.run(compare())


def test_a_deadline_stops_long_work_between_two_pieces(engine: Engine) -> None:
    async def run() -> float:
        await engine.start()
        began = engine.metrics.registry.get_sample_value
        name, labels = "seethrough_tickets_total", {"outcome": "accepted"}
        gate = threading.Event()
        engine.bridge.worker.submit(Solo(lambda: gate.wait(10)), None)
        with pytest.raises(DeadlinePassed):
            await engine.explainer.explain(
                ImageFile(jpeg()), [Occlusion((2, 2), (1, 1))], model="tiny", call=Call.within(0.2)
            )
        before = began(name, labels) or 0.0
        gate.set()
        await engine.probe(Call())
        after = began(name, labels) or 0.0
        await engine.close()
        return after - before

    assert asyncio.run(run()) == 2  # the probe's own two models: no piece came after the deadline


def test_interactive_work_goes_between_the_pieces_of_long_work(client: TestClient) -> None:
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(explain, client, "occlusion", window="4", stride="1")
        for _ in range(5):
            assert client.post("/v1/classify?model=tiny", content=jpeg()).status_code == 200
        assert long.result(60).json()["forwards"] == 29 * 29 + 1
