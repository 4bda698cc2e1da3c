"""The Hall loop's fit over every class of the independent judge, a few seeds each.

`python benchmarks/hall_coverage.py 500` does the same in full, with coverage and efficiency.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.hall_runs import CLASSES, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import hall_coverage

SEEDS = range(2)
# Where the loop is so faint that it may be left unclaimed.
MAY_REFUSE = ("faint AHE",)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_answered_within_its_uncertainty_and_nothing_false_is_claimed(name: str):
    for seed in SEEDS:
        hall = run(name, seed)
        claim = hall_coverage.ours(hall)
        assert not hall_coverage.false_claim(claim, hall), (seed, claim)
        if hall.truth.expect == "resolved" and name not in MAY_REFUSE:
            assert claim.coercive is not None, (seed, claim)
        z = hall_coverage.z_of(claim.coercive, hall.truth.coercive_T)
        assert not np.isfinite(z) or abs(z) < 4.0, (seed, claim)
