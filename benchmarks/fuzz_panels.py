"""100,000 lines that no instrument was made for, at each panel and each MultiVu server: none may crash, hang or grow.

python benchmarks/fuzz_panels.py [cases] [part of a panel's name] [seed]
"""

import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter  # noqa: TID251

from remanence.simulators.catalogue import dotted
from remanence.simulators.multivu import MultiVu

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests import fuzz, fuzz_multivu


def tell(what: str, cases: int, work: Callable[[], int]) -> bool:
    """Do it, print how it went, and give whether it went well."""
    started_s = perf_counter()
    try:
        most = work()
    except AssertionError as error:
        print(f"FAILED  {error}", flush=True)
        return False
    spent_s = perf_counter() - started_s
    print(f"{what:<60} {cases} cases, at most {most} items, {spent_s:.0f} s", flush=True)
    return True


def main() -> int:
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    failed = 0
    for panel in fuzz.panels():
        if part.lower() not in dotted(panel).lower():
            continue
        failed += not tell(dotted(panel), cases, lambda panel=panel: fuzz.fuzz(panel, cases, seed)[0])
        if issubclass(panel, MultiVu):
            wire = f"{dotted(panel)} behind its server"
            failed += not tell(wire, cases, lambda panel=panel: fuzz_multivu.fuzz_wire(panel, cases, seed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
