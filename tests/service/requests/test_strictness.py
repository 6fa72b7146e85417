"""Numbers in a query, as people and programs write them."""

import pytest
from fastapi.testclient import TestClient

from tests.pictures import jpeg

JPEG = {"Content-Type": "image/jpeg"}


@pytest.mark.parametrize("text", ["1_0", " 10", "10 ", "+10", "10.0", "1e1", "٣", "", "ten"])
def test_a_whole_number_is_ascii_digits_and_nothing_else(client: TestClient, text: str) -> None:
    for path, name in (("/v1/classify", "top_k"), ("/v1/explain/rise", "seed")):
        query = {"model": "tiny", name: text}
        answer = client.post(path, params=query, content=jpeg(), headers=JPEG)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")
        assert answer.json()["errors"] == [
            {
                "parameter": name,
                "value": repr(text),
                "message": "allowed: a whole number, such as 10",
            }
        ]


@pytest.mark.parametrize("text", ["0_1", "0.1_0", " 0.5", "+0.5", "nan", "inf", "0x1", ".", ""])
def test_a_number_has_a_point_and_an_exponent_at_most(client: TestClient, text: str) -> None:
    query = {"model": "tiny", "alpha": text, "format": "png"}
    answer = client.post("/v1/explain/saliency", params=query, content=jpeg(), headers=JPEG)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")
    assert answer.json()["errors"][0]["parameter"] == "alpha"


@pytest.mark.parametrize("text", ["0", "1", "0.5", ".5", "5e-1", "1.", "1E0"])
def test_every_usual_way_to_write_a_number_is_taken(client: TestClient, text: str) -> None:
    query = {"model": "tiny", "alpha": text, "format": "png"}
    answer = client.post("/v1/explain/saliency", params=query, content=jpeg(), headers=JPEG)
    assert answer.status_code == 200


def test_the_first_of_a_repeated_parameter_is_held_to_it_too(client: TestClient) -> None:
    answer = client.post("/v1/classify?model=tiny&top_k=1_0&top_k=3", content=jpeg(), headers=JPEG)
    assert answer.status_code == 422
