"""Runs the image's command as a container: `python -m tests.image.container FOLDER serve`.

As docker-compose.yml says: what may be written, which capabilities; as process 1 of its own tree,
on the host's network. By crun, which needs no daemon. FOLDER is where `tests.image.building`
unpacked the image; settings come from the environment, and the folder SEETHROUGH_DATA_DIR of this
machine becomes the volume /data. IMAGE_USER is another user than the image's.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parent.parent.parent
USER = "IMAGE_USER"

_DEV = ["nosuid", "mode=755", "size=65536k"]
_SHM = ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]
_TMP = ["nosuid", "nodev", "mode=1777"]
# crun refuses to start where version 2 of control groups has controllers beside version 1.
_CRUN = """
umount -l /sys/fs/cgroup/unified 2>/dev/null
exec crun --root "$0" --cgroup-manager disabled "$@"
"""


class Image(NamedTuple):
    """An image on disk.

    Attributes:
        root: its files.
        config: as Docker writes it: Env, Entrypoint, User, Healthcheck.
    """

    root: Path
    config: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Image":
        told = json.loads((folder / "image.json").read_text())
        return cls(Path(told["root"]), told["config"])

    def write(self, folder: Path) -> None:
        told = {"root": str(self.root), "config": self.config}
        (folder / "image.json").write_text(json.dumps(told))

    def user(self, name: str) -> dict[str, int]:
        """User and group of a number; without an entry in passwd the group is root's."""
        for line in (self.root / "etc/passwd").read_text().splitlines():
            _, _, uid, gid, *_ = line.split(":")
            if uid == name:
                return {"uid": int(uid), "gid": int(gid)}
        return {"uid": int(name), "gid": 0}


def service() -> dict[str, Any]:
    """What docker-compose.yml says of the one service."""
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    said: dict[str, Any] = document["services"]["seethrough"]
    return said


def bundle(image: Image, command: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """The container as the OCI runtime specification describes it."""
    said = service()
    held = [] if said["cap_drop"] == ["ALL"] else ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"]
    user = image.user(environment.get(USER, image.config["User"]))
    data = Path(environment["SEETHROUGH_DATA_DIR"])
    os.chown(data, user["uid"], user["gid"])
    settings = {k: v for k, v in environment.items() if k.startswith("SEETHROUGH_")}
    names = dict(pair.split("=", 1) for pair in image.config["Env"]) | settings
    names["SEETHROUGH_DATA_DIR"] = "/data"
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(image.root), "readonly": said["read_only"]},
        "process": {
            "user": user,
            "args": [*image.config["Entrypoint"], *command],
            "cwd": image.config["WorkingDir"],
            "env": [f"{name}={value}" for name, value in names.items()],
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), held),
            "noNewPrivileges": "no-new-privileges:true" in said["security_opt"],
        },
        "mounts": [
            _mount("/proc", "proc"),
            _mount("/dev", "tmpfs", _DEV),
            _mount("/dev/shm", "tmpfs", _SHM),
            _mount("/sys", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
            *(_mount(path, "tmpfs", _TMP) for path in said["tmpfs"]),
            _mount("/data", "bind", ["rbind", "rw"], str(data)),
        ],
        "linux": {"namespaces": [{"type": name} for name in ("pid", "ipc", "uts", "mount")]},
    }


def _mount(
    path: str, kind: str, options: Sequence[str] = (), source: str | None = None
) -> dict[str, Any]:
    return {"destination": path, "type": kind, "source": source or kind, "options": options}


def crun(folder: Path, *arguments: str) -> list[str]:
    """The command that runs crun with the containers of this folder."""
    return ["unshare", "--mount", "sh", "-c", _CRUN, str(folder / "crun"), *arguments]


def run_in(
    folder: Path, name: str, command: Sequence[str], **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a container that runs, as its image's user, as `docker exec` does."""
    image = Image.read(folder)
    user = image.user(image.config["User"])
    more = ["env", *(f"{key}={value}" for key, value in environment.items())]
    return subprocess.run(
        crun(folder, "exec", f"--user={user['uid']}:{user['gid']}", name, *more, *command),
        capture_output=True,
        text=True,
        check=False,
    )


def name_of(port: int | str) -> str:
    """The name of the container that listens on a port."""
    return f"port-{port}"


def main(folder: Path, command: Sequence[str]) -> None:
    """Become the container's runtime; it passes signals on."""
    bundle = Path(mkdtemp(prefix="", dir=folder))
    config = bundle(Image.read(folder), command, os.environ)
    (bundle / "config.json").write_text(json.dumps(config))
    words = crun(folder, "run", "--bundle", str(bundle), name_of(os.environ["SEETHROUGH_PORT"]))
    os.execvp(words[0], words)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
