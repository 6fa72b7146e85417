"""What has to be true of a server after a crash, asked over HTTP and counted in the database."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.crash.api import COLLECTION, Api
from tests.crash.ledger import Ledger, State

_K = 10
_QUERIES = 12
_DELETED = 40
_LEAST_RECALL = 0.9


def listed(api: Api) -> dict[str, State]:
    """Every item of the listing, each of them once."""
    found: dict[str, State] = {}
    for item in api.items():
        assert item["id"] not in found, f"{item['id']} is listed twice"
        found[item["id"]] = State(item["sha256"], item["label"])
    return found


def check_rows(database: Path, count: int) -> None:
    """Items, vectors, pixels and pictures in the file: as many as are listed."""
    tables = {
        "items": "SELECT count(*) FROM items WHERE collection = ?",
        "vectors": "SELECT count(*) FROM vectors WHERE collection = ?",
        "pixels": "SELECT count(*) FROM pixels WHERE collection = ?",
        "pictures": "SELECT count(*) FROM pictures JOIN items USING (ordinal) WHERE collection = ?",
    }
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        query = "SELECT key FROM collections WHERE name = ?"
        key = connection.execute(query, (COLLECTION,)).fetchone()
        rows = {name: connection.execute(text, key).fetchone()[0] for name, text in tables.items()}
    assert set(rows.values()) == {count}, f"{rows}, listed are {count}"


def check_deleted(api: Api, ledger: Ledger, random: np.random.Generator) -> None:
    """None of those that were deleted is answered."""
    gone = ledger.gone
    picked = random.choice(gone, min(_DELETED, len(gone)), replace=False) if gone else []
    for id in map(str, picked):
        assert api.is_gone(id), f"{id} was deleted and is back"


def check_promises(api: Api, ledger: Ledger, random: np.random.Generator) -> None:
    """A request sent again with its key makes nothing new, and one that was lost is made now."""
    known = [key for key, each in ledger.promises.items() if each.id and ledger.told[each.id]]
    again = list(random.choice(known, min(5, len(known)), replace=False)) if known else []
    there = {state: id for id, state in ledger.told.items() if state}
    for key in [*ledger.unanswered, *map(str, again)]:
        promise = ledger.promises[key]
        made = api.post(promise.picture.content, promise.label, Idempotency_Key=key)
        before = promise.id or there.get(State(promise.picture.sha256, promise.label))
        assert before in (None, made["id"]), f"{key} made {before} and {made['id']}"
        if promise.id is None:
            ledger.promises[key] = type(promise)(promise.picture, promise.label, made["id"])
            ledger.told[made["id"]] = State(promise.picture.sha256, promise.label)


def check_neighbors(port: int, ledger: Ledger, random: np.random.Generator) -> bool:
    """Exact neighbors are those of brute force, approximate ones nearly, none was deleted.

    Returns:
        Whether some answers were approximate.
    """
    ids = ledger.living
    if not ids:
        return False
    matrix = _vectors(port, ids)
    api = Api(port)
    rows = random.integers(len(ids), size=_QUERIES)
    seeds: list[tuple[Any, NDArray[Any], str | None]] = [
        ({"item": ids[row]}, matrix[row], ids[row]) for row in rows
    ]
    for row in rows:
        point = np.float32(matrix[row] + random.normal(0, 0.1, matrix.shape[1]))
        seeds.append(({"vector": point.tolist()}, point.astype(np.float64), None))
    recalls, approximate = [], False
    for seed, point, excluded in seeds:
        away = dict(zip(ids, np.sqrt(((matrix - point) ** 2).sum(1)).tolist(), strict=True))
        away.pop(excluded or "", None)
        _compare(api.near(seed, _K), away, exact=True)
        found = api.near(seed, _K, exact=False)
        approximate = approximate or not found["exact"]
        recalls.append(_compare(found, away, exact=False))
    assert np.mean(recalls) >= _LEAST_RECALL, f"approximate answers find {np.mean(recalls):.1%}"
    _check_ghosts(api, ledger, set(ids))
    api.close()
    return approximate


def _vectors(port: int, ids: list[str]) -> NDArray[np.float64]:
    """(n, D): every vector, as the API gives it."""

    def fetch(chunk: list[str]) -> list[NDArray[np.float32]]:
        api = Api(port)
        found = [api.vector(id) for id in chunk]
        api.close()
        return found

    size = -(-len(ids) // 4)
    with ThreadPoolExecutor(4) as pool:
        chunks = pool.map(fetch, [ids[start : start + size] for start in range(0, len(ids), size)])
        return np.array([row for chunk in chunks for row in chunk], dtype=np.float64)


def _compare(answer: dict[str, Any], away: dict[str, float], *, exact: bool) -> float:
    """The share of the true neighbors that were found; every distance has to be true."""
    found = {each["id"]: each["distance"] for each in answer["neighbors"]}
    truth = sorted(away.values())[:_K]
    assert len(found) == len(answer["neighbors"]), "a neighbor is there twice"
    strangers = found.keys() - away.keys()
    assert not strangers, f"neighbors that should not be there: {strangers}"
    for id, distance in found.items():
        assert np.isclose(distance, away[id], rtol=1e-5, atol=1e-6), (id, distance, away[id])
    if exact:
        assert answer["exact"]
        distances = [each["distance"] for each in answer["neighbors"]]
        np.testing.assert_allclose(distances, truth, rtol=1e-5, atol=1e-6)
    return float(np.mean(np.sort(list(found.values())) <= truth[-1] * (1 + 1e-6)))


def _check_ghosts(api: Api, ledger: Ledger, alive: set[str]) -> None:
    """Pictures that are gone are looked for; what is found is something else."""
    held = {state.sha256 for state in ledger.told.values() if state}
    gone = [picture for digest, picture in ledger.pictures.items() if digest not in held]
    for picture in gone[-_DELETED:]:
        for exact in (True, False):
            found = {each["id"] for each in api.near(picture.content, 3, exact)["neighbors"]}
            assert found <= alive, f"deleted, and still found: {found - alive}"
            distances = [each["distance"] for each in api.near(picture.content, 1)["neighbors"]]
            assert all(distance > 0 for distance in distances), "a picture that is gone is found"
