"""Runs seeds from the command line: `python -m support.simulation --seeds 0-999`.

From the project's root, with `PYTHONPATH=tests:.`; exits 1 where an invariant broke.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import sys
import time

from support.simulation.run import run_seed

#: Real seconds after which a seed hangs: some fifty times what one takes.
REAL_SECONDS = 10.0


def main() -> int:
    """Run the seeds; returns the exit status."""
    parser = argparse.ArgumentParser(prog="support.simulation")
    parser.add_argument("--seeds", default="0-199", help="A-B, or one number")
    parser.add_argument("--first", action="store_true", help="stop at the first that fails")
    parser.add_argument("--digest", action="store_true", help="print the digest of each trace")
    parser.add_argument("--trace", action="store_true", help="print all that happened")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    began, failed, count = time.perf_counter(), 0, 0
    for seed in seeds:
        count += 1
        faulthandler.dump_traceback_later(REAL_SECONDS, exit=True)
        report = run_seed(seed)
        faulthandler.cancel_dump_traceback_later()
        if options.trace:
            print(*report.trace, sep="\n")
        if options.digest:
            print(seed, report.digest)
        if report.problems:
            failed += 1
            print(f"seed {seed} fails; again: python -m support.simulation --seeds {seed}")
            for problem in report.problems:
                print(f"  {problem}")
            if options.first:
                break
    seconds = time.perf_counter() - began
    print(f"{count} seeds, {failed} failed, {count / seconds:.1f} a second", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
