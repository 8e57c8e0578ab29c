"""`python -m tests.chaos --seed N [--count K]`: K trials from that seed on; 1 if one of them failed."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from tests.chaos.trial import attempt


def main() -> int:
    """Run them one after the other, and say of each how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it takes its disk with it
    failed = []
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        began = time.monotonic()
        wrong = attempt(seed)
        sys.stdout.write(f"seed {seed}: {'failed' if wrong else 'ok'} in {time.monotonic() - began:.1f} s\n")
        for text in wrong:
            sys.stdout.write(f"    {text}\n")
        sys.stdout.flush()
        if wrong:
            failed.append(seed)
    sys.stdout.write(f"{arguments.count - len(failed)} passed, {len(failed)} failed: {failed}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
