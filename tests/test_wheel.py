"""The wheel holds all that the service needs, and runs from where it is installed."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of what git knows and is there, so that no leftover of a build is taken along."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "core", "service"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in [*filter(lambda each: (ROOT / each).exists(), listed), *ABOUT]:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    build = "from setuptools import build_meta; import sys; build_meta.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", build, str(made)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return next(made.glob("*.whl"))


ABOUT = ("pyproject.toml", "README.md", "LICENSE")


def test_the_wheel_holds_every_module_and_asset(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder, pattern in (
        ("core", "*.py"),
        ("service", "*.py"),
        ("core", "py.typed"),
        ("service", "py.typed"),
        ("service/explorer", "*.*"),
    ):
        files = {str(each.relative_to(ROOT)) for each in (ROOT / folder).rglob(pattern)}
        assert files
        assert files <= held
    assert not any(name.startswith(("tests", "benchmarks")) for name in held)


def test_the_installed_wheel_runs_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    shown = subprocess.run(
        [sys.executable, "-m", "service", "openapi"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        check=True,
    ).stdout
    assert shown == (ROOT / "openapi" / "openapi.json").read_bytes()
