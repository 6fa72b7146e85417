"""`.env` as PowerShell, Notepad and people in a hurry write it."""

from pathlib import Path

import pytest

from service.cli.main import main
from service.settings import Settings

LINE = "SEETHROUGH_PORT=8123\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (LINE.encode("utf-16"), "UTF-16"),
        (LINE.encode("utf-16-be"), "UTF-16"),
        (LINE.encode() + "# café\n".encode("latin-1"), "line 2, is not UTF-8"),
        (bytes(range(128, 256)), "line 1, is not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", "UTF-16"),
        (LINE.encode() + b"SEETHROUGH_API_KEYS='hunter2\n", "line 2, does not say NAME=value"),
        (b"=hunter2\n", "line 1, does not say NAME=value"),
    ],
)
@pytest.mark.parametrize("command", ["models", "serve"])
def test_a_file_that_cannot_be_read_is_one_sentence(
    content: bytes,
    said: str,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_bytes(content)
    assert main([command]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("seethrough: .env")
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert "hunter2" not in captured.err


@pytest.mark.parametrize(
    "content",
    [LINE.encode(), b"\xef\xbb\xbf" + LINE.encode(), LINE.replace("\n", "\r\n").encode(),
     "# Größe, порт\n".encode() + LINE.encode(), b"\nexport " + LINE.encode(),
     b"OTHER\n" + LINE.encode()],
)  # fmt: skip
def test_what_editors_write_is_read(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(content)
    assert Settings(_env_file=file).port == 8123


def test_no_file_is_no_matter(tmp_path: Path) -> None:
    assert Settings(_env_file=tmp_path / "none").port == 8000
    assert Settings(_env_file=None).port == 8000
