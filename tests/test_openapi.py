"""The document is complete, is the committed one, and generates a client that works."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from tests.conftest import settings
from tests.pictures import jpeg
from tests.service.live import running

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(settings()).openapi()


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_committed_document_is_the_applications(document: dict[str, Any]) -> None:
    committed = json.loads((ROOT / "openapi" / "openapi.json").read_text())
    assert committed == json.loads(json.dumps(document)), "run: make openapi"


def test_every_operation_says_what_it_does_and_how_it_fails(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["summary"], name
        assert len(operation["description"]) > 20, name
        assert operation["tags"], name
        assert {"422", "500"} <= operation["responses"].keys(), name
        for status, answer in operation["responses"].items():
            assert answer["description"], (name, status)
            if status >= "400":
                assert list(answer["content"]) == ["application/problem+json"], (name, status)


def test_every_parameter_is_described_with_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query":
                assert parameter["description"], (name, parameter["name"])
                only_ours = parameter["name"] == "cursor"  # nobody else can make one
                assert parameter["schema"].get("examples") or only_ours, (name, parameter["name"])


def test_every_answers_fields_have_examples(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            plain = described.get("type") in ("string", "integer", "number")
            is_file = described.get("format") == "binary"
            assert not plain or is_file or described.get("examples"), (name, field)


def test_files_are_binary_everywhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert "contentMediaType" not in text
    for path in ("/v1/classify", "/v1/feature-vector"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        assert content["multipart/form-data"]["schema"]["$ref"].endswith("/ImageForm")
    binary = {"type": "string", "format": "binary"}
    schemas = document["components"]["schemas"]
    assert schemas["ImageForm"]["properties"]["image"] == binary
    assert schemas["ImagesForm"]["properties"]["image"]["items"] == binary


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.split('"')[0] in schemas


def test_the_page_assets_come_from_here(client: TestClient) -> None:
    for page in ("/", "/docs", "/redoc"):
        text = client.get(page).text
        assert "https://" not in text.replace("https://www.w3.org", ""), page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js"):
        assert client.get(f"/assets/docs/{asset}").status_code == 200


def test_a_generated_client_works_on_a_file(tmp_path: Path) -> None:
    made = subprocess.run(
        [
            str(Path(sys.executable).with_name("openapi-python-client")),
            *("generate", "--path", str(ROOT / "openapi" / "openapi.json")),
            *("--meta", "none", "--output-path", str(tmp_path / "made_client"), "--overwrite"),
            *("--config", str(ROOT / "openapi" / "client.yml"), "--fail-on-warning"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "arning" not in made.stdout + made.stderr, made.stdout
    sys.path.insert(0, str(tmp_path))
    try:
        client_module = importlib.import_module("made_client")
        classify = importlib.import_module("made_client.api.seeing.classify")
        form = importlib.import_module("made_client.models").ImageForm
        file = importlib.import_module("made_client.types").File
    finally:
        sys.path.remove(str(tmp_path))
    with (tmp_path / "log").open("w") as log, running(log) as server:
        import io

        body = form(image=file(payload=io.BytesIO(jpeg("coffee")), file_name="cup.jpg"))
        with client_module.Client(base_url=server.url) as client:
            answer = classify.sync(client=client, body=body)
    assert answer.predictions[0].label == "espresso"
