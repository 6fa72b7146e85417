"""A server without any right: no capability, no entry in passwd, no home directory."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pictures import jpeg
from tests.service.live import LiveServer, raw_request, read_answer, running, terminated_under_load

UID = 10001
# Reading every file is left to it: the interpreter may lie in root's home directory.
_READ = "-all,+dac_read_search"
NOBODY = (
    *("env", "-u", "HOME", "-u", "USER", "-u", "LOGNAME", "-u", "XDG_CACHE_HOME"),
    *("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs"),
    *(f"--bounding-set={_READ}", f"--inh-caps={_READ}", f"--ambient-caps={_READ}"),
)

pytestmark = [
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv here"),
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="not root"),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, UID, UID)
    with (
        (tmp_path / "log").open("w") as log,
        running(log, under=NOBODY, data_dir=str(data), drain_delay_s="0.5") as server,
    ):
        yield server


def test_a_user_without_name_home_and_rights_classifies_stores_and_drains(
    server: LiveServer,
) -> None:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    assert f"Uid:\t{UID}" in status
    for path, expected in (("/v1/classify", 200), ("/v1/collections/default/items", 201)):
        with server.connect() as connection:
            connection.sendall(raw_request(jpeg("coffee"), path=path))
            code, _, body = read_answer(connection)
            assert (code, b"espresso" in body) == (expected, True)
    code, outcomes = terminated_under_load(server, jpeg())
    assert code == 0
    assert outcomes.count(200) > 20
    assert set(outcomes) <= {200, 503}
