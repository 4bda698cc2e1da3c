"""Bad nights by seed: the real driver, link and guard on simulated supplies, judged on the magnet's true state.

Two thousand nights here, each with up to five kinds of fault, kills and restarts, and a day of coasting with nobody
there; `python benchmarks/ordeals.py` lives through more. The bugs planted at the end show that the judge can see.
"""

import pytest
from remanence.engine.ordeal import Night, ordeal
from remanence.engine.ordeal_rig import SUPPLIES

from .planted_bugs import BUGS, Bug

NIGHTS, PER_TEST = 2000, 50
MOST_SEEDS = 3000


@pytest.mark.parametrize("first", range(0, NIGHTS, PER_TEST))
def test_no_rule_is_broken_in_any_night(first: int) -> None:
    broken = [verdict for seed in range(first, first + PER_TEST) if (verdict := ordeal(seed)).breaches]
    assert not broken, "\n\n".join(map(str, broken))


# Nights in which leads once left a coil that stayed: broken heaters, slow switches, and lines that were dead meanwhile.
@pytest.mark.parametrize("seed", [2016, 2295, 3360, 3976, 4016])
def test_no_rule_is_broken_in_nights_that_once_broke_one(seed: int) -> None:
    verdict = ordeal(seed)
    assert not verdict.breaches, str(verdict)


@pytest.mark.parametrize("supply", sorted(SUPPLIES))
@pytest.mark.parametrize("part", range(4))
def test_a_process_may_die_at_any_message(supply: str, part: int) -> None:
    """A quiet night with a sweep, a hold and persistent mode, killed at each of its messages in turn."""
    script = [("sweep", 4.0, 0.08), ("sweep and hold", -1.0, 0.08), ("persist", 0.0, 0.0), ("zero", 0.0, 0.08)]
    whole = Night(7, supply, (), [], script).run()
    assert not whole.breaches
    for message in range(part, min(whole.messages, 400), 4):
        verdict = Night(7, supply, (message,), [], script).run()
        assert not verdict.breaches, str(verdict)


@pytest.mark.parametrize("seed", range(0, 1000, 50))
def test_one_seed_is_one_history(seed: int) -> None:
    first, second = ordeal(seed), ordeal(seed)
    assert (first.history, first.messages, first.acts) == (second.history, second.messages, second.acts)


def test_nights_are_not_empty() -> None:
    nights = [ordeal(seed) for seed in range(40)]
    assert {verdict.supply for verdict in nights} == set(SUPPLIES)
    assert sum(bool(verdict.faults) for verdict in nights) > 20
    assert sum("killed" in act for verdict in nights for act in verdict.acts) > 10
    assert all(verdict.laboratory_s > 24 * 3600.0 for verdict in nights)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_seen(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant(monkeypatch)
    # Where it was seen before it is seen again, unless the draw has changed.
    seeds = (bug.seen_at, *range(MOST_SEEDS))
    found = next((verdict for seed in seeds if (verdict := Night(seed, bug.supply).run()).breaches), None)
    assert found is not None


def test_enough_bugs_are_planted() -> None:
    assert len(BUGS) >= 20
