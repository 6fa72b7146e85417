"""What only the image shows, run as compose runs it; `make image-check` runs these."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.container import ROOT, USER, Image, name_of, run_in, service
from tests.image.declared import HEALTHCHECK
from tests.pictures import jpeg
from tests.service.live import LiveServer, raw_request, read_answer, running, terminated_under_load

FOLDER = Path(os.environ.get("SEETHROUGH_TEST_IMAGE", ""))

pytestmark = pytest.mark.skipif(
    "SEETHROUGH_TEST_IMAGE" not in os.environ, reason="no image here: make image-check"
)

_WRITABLE = """
import json, os
found = []
for place, folders, _ in os.walk("/"):
    if place == "/":
        folders[:] = set(folders) - {"proc", "sys"}
    if os.access(place, os.W_OK):
        found.append(place)
print(json.dumps(found))
"""
_FONTS = """
import pathlib
from PIL import ImageFont
for file in pathlib.Path("/usr/share/fonts").rglob("NotoSans*"):
    ImageFont.truetype(file, 16)
    print(file.name)
"""


class Container:
    """The image's server, and commands beside it."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_in(FOLDER, name_of(self.server.port), command, **environment)

    def python(self, script: str) -> str:
        done = self.run("python", "-c", script)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> dict[str, str]:
        """Of process 1, from /proc."""
        lines = self.python("print(open('/proc/1/status').read())").splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    def curl(self, path: str, *options: str) -> tuple[int, str]:
        done = subprocess.run(
            ["curl", "-s", "-w", "\n%{http_code}", *options, self.server.url + path],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        body, _, code = done.stdout.rpartition("\n")
        return int(code), body


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with (
        (tmp_path_factory.mktemp("image") / "log").open("w") as log,
        running(log) as server,
    ):
        yield Container(server)


def test_it_is_process_1_without_rights(container: Container) -> None:
    facts = container.status()
    assert facts["Name"] == "seethrough"
    assert facts["Uid"].split() == ["10001"] * 4
    assert {facts[f"Cap{each}"] for each in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert facts["NoNewPrivs"] == "1"


def test_only_what_compose_mounts_can_be_written(container: Container) -> None:
    allowed = ["/data", *service()["tmpfs"], "/dev/shm"]
    found = json.loads(container.python(_WRITABLE))
    assert {"/data", "/tmp"} <= set(found)
    assert [place for place in found if not place.startswith(tuple(allowed))] == []


def test_the_health_check_passes_and_fails(container: Container) -> None:
    assert Image.read(FOLDER).config["Healthcheck"]["Test"] == ["CMD", *HEALTHCHECK]
    assert container.run(*HEALTHCHECK).returncode == 0
    assert container.run(*HEALTHCHECK, SEETHROUGH_PORT="9").returncode == 1


def test_curl_classifies_and_stores_a_photo(container: Container) -> None:
    photo = ("-F", "image=@examples/coffee.jpg")
    code, body = container.curl("/v1/classify?top_k=1", *photo)
    assert (code, json.loads(body)["predictions"][0]["label"]) == (200, "espresso")
    code, body = container.curl("/v1/collections/default/items?id=cup&label=mug", *photo)
    assert (code, json.loads(body)["label"]) == (201, "mug")
    code, body = container.curl("/v1/collections/default/neighbors?k=1", *photo)
    assert (code, json.loads(body)["neighbors"][0]["id"]) == (200, "cup")


def test_a_picture_is_explained_and_drawn(container: Container) -> None:
    photo = ("-F", "image=@examples/chelsea.jpg", "-o", "/dev/null")
    assert container.curl("/v1/explain/grad-cam?format=png&size=original", *photo)[0] == 200


def test_fonts_for_labels_are_there(container: Container) -> None:
    fonts = container.python(_FONTS).split()
    wanted = {"NotoSans-Regular.ttf", "NotoSansArabic-Regular.ttf", "NotoSansCJK-Regular.ttc"}
    assert wanted <= set(fonts)


def test_stored_pictures_outlive_the_container(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with (tmp_path / "log").open("w") as log:
        with running(log, data_dir=str(data), drain_delay_s="0") as server:
            with server.connect() as connection:
                path = "/v1/collections/default/items?id=cup"
                connection.sendall(raw_request(jpeg("coffee"), path=path))
                assert read_answer(connection)[0] == 201
            assert server.terminate() == 0
        with running(log, data_dir=str(data), drain_delay_s="0") as again:
            assert again.get("/v1/collections/default/items/cup")[0] == 200


def test_any_user_id_serves_and_drains(tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("w") as log,
        running(log, under=("env", f"{USER}=54321"), drain_delay_s="0.5") as server,
    ):
        facts = Container(server).status()
        assert (facts["Uid"].split(), facts["Gid"].split()) == (["54321"] * 4, ["0"] * 4)
        code, outcomes = terminated_under_load(server, jpeg())
    assert code == 0
    assert outcomes.count(200) > 20
    assert set(outcomes) <= {200, 503}
