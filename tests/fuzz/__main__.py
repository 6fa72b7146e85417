"""`python -m tests.fuzz --seconds 60 --seed 1`: nothing that is sent makes the service fail.

And no model folder keeps it from saying in one sentence what is wrong with it.
"""

import argparse
import logging
import random
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

from tests.fuzz.campaign import Campaign
from tests.fuzz.case import GENERATORS, Case
from tests.fuzz.models.campaign import FolderCampaign
from tests.fuzz.models.trials import Trials
from tests.fuzz.target import target

MODELS = "models"
_MODELS_SHARE = 1 / 3
"""Of the time, where nothing else is chosen."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--seed", type=int, help="of every decision (a new one, which is said)")
    parser.add_argument("--only", choices=(*GENERATORS, MODELS), help="one of the four (all)")
    parser.add_argument("--replay", type=Path, help="try the case that was kept here, and no other")
    parser.add_argument(
        "--failures", type=Path, default=Path("fuzz-failures"), help="where they go (fuzz-failures)"
    )
    options = parser.parse_args()
    if options.replay is not None:
        faults = _replayed(options.replay)
        print("\n".join(faults) or "nothing is wrong")
        return 1 if faults else 0
    logging.disable(logging.CRITICAL)  # thousands of refusals are no news
    seed = random.SystemRandom().randrange(2**31) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    tried, failed = _campaigns(options, seed)
    counted = ", ".join(f"{count} {generator}" for generator, count in tried.items())
    print(f"tried {counted}; failed {failed.total()}")
    for kind, count in failed.most_common():
        print(f"  {count} x {kind}")
    return 1 if failed else 0


def _replayed(kept: Path) -> list[str]:
    if kept.is_dir():
        with Trials() as trials:
            return trials.faults(kept.absolute())
    with target() as tried:
        return tried.faults(Case.read(kept))


def _campaigns(options: argparse.Namespace, seed: int) -> tuple[Counter[str], Counter[str]]:
    """What was tried, by kind, and what failed."""
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    only, seconds = options.only, options.seconds
    # Model folders are tried last, in a process that meanwhile imports what it needs.
    with Trials() if only in (None, MODELS) else nullcontext() as trials:
        if only != MODELS:
            share = seconds if only else seconds * (1 - _MODELS_SHARE)
            with target() as service:
                generators = (only,) if only else GENERATORS
                requests = Campaign(service, options.failures, seed, generators)
                requests.run(seconds=share)
            tried, failed = tried + requests.tried, failed + requests.failed
        if trials is not None:
            share = seconds if only else seconds * _MODELS_SHARE
            folders = FolderCampaign(trials, options.failures, seed)
            folders.run(seconds=share)
            tried[MODELS] += folders.tried
            failed += folders.failed
    return tried, failed


if __name__ == "__main__":
    sys.exit(main())
