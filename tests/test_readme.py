"""The documents' commands print what they show, up to figures; their tables are the code's."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import PREFIX, Settings
from tests.service.live import running

ROOT = Path(__file__).parent.parent
README, TOUR, SETTINGS = (
    (ROOT / name).read_text() for name in ("README.md", "docs/tour.md", "docs/settings.md")
)
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FIGURES = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")


def commands(text: str) -> list[tuple[str, str]]:
    """Each command of a document's console blocks and the output shown below it."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", text, re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


USE = commands(README.split("\n## Use\n")[1].split("\n## ")[0])


def shape(text: str) -> object:
    """The text with figures blurred; JSON loses vectors and digests as well."""
    text = text.replace("AVIF, HEIF", "AVIF")  # with the extra `heic`
    try:
        parsed = json.loads(text)
    except ValueError:
        return _FIGURES.sub("#", text.strip())
    return _blurred(parsed)


def _blurred(value: object) -> object:
    if isinstance(value, dict):
        hidden = ("request_id", "digest", "sha256", "created_at", "updated_at")
        return {k: "..." if k in hidden else _blurred(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_blurred(each) for each in value]
    return round(value, 1) if isinstance(value, float) else value


def run(command: str, url: str) -> str:
    command = command.replace("http://127.0.0.1:8000", url)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shown", [USE, commands(TOUR)], ids=["README", "tour"])
def test_every_command_prints_what_is_shown(tmp_path: Path, shown: list[tuple[str, str]]) -> None:
    assert len(shown) >= 5
    with (tmp_path / "log").open("w") as log, running(log) as server:
        for command, output in shown:
            if "| jq" in command and shutil.which("jq") is None:
                pytest.skip("jq is not installed")
            assert shape(run(command, server.url)) == shape(output), command


def test_every_endpoint_has_a_command() -> None:
    document = json.loads((ROOT / "openapi" / "openapi.json").read_text())
    used = " ".join(command for command, _ in commands(TOUR))
    for path in document["paths"]:
        pattern = re.sub(r"\\\{.*?\\\}", "[^/ ]+", re.escape(path)) + r"(?=[\s'\"?]|$)"
        assert re.search(pattern, used), path


def settings_table() -> str:
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = ",".join(default) if isinstance(default, tuple) else default
        cell = f"`{shown}`" if shown not in ("", None) else ""
        lines.append(f"| `{PREFIX}{name.upper()}` | {cell} | {field.description} |")
    return "\n".join(lines)


def test_the_settings_table_is_complete() -> None:
    assert settings_table() in SETTINGS


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 135


def anchors(file: Path) -> set[str]:
    """What a document's headings are called in links."""
    heads = re.findall(r"^#+ (.+)$", file.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: str(each.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", document.read_text()):
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target
