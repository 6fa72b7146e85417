"""A connection to the server that is kept open, and what can be asked over it."""

import http.client
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
from numpy.typing import NDArray

COLLECTION = "crash"
_PATH = f"/v1/collections/{COLLECTION}"

Broken = (OSError, http.client.HTTPException)
"""What is raised when the server is killed."""


class Refused(AssertionError):
    """An answer that should not have come."""


class Api:
    """One connection: for one thread."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def close(self) -> None:
        self._connection.close()

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        kind: str = "image/png",
        expected: tuple[int, ...] = (200, 201, 204),
        **headers: str,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers of an answer.

        Raises:
            Refused: another status than expected.
        """
        if isinstance(body, dict):
            body, kind = json.dumps(body).encode(), "application/json"
        sent = {"Content-Type": kind} | {k.replace("_", "-"): v for k, v in headers.items()}
        self._connection.request(method, path, body, sent)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status not in expected:
            raise Refused(f"{method} {path}: {answer.status} {content[:500]!r}")
        return answer.status, content, {k.lower(): v for k, v in answer.getheaders()}

    def create(self) -> None:
        body = {"name": COLLECTION, "pixel_space": True}
        self.send("POST", "/v1/collections", body, expected=(201,))

    def post(self, content: bytes, label: str, **headers: str) -> dict[str, Any]:
        """Store a picture under an id that the server makes."""
        return self._json("POST", f"/items?label={quote(label)}", content, **headers)

    def insert(self, id: str, content: bytes, label: str, **headers: str) -> dict[str, Any]:
        query = urlencode({"id": id, "label": label})
        return self._json("POST", f"/items?{query}", content, **headers)

    def upsert(self, id: str, content: bytes, label: str) -> dict[str, Any]:
        return self._json("PUT", f"/items/{id}?label={quote(label)}", content)

    def patch(self, id: str, label: str) -> dict[str, Any]:
        return self._json("PATCH", f"/items/{id}", {"label": label})

    def delete(self, id: str) -> None:
        self.send("DELETE", f"{_PATH}/items/{id}")

    def batch(self, lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Answers line by line, as they come."""
        body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        self._connection.request(
            "POST", f"{_PATH}/items/batch", body, {"Content-Type": "application/x-ndjson"}
        )
        answer = self._connection.getresponse()
        if answer.status != 200:
            raise Refused(f"batch: {answer.status} {answer.read()[:500]!r}")
        for _ in lines:
            line = answer.readline()  # of an answer cut off: whatever there is, or nothing
            if not line.endswith(b"\n"):
                raise http.client.IncompleteRead(line)
            yield json.loads(line)
        assert answer.readline() == b""

    def items(self) -> Iterator[dict[str, Any]]:
        """The whole listing; its totals agree with each other."""
        cursor: str | None = None
        totals: set[int] = set()
        while True:
            after = "" if cursor is None else f"&cursor={quote(cursor)}"
            page = self._json("GET", f"/items?limit=1000{after}")
            totals.add(page["total"])
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert totals == {self.count()}, (totals, self.count())

    def count(self) -> int:
        return int(self._json("GET", "")["count"])

    def is_gone(self, id: str) -> bool:
        path = f"{_PATH}/items/{id}"
        return self.send("GET", path, expected=(200, 404))[0] == 404

    def vector(self, id: str) -> NDArray[np.float32]:
        content = self.send("GET", f"{_PATH}/items/{id}/vector?format=npy")[1]
        vector: NDArray[np.float32] = np.load(io.BytesIO(content))
        return vector

    def near(self, seed: Any, k: int = 10, exact: bool = True) -> dict[str, Any]:
        """Neighbors of a picture's bytes, or of `{"item"}` or `{"vector"}`."""
        return self._json("POST", f"/neighbors?k={k}&exact={str(exact).lower()}", seed)

    def _json(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        content = self.send(method, _PATH + path, body, **headers)[1]
        found: dict[str, Any] = json.loads(content)
        return found
