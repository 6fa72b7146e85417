"""docker-compose.yml and the Dockerfile's health check, without a container engine."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from service.settings import Settings
from tests.image.container import ROOT, service
from tests.image.declared import DEFAULTS, HEALTHCHECK
from tests.service.live import LiveServer, running

COMPOSE_CHECK = service()["healthcheck"]["test"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with (tmp_path_factory.mktemp("health") / "log").open("w") as log, running(log) as server:
        yield server


def test_it_is_valid_by_the_compose_specification() -> None:
    check = "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"
    done = subprocess.run(
        [sys.executable, "-m", *check], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_is_for_cpus_unless_told_otherwise() -> None:
    index = DEFAULTS["TORCH_INDEX"]
    assert index.endswith("/whl/cpu")
    # "-", not ":-": an empty index is the one for GPUs.
    assert service()["build"]["args"]["TORCH_INDEX"] == f"${{TORCH_INDEX-{index}}}"


def test_a_container_has_no_rights_and_writes_nowhere_but_in_its_volumes() -> None:
    said = service()
    assert said["read_only"] is True
    assert said["cap_drop"] == ["ALL"]
    assert said["security_opt"] == ["no-new-privileges:true"]
    assert said["tmpfs"] == ["/tmp"]
    assert [each.split(":")[1:] for each in said["volumes"] if not each.endswith(":ro")] == [
        ["/data"],
        ["/cache"],
    ]


def test_it_is_published_on_this_machine_only() -> None:
    assert service()["ports"] == ["127.0.0.1:8000:8000"]


def test_other_containers_may_call_it_by_its_name() -> None:
    assert service()["environment"]["SEETHROUGH_ALLOWED_HOSTS"].endswith(":-seethrough}")


def test_the_health_check_asks_whether_it_lives() -> None:
    assert "/health/live" in HEALTHCHECK[-1]
    assert "/health/live" in COMPOSE_CHECK[-1]


def test_a_stop_waits_for_the_drain() -> None:
    drain_s = sum(Settings.model_fields[f"drain_{each}_s"].default for each in ("delay", "timeout"))
    assert int(service()["stop_grace_period"].removesuffix("s")) > drain_s


@pytest.mark.parametrize("check", [["CMD", *HEALTHCHECK], COMPOSE_CHECK], ids=["image", "compose"])
def test_a_health_check_passes_with_a_server_and_fails_without(
    server: LiveServer, check: list[str]
) -> None:
    assert check[:2] == ["CMD", "python"]
    assert _run(check, server.port) == 0
    assert _run(check, 9) == 1


def _run(check: list[str], port: int) -> int:
    words = [word.replace(":8000", f":{port}") for word in check[2:]]
    return subprocess.run(
        [sys.executable, *words],
        env=os.environ | {"SEETHROUGH_PORT": str(port)},
        capture_output=True,
        check=False,
    ).returncode
