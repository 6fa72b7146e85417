"""Build the image and test it, without a Docker engine: `python -m tests.image`.

Needs root, Linux, buildah, crun, debootstrap and 25 GB of disk for a while. TORCH_INDEX in the
environment is taken as compose takes it. Writes the figures into docs/container.md.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks.machine import table
from tests.image.building import BASE, ROOT, Store
from tests.image.container import Image
from tests.service.live import running

_PAGE = ROOT / "docs" / "container.md"
_TESTS = ("tests/image", "tests/service/test_live.py", "tests/test_readme.py")
# Of the packages, what PyTorch's wheels for CPUs lack.
_FOR_GPUS = re.compile(r"site-packages/(nvidia|triton|cuda|torch/lib/lib(\w*cuda|torch_nvshmem))")


def main() -> int:
    """Build, test, write the figures; 0 if all tests pass."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.image", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--folder", type=Path, help="keep layers here, for a quicker next time")
    parser.add_argument("--mount", action="append", default=[], help="also shown to the build")
    parser.add_argument("--no-page", action="store_true", help="only print the figures")
    given = parser.parse_args()
    store = Store((given.folder or Path(tempfile.mkdtemp(prefix="image-"))).resolve())
    try:
        facts, code = _check(store, given.mount)
    finally:
        if given.folder is None:
            store.remove()
    text = table(["what", "measured"], [list(fact) for fact in facts.items()])
    print(text)
    if not given.no_page:
        page = _PAGE.read_text()
        parts = re.split(r"(?<=<!-- figures -->\n).*(?=<!-- /figures -->)", page, flags=re.S)
        _PAGE.write_text(text.join(parts))
    return code


def _check(store: Store, mounts: list[str]) -> tuple[dict[str, str], int]:
    start = time.monotonic()
    new = not store.has(BASE)
    if new:
        store.make_base()
    based = time.monotonic()
    store.build(mounts)
    built = time.monotonic()
    image = store.unpack()
    try:
        os.environ["SEETHROUGH_TEST_SERVER"] = shlex.join(
            [sys.executable, "-m", "tests.image.container", str(store.folder)]
        )
        os.environ["SEETHROUGH_TEST_IMAGE"] = str(store.folder)
        sizes, ready_s = _sizes(image), [_ready_s(), _ready_s()]
        code, summary = _tested()
    finally:
        store.release()
    facts = {
        "date": date.today().isoformat(),
        "TORCH_INDEX": os.environ.get("TORCH_INDEX", "as in the Dockerfile") or "empty",
        "base": f"{based - start:.0f} s" if new else "was there",
        "build": f"{built - based:.0f} s{'' if new else ', with layers of an earlier one'}",
        **sizes,
        "ready after": f"{ready_s[0]:.1f} s, a second time {ready_s[1]:.1f} s",
        "tests": f"{', '.join(_TESTS)}: {summary}",
    }
    return facts, code


def _ready_s() -> float:
    with tempfile.TemporaryFile("w") as log:
        start = time.monotonic()
        with running(log, drain_delay_s="0"):
            return time.monotonic() - start


def _tested() -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *_TESTS],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout)
    return done.returncode, done.stdout.strip().splitlines()[-1].strip("= ")


def _sizes(image: Image) -> dict[str, str]:
    sizes = {
        str(file): file.lstat().st_size
        for file in image.root.rglob("*")
        if file.is_file() or file.is_symlink()
    }
    total, fonts = sum(sizes.values()), _sum(sizes, re.compile("/usr/share/fonts/"))
    packages, for_gpus = _sum(sizes, re.compile("/opt/seethrough/")), _sum(sizes, _FOR_GPUS)
    found = {
        "size, unpacked": f"{total / 1e9:.2f} GB",
        "of that": f"Python packages {packages / 1e9:.2f} GB, fonts {fonts / 1e6:.0f} MB, "
        f"Debian {(total - packages - fonts) / 1e6:.0f} MB",
    }
    if for_gpus:
        found["without what is for GPUs"] = (
            f"{(total - for_gpus) / 1e9:.2f} GB, an estimate of the image for CPUs"
        )
    return found


def _sum(sizes: dict[str, int], pattern: re.Pattern[str]) -> int:
    return sum(size for path, size in sizes.items() if pattern.search(path))


def _require_tools() -> None:
    wanted = ("buildah", "crun", "debootstrap", "unshare", "curl")
    if missing := [tool for tool in wanted if shutil.which(tool) is None]:
        sys.exit(f"not installed: {', '.join(missing)}")
    if os.geteuid() != 0:
        sys.exit("only root can mount an image's layers")


if __name__ == "__main__":
    _require_tools()
    sys.exit(main())
