"""README's commands print what README shows, up to figures; its tables are the code's."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import PREFIX, Settings
from tests.service.live import running

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
_FIGURES = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")


def commands() -> list[tuple[str, str]]:
    """Each command of the section Use and the output shown below it."""
    use = README.split("\n## Use\n")[1].split("\n## ")[0]
    found: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", use, re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


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


def test_every_command_prints_what_readme_shows(tmp_path: Path) -> None:
    assert len(commands()) > 10
    with (tmp_path / "log").open("w") as log, running(log) as server:
        for command, shown in commands():
            assert shape(run(command, server.url)) == shape(shown), command


def test_every_endpoint_has_a_command() -> None:
    document = json.loads((ROOT / "openapi" / "openapi.json").read_text())
    used = " ".join(command for command, _ in commands())
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
    assert settings_table() in README


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)", README))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
