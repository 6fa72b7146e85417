"""Import a Python file of a folder, which may import its neighbors, and only it."""

import builtins
import hashlib
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

_lock = Lock()


def import_file(path: Path) -> ModuleType:
    """Import a Python file as part of a package of its own, which its folder is.

    It may import its neighbors as people write it, `import layers` or `from .layers import Block`,
    at its head, in `__init__` or in `forward`; two folders may each have a `layers.py`. Imported
    anew each time.

    Raises:
        Exception: whatever the file raises.
    """
    folder = path.parent
    name = package_name(folder)
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    with _lock:
        for known in [each for each in sys.modules if each.partition(".")[0] == name]:
            del sys.modules[known]
        sys.modules[name] = package
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
        _finder.folders[name] = neighbors(folder)
        with _neighbors_first(folder, name):
            return importlib.import_module(f"{name}.{path.stem}")


def package_name(folder: Path) -> str:
    """What the folder's files are in `sys.modules`: of two folders of one name, two names."""
    text = "".join(c if c.isalnum() else "_" for c in folder.name)
    return f"seethrough_model_{text}_{hashlib.sha256(bytes(folder.absolute())).hexdigest()[:8]}"


def neighbors(folder: Path) -> frozenset[str]:
    """What can be imported from a folder by its bare name: files, and folders with files."""
    inside = [*folder.glob("*/*.py"), *folder.glob("*/*/*.py")]
    return frozenset(
        [each.stem for each in folder.glob("*.py")]
        + [each.relative_to(folder).parts[0] for each in inside]
    )


# ---- imports written in the folder's files ----


class _Finder(MetaPathFinder):
    """Finds the files of folders, and has them import their neighbors by their bare names.

    Attributes:
        folders: what each package may import so.
    """

    def __init__(self) -> None:
        self.folders: dict[str, frozenset[str]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        package = fullname.partition(".")[0]
        if package not in self.folders:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            names = self.folders[package]
            spec.loader = _Loader(spec.loader.name, spec.loader.path, package, names)
        return spec


_finder = _Finder()


class _Loader(SourceFileLoader):
    """Runs a file with an `import` of its own: it goes by the globals that a function was made in.

    So it holds for what runs later as well, on any thread, and for no other code.
    """

    def __init__(self, fullname: str, path: str, package: str, names: frozenset[str]) -> None:
        super().__init__(fullname, path)
        self._package, self._names = package, names

    def exec_module(self, module: ModuleType) -> None:
        """See `importlib.abc.Loader`."""
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": self._import}
        super().exec_module(module)

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        first = name.partition(".")[0]
        if level or first not in self._names:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        found = builtins.__import__(f"{self._package}.{name}", globals, locals, fromlist or (), 0)
        return found if fromlist else sys.modules[f"{self._package}.{first}"]


# ---- imports by others while the file is imported ----


@contextmanager
def _neighbors_first(folder: Path, package: str) -> Iterator[None]:
    """While the block runs, `importlib.import_module` finds what lies in the folder, too."""
    own = neighbors(folder)
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


def _taken(names: frozenset[str]) -> dict[str, ModuleType]:
    """The modules of these names and what is inside them, out of `sys.modules`."""
    found = [each for each in sys.modules if each.partition(".")[0] in names]
    return {each: sys.modules.pop(each) for each in found}
