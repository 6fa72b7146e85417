"""A projection method that is added by a row is in the document, the list and the command line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent

# In a process of its own: what is served follows from the rows when it is imported.
ADD = """
from core.projection.methods import PROJECTION_METHODS
from tests.core.projection.thrown import THROWN

PROJECTION_METHODS[THROWN.name] = THROWN
"""
SERVE = f"""{ADD}
import asyncio, json
from service.app import create_app
from service.routers.projections import list_projection_methods
from tests.conftest import settings

listed = asyncio.run(list_projection_methods())
print(json.dumps([create_app(settings()).openapi(), listed.model_dump()]))
"""
HELP = f"""{ADD}
from service.cli.main import main

main(["project", "--help"])
"""


def python(script: str) -> str:
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def served() -> tuple[dict[str, Any], dict[str, Any]]:
    document, listed = json.loads(python(SERVE))
    return document["components"]["schemas"], listed


def test_its_parameters_and_answers_are_in_the_document(served: Any) -> None:
    schemas, _ = served
    wanted = schemas["ProjectionCreate"]["properties"]
    assert wanted["method"]["enum"] == ["pca", "tsne", "thrown"]
    assert wanted["spread"]["description"] == "How wide the map is, 1 to 9; random axes only."
    assert wanted["spread"]["examples"] == [2]
    answered = schemas["ProjectionResultPublic"]["properties"]
    assert answered["largest_weight"]["description"] == "On an axis; random axes only."


def test_it_is_listed_for_the_explorer(served: Any) -> None:
    _, listed = served
    last = listed["methods"][-1]
    assert (last["name"], last["title"], last["places"]) == ("thrown", "random axes", False)
    assert [each["name"] for each in last["parameters"]] == ["dims", "seed", "spread"]


def test_the_command_line_has_its_options() -> None:
    shown = python(HELP)
    assert "{pca,tsne,thrown}" in shown
    assert "--spread" in shown
