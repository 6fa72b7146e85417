"""The Dockerfile's health check, and the defaults of its build arguments."""

import json
import re
from pathlib import Path

DOCKERFILE = (Path(__file__).parent.parent.parent / "Dockerfile").read_text()
_FOUND = re.search(r"^HEALTHCHECK .*?CMD (\[.*?\])$", DOCKERFILE, re.M | re.S)
assert _FOUND is not None

HEALTHCHECK: list[str] = json.loads(_FOUND[1])
"""The command."""

DEFAULTS = dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE, re.M))
"""What a build takes where it is not told otherwise."""
