"""Items that something else has changed on the disk: each said alone, the rest as ever."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from core.engine import Engine
from core.gallery.sqlite.database import connect
from core.gallery.sqlite.local import DATABASE
from core.models.registry import ModelRegistry
from service.app import create_app
from tests.conftest import settings, wait_until_ready
from tests.pictures import jpeg
from tests.service.gallery_client import JPEG, add, make


@pytest.fixture
def stored(registry: ModelRegistry, tmp_path: Path) -> Iterator[TestClient]:
    """A service of its own, with its data in tmp_path."""
    chosen = settings(models="tiny", data_dir=tmp_path)
    engine = Engine(chosen.engine_config(), registry)
    with TestClient(create_app(chosen, engine)) as client:
        wait_until_ready(client, engine)
        yield client


def test_a_damaged_item_is_a_problem_alone_and_missing_in_lists(
    stored: TestClient, tmp_path: Path
) -> None:
    path = make(stored, "c")
    for id in ("a", "b", "d"):
        assert add(stored, path, "coffee", id=id, metadata='{"n": 1}').status_code == 201
    with closing(connect(tmp_path / DATABASE)) as connection:
        connection.execute("UPDATE items SET metadata = '{\"n\": ' WHERE id = 'b'")
        connection.execute("UPDATE pictures SET thumbnail = x'ffd8' WHERE ordinal = 3")
    for problem in (
        stored.get(f"{path}/items/b"),
        stored.get(f"{path}/items/b/vector"),
        stored.patch(f"{path}/items/b", json={"label": "x"}),
        stored.get(f"{path}/items/d/thumbnail"),
    ):
        assert problem.status_code == 500, problem.text
        assert problem.json()["code"] == "record_damaged"
        assert "is damaged" in problem.json()["detail"]
    assert [each["id"] for each in stored.get(f"{path}/items").json()["items"]] == ["a", "d"]
    near = stored.post(f"{path}/neighbors", content=jpeg("coffee"), headers=JPEG)
    assert {each["id"] for each in near.json()["neighbors"]} == {"a", "d"}
    again = stored.put(f"{path}/items/d", content=jpeg("coffee"), headers=JPEG)
    assert again.status_code == 200
    assert stored.get(f"{path}/items/d/thumbnail").status_code == 200
    assert stored.delete(f"{path}/items/b").status_code == 204
    assert stored.get(f"{path}/items/b").status_code == 404
