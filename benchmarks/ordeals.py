"""Bad nights of a magnet, as many as you like: seeds, rules broken, and how many nights a minute and core.

    python benchmarks/ordeals.py [nights] [first seed] [processes]

Each seed is one night (engine/ordeal.py): the real driver, link and guard on a simulated supply, with faults on the
wire, at the supply and in the magnet, a person's hand on the knobs, and the process killed at a message. A broken rule
is printed with all that happened; the same seed on the same commit does it again.
"""

import multiprocessing
import os
import sys
from time import process_time

from remanence.engine.ordeal import Verdict, ordeal


def night(seed: int) -> tuple[Verdict, float]:
    started_s = process_time()
    return ordeal(seed), process_time() - started_s


def main() -> int:
    wanted = [int(argument) for argument in sys.argv[1:]]
    nights, first, processes = (*wanted, *(2000, 0, os.cpu_count() or 1)[len(wanted) :])[:3]
    broken, spent_s, messages, coasted_s = 0, 0.0, 0, 0.0
    with multiprocessing.Pool(processes) as pool:
        for done, (verdict, took_s) in enumerate(pool.imap(night, range(first, first + nights), chunksize=8), start=1):
            spent_s, messages = spent_s + took_s, messages + verdict.messages
            coasted_s += verdict.laboratory_s
            if verdict.breaches:
                broken += 1
                print(verdict)
            if done % 500 == 0:
                print(f"{done} nights, {broken} with a broken rule", file=sys.stderr)
    print(
        f"{nights} nights: {broken} with a broken rule; {messages / nights:.0f} messages and "
        f"{coasted_s / nights / 3600:.1f} h each; {60.0 * nights / spent_s:.0f} nights a minute and core"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
