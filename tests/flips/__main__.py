"""`python -m tests.flips --flips 500 --seed 0`: no flipped byte is served as sound."""

import argparse
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine import describe
from tests.flips.campaign import OUTCOMES, Campaign


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.flips", description=__doc__)
    parser.add_argument("--flips", type=int, default=500, help="one at a time (500)")
    parser.add_argument("--seed", type=int, default=0, help="of every decision (0)")
    parser.add_argument("--output", type=Path, help="a Markdown file for the result")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="seethrough-flips-") as folder:
        campaign = Campaign(Path(folder), options.seed, say=lambda line: print(line, flush=True))
        campaign.run(options.flips)
    table = "\n".join(rows(campaign))
    print(table)
    if options.output:
        options.output.write_text(report(options, table))
    return 1 if campaign.failed else 0


def rows(campaign: Campaign) -> list[str]:
    """A Markdown table: a line for each kind of file, and their sum."""
    total = sum(campaign.counts.values(), Counter[str]())
    found = [*sorted(campaign.counts.items()), ("all", total)]
    head = ["file", "flips", *OUTCOMES]
    return [
        f"| {' | '.join(head)} |",
        f"| --- |{' ---: |' * (len(head) - 1)}",
        *(
            f"| {kind} | {counts.total()} | {' | '.join(str(counts[each]) for each in OUTCOMES)} |"
            for kind, counts in found
        ),
    ]


def report(options: argparse.Namespace, table: str) -> str:
    """What was found, and where."""
    command = f"python -m tests.flips --flips {options.flips} --seed {options.seed}"
    return "\n".join(
        [
            "# One byte of a data folder flipped",
            "",
            f"`{command}` on {describe('faiss-cpu')}.",
            "",
            "Each flip is made in a fresh copy of a folder with two collections (pixels, "
            "originals, metadata, a map, remembered requests, an index with lists), closed well "
            "or, for the log, killed. Then the gallery is opened, `verify` runs, and all that can "
            "be read is compared with what the whole folder answers: collections, lists, labels, "
            "vectors, pixels, thumbnails, originals, maps, searches in both spaces, repeated "
            "requests. Items are changed and removed, damaged ones first, and the collections "
            "dropped.",
            "",
            "- named: `verify` says so; what is damaged is refused or left out, the rest is whole.",
            "- repaired: an index's file that is made anew, and said to be in the log.",
            "- in what nothing reads: all answers are as they were.",
            "- refused at open: with a message that names the file and what to do.",
            "- served wrong: another answer than before, something missing that nobody named, "
            "something damaged that cannot be removed, or a stack.",
            "",
            table,
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
