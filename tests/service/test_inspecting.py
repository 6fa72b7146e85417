import io
import json
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from PIL import Image

from core.models.loaded import LoadedModel
from tests.core.inspect.hooks import hooks
from tests.pictures import encode, jpeg, photo
from tests.tinycnn import TinyCNN

LITE0 = "efficientnet-lite0"


def get(client: TestClient, path: str, **params: object) -> Response:
    return client.get(f"/v1/models/{path}", params=params)


def post(client: TestClient, path: str, name: str = "chelsea", **params: object) -> Response:
    return client.post(f"/v1/{path}", content=jpeg(name), params={"model": "tiny"} | params)


def array(answer: Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-npy"
    return np.load(io.BytesIO(answer.content), allow_pickle=False)


def picture(answer: Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.array(Image.open(io.BytesIO(answer.content)))


def refused(answer: Response, parameter: str) -> str:
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["parameter"] == parameter
    return answer.json()["detail"]


def test_the_layers_of_the_default_model_come_in_order_with_their_cost(client: TestClient) -> None:
    body = get(client, f"{LITE0}/layers").json()
    assert body["model"] == LITE0
    first, last = body["layers"][0], body["layers"][-1]
    assert first == {
        "name": "conv_stem",
        "type": "Conv2dSame",
        "input_shape": [3, 224, 224],
        "output_shape": [32, 112, 112],
        "parameters": 864,
        "macs": 112 * 112 * 32 * 27,
        "has_filters": True,
        "follows": ["input"],
        "receptive_field": [3, 3],
        "kernel": [3, 3],
        "stride": [2, 2],
        "padding": "same",
        "dilation": [1, 1],
        "groups": 1,
        "channel_axis": 0,
    }
    assert (last["name"], last["output_shape"], last["kernel"]) == ("classifier", [1000], None)
    assert body["totals"] == {"parameters": 4652008, "macs": 385187552}
    assert get(client, f"{LITE0}/layers").json() == body


def test_every_layer_with_filters_has_them(client: TestClient) -> None:
    rows = get(client, f"{LITE0}/layers").json()["layers"]
    names = [row["name"] for row in rows if row["has_filters"]]
    assert len(names) == 49
    for name in names[::8]:
        shape = get(client, f"{LITE0}/layers/{name}/filters").json()["shape"]
        weights = array(get(client, f"{LITE0}/layers/{name}/filters", format="npy"))
        assert weights.shape == tuple(shape)


def test_filters_are_the_weights(client: TestClient, lite0: LoadedModel) -> None:
    expected = lite0.module.get_submodule("blocks.1.0.conv_dw").weight.detach().numpy()
    path = f"{LITE0}/layers/blocks.1.0.conv_dw/filters"
    weights = array(get(client, path, format="npy"))
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, expected)
    np.testing.assert_array_equal(
        array(get(client, path, format="npy", channels="3,0-1")), expected[[3, 0, 1]]
    )
    body = get(client, path, channels="5").json()
    assert body["shape"] == list(expected.shape)
    (row,) = body["filters"]
    assert row["index"] == 5
    assert row["min"] == pytest.approx(expected[5].min())
    assert row["max"] == pytest.approx(expected[5].max())
    assert row["norm"] == pytest.approx(np.linalg.norm(expected[5]), rel=1e-5)


def test_filters_of_the_first_layer_are_drawn_in_color_and_deeper_ones_in_gray(
    client: TestClient,
) -> None:
    for scale in ("each", "shared"):
        drawn = picture(get(client, "tiny/layers/conv1/filters", format="png", scale=scale))
        assert (drawn.max(-1) > drawn.min(-1)).mean() > 0.1
        drawn = picture(get(client, "tiny/layers/conv2/filters", format="png", scale=scale))
        assert (drawn.max(-1) == drawn.min(-1)).all()
    accepted = client.get("/v1/models/gray/layers/conv1/filters", headers={"Accept": "image/png"})
    assert (picture(accepted).max(-1) == picture(accepted).min(-1)).all()


def test_what_has_no_filters_is_refused_with_what_has(client: TestClient) -> None:
    detail = refused(get(client, "tiny/layers/hidden/filters"), "layer")
    assert detail.endswith("a convolution, which a Linear is not; there are conv1, conv2")
    assert get(client, "tiny/layers/conv9/filters").json()["code"] == "unknown_layer"
    assert get(client, "nope/layers/conv1/filters").json()["code"] == "unknown_model"
    assert get(client, "nope/layers").json()["code"] == "unknown_model"
    assert "0 to 7" in refused(get(client, "tiny/layers/conv1/filters", channels="8"), "channels")
    assert "0-15,20" in refused(get(client, "tiny/layers/conv1/filters", channels="x"), "channels")
    refused(get(client, "tiny/layers/conv1/filters", scale="none"), "scale")
    answer = get(client, f"{quote('timm:resnet18')}/layers/layer1.0.conv1/filters")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")


@pytest.mark.parametrize("name", ["chelsea", "coffee"])
def test_activations_are_what_the_layer_puts_out(
    client: TestClient, lite0: LoadedModel, name: str
) -> None:
    import torch

    seen = []
    layer = lite0.module.get_submodule("blocks.1.1.conv_dw")
    handle = layer.register_forward_hook(lambda *given: seen.append(given[2].clone()))
    content = np.array(Image.open(io.BytesIO(jpeg(name))))
    with torch.no_grad():
        lite0.module(lite0.spec.preprocess(content)[None])
    handle.remove()
    expected = seen[0][0].numpy()
    asked = {"model": LITE0, "layer": "blocks.1.1.conv_dw"}
    values = array(post(client, "activations", name, format="npy", **asked))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-3)
    body = post(client, "activations", name, **asked).json()
    assert body["shape"] == list(expected.shape)
    means = [each["mean"] for each in body["channels"]]
    np.testing.assert_allclose(means, expected.mean((1, 2)), rtol=1e-3, atol=1e-3)
    assert [each["index"] for each in body["channels"]] == list(range(len(expected)))
    best = [each["index"] for each in body["most_active"]]
    assert best == np.argsort(-np.array(means), kind="stable")[:16].tolist()
    top = array(post(client, "activations", name, format="npy", top=3, **asked))
    np.testing.assert_array_equal(top, values[best[:3]])
    picked = array(post(client, "activations", name, format="npy", channels="4,0-1", **asked))
    np.testing.assert_array_equal(picked, values[[4, 0, 1]])
    assert body["image"]["format"] == "JPEG"


def test_every_layer_of_the_default_model_shows_its_activations(client: TestClient) -> None:
    rows = get(client, f"{LITE0}/layers").json()["layers"]
    for row in rows[::12]:
        asked = {"model": LITE0, "layer": row["name"]}
        body = post(client, "activations", **asked).json()
        assert body["shape"] == row["output_shape"], row["name"]
        assert picture(post(client, "activations", format="png", **asked)).shape[2] == 3


def test_a_block_that_is_no_leaf_shows_its_activations_too(client: TestClient) -> None:
    body = post(client, "activations", model=LITE0, layer="blocks.2").json()
    assert body["shape"] == [40, 28, 28]
    assert body["channel_axis"] == 0


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"layer": "conv1", "channels": "8"}, "channels"),
        ({"layer": "conv1", "channels": "3-1"}, "channels"),
        ({"layer": "conv1", "top": "9"}, "top"),
        ({"layer": "conv1", "top": "0"}, "top"),
        ({"layer": "conv1", "top": "2", "channels": "1"}, "top"),
        ({"layer": "conv1", "scale": "both"}, "scale"),
        ({}, "layer"),
    ],
)
def test_a_wrong_parameter_of_activations_is_named(
    client: TestClient, params: dict[str, str], parameter: str
) -> None:
    refused(post(client, "activations", **params), parameter)


def test_an_unknown_layer_is_404_with_the_known_ones(client: TestClient) -> None:
    place = {"channel": 0, "row": 0, "col": 0}
    for path, query in (("activations", {}), ("activations/unit", place)):
        answer = post(client, path, layer="conv9", **query)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_layer")
        assert "conv1" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["chelsea", "rocket"])
def test_a_units_products_add_up_to_its_activation(client: TestClient, name: str) -> None:
    for layer, channel, row, col in (
        ("conv_stem", 5, 0, 111),
        ("blocks.0.0.conv_dw", 31, 111, 0),
        ("blocks.1.0.conv_dw", 95, 55, 55),
        ("blocks.3.0.conv_pw", 7, 10, 3),
        ("conv_head", 1279, 6, 6),
    ):
        place = {"layer": layer, "channel": channel, "row": row, "col": col}
        body = post(client, "activations/unit", name, model=LITE0, **place).json()
        assert {key: body[key] for key in place} == place
        assert sum(body["per_input_channel"]) + body["bias"] == pytest.approx(body["sum"], abs=1e-6)
        assert body["sum"] == pytest.approx(body["value"], abs=1e-4)
        maps = array(post(client, "activations", name, model=LITE0, layer=layer, format="npy"))
        assert maps[channel, row, col] == pytest.approx(body["value"], abs=1e-4)
        products = array(post(client, "activations/unit", name, model=LITE0, format="npy", **place))
        assert list(products.shape) == body["patch_shape"] == body["filter_shape"]
        np.testing.assert_allclose(products.sum((1, 2)), body["per_input_channel"], atol=1e-5)


def test_a_units_receptive_field_lies_in_the_models_input(client: TestClient) -> None:
    place = {"model": LITE0, "layer": "conv_stem", "channel": 0, "row": 111, "col": 4}
    body = post(client, "activations/unit", **place).json()
    # TensorFlow's "same" puts the one row of padding below the picture.
    assert body["receptive_field"] == {"top": 222, "left": 8, "bottom": 224, "right": 11}
    assert body["receptive_field_followed"]


def test_a_unit_is_drawn_as_field_patch_filter_and_products(client: TestClient) -> None:
    place = {"layer": "conv1", "channel": 2, "row": 3, "col": 4, "format": "png"}
    drawn = picture(post(client, "activations/unit", **place))
    assert drawn.shape[1] > 400
    assert ((drawn == (255, 208, 0)).all(-1)).any()  # the frame around the receptive field


@pytest.mark.parametrize(
    ("params", "parameter", "allowed"),
    [
        ({"channel": 16}, "channel", "0 to 15"),
        ({"channel": -1}, "channel", "0 to 15"),
        ({"row": 16}, "row", "0 to 15"),
        ({"col": 99}, "col", "0 to 15"),
        ({"layer": "classifier"}, "layer", "which a Linear is not; there are conv1, conv2"),
        ({"layer": "inplace"}, "layer", "which a ReLU is not; there are conv1, conv2"),
        ({"row": "x"}, "row", "row='x'"),
    ],
)
def test_a_unit_that_is_not_there_is_named_with_the_range(
    client: TestClient, params: dict[str, object], parameter: str, allowed: str
) -> None:
    place = {"layer": "conv2", "channel": 0, "row": 0, "col": 0} | params
    assert allowed in refused(post(client, "activations/unit", **place), parameter)


def test_a_black_picture_has_no_nan_anywhere(client: TestClient) -> None:
    def refuse(text: str) -> None:
        raise AssertionError(text)

    black = encode(np.zeros((40, 40, 3), np.uint8), "PNG")
    for path, params in (
        ("activations", {"layer": "inplace"}),
        ("activations/unit", {"layer": "conv2", "channel": 1, "row": 5, "col": 6}),
    ):
        for form in ("json", "png"):
            query = {"model": "tiny", "format": form} | params
            answer = client.post(f"/v1/{path}", content=black, params=query)
            assert answer.status_code == 200
            if form == "json":
                json.loads(answer.text, parse_constant=refuse)


def test_a_form_that_cannot_be_made_is_406(client: TestClient) -> None:
    headers = {"Accept": "text/csv"}
    path = "/v1/models/tiny/layers/conv1/filters"
    assert client.get(path, headers=headers).status_code == 406
    query = {"model": "tiny", "layer": "conv1"}
    answer = client.post("/v1/activations", content=jpeg(), params=query, headers=headers)
    assert answer.status_code == 406


def test_looking_inside_leaves_no_hook_behind(client: TestClient, lite0: LoadedModel) -> None:
    post(client, "activations", model=LITE0, layer="conv_stem")
    post(client, "activations", model=LITE0, layer="conv_stem", channels="99")
    post(client, "activations/unit", model=LITE0, layer="conv_stem", channel=99, row=0, col=0)
    assert not hooks(lite0.module)


def test_the_weights_drawn_are_those_of_the_model_named(client: TestClient) -> None:
    weights = array(get(client, "tiny/layers/conv1/filters", format="npy"))
    np.testing.assert_array_equal(weights, TinyCNN().conv1.weight.detach().numpy())
    gray = array(get(client, "gray/layers/conv1/filters", format="npy"))
    assert gray.shape == (8, 1, 3, 3)


def test_photos_of_any_shape_are_taken(client: TestClient) -> None:
    tall = encode(photo("rocket")[:, :100], "PNG")
    query = {"model": "tiny", "layer": "conv2"}
    answer = client.post("/v1/activations", content=tall, params=query)
    assert answer.json()["shape"] == [16, 16, 16]
    assert answer.json()["image"]["width"] == 100
