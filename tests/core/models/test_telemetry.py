import os
import subprocess
import sys
from pathlib import Path


def test_openvino_reports_to_nobody_and_writes_into_no_home(tmp_path: Path) -> None:
    found = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-c"),
            "import service.cli.main, sys; print(sys.modules['openvino_telemetry'])",
        ],
        env=os.environ | {"HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path / "matplotlib")},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert found.stdout == "None\n"
    assert {each.name for each in tmp_path.iterdir()} <= {"matplotlib"}
