"""The rules of the code map, held by reading every import."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_LINES = 300
FEW_LINES = 40
# Files of few lines that serve no other file's noun, and why.
SHORT: Mapping[str, str] = {
    "core.checks": "every kind of parameters asks it, and no room of theirs is below them all",
    "core.compute.shares": "fair queueing knows neither pictures nor threads",
    "core.images.formats.gif": "a format is a file",
    "core.images.formats.known": "the one list of what is taken, beside what tells each apart",
    "core.gallery.sqlite.sums": "what a checksum is, which rows, sweep and migration must agree on",
    "service.routers.models": "a tag of the document is a file",
    "service.__main__": "python -m service",
}

# Which room may use which others, from the ground up. A room is a folder, or a file that stands by
# itself; every arrow points to a line above its own, so there is no circle.
MAY_USE: Mapping[str, str] = {
    "core.errors": "",
    "core.checks": "errors",
    "core.types": "errors",
    "core.fields": "errors checks",
    "core.scratch": "",
    "core.images.formats": "errors",
    "core.images": "errors types images.formats",
    "core.gallery": "errors types scratch",
    "core.gallery.index": "errors types gallery",
    "core.gallery.sqlite": "errors types scratch gallery gallery.index",
    "core.projection": "errors types fields scratch",
    "core.models.structure": "errors checks types",
    "core.models.runtimes": "errors types models.structure",
    "core.models": "errors types models.structure models.runtimes",
    "core.config": "errors images models",
    "core.explain": "errors checks types fields models models.structure models.runtimes",
    "core.inspect": "errors types models models.structure",
    "core.render": "errors types gallery models.structure inspect",
    "core.compute": "errors checks types images models models.structure models.runtimes explain "
    "inspect render",
    "core.collections": "errors checks types images gallery projection models.structure render "
    "compute",
    "core.engine": "errors types config models gallery.sqlite explain compute collections",
}
CORE = "core"  # the version
NOTHING = ""
SERVICE: Mapping[str, str] = {
    "service.logs": NOTHING,
    "service.server": NOTHING,
    "service.env_file": NOTHING,
    "service.errors": "logs",
    "service.connections": "errors",
    "service.hosts": "errors",
    "service.addressing": "hosts",
    "service.origins": "errors hosts",
    "service.protocol": "connections errors logs",
    "service.failures": "errors",
    "service.settings": "addressing env_file hosts",
    "service.edge": "connections errors failures hosts logs origins",
    "service.schemas": "errors",
    "service.requests": "errors settings schemas",
    "service.upgrades": NOTHING,
    "service.gate": "connections errors hosts protocol requests upgrades",
    "service.answers": "requests",
    "service.routers": "answers requests schemas",
    "service.app": "addressing edge errors hosts requests routers schemas settings",
    "service.cli": "app connections gate hosts logs schemas server settings",
    "service.__main__": "cli",
}
ASYNC = ("core.engine", "core.compute", "core.collections")
NO_TORCH = (
    *("core.images", "core.images.formats", "core.gallery", "core.gallery.index"),
    *("core.gallery.sqlite", "core.projection", "core.collections", "core.render"),
    *("core.types", "core.errors", "core.checks", "core.fields", "core.scratch"),
)
FOREIGN = {"service", "fastapi", "starlette", "uvicorn", "pydantic"}


def modules(folder: str) -> list[Path]:
    return sorted(each for each in (ROOT / folder).rglob("*.py"))


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def room_of(module: str) -> str:
    """The folder a module is in; the module itself where it stands in the hall."""
    parts = module.removesuffix(".__init__").split(".")
    if (ROOT / "/".join(parts)).is_dir():
        return ".".join(parts)
    return ".".join(parts[:-1]) if len(parts) > 2 else ".".join(parts)


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, absolute."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            module = node.module or ""
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                path = ROOT / whole.replace(".", "/")
                is_module = path.is_dir() or path.with_suffix(".py").exists()
                yield whole if is_module else module


def packages(file: Path) -> set[str]:
    return {each.split(".")[0] for each in imports(file)}


def rooms_used(file: Path, package: str) -> set[str]:
    ours = {room_of(each) for each in imports(file) if each.split(".")[0] == package}
    return ours - {room_of(module_of(file)), package}


@pytest.mark.parametrize("file", modules("core"), ids=module_of)
def test_rooms_of_core_use_only_those_of_the_table(file: Path) -> None:
    room = room_of(module_of(file))
    if room == CORE:
        return
    allowed = {f"core.{each}" for each in MAY_USE[room].split()}
    assert rooms_used(file, "core") <= allowed


@pytest.mark.parametrize("file", modules("service"), ids=module_of)
def test_rooms_of_the_service_use_only_those_of_the_table(file: Path) -> None:
    room = room_of(module_of(file))
    if room == "service":
        return
    allowed = {f"service.{each}" for each in SERVICE[room].split()}
    assert rooms_used(file, "service") <= allowed


@pytest.mark.parametrize("table", [MAY_USE, SERVICE], ids=["core", "service"])
def test_every_arrow_of_the_table_points_up_the_page_and_is_there(
    table: Mapping[str, str],
) -> None:
    package = next(iter(table)).split(".")[0]
    seen: list[str] = []
    used: dict[str, set[str]] = {}
    for file in modules(package):
        used.setdefault(room_of(module_of(file)), set()).update(rooms_used(file, package))
    for room, names in table.items():
        allowed = [f"{package}.{each}" for each in names.split()]
        assert set(allowed) <= set(seen), f"{room} uses what stands below it: a circle, perhaps"
        assert set(allowed) == used[room], f"{room}: an arrow of the table is not in the code"
        seen.append(room)
    assert set(seen) == set(used) - {package}


@pytest.mark.parametrize("file", modules("core"), ids=module_of)
def test_core_knows_neither_service_nor_http(file: Path) -> None:
    assert not packages(file) & FOREIGN


@pytest.mark.parametrize("file", modules("core"), ids=module_of)
def test_only_the_rooms_that_wait_for_others_are_async(file: Path) -> None:
    if room_of(module_of(file)) not in ASYNC:
        tree = ast.walk(ast.parse(file.read_text()))
        assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in tree)


@pytest.mark.parametrize("file", modules("core"), ids=module_of)
def test_what_is_stored_decoded_and_drawn_needs_no_torch(file: Path) -> None:
    if room_of(module_of(file)) in NO_TORCH:
        assert "torch" not in packages(file)


def test_the_worker_knows_no_models() -> None:
    ours = {each for each in imports(ROOT / "core/compute/worker.py") if each.startswith("core")}
    same_room = {f"core.compute.{name}" for name in ("metrics", "pace", "tickets")}
    assert ours <= {"core.errors", "core.types"} | same_room


@pytest.mark.parametrize("file", modules("core/images/formats"), ids=module_of)
def test_file_formats_are_told_apart_without_decoding(file: Path) -> None:
    assert "PIL" not in packages(file)


@pytest.mark.parametrize("file", modules("service/routers"), ids=module_of)
def test_routers_try_nothing_and_compute_nothing(file: Path) -> None:
    assert not {"torch", "numpy"} & packages(file)
    assert not any(isinstance(node, ast.Try) for node in ast.walk(ast.parse(file.read_text())))


@pytest.mark.parametrize("file", [*modules("core"), *modules("service")], ids=module_of)
def test_every_module_says_what_is_in_it(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text()))


@pytest.mark.parametrize("package", ["core", "service", "tests", "benchmarks"])
def test_no_file_is_long(package: str) -> None:
    lengths = {module_of(file): len(file.read_text().splitlines()) for file in modules(package)}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_no_file_is_short_without_a_reason() -> None:
    files = [file for file in [*modules("core"), *modules("service")] if file.stem != "__init__"]
    short = {module_of(each) for each in files if len(each.read_text().splitlines()) < FEW_LINES}
    assert short <= set(SHORT)


def test_a_file_name_of_core_means_one_thing() -> None:
    """Else one idea is in two rooms: found out and drawn, in two lists, a seam and a store."""
    pairs = {"activations", "filters", "unit", "method", "methods", "limits", "transaction"}
    names = [file.stem for file in modules("core") if file.stem != "__init__"]
    assert {name for name in names if names.count(name) > 1} <= pairs


def test_nothing_is_called_utils() -> None:
    banned = {"utils", "helpers", "manager", "data", "info", "process", "common", "misc"}
    names = {file.stem for file in [*modules("core"), *modules("service")]}
    assert not names & banned
