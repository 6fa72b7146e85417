"""The data folder taken away under a running service: it says so, and acknowledges nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from core.engine import Engine
from core.models.registry import ModelRegistry
from service.app import create_app
from tests.conftest import settings, wait_until_ready
from tests.pictures import jpeg
from tests.service.gallery_client import JPEG, add, make


@pytest.fixture
def stored(registry: ModelRegistry, tmp_path: Path) -> Iterator[TestClient]:
    """A service of its own, with its data in tmp_path / "data"."""
    chosen = settings(models="tiny", data_dir=tmp_path / "data")
    engine = Engine(chosen.engine_config(), registry)
    with TestClient(create_app(chosen, engine)) as client:
        wait_until_ready(client, engine)
        yield client


def test_a_lost_folder_makes_writes_and_readiness_503(stored: TestClient, tmp_path: Path) -> None:
    path = make(stored, "c")
    assert add(stored, path, "coffee", id="a").status_code == 201
    assert stored.get("/health/ready").status_code == 200
    shutil.rmtree(tmp_path / "data")
    for answer in (
        stored.put(f"{path}/items/b", content=jpeg("coffee"), headers=JPEG),
        stored.patch(f"{path}/items/a", json={"label": "x"}),
        stored.delete(f"{path}/items/a"),
        stored.post("/v1/collections", json={"name": "d"}),
        stored.get(f"{path}/items"),
        stored.get("/health/ready"),
    ):
        assert answer.status_code == 503, answer.text
        problem = answer.json()
        assert problem["code"] == "storage_unusable"
        assert "seethrough.db is no longer in the data folder" in problem["detail"]
        assert answer.headers["retry-after"] == "30"
    assert stored.get("/health/live").status_code == 200
    classified = stored.post("/v1/classify?model=tiny", content=jpeg("coffee"), headers=JPEG)
    assert classified.status_code == 200
