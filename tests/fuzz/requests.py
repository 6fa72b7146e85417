"""Makes requests with odd headers and query parameters, to every endpoint there is."""

import json
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_from_bytes

from tests.files.jpeg import PHOTO
from tests.fuzz.case import Case

_NUMBERS = (
    b"",
    b"0",
    b"-1",
    b"+1",
    b"1_0",
    b"1e3",
    b"1.5",
    b"0x10",
    b"\xd9\xa3",  # an Arabic three
    b"%D9%A3",
    b"nan",
    b"inf",
    b"-0",
    b"007",
    b" 1",
    b"1 ",
    b"9" * 400,
    b"9" * 19,
    b"1e400",
    b"true",
    b"null",
)
_TEXTS = (
    b"%00",
    b"%ED%A0%80",  # half a surrogate pair
    b"%FF%FE",
    b"%C3%A9",
    b"%F0%9F%90%88",
    b"a" * 5000,
    b"%0D%0AX-Evil:%201",
    b"..%2F..%2Fetc",
    b"%2525",
    b"'%22<>",
    b"tiny",
    b"default",
    b"[]",
    b"{}",
    b"%7B%22a%22:" * 500,
    b"*",
    b"json",
    b"png",
    b"npy",
    b"0,1,2",
    b"0-3",
)
_HEADERS: Mapping[bytes, tuple[bytes, ...]] = {
    b"accept": (
        b"*/*",
        b"image/png",
        b"a",
        b"image/png;q=nan",
        b"a/b;q=-1,;;,",
        b"\xff",
        b"*" * 5000,
        b"",
    ),
    b"authorization": (
        b"Bearer",
        b"Bearer ",
        b"Bearer \xff",
        b"Basic Og==",
        b"bearer " + b"a" * 9000,
    ),
    b"content-encoding": (b"gzip", b"identity", b"", b"\xff", b"identity, gzip"),
    b"content-length": (b"-1", b"+5", b"5_0", b"9" * 400, b"\xd9\xa3", b"", b"0", b"1e3"),
    b"content-type": (
        b"",
        b"image/jpeg",
        b"image/",
        b"multipart/form-data",
        b'multipart/form-data; boundary="',
        b"multipart/form-data; boundary=\xff",
        b"application/json; charset=utf-16",
        b"application/x-ndjson",
        b"\xff/\xff; \xff*=UTF-8''%FF",
        b";;;=;",
        b"text/plain;" + b"a=b;" * 2000,
    ),
    b"idempotency-key": (b"", b"a" * 5000, b"\xff\xfe", b"a b"),
    b"if-match": (
        b"*",
        b'"1"',
        b'W/"1"',
        b'"' + b"9" * 400 + b'"',
        b'""',
        b'"',
        b'"1", "2"',
        b"\xff",
    ),
    b"if-none-match": (b"*", b'"1"', b"", b"\xff", b'"a", W/"b"'),
    b"last-event-id": (b"9" * 400, b"\xff"),
    b"prefer": (
        b"wait=1",
        b"wait=" + b"9" * 400,
        b"wait=-1",
        b"wait=1e9",
        b"wait=nan",
        b"wait",
        b"\xff",
    ),
    b"range": (b"bytes=0-1", b"bytes=" + b"9" * 400 + b"-", b"\xff"),
    b"traceparent": (b"00-0-0-0", b"\xff"),
    b"x-api-key": (b"", b"\xff", b"a" * 9000),
    b"x-deadline-ms": (b"1", b"2000", *_NUMBERS),
    b"x-request-id": (b"", b"a", b"a" * 5000, b"\xff", b"a b"),
}
_JSON = (
    {"image": ""},
    {"image": 1},
    {"image": None},
    {"image": "\ud800"},
    {"vector": [10**400]},
    {"vector": [float("nan")]},
    {"vector": ["a"]},
    {"vector": []},
    {"item": "\0"},
    {"item": "\ud800"},
    {"item": 10**400},
    {"name": "a\0"},
    {"name": "\ud800"},
    {"name": 10**400, "metric": []},
    {"label": "\ud800", "metadata": {"a": 10**400}},
    {"metadata": {"\ud800": "\ud800"}},
    {"metadata": {"a": float("inf")}},
    [],
    "text",
    None,
)
_RAW_JSON = (
    b"",
    b"{",
    b"[" * 20_000,
    b'{"image": "' + b"/9j/" * 10 + b'"}',
    b"\xff",
    b"nul",
    b"\xef\xbb\xbf{}",
)
_ENDLESS = ("/events",)  # streams that stay open


class Requests:
    """Knows the endpoints of one application.

    Args:
        document: its OpenAPI document.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._operations = [
            (method.upper(), path, [each["name"] for each in operation.get("parameters", ())])
            for path, operations in sorted(document["paths"].items())
            for method, operation in sorted(operations.items())
            if not path.endswith(_ENDLESS)
        ]

    def case(self, rng: random.Random) -> Case:
        """A request to one of them."""
        method, template, parameters = rng.choice(self._operations)
        if rng.random() < 0.05:
            method = rng.choice(("HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "FOO"))
        headers = self._headers(rng)
        body = b"" if method in ("GET", "HEAD") else self._body(rng, headers)
        return Case(
            "headers",
            f"{method} {template}",
            body,
            method=method,
            path=self._path(rng, template),
            query=self._query(rng, parameters),
            headers=tuple(headers.items()),
        )

    def _path(self, rng: random.Random, template: str) -> bytes:
        path = template.encode()
        while b"{" in path:
            before, _, rest = path.partition(b"{")
            name, _, after = rest.partition(b"}")
            known = {b"model": b"tiny", b"collection": b"default", b"layer": b"conv1"}
            value = known.get(name.partition(b":")[0], b"a")
            if rng.random() < 0.3:
                value = _ascii(rng.choice((*_TEXTS, *_NUMBERS)))
            path = before + value + after
        return path

    def _query(self, rng: random.Random, parameters: list[str]) -> bytes:
        names = [name.encode() for name in parameters] or [b"a"]
        chosen = rng.choices(names, k=rng.choice((0, 1, 1, 2, 3)))
        pairs = [name + b"=" + rng.choice((*_NUMBERS, *_TEXTS)) for name in chosen]
        if rng.random() < 0.1:
            pairs.append(
                rng.choice(
                    (b"&&", b"=", b"%00=1", b"%ED%A0%80=%ED%A0%80", b"exat=true", b"\xff=\xff")
                )
            )
        return _ascii(b"&".join(pairs))

    def _headers(self, rng: random.Random) -> dict[bytes, bytes]:
        names = rng.sample(sorted(_HEADERS), k=rng.choice((0, 1, 1, 2, 3)))
        return {name: rng.choice(_HEADERS[name]) for name in names}

    def _body(self, rng: random.Random, headers: dict[bytes, bytes]) -> bytes:
        if rng.random() < 0.5:
            headers.setdefault(
                b"content-type", rng.choice((b"image/jpeg", b"application/octet-stream"))
            )
            return rng.choice((PHOTO, PHOTO, b"", b"no picture"))
        headers.setdefault(b"content-type", b"application/json")
        raw = json.dumps(rng.choice(_JSON)).encode()
        return rng.choice((raw, raw, rng.choice(_RAW_JSON)))


def _ascii(raw: bytes) -> bytes:
    """As it may stand in a request's first line: servers answer 400 to anything else themselves."""
    return quote_from_bytes(raw, safe="%/*,:;'<>.+-&={}[]").encode()
