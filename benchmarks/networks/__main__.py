"""Library networks against independent references: `python -m benchmarks.networks`.

Networks of torchvision and timm with random weights, each loaded as the service loads it, and each
of its answers compared with a slow, obvious second way to it, in float64. Writes docs/networks.md;
with --only it prints instead.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Final

from benchmarks.networks.page import page
from benchmarks.networks.processes import examined
from benchmarks.networks.zoo import ALL, NETWORKS

_RESULTS: Final = Path(__file__).parents[2] / "docs" / "networks.md"


def main() -> None:
    """Examine the networks and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(ALL)}; prints")
    parser.add_argument("--at-once", type=int, default=os.cpu_count(), help="networks; 2 GiB each")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(NETWORKS)
    if unknown := set(names) - set(ALL):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    start_s = time.perf_counter()
    reports = examined(names, options.at_once)
    minutes = (time.perf_counter() - start_s) / 60
    text = page(reports, f"{minutes:.0f} minutes, {options.at_once} networks at once")
    if options.only:
        print(text)
    else:
        _RESULTS.write_text(text)


if __name__ == "__main__":
    main()
