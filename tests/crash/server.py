"""The command `seethrough`, with indexes so small that lists, files and rebuilds come at once."""

import sys
from functools import partial

from core.gallery.index.options import IndexOptions
from core.gallery.sqlite import local
from service.cli.main import main

SMALL = IndexOptions(
    flat_limit_bytes=100_000,
    tail_rows=64,
    few_rows=16,
    least_dead=64,
    retry_after_s=1.0,
    save_every_s=0.2,
    save_after=20,
    save_after_share=0.02,
)


def serve_small(arguments: list[str]) -> int:
    local.IndexOptions = partial(lambda: SMALL)  # type: ignore[assignment, misc]
    return main(arguments)


if __name__ == "__main__":
    sys.exit(serve_small(sys.argv[1:]))
