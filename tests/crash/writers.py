"""Client threads that write until the server is gone, and note what they were told."""

import base64
import threading
from dataclasses import replace

import numpy as np

from tests.crash.api import Api, Broken
from tests.crash.ledger import Ledger, Promise, State
from tests.crash.network import Picture, new_picture

_LABELS = ("red", "green", "blue", "gray")
_ENOUGH = 150
"""Items that a thread keeps, about."""

_BATCH = 16


class Writer:
    """Writes items of its own, so that each id has at most one request under way.

    Attributes:
        failed: what went wrong other than that the server is gone.
    """

    def __init__(self, port: int, ledger: Ledger, index: int, seed: list[int]) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._prefix = "-".join(["w", str(index), *map(str, seed[1:])])
        self._api = Api(port)
        self._ledger = ledger
        self._random = np.random.default_rng(seed)
        self._made = 0
        self._own = [id for id, state in ledger.told.items() if state and _owner(id) == index]
        self.failed: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    @property
    def writes(self) -> bool:
        """It ends only when the server is gone."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while True:
                self._step()
        except Broken:
            return
        except BaseException as error:
            self.failed = error
        finally:
            self._api.close()

    def _step(self) -> None:
        many = len(self._own) > _ENOUGH
        steps = {
            self._insert: 1.0 if many else 3.0,
            self._upsert: 3.0,
            self._patch: 2.0,
            self._delete: 6.0 if many else 1.0,
            self._keyed: 1.0,
            self._batch: 0.05 if many else 0.6,
            self._search: 1.0,
        }
        weights = np.array(list(steps.values()))
        self._random.choice(np.array(list(steps)), p=weights / weights.sum())()

    def _insert(self) -> None:
        id, picture, label = self._new_id(), self._picture(), self._label()
        headers = {"Idempotency_Key": f"key-{id}"} if self._random.random() < 0.3 else {}
        self._ledger.begin(id, State(picture.sha256, label))
        answer = self._api.insert(id, picture.content, label, **headers)
        assert answer["sha256"] == picture.sha256
        self._ledger.end(id, "inserts")
        self._own.append(id)

    def _upsert(self) -> None:
        new = not self._own or self._random.random() < 0.3
        id, picture, label = self._new_id() if new else self._any(), self._picture(), self._label()
        self._ledger.begin(id, State(picture.sha256, label))
        assert self._api.upsert(id, picture.content, label)["sha256"] == picture.sha256
        self._ledger.end(id, "upserts")
        if new:
            self._own.append(id)

    def _patch(self) -> None:
        if not self._own:
            return
        id, label = self._any(), self._label()
        told = self._ledger.told[id]
        assert told is not None
        self._ledger.begin(id, State(told.sha256, label))
        assert self._api.patch(id, label)["label"] == label
        self._ledger.end(id, "patches")

    def _delete(self) -> None:
        if not self._own:
            return
        id = self._any()
        self._ledger.begin(id, None)
        self._api.delete(id)
        self._ledger.end(id, "deletes")
        self._own.remove(id)

    def _keyed(self) -> None:
        """The server makes the id: only the key says which request it was."""
        key, promise = self._new_id(), Promise(self._picture(), self._label())
        self._ledger.promise(key, promise)
        made = self._api.post(promise.picture.content, promise.label, Idempotency_Key=key)
        self._ledger.promise(key, replace(promise, id=made["id"]), "inserts")
        self._own.append(made["id"])

    def _batch(self) -> None:
        pictures = {self._new_id(): self._picture() for _ in range(_BATCH)}
        label, lines = self._label(), []
        for id, picture in pictures.items():
            self._ledger.begin(id, State(picture.sha256, label))
            image = base64.b64encode(picture.content).decode()
            lines.append({"id": id, "label": label, "image": image})
        for id, line in zip(pictures, self._api.batch(lines), strict=True):
            assert (line["status"], line["item"]["id"]) == (201, id), line
            self._ledger.end(id, "inserts")
            self._own.append(id)

    def _search(self) -> None:
        self._api.near(self._picture().content, exact=bool(self._random.random() < 0.5))

    def _picture(self) -> Picture:
        picture = new_picture(self._random)
        self._ledger.keep(picture)
        return picture

    def _new_id(self) -> str:
        self._made += 1
        return f"{self._prefix}-{self._made}"

    def _any(self) -> str:
        return self._own[self._random.integers(len(self._own))]

    def _label(self) -> str:
        return str(self._random.choice(_LABELS))


def _owner(id: str) -> int:
    """Which thread writes an item; those whose id the server made are the first one's."""
    return int(id.split("-")[1]) if id.startswith("w-") else 0
