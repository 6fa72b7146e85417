"""This machine's pip settings, passed on so that a build can reach its packages as well."""

import ast
import subprocess
import sys
from pathlib import Path

# All that says where packages are; nothing else of the machine's belongs in an image's build.
_NAMES = (
    *("index-url", "extra-index-url", "find-links", "no-index", "constraint"),
    *("trusted-host", "proxy", "cert", "client-cert", "timeout", "default-timeout"),
)


def pip_settings() -> dict[str, str]:
    """By name, as `pip config list` tells them: the environment beats the files."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    found: dict[str, str] = {}
    for line in sorted(listed.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if name in _NAMES:
            found[name] = str(ast.literal_eval(value))
    return found


def written(settings: dict[str, str]) -> str:
    """The settings as a pip.conf."""
    lines = (f"{name} = {' '.join(value.split())}" for name, value in settings.items())
    return "\n".join(["[global]", *lines, ""])


def local_paths(settings: dict[str, str]) -> set[Path]:
    """Files and folders of this machine that the settings name."""
    found = set()
    for word in " ".join(settings.values()).split():
        if word.startswith("file://"):
            found.add(Path(word.removeprefix("file://")).parent)  # an index links to its siblings
        elif word.startswith("/"):
            found.add(Path(word))
    return {path for path in found if path.exists()}
