"""Check that a `.env` can be read, its encoding and its lines, before it is used."""

import codecs
import io
from pathlib import Path
from typing import Final

from dotenv.parser import parse_stream

from core.errors import SettingsUnreadable

ENCODING: Final = "utf-8-sig"
"""UTF-8, with the byte order mark that some editors write, or without."""

_WIDE: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def require_readable(file: Path) -> None:
    """Whether every line of a `.env` says NAME=value; a file that is not there is fine.

    Lines are named by their numbers and not shown: they may hold keys.

    Raises:
        SettingsUnreadable: it is in another encoding, or a line says something else.
        OSError: it may not be read.
    """
    if not file.is_file():
        return
    content = file.read_bytes()
    if content.startswith(_WIDE) or b"\0" in content:
        raise SettingsUnreadable(
            f"{file} is in UTF-16, as PowerShell writes it, or is no text: save it as UTF-8"
        )
    try:
        text = content.decode(ENCODING)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsUnreadable(f"{file}, line {line}, is not UTF-8: save it as UTF-8") from error
    for each in parse_stream(io.StringIO(text)):
        if each.error:
            raise SettingsUnreadable(f"{file}, line {each.original.line}, does not say NAME=value")
