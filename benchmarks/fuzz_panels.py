"""100,000 lines that no instrument was made for, at each front panel: none may crash, hang or grow.

python benchmarks/fuzz_panels.py [cases] [part of a panel's name] [seed]
"""

import sys
from pathlib import Path
from time import perf_counter  # noqa: TID251

from remanence.simulators.catalogue import dotted

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import fuzz


def main() -> int:
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    failed = 0
    for panel in fuzz.panels():
        if part.lower() not in dotted(panel).lower():
            continue
        started_s = perf_counter()
        try:
            most, longest_s = fuzz.fuzz(panel, cases, seed)
        except AssertionError as error:
            failed += 1
            print(f"FAILED  {error}", flush=True)
            continue
        spent_s = perf_counter() - started_s
        print(
            f"{dotted(panel):<55} {cases} cases, at most {most} items, {longest_s * 1e3:.0f} ms each, {spent_s:.0f} s",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
