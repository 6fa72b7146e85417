"""Build the image from the Dockerfile onto disk, by buildah and debootstrap."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.image.container import Image, crun
from tests.image.pip_settings import local_paths, pip_settings, written

ROOT = Path(__file__).parent.parent.parent
BASE = "python:3.11-slim"
NAME = "seethrough"
_DEBIAN = "bookworm"  # its Python is 3.11
_PACKAGES = "python3,python3-venv,python3-pip,python-is-python3,ca-certificates"
_RUN = ("--isolation", "chroot", "--network", "host")


class Store:
    """Images and their layers in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def buildah(self, *arguments: str, shown: bool = False) -> str:
        """Run buildah; its output is shown as it comes, or answered."""
        done = subprocess.run(
            [
                *("buildah", "--root", str(self.folder / "root")),
                *("--runroot", str(self.folder / "run"), "--storage-driver", "overlay"),
                *arguments,
            ],
            stdout=None if shown else subprocess.PIPE,
            text=True,
            check=True,
        )
        return (done.stdout or "").strip()

    def has(self, image: str) -> bool:
        return bool(self.buildah("images", "--quiet", "--filter", f"reference={image}"))

    def make_base(self) -> None:
        """Debian with its own Python, as the official image that the Dockerfile starts from."""
        tree = self.folder / "base"
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _DEBIAN, str(tree)],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        for kept in (*tree.glob("var/cache/apt/archives/*.deb"), *tree.glob("var/cache/apt/*.bin")):
            kept.unlink()
        shutil.rmtree(tree / "var/lib/apt/lists")
        (tree / "etc/apt/apt.conf.d/clean").write_text(
            'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };\n'
        )
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, str(tree))
        self.buildah("commit", "--quiet", "--format", "docker", "--rm", container, BASE)
        shutil.rmtree(tree)

    def build(self, mounts: Sequence[str] = ()) -> None:
        """`docker build` of this project; TORCH_INDEX from the environment, as compose takes it."""
        settings = pip_settings()
        config = self.folder / "pip.conf"
        config.write_text(written(settings))
        paths = {str(path): str(path) for path in (*local_paths(settings), *map(Path, mounts))}
        paths[str(config)] = "/etc/pip.conf"
        index = os.environ.get("TORCH_INDEX")
        self.buildah(
            *("bud", "--format", "docker", "--layers", "--pull-never", *_RUN),
            *(() if index is None else ("--build-arg", f"TORCH_INDEX={index}")),
            *(word for pair in paths.items() for word in ("-v", ":".join((*pair, "ro")))),
            *("-t", NAME, str(ROOT)),
            shown=True,
        )

    def unpack(self) -> Image:
        """The image's files, mounted, and its configuration."""
        container = self.buildah("from", "--pull-never", NAME)
        told = json.loads(self.buildah("inspect", "--type", "image", NAME))
        image = Image(Path(self.buildah("mount", container)), told["Docker"]["config"])
        image.write(self.folder)
        return image

    def release(self) -> None:
        """End containers that a failed test left, and let go of the image's files."""
        listed = crun(self.folder, "list", "--quiet")
        names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
        for name in names:
            subprocess.run(crun(self.folder, "delete", "--force", name), check=True)
        self.buildah("rm", "--all")

    def remove(self) -> None:
        """Give the disk back."""
        self.buildah("rmi", "--all", "--force")
        shutil.rmtree(self.folder)
