"""Owns importing a file of a folder: its other files can be imported too, by it alone."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import ModuleType

_lock = Lock()


def import_file(path: Path) -> ModuleType:
    """Import a Python file as part of a package of its own, which its folder is.

    It may import its neighbors as people write it, `import layers` or `from .layers import Block`;
    two folders may each have a `layers.py`. Imported anew each time.

    Raises:
        Exception: whatever the file raises.
    """
    folder = path.parent
    name = "seethrough_model_" + "".join(c if c.isalnum() else "_" for c in folder.name)
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    with _lock:
        for known in [each for each in sys.modules if each.partition(".")[0] == name]:
            del sys.modules[known]
        sys.modules[name] = package
        with _neighbors_first(folder, name):
            return importlib.import_module(f"{name}.{path.stem}")


@contextmanager
def _neighbors_first(folder: Path, package: str) -> Iterator[None]:
    """While the block runs, what lies in the folder is imported under its bare name."""
    own = {each.stem for each in folder.glob("*.py")} | {
        each.parent.name for each in folder.glob("*/*.py")
    }
    hidden = _taken(own)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        # Classes look their module up by the name they were made under.
        for bare, module in _taken(own).items():
            sys.modules.setdefault(f"{package}.{bare}", module)
        sys.modules.update(hidden)


def _taken(names: set[str]) -> dict[str, ModuleType]:
    """The modules of these names and what is inside them, out of `sys.modules`."""
    found = [each for each in sys.modules if each.partition(".")[0] in names]
    return {each: sys.modules.pop(each) for each in found}
