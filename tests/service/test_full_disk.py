"""A disk that fills up: nothing acknowledged is lost, and what needs no space goes on."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.crash.api import COLLECTION, Api
from tests.crash.checks import check_neighbors, check_rows, listed
from tests.crash.ledger import Ledger, State
from tests.crash.network import NAME, Picture, network_folder, new_picture
from tests.service.live import LiveServer, running

SIZE = "16m"
FILLER_BYTES = 4 * 2**20
ITEMS = f"/v1/collections/{COLLECTION}/items"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("there is no `mount`")
    command = [mount, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def settings(folder: Path, disk: Path) -> dict[str, str]:
    models = str(folder / "models")
    return {"models": NAME, "models_dir": models, "data_dir": str(disk / "data")}


@pytest.fixture
def server(disk: Path, tmp_path: Path) -> Iterator[LiveServer]:
    """The service with its data on that disk, of which a third is taken by another file."""
    (disk / "filler").write_bytes(bytes(FILLER_BYTES))
    network_folder(tmp_path / "models")
    with (
        (tmp_path / "log").open("w") as log,
        running(log, **settings(tmp_path, disk)) as server,
    ):
        yield server


@pytest.fixture
def client(server: LiveServer) -> Iterator["Client"]:
    """A client with a collection of its own."""
    with closing(Api(server.port)) as api:
        api.create()
        yield Client(api)


class Client:
    """Stores until the disk is full."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.ledger = Ledger()
        self._random = np.random.default_rng(0)

    def put(self, id: str) -> tuple[int, dict[str, object], str]:
        """Status, answer and its type."""
        picture = new_picture(self._random)
        status, content, headers = self.api.send(
            "PUT", f"{ITEMS}/{id}", picture.content, expected=(200, 201, 507)
        )
        if status != 507:
            self._note(id, picture)
        return status, json.loads(content), headers["content-type"]

    def fill(self) -> int:
        """How many items fitted before the first that did not."""
        for number in range(100_000):
            status, problem, kind = self.put(f"i{number}")
            if status == 507:
                assert kind == "application/problem+json"
                assert (problem["code"], problem["status"]) == ("storage_full", 507)
                return number
        raise AssertionError("the disk never filled up")

    def _note(self, id: str, picture: Picture) -> None:
        self.ledger.told[id] = State(picture.sha256, None)
        self.ledger.keep(picture)


def check_all(client: Client, server: LiveServer, disk: Path) -> None:
    """What was acknowledged is there, is found, and nothing else is."""
    found = listed(client.api)
    assert found == {id: state for id, state in client.ledger.told.items() if state}
    check_rows(disk / "data" / "seethrough.db", len(found))
    check_neighbors(server.port, client.ledger, np.random.default_rng(1))
    assert server.get("/health/ready")[0] == 200
    client.api.close()  # it was idle for longer than the server keeps it, perhaps


def test_a_full_disk_is_507_and_loses_nothing(
    server: LiveServer, client: Client, disk: Path
) -> None:
    count = client.fill()
    assert count > 50
    check_all(client, server, disk)
    assert client.api.send("GET", f"{ITEMS}/i0/thumbnail")[1][:2] == b"\xff\xd8"
    assert client.put(f"i{count}")[0] == 507
    client.api.send("PATCH", f"{ITEMS}/i1", {"label": "x" * 200}, expected=(200,))
    client.ledger.told["i1"] = State(client.ledger.told["i1"].sha256, "x" * 200)  # type: ignore[union-attr]
    client.api.send("DELETE", f"{ITEMS}/i0", expected=(204,))
    client.ledger.told["i0"] = None
    check_all(client, server, disk)

    (disk / "filler").unlink()
    for number in range(50):
        assert client.put(f"after{number}")[0] == 201
    assert client.put("i2")[0] == 200
    client.api.delete("i3")
    client.ledger.told["i3"] = None
    check_all(client, server, disk)


def test_what_a_full_disk_kept_survives_a_kill_and_a_start_on_it(
    server: LiveServer, client: Client, disk: Path, tmp_path: Path
) -> None:
    client.fill()
    server.process.kill()
    server.process.wait(30)
    (disk / "filler").unlink()
    with (
        (tmp_path / "log-2").open("w") as log,
        running(log, **settings(tmp_path, disk)) as again,
        closing(Api(again.port)) as client.api,
    ):
        check_all(client, again, disk)
        assert client.put("after")[0] == 201
        assert again.terminate() == 0
