from pathlib import Path

import pytest

from core.config import EngineConfig, usual_memory_budget

GIB = 2**30


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_container_budgets_with_its_own_memory(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"{GIB}\n")
    assert usual_memory_budget(tmp_path) == GIB // 4


@pytest.mark.parametrize("text", ["max\n", str(2**63), ""])
def test_a_container_without_a_limit_budgets_with_the_machines(tmp_path: Path, text: str) -> None:
    (tmp_path / "memory.max").write_text(text)
    assert usual_memory_budget(tmp_path) == usual_memory_budget(tmp_path / "elsewhere") <= GIB


def test_decoding_has_half_of_the_budget() -> None:
    assert EngineConfig(memory_budget=800).decode_bytes == 400
    assert EngineConfig().decode_bytes == usual_memory_budget() // 2
