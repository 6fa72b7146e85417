"""`python -m tests.fuzz --seconds 60 --seed 1`: nothing that is sent makes the service fail."""

import argparse
import logging
import random
import sys
from pathlib import Path

from tests.fuzz.campaign import Campaign
from tests.fuzz.case import PARTS, Case
from tests.fuzz.target import target


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--seed", type=int, help="of every decision (a new one, which is said)")
    parser.add_argument("--only", choices=PARTS, help="one of the three (all)")
    parser.add_argument("--replay", type=Path, help="try the case in this file, and nothing else")
    parser.add_argument(
        "--failures", type=Path, default=Path("fuzz-failures"), help="where they go (fuzz-failures)"
    )
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # thousands of refusals are no news
    with target() as tried:
        if options.replay is not None:
            logging.disable(logging.NOTSET)
            faults = tried.faults(Case.read(options.replay))
            print("\n".join(faults) or "nothing is wrong")
            return 1 if faults else 0
        seed = random.SystemRandom().randrange(2**31) if options.seed is None else options.seed
        print(f"seed {seed}", flush=True)
        parts = PARTS if options.only is None else (options.only,)
        campaign = Campaign(tried, options.failures, seed, parts)
        campaign.run(seconds=options.seconds)
    counted = ", ".join(f"{count} {part}" for part, count in campaign.tried.items())
    print(f"tried {counted}; failed {campaign.failed.total()}")
    for kind, count in campaign.failed.most_common():
        print(f"  {count} x {kind}")
    return 1 if campaign.failed else 0


if __name__ == "__main__":
    sys.exit(main())
