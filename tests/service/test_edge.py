"""What every answer is sent with, whatever made it."""

import re
from base64 import b64encode
from hashlib import sha256

import pytest
from fastapi.testclient import TestClient

from tests.pictures import jpeg
from tests.service.gallery_client import JPEG, make


def test_no_answer_may_be_taken_for_another_type(client: TestClient) -> None:
    item = f"{make(client, 'typed')}/items/a"
    answers = [
        client.put(item, content=jpeg(), headers=JPEG),
        client.get(item),
        client.get(f"{item}/thumbnail"),
        client.delete(item),
        client.post("/v1/explain/saliency?model=tiny&format=png", content=jpeg(), headers=JPEG),
        *(client.get(path) for path in ("/", "/docs", "/redoc", "/openapi.json", "/metrics")),
        *(client.get(f"/assets/{each}") for each in ("palettes.js", "explorer/explorer.css")),
        client.get("/nowhere"),
        client.get("/v1/models", headers={"Host": "evil.example"}),
    ]
    for answer in answers:
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"], answer.url


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_pages_of_the_document_run_no_script_but_their_own(client: TestClient, path: str) -> None:
    answer = client.get(path)
    rules = dict(
        each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; ")
    )
    inline = re.findall(r"<script>(.*?)</script>", answer.text, re.S)
    digests = [f"'sha256-{b64encode(sha256(each.encode()).digest()).decode()}'" for each in inline]
    assert rules["default-src"] == rules["frame-ancestors"] == "'none'"
    assert rules["script-src"].split() == ["'self'", *digests]
    assert "http" not in answer.headers["content-security-policy"]
