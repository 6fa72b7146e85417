"""One thing to try: a request, or a picture for the decoder; written to a file, it replays."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Generator = Literal["pictures", "multipart", "headers"]
GENERATORS: tuple[Generator, ...] = ("pictures", "multipart", "headers")


@dataclass(frozen=True)
class Case:
    """What is sent, and what must come back of it.

    Attributes:
        generator: which generator made it.
        note: what it is, in words.
        body: of the request; of a picture for the decoder, the file.
        method, path, query, headers: of the request; no path for the decoder.
        names: what the one file's name may come back as; None if nothing is known of that.
    """

    generator: Generator
    note: str
    body: bytes
    method: str = "POST"
    path: bytes = b""
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    names: tuple[str, ...] | None = None

    def write(self, file: Path) -> None:
        """As JSON that `read` understands."""
        fields = {
            "generator": self.generator,
            "note": self.note,
            "method": self.method,
            "path": _text(self.path),
            "query": _text(self.query),
            "headers": [[_text(name), _text(value)] for name, value in self.headers],
            "names": self.names,
            "body": base64.b64encode(self.body).decode(),
        }
        file.write_text(json.dumps(fields, indent=1))

    @classmethod
    def read(cls, file: Path) -> "Case":
        """The case that `write` wrote."""
        fields = json.loads(file.read_text())
        names = fields.pop("names")
        return cls(
            generator=fields["generator"],
            note=fields["note"],
            method=fields["method"],
            path=_bytes(fields["path"]),
            query=_bytes(fields["query"]),
            headers=tuple((_bytes(name), _bytes(value)) for name, value in fields["headers"]),
            names=None if names is None else tuple(names),
            body=base64.b64decode(fields["body"]),
        )


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")
