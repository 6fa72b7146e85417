"""Makes weights files that are none: of other kinds, cut, flipped, packed, with odd headers."""

import io
import json
import random
import struct
import zipfile

from safetensors.torch import save

from tests.fuzz.models.folder import Link
from tests.fuzz.models.networks import SHAPES
from tests.fuzz.models.saving import saved, state

Odd = tuple[bytes | Link | None, str]
"""What lies in the folder, and in words."""

_NUMBERS = (0, 1, 7, 8, 127, 128, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
_MAGICS = (
    b"",
    b"\0",
    b"\x89PNG\r\n\x1a\n" + bytes(64),
    b"\x89HDF\r\n\x1a\n" + bytes(64),
    b"\xff\xd8\xff\xe0" + bytes(64),
    b"GIF89a" + bytes(64),
    b"\x1f\x8b\x08" + bytes(64),
    b"BZh91AY" + bytes(64),
    b"%PDF-1.7\n",
    b"PK\x03\x04" + bytes(64),
    b"PK\x05\x06" + bytes(18),
    b"PK",
    b"\x93NUMPY\x01\0" + bytes(64),
    b"\x08\x07\x12\x07pytorch" + bytes(64),
    b"\x08\x07",
    b"GGUF\x03\0\0\0" + bytes(64),
    b"\x80\x02}q\0.",
    b"\x80\x04.",
    b"\x80\xff.",
    b"\x80\x02" + b"(" * 10_000 + b".",
    b"\x80\x02" + b"]" * 100_000 + b".",
    b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"abc.",
    b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"abc.",
    b"cos\nsystem\n(S'echo pwned'\ntR.",
    b"\x80\x02cbuiltins\neval\nX\x01\0\0\0" + b"1\x85R.",
    b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.",
    b"\x80\x02ctorch\nTensor\n.",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    b"<!DOCTYPE html>\n<html><title>Sign in</title>",
    b"<?xml version='1.0'?>",
    b'{"conv1.weight": [1, 2, 3]}',
    b"conv1.weight 1 2 3\n" * 1000,
    b"Just a text that someone saved as weights.pth",
    b"\n" * 5000,
    bytes(range(256)) * 10,
    bytes(100_000),
)


def other_kind(rng: random.Random) -> Odd:
    content = rng.choice(_MAGICS)
    return content, f"that begin with {content[:20]!r}"


def no_file(rng: random.Random) -> Odd:
    match rng.randrange(4):
        case 0:
            return None, "are a directory"
        case 1:
            return Link("."), "link to themselves"
        case 2:
            return Link("nowhere"), "link to nothing"
        case _:
            return Link("/dev/zero"), "link to a device"


def damaged(rng: random.Random) -> Odd:
    """A good file, cut, flipped or with a number set: in its head half of the time."""
    good = state(rng)
    content = bytearray(
        save(good) if rng.random() < 0.4 else saved(good, legacy=rng.random() < 0.3)
    )
    if rng.random() < 0.3:
        return bytes(content[: rng.randrange(len(content))]), "that are cut off"
    for _ in range(rng.randint(1, 6)):
        reach = len(content) if rng.random() < 0.5 else 300
        at = rng.randrange(reach) if rng.random() < 0.8 else -1 - rng.randrange(300)
        if rng.random() < 0.5:
            content[at] = rng.randrange(256)
        else:
            code = rng.choice(("<H", "<I", "<Q"))
            size = struct.calcsize(code)
            at = max(0, min(at % len(content), len(content) - size))
            content[at : at + size] = struct.pack(code, rng.choice(_NUMBERS) % 2 ** (8 * size))
    return bytes(content), "with other bytes"


def odd_header(rng: random.Random) -> Odd:
    """A header of safetensors that says what it should not."""
    good = save(state(rng))
    length = struct.unpack("<Q", good[:8])[0]
    header, rest = json.loads(good[8 : 8 + length]), good[8 + length :]
    name = rng.choice(list(SHAPES))
    match rng.randrange(9):
        case 0:
            return struct.pack("<Q", rng.choice(_NUMBERS)) + good[8:], "with another length"
        case 1:
            header[name]["shape"] = rng.choice(([10**6, 10**6], [-1], [], [2**63], ["a"], None))
        case 2:
            header[name]["dtype"] = rng.choice(("F8_E4M3", "C64", "U64", "F4", "", None, "I64"))
        case 3:
            header[name]["data_offsets"] = rng.choice(
                ([0, 0], [0, 10**15], [-4, 0], [8, 4], [0], None)
            )
        case 4:
            header = {"__metadata__": {"format": rng.choice(("tf", "np", ""))}, **header}
        case 5:
            header = {"__metadata__": header}
        case 6:
            header = rng.choice(([], {}, None, 3, {"a": 1}))
        case 7:
            header[name * rng.choice((1, 1000)) + rng.choice(("\n", "\0", "é", ""))] = header.pop(
                name
            )
        case _:
            text = b'{"a":' * rng.choice((100, 100_000))
            return struct.pack("<Q", len(text)) + text, "with a deep header"
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest, f"with the header {text[:60]!r}"


def odd_archive(rng: random.Random) -> Odd:
    """An archive: with a record changed, missing, or packed small; or of other files."""
    good = zipfile.ZipFile(io.BytesIO(saved(state(rng))))
    records = {each: good.read(each) for each in good.namelist()}
    method = zipfile.ZIP_STORED
    match rng.randrange(7):
        case 0:
            del records[rng.choice(list(records))]
        case 1:
            name = rng.choice(list(records))
            records[name] = records[name][: len(records[name]) // 2]
        case 2:
            name = rng.choice(list(records))
            records[name] = records[name] + bytes(rng.choice((1, 3000)))
        case 3:
            method = zipfile.ZIP_DEFLATED
            if rng.random() < 0.3:
                records[next(each for each in records if "/data/" in each)] = bytes(2 * 10**8)
        case 4:
            name = next(each for each in records if each.endswith("data.pkl"))
            program = bytearray(records[name])
            for _ in range(rng.randint(1, 3)):
                program[rng.randrange(len(program))] = rng.randrange(256)
            records[name] = bytes(program)
        case 5:
            # A tensor that says it is larger than its record: K\x04 is the pickled number 4.
            name = next(each for each in records if each.endswith("data.pkl"))
            larger = b"J" + struct.pack("<i", rng.choice((5, 400, 10**6, 2**31 - 1)))
            records[name] = records[name].replace(b"K\x04", larger)
        case _:
            names = rng.choice(
                (["a.npy"], ["net/code/net.py"], ["word/document.xml"], ["../../x"], [])
            )
            records = dict.fromkeys(names, b"x")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    return file.getvalue(), f"in an archive of {list(records)!r:.60}"
