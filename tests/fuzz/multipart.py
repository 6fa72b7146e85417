"""Makes forms as browsers, phones and scripts write them, and as nobody should."""

import random
from urllib.parse import quote

from tests.files.jpeg import PHOTO
from tests.fuzz.case import Case
from tests.fuzz.pictures import broken_picture

_PATHS = (
    b"/v1/classify",
    b"/v1/classify/batch",
    b"/v1/feature-vector",
    b"/v1/explain/saliency",
    b"/v1/collections/default/items",
    b"/v1/collections/default/items/batch",
    b"/v1/collections/default/neighbors",
    b"/v1/activations",
)
_WORDS = (
    "cat.jpg",
    "café.jpg",
    "кошка на окне.jpg",
    "猫.png",
    "ねこ.jpeg",
    "Bildschirm\u202ffoto 10.12.\u202fPM.png",
    "it\u2019s \u2013 here\u2026.jpg",
    "€50.jpg",
    "🐈‍⬛.jpg",
    "قط.jpg",
    "a b;c=d,e.jpg",
    "ﬁ" * 50 + ".jpg",
    "x" * 3000,
    "../../etc/passwd",
    "C:\\photos\\cat.jpg",
    "100%.jpg",
    "'single'.jpg",
)
_FRAGMENTS = (
    b"\0",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b'"',
    b"\\",
    b";",
    b":",
    b"=",
    b"--",
    b"\xff",
    b"\xed\xa0\x80",
    b"filename*=",
    b"%00",
    b"''",
    b"Content-Disposition: form-data; name=",
)


def multipart_case(rng: random.Random) -> Case:
    return _named(rng) if rng.random() < 0.5 else _odd(rng)


def _named(rng: random.Random) -> Case:
    """A good form whose file has a name that must come back right."""
    header, names = _disposition(rng)
    boundary = rng.choice(
        (b"----WebKitFormBoundary7MA4YWxkTrZu0gW", b"x", b"a'()+_,-./:=?b", b"0" * 70)
    )
    type_ = rng.choice(
        (b"", b"Content-Type: image/jpeg\r\n", b"content-type:application/octet-stream\r\n")
    )
    preamble = rng.choice((b"", b"", b"\r\n", b"This is a multi-part message.\r\n"))
    body = preamble + b"--" + boundary + b"\r\n"
    lines = [header + b"\r\n", type_]
    rng.shuffle(lines)
    body += b"".join(lines) + b"\r\n" + PHOTO + b"\r\n--" + boundary + b"--"
    body += rng.choice((b"", b"\r\n", b"\r\nan epilogue\r\n"))
    return _case(b"/v1/classify/batch", body, boundary, f"a file named {names[0]!r:.80}", names)


def _disposition(rng: random.Random) -> tuple[bytes, tuple[str, ...]]:
    """A Content-Disposition, and what its file may be called."""
    word = rng.choice(_WORDS)
    field = rng.choice((b"Content-Disposition", b"content-disposition", b"CONTENT-DISPOSITION"))
    start = (
        field + rng.choice((b": ", b":")) + b"form-data; name=" + rng.choice((b'"image"', b"image"))
    )
    match rng.randrange(4):
        case 0:  # as browsers do: UTF-8 as it is
            plain = word.replace('"', "%22").replace("\\", "_")
            return start + b'; filename="' + plain.encode() + b'"', (plain,)
        case 1:  # RFC 5987, as some libraries do
            encoded = quote(word, safe="").encode()
            return start + b"; filename*=UTF-8''" + encoded, (word,)
        case 2:  # both: the second is the better one
            encoded = quote(word, safe="").encode()
            return start + b"; filename=\"cat.jpg\"; filename*=utf-8''" + encoded, (word,)
        case _:  # raw Latin-1, as old scripts do
            raw = b"caf\xe9 " + bytes([rng.randrange(0xA0, 0x100)]) + b".jpg"
            return start + b'; filename="' + raw + b'"', (raw.decode("utf-8", "replace"),)


def _odd(rng: random.Random) -> Case:
    """A form with something wrong: only that there is an honest answer is known of it."""
    boundary = rng.choice((b"x", b"--", b"a b", b"x" * 200, b"\xff", b"0"))
    parts = [_part(rng) for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 70)))]
    line = rng.choice((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"))
    body = bytearray(rng.choice((b"", b"", b"preamble" + line, line, b"\0")))
    for part in parts:
        body += b"--" + boundary + line + part + line
    body += rng.choice(
        (b"--" + boundary + b"--" + line, b"--" + boundary + b"--", b"", b"--" + boundary)
    )
    for _ in range(rng.choice((0, 0, 1, 3))):
        at = rng.randrange(len(body) + 1)
        body[at : at + rng.randrange(3)] = rng.choice(_FRAGMENTS)
    if rng.random() < 0.1:
        body = body[: rng.randrange(len(body) + 1)]
    return _case(rng.choice(_PATHS), bytes(body), boundary, "an odd form", None)


def _part(rng: random.Random) -> bytes:
    header, _ = _disposition(rng)
    header = rng.choice(
        (
            header,
            header,
            header.replace(b"; ", b";\r\n\t"),  # folded
            header + b'; name="image"; filename="twice"',
            header.replace(b"image", b"top_k"),
            header.replace(b"form-data", b"attachment"),
            b"Content-Disposition: form-data",
            b"",
            b"X-Long: " + b"y" * rng.choice((100, 9000)),
            b"no colon",
            header + b"\r\n" + header,
        )
    )
    headers = [header]
    if rng.random() < 0.3:
        headers.append(
            b"Content-Transfer-Encoding: " + rng.choice((b"base64", b"binary", b"\xff", b"7bit"))
        )
    if rng.random() < 0.2:
        headers.append(b"Content-Type: multipart/mixed; boundary=inner")
    inner = b'--inner\r\nContent-Disposition: file; filename="a"\r\n\r\nx\r\n--inner--'
    content = rng.choice((PHOTO, PHOTO, b"", b"5", inner, broken_picture(rng)[1]))
    part = b"\r\n".join(headers) + b"\r\n\r\n" + content
    if rng.random() < 0.3:
        at = rng.randrange(min(len(part), 120) + 1)
        part = part[:at] + rng.choice(_FRAGMENTS) + part[at:]
    return part


def _case(
    path: bytes, body: bytes, boundary: bytes, note: str, names: tuple[str, ...] | None
) -> Case:
    value = b'multipart/form-data; boundary="' + boundary + b'"'
    headers = ((b"content-type", value), (b"content-length", str(len(body)).encode()))
    return Case("multipart", note, body, path=path, headers=headers, names=names)
