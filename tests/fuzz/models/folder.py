"""One model folder to try: its files and what is known of it; written to a disk, it replays."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "net"
"""Of the folder, and so of the model."""

KNOWN = "case.json"


@dataclass(frozen=True)
class Link:
    """A symbolic link to some name."""

    target: str


Files = dict[str, bytes | Link | None]
"""What lies in a folder, by name; None is a directory."""


@dataclass(frozen=True)
class Known:
    """What is known of a folder.

    Attributes:
        note: what was done to it, in words.
        sound: whether it must load: it is only written in another way.
        greedy: whether its own code asks for more memory than there is.
        compiled: whether OpenVINO compiles it, which takes longer than all the rest.
        alone: whether its code may change the process that it is tried in.
    """

    note: str
    sound: bool = False
    greedy: bool = False
    compiled: bool = False
    alone: bool = True

    @classmethod
    def read(cls, directory: Path) -> "Known":
        """What `ModelFolder.write` wrote."""
        return cls(**json.loads((directory / KNOWN).read_text()))


@dataclass(frozen=True)
class ModelFolder:
    """A folder, and what is known of it."""

    known: Known
    files: Mapping[str, bytes | Link | None]

    def write(self, directory: Path) -> None:
        """Make the folder in a directory, beside a file that says what is known of it."""
        folder = directory / NAME
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            file = folder / name
            if content is None:
                file.mkdir()
            elif isinstance(content, Link):
                file.symlink_to(content.target)
            else:
                file.write_bytes(content)
        (directory / KNOWN).write_text(json.dumps(asdict(self.known), indent=1))
