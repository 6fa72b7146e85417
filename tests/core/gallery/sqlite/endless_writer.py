"""Writes from four threads until it is killed, and says on stdout what is stored."""

import sys
import threading
from pathlib import Path

from core.gallery.records import Put
from core.gallery.sqlite.store import Store
from tests.core.gallery.records import new_item, spec


def _write(store: Store, worker: int) -> None:
    for each in range(1_000_000):
        id = f"{worker}-{each}"
        store.write(Put("c", new_item(id, each, thumbnail=bytes(3000)))).result()
        sys.stdout.write(f"{id}\n")
        sys.stdout.flush()


def main() -> None:
    store = Store(Path(sys.argv[1]), lambda _, __: None)
    if not store.collections():
        store.create(spec()).result()
    threads = [
        threading.Thread(target=_write, args=(store, int(sys.argv[2]) * 4 + worker))
        for worker in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
