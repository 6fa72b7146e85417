"""The rules of the code map, held by reading every import."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_LINES = 420


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            found.add(node.module or "")
    return found


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if parts[0] == "core" and len(parts) > 1 else ""


@pytest.mark.parametrize("file", modules("core"), ids=str)
def test_core_knows_neither_service_nor_http(file: Path) -> None:
    foreign = {"service", "fastapi", "starlette", "uvicorn", "pydantic"}
    assert not {each.split(".")[0] for each in imports(file)} & foreign


@pytest.mark.parametrize("file", modules("core"), ids=str)
def test_rooms_of_core_do_not_know_the_engine(file: Path) -> None:
    assert "core.engine" not in imports(file)


def test_the_worker_knows_no_models() -> None:
    known = {each for each in imports(ROOT / "core/compute/worker.py") if each.startswith("core")}
    assert known <= {"core.errors", "core.compute.metrics"}


def test_pictures_are_decoded_without_torch() -> None:
    for file in [*modules("core/images"), ROOT / "core/types.py", ROOT / "core/errors.py"]:
        assert "torch" not in imports(file)


@pytest.mark.parametrize("file", modules("core/images/formats"), ids=str)
def test_file_formats_are_told_apart_without_decoding(file: Path) -> None:
    assert "PIL" not in {each.split(".")[0] for each in imports(file)}
    own = {each for each in imports(file) if each.startswith("core")}
    assert all(each.startswith(("core.errors", "core.images.formats")) for each in own)


@pytest.mark.parametrize("file", modules("service/routers"), ids=str)
def test_routers_try_nothing_and_compute_nothing(file: Path) -> None:
    assert not {"torch", "numpy"} & imports(file)
    assert not any(isinstance(node, ast.Try) for node in ast.walk(ast.parse(file.read_text())))


@pytest.mark.parametrize("file", [*modules("core"), *modules("service")], ids=str)
def test_every_module_says_what_it_owns_and_stays_short(file: Path) -> None:
    text = file.read_text()
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= MAX_LINES


def test_nothing_is_called_utils() -> None:
    banned = {"utils", "helpers", "manager", "data", "info", "process", "common", "misc"}
    names = {file.stem for file in [*modules("core"), *modules("service")]}
    assert not names & banned


@pytest.mark.parametrize("file", [*modules("core/gallery"), *modules("core/projection")], ids=str)
def test_stored_vectors_need_no_torch_and_no_other_room(file: Path) -> None:
    own = room(".".join(file.relative_to(ROOT).with_suffix("").parts))
    plain = {"", "errors", "types"}
    assert "torch" not in {each.split(".")[0] for each in imports(file)}
    assert {room(each) for each in imports(file)} <= plain | {own}
