"""Bad nights by seed: the real driver, link and guard on simulated supplies, judged on the magnet's true state.

Two thousand nights here, each with up to five kinds of fault, kills and restarts, and a day of coasting with nobody
there; `python benchmarks/ordeals.py` lives through more. The bugs planted at the end show that the judge can see.
"""

from typing import Any

import pytest
from remanence.engine.ordeal import Night, ordeal
from remanence.engine.ordeal_rig import SUPPLIES
from remanence.instruments import guard_mover, guard_path
from remanence.instruments.cryogenic import SMS120C

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
    """A quiet night with a sweep, a hold and persistent mode: killed at its first messages in turn, then all along."""
    script = [("sweep", 4.0, 0.08), ("sweep and hold", -1.0, 0.08), ("persist", 0.0, 0.0), ("zero", 0.0, 0.08)]
    whole = Night(7, supply, (), [], script).run()
    assert not whole.breaches
    # What is on its way at the beginning comes again and again; the switch has its turn later.
    later = range(200, whole.messages, (whole.messages - 200) // 200)
    for message in [*range(200), *later][part::4]:
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


@pytest.mark.parametrize(
    ("blind", "said"), [(False, "the polarity relay did not change sign"), (True, "told -1 A, its set point is +1 A")]
)
def test_a_way_through_zero_in_one_piece_harms_nothing_so_it_is_not_among_the_bugs(
    monkeypatch: pytest.MonkeyPatch, blind: bool, said: str
) -> None:
    """A relay that does not turn under current: the driver refuses, and were it blind, the look before "go" would."""
    plan = guard_path.plan

    def through(*way: Any) -> list[guard_path.Piece]:
        pieces = plan(*way)
        return [piece for piece in pieces if piece.stop_A != 0.0] or pieces

    def turned(driver: SMS120C, sign: int) -> None:
        driver.write(f"DIRECTION {'+' if sign > 0 else '-'}")
        driver._sign = sign

    monkeypatch.setattr(guard_mover, "plan", through)
    if blind:
        monkeypatch.setattr(SMS120C, "_reverse", turned)
    night = Night(3, "sms", (), [], [("sweep", 1.0, 0.08), ("sweep", -1.0, 0.08), ("wait", 0.0, 0.0)])
    verdict = night.run()
    assert any(said in act for act in verdict.acts)
    assert not verdict.breaches
    assert night.rig.world.magnet.coil_current() == pytest.approx(1.0, abs=1e-3)


def test_enough_bugs_are_planted() -> None:
    assert len(BUGS) >= 20
