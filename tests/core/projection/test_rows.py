"""Every row of the list of projection methods is whole, and a new one needs nothing else."""

import io
import json
from dataclasses import MISSING
from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidValue
from core.fields import described
from core.projection.child import ASKED, PLACEMENT, RESULT, VECTORS, compute
from core.projection.methods import (
    PROJECTION_METHODS,
    every_answer,
    every_parameter,
    project,
    row_of,
)
from core.projection.placement import from_bytes, place, to_bytes
from core.projection.request import Request
from core.projection.result import Result
from tests.core.projection.clouds import gaussian
from tests.core.projection.thrown import THROWN

COUNT, FEATURES = 40, 8


@pytest.fixture
def thrown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list with one line more."""
    monkeypatch.setitem(PROJECTION_METHODS, THROWN.name, THROWN)


@pytest.mark.parametrize("name", PROJECTION_METHODS)
def test_every_row_says_all_there_is_to_know(name: str) -> None:
    row = PROJECTION_METHODS[name]
    assert row.title
    assert row.text
    for each in described(row.parameters).values():
        assert each.default is not MISSING
        assert each.meaning.text
        assert each.meaning.example is not None
    parameters = row.parameters(**row.fitting(COUNT, False))
    assert row_of(parameters) is row
    made = project(gaussian(COUNT, FEATURES), parameters)
    assert made.coordinates.shape == (COUNT, 2)
    assert made.extras.keys() == (described(row.answers) if row.answers else {}).keys()
    assert (made.placer is None) == (row.placer is None)
    if made.placer is not None and row.placer is not None:
        again = from_bytes(to_bytes(made.placer), row.placer)
        new = gaussian(3, FEATURES, seed=1)
        assert (place(again, new) == place(made.placer, new)).all()


@pytest.mark.usefixtures("thrown")
def test_a_new_row_is_asked_for_computed_and_answered(tmp_path: Path) -> None:
    request = Request.of({"method": "thrown", "spread": 3, "seed": 1})
    assert Request.of(request.to_json()) == request
    rows = gaussian(COUNT, FEATURES)
    (tmp_path / VECTORS).write_bytes(rows.tobytes())
    items = {key: ["x"] * COUNT for key in ("ids", "labels", "predictions")}
    asked = {"parameters": request.to_json(), "dim": FEATURES, **items}
    (tmp_path / ASKED).write_text(json.dumps(asked))
    compute(tmp_path, 1)
    found = Result.from_bytes((tmp_path / RESULT).read_bytes())
    assert (found.coordinates == project(rows, request.parameters).coordinates).all()
    assert found.extras.keys() == {"largest_weight"}
    assert not (tmp_path / PLACEMENT).exists()
    with pytest.raises(InvalidValue, match="1 to 9"):
        Request.of({"method": "thrown", "spread": 10})
    with pytest.raises(InvalidValue, match="thrown has only dims, seed, spread"):
        Request.of({"method": "thrown", "perplexity": 10})


@pytest.mark.usefixtures("thrown")
def test_what_only_some_methods_have_says_whose_it_is() -> None:
    known = every_parameter()
    assert known["dims"].meaning.sentence == "2 or 3; 2 if left out."
    assert known["spread"].meaning.sentence == "How wide the map is, 1 to 9; random axes only."
    assert every_answer()["largest_weight"].meaning.sentence == "On an axis; random axes only."


def test_a_map_kept_before_methods_were_rows_can_be_read() -> None:
    figures = {
        "version": 1, "ids": ["a"], "labels": [None], "predictions": ["cat"],
        "trustworthiness": 0.9, "knn_preservation": 0.4, "neighbors": 10, "asked": 1,
        "explained_variance_ratio": None, "kl_divergence": 1.5,
    }  # fmt: skip
    written = Result(
        ids=("a",),
        labels=(None,),
        predictions=("cat",),
        coordinates=np.zeros((1, 2), np.float32),
        preserved=np.ones(1, np.float32),
        trustworthiness=0.9,
        knn_preservation=0.4,
        neighbors=10,
        asked=1,
        extras={"kl_divergence": 1.5},
    )
    text = np.frombuffer(json.dumps(figures).encode(), dtype=np.uint8)
    found = Result.from_bytes(_archive(text))
    assert found.extras == written.extras == Result.from_bytes(written.to_bytes()).extras
    assert (found.ids, found.asked) == (written.ids, written.asked)


def _archive(figures: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, figures=figures, coordinates=np.zeros((1, 2)), preserved=np.ones(1))
    return file.getvalue()
