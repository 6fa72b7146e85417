"""`python -m tests.crash --rounds 50 --seed 0`: a server killed again and again loses nothing."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import describe
from tests.crash.campaign import Campaign


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="kills (50)")
    parser.add_argument("--seed", type=int, default=0, help="of every decision (0)")
    parser.add_argument("--output", type=Path, help="a Markdown file for the result")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="seethrough-crash-"))
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    try:
        Campaign(folder, options.seed, say=say).run(options.rounds)
    except BaseException:
        print(f"its files are kept in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    if options.output:
        options.output.write_text(report(options, lines))
    return 0


def report(options: argparse.Namespace, lines: list[str]) -> str:
    """What was said, and where."""
    *rounds, total, verified = lines
    command = f"python -m tests.crash --rounds {options.rounds} --seed {options.seed}"
    return "\n".join(
        [
            "# A server killed again and again",
            "",
            f"`{command}` on {describe('faiss-cpu', 'uvicorn')}.",
            "",
            "Six clients insert, upsert, patch and delete (one by one, in batches, some with an "
            "Idempotency-Key) until SIGKILL; in some rounds the indexes' files are damaged before "
            "the restart. Then: every acknowledged write is there with its content, once, and "
            "nothing else but what was in flight; listing, total and rows agree; neighbors equal "
            "brute force over all vectors read from the API. SIGKILL ends a process, not the "
            "system: that a commit survives a power cut rests on SQLite's synchronous=FULL.",
            "",
            f"{total}.",
            "",
            f"At the end `seethrough verify`: {verified}.",
            "",
            *(f"- {line}" for line in rounds),
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
