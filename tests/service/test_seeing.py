import base64
import io
import json

import numpy as np
import pytest
import timm
import torch
from fastapi.testclient import TestClient
from httpx2 import Response
from PIL import Image

from core.images.decode import decode
from core.models.loaded import LoadedModel
from core.models.predictions import probabilities
from tests.pictures import encode, hundred_photos, jpeg, photo

CATS = {"tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat", "lynx"}


def classify(client: TestClient, content: bytes, **params: object) -> Response:
    return client.post(
        "/v1/classify",
        params=params,  # type: ignore[arg-type]
        content=content,
        headers={"Content-Type": "application/octet-stream"},
    )


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("chelsea", CATS),
        ("coffee", {"espresso", "cup", "coffee mug"}),
        ("rocket", {"missile", "projectile", "space shuttle"}),
        ("flower", {"daisy", "bee", "pot", "vase", "rapeseed", "cardoon", "hip", "sea slug"}),
    ],
)
def test_real_photos_get_the_right_labels(client: TestClient, name: str, labels: set[str]) -> None:
    answer = classify(client, jpeg(name)).json()
    assert answer["model"] == "efficientnet-lite0"
    if name != "flower":  # a dahlia, which ImageNet does not have: only the form is checked
        assert answer["predictions"][0]["label"] in labels
    probabilities = [each["probability"] for each in answer["predictions"]]
    assert len(probabilities) == 5
    assert probabilities == sorted(probabilities, reverse=True)


def test_answers_equal_a_plain_timm_and_pillow_pipeline(lite0: LoadedModel) -> None:
    config = timm.data.resolve_data_config(
        {"mean": (0.5,) * 3, "std": (0.5,) * 3, "crop_pct": 0.875, "interpolation": "bicubic"},
        model=lite0.module,
    )
    transform = timm.data.create_transform(**config)
    agree = 0
    for pixels in hundred_photos():
        content = encode(pixels, quality=90)
        with torch.no_grad():
            row = transform(Image.open(io.BytesIO(content)))[None]
            theirs = probabilities(lite0.module(row).numpy())[0]
        image = decode(content, min_side_px=lite0.spec.preprocess.min_side_px)
        ours = probabilities(lite0.runtime(lite0.spec.preprocess(image.pixels)[None]).logits)[0]
        agree += int(ours.argmax() == theirs.argmax())
        assert np.abs(ours - theirs).max() <= 0.02
    assert agree >= 99


def test_a_photo_decoded_small_gives_the_same_answer(lite0: LoadedModel) -> None:
    preprocess = lite0.spec.preprocess
    large = np.array(
        Image.fromarray(photo("chelsea")).resize((3000, 2000), Image.Resampling.LANCZOS)
    )
    content = encode(large, quality=90)
    shrunk = decode(content, min_side_px=preprocess.min_side_px)
    assert shrunk.pixels.shape[0] < 2000
    rows = torch.stack([preprocess(shrunk.pixels), preprocess(decode(content).pixels)])
    small, full = probabilities(lite0.runtime(rows).logits)
    assert np.abs(small - full).max() <= 0.02


def test_the_three_ways_to_send_a_picture_give_the_same_answer(client: TestClient) -> None:
    content = jpeg("coffee")
    text = base64.b64encode(content).decode()
    answers = [
        classify(client, content),
        client.post("/v1/classify", content=content, headers={"Content-Type": "image/jpeg"}),
        client.post("/v1/classify", files={"image": ("cup.jpg", content, "image/jpeg")}),
        client.post("/v1/classify", json={"image": text}),
        client.post("/v1/classify", json={"image": f"data:image/jpeg;base64,{text}"}),
        client.post("/v1/classify", json={"image": "\r\n".join((text[:76], text[76:]))}),
    ]
    assert [each.status_code for each in answers] == [200] * 6
    assert all(each.json() == answers[0].json() for each in answers)


def test_the_picture_is_described_as_received(client: TestClient) -> None:
    content = encode(photo("chelsea"), "PNG")
    assert classify(client, content).json()["image"] == {
        "format": "PNG",
        "width": 451,
        "height": 300,
        "mode": "RGB",
        "bits": None,
        "orientation": 1,
        "frames": 1,
        "sha256": __import__("hashlib").sha256(content).hexdigest(),
    }


def test_probabilities_are_the_softmax_of_the_logits(client: TestClient) -> None:
    answer = classify(client, jpeg(), model="tiny", top_k=10).json()["predictions"]
    logits = np.array([each["logit"] for each in answer])
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose([each["probability"] for each in answer], expected, rtol=1e-5)


def test_several_models_are_served_at_once(client: TestClient) -> None:
    names = [each["name"] for each in client.get("/v1/models").json()["models"]]
    assert names == ["efficientnet-lite0", "tiny", "gray"]
    for name in names:
        assert classify(client, jpeg(), model=name, top_k=1).json()["model"] == name


def test_a_network_of_fewer_than_five_classes_answers_all_of_them(client: TestClient) -> None:
    assert len(classify(client, jpeg(), model="gray").json()["predictions"]) == 4
    assert len(classify(client, jpeg(), model="tiny").json()["predictions"]) == 5
    asked = classify(client, jpeg(), model="gray", top_k=5)
    assert (asked.status_code, asked.json()["detail"]) == (
        422,
        "top_k=5 is not allowed: 1 to 4, the number of classes",
    )
    many = client.post("/v1/classify/batch?model=gray", files={"image": jpeg()}).json()
    assert len(many["results"][0]["classification"]["predictions"]) == 4


@pytest.mark.parametrize("top_k", ["0", "-1", "1001", "many", "1e3"])
def test_a_wrong_top_k_is_named_with_what_is_allowed(client: TestClient, top_k: str) -> None:
    answer = classify(client, jpeg(), top_k=top_k)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_value"
    assert answer.json()["errors"][0]["parameter"] == "top_k"
    assert top_k in answer.json()["errors"][0]["value"]


def test_an_unknown_model_names_the_served_ones(client: TestClient) -> None:
    answer = classify(client, jpeg(), model="resnet\n50")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")
    assert "efficientnet-lite0, tiny, gray" in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_one_bad_picture_of_many_fails_alone(client: TestClient) -> None:
    files = [
        ("image", ("cat.jpg", jpeg("chelsea"), "image/jpeg")),
        ("image", ("bad.jpg", b"this is text", "image/jpeg")),
        ("image", ("cup.jpg", jpeg("coffee"), "image/jpeg")),
    ]
    answer = client.post("/v1/classify/batch", files=files, params={"top_k": 1})
    results = answer.json()["results"]
    assert answer.status_code == 200
    assert [each["status"] for each in results] == [200, 415, 200]
    assert [each["name"] for each in results] == ["cat.jpg", "bad.jpg", "cup.jpg"]
    assert results[0]["classification"] == classify(client, jpeg("chelsea"), top_k=1).json()
    assert results[1]["problem"]["code"] == "image_unsupported"
    assert results[1]["classification"] is None


def test_a_batch_without_pictures_or_with_too_many_is_refused(client: TestClient) -> None:
    many = [("image", ("a.jpg", b"x", "image/jpeg"))] * 65
    assert client.post("/v1/classify/batch", files=many).status_code == 422
    wrong = client.post("/v1/classify/batch", content=jpeg(), headers={"Content-Type": "image/png"})
    assert wrong.status_code == 415


def test_feature_vector_is_the_input_of_the_last_linear_layer(
    client: TestClient, lite0: LoadedModel
) -> None:
    answer = client.post("/v1/feature-vector", files={"image": jpeg()}).json()
    assert (answer["layer"], answer["dim"], len(answer["vector"])) == ("classifier", 1280, 1280)
    vector = torch.tensor(answer["vector"])
    logits = lite0.module.classifier(vector[None])[0]  # type: ignore[operator]
    top = classify(client, jpeg(), top_k=1).json()["predictions"][0]
    assert int(logits.argmax()) == top["class_index"]
    assert float(logits.max()) == pytest.approx(top["logit"], abs=1e-3)


def test_feature_vector_as_npy_equals_the_json(client: TestClient) -> None:
    files = {"image": jpeg()}
    expected = client.post("/v1/feature-vector", files=files).json()["vector"]
    asked = client.post("/v1/feature-vector", files=files, params={"format": "npy"})
    accepted = client.post(
        "/v1/feature-vector", files=files, headers={"Accept": "application/x-npy"}
    )
    for answer in (asked, accepted):
        assert answer.headers["content-type"] == "application/x-npy"
        array = np.load(io.BytesIO(answer.content), allow_pickle=False)
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, np.float32(expected))


@pytest.mark.parametrize(("pool", "dim"), [("avg", 40), ("max", 40), ("flatten", 40 * 28 * 28)])
def test_any_layers_output_is_a_vector(client: TestClient, pool: str, dim: int) -> None:
    params = {"layer": "blocks.2", "pool": pool}
    answer = client.post("/v1/feature-vector", files={"image": jpeg()}, params=params).json()
    assert (answer["layer"], answer["pool"], answer["dim"]) == ("blocks.2", pool, dim)


def test_an_unknown_layer_or_pooling_is_refused(client: TestClient) -> None:
    files = {"image": jpeg()}
    layer = client.post("/v1/feature-vector", files=files, params={"layer": "conv99"})
    assert (layer.status_code, layer.json()["code"]) == (404, "unknown_layer")
    assert "conv_stem" in layer.json()["detail"]
    pool = client.post("/v1/feature-vector", files=files, params={"pool": "median"})
    assert pool.status_code == 422


@pytest.mark.parametrize(
    ("headers", "params"),
    [({"Accept": "image/png"}, {}), ({}, {"format": "png"}), ({"Accept": "text/html"}, {})],
)
def test_a_form_that_cannot_be_made_is_406(
    client: TestClient, headers: dict[str, str], params: dict[str, str]
) -> None:
    answer = client.post("/v1/classify", files={"image": jpeg()}, headers=headers, params=params)
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


def test_no_answer_holds_nan_or_infinity(client: TestClient) -> None:
    def refuse(text: str) -> None:
        raise AssertionError(text)

    text = client.post("/v1/feature-vector", files={"image": jpeg()}).text
    json.loads(text, parse_constant=refuse)
