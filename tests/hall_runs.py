"""Hall loops of known truth, by class: `run(class_name, seed)`. The classes are those an estimator is accepted by.

Each parameter is drawn per seed, from ranges of the experiment: white noise 0.02–0.2 Ω/√Hz, a loop of 0.3–1.5 Ω that
crosses at 40–53 mT with a width of 15–40 mT, filters of one to four poles, rows at 1–4 Hz.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from .hall_bench import HallRun, measure
from .hall_bound import bound
from .hall_sample import Truth

Draw = Callable[[np.random.Generator], Truth]
CLASSES: dict[str, Draw] = {}


def of_class(name: str) -> Callable[[Draw], Draw]:
    def keep(draw: Draw) -> Draw:
        CLASSES[name] = draw
        return draw

    return keep


def run(class_name: str, seed: int) -> HallRun:
    """One run of a class. The same name and seed give the same run."""
    rng = np.random.default_rng([seed, *class_name.encode()])
    truth = CLASSES[class_name](rng)
    frame = TROUBLE.get(class_name, lambda frame, _truth, _rng: frame)(measure(truth, rng), truth, rng)
    return HallRun(_recorded(frame, rng), truth, {"time_constant_s": truth.time_constant_s, "poles": truth.poles})


def _recorded(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The columns that this laboratory keeps: some note the field's own time, the leg, flags; some none of them."""
    for column in ("field_time_s", "leg", "flags"):
        if rng.random() < 0.5:
            frame = frame.drop(columns=column)
    return frame.reset_index(drop=True)


# What all classes draw


def window(turn_T: float) -> tuple[float, ...]:
    return (turn_T, -turn_T, turn_T, 0.0)


def plain(rng: np.random.Generator, turns_T: tuple[float, ...] = window(7.0), rate_T_per_s: float = 2e-3) -> Truth:
    """A run of every part that a good night has; drawn again until B_C could be had to 0.1–1 mT."""
    for _ in range(1000):
        truth = _ordinary(rng, turns_T, rate_T_per_s)
        could_be = np.sqrt(0.375 * truth.width_T * rate_T_per_s / 2) * truth.noise_ohm_per_root_Hz / truth.ahe_ohm
        if 0.1e-3 < could_be < 0.9e-3:
            return truth
    raise AssertionError("no draw is in range")


def _ordinary(rng: np.random.Generator, turns_T: tuple[float, ...], rate_T_per_s: float) -> Truth:
    coercive, centre = rng.uniform(0.040, 0.053), rng.normal(0, 1e-3)
    time_constant, poles = [(0.1, 4), (0.3, 2), (0.3, 3), (0.3, 4), (1.0, 1), (1.0, 2), (1.0, 4)][rng.integers(7)]
    return Truth(
        turns_T=turns_T,
        rates=((np.inf, rate_T_per_s),),
        dwell_s=float(rng.choice([5.0, 30.0, 120.0])),
        ahe_ohm=rng.uniform(0.3, 1.5),
        up_T=coercive + centre,
        down_T=coercive - centre,
        width_T=rng.uniform(0.015, 0.040),
        n_m2=(rng.uniform(1.2e17, 3e17), rng.uniform(0.3e17, 0.8e17)),
        mobility_m2_per_Vs=(rng.uniform(0.015, 0.04), rng.uniform(0.06, 0.12)),
        wal=rng.uniform(1e-3, 5e-3),
        wal_T=rng.uniform(0.05, 0.2),
        misalignment=rng.uniform(-0.02, 0.02),
        offset_ohm=rng.normal(0, 1.0),
        drift_ohm_per_s=rng.normal(0, 0.02) / 3600,
        magnet_lag_s=rng.uniform(0.02, 0.3),
        noise_ohm_per_root_Hz=np.exp(rng.uniform(np.log(0.02), np.log(0.2))),
        time_constant_s=time_constant,
        poles=poles,
        row_s=float(rng.choice([0.25, 0.5, 1.0])),
        field_offset_s=rng.uniform(-0.2, 0.5),
        resolution_T=float(rng.choice([1e-4, 1e-5, 1e-6])),
        readback_noise_T=float(rng.choice([2e-6, 2e-5])),
    )


def turn(rng: np.random.Generator) -> float:
    return float(rng.choice([1.0, 3.0, 7.0]))


def at_bound(truth: Truth, wanted_T: float, rng: np.random.Generator) -> Truth:
    """The same run with a loop so faint that B_C can be had to `wanted_T` at best."""
    empty = pd.DataFrame(measure(replace(truth, row_s=1.0), rng))
    for _ in range(2):
        found = bound(HallRun(empty, truth, {})).coercive_T
        truth = replace(truth, ahe_ohm=truth.ahe_ohm * found / wanted_T)
    return truth


# The classes


@of_class("±7 T, 2 mT/s")
def _seven(rng):
    return plain(rng)


@of_class("±1 T, 1 mT/s")
def _one(rng):
    return plain(rng, window(1.0), 1e-3)


@of_class("strong two-band curvature")
def _curved(rng):
    truth = plain(rng, window(turn(rng)))
    return replace(
        truth,
        n_m2=(rng.uniform(1e17, 3e17), rng.uniform(0.1e17, 0.5e17)),
        mobility_m2_per_Vs=(rng.uniform(0.02, 0.06), rng.uniform(0.2, 0.6)),
    )


@of_class("Langevin S-shape")
def _spins(rng):
    spin_T = rng.uniform(0.3, 1.5)
    return replace(plain(rng, window(turn(rng))), spin_ohm=rng.uniform(0.3, 1.5) * rng.choice([-1, 1]), spin_T=spin_T)


@of_class("skewed reversal")
def _gumbel(rng):
    return replace(plain(rng, window(turn(rng))), shape="gumbel", skew=float(rng.choice([-1, 1])))


@of_class("two-step reversal")
def _two_step(rng):
    return replace(plain(rng, window(turn(rng))), shape="two-step", second_step_w=rng.uniform(1.2, 2.5))


@of_class("erf reversal")
def _erf(rng):
    return replace(plain(rng, window(turn(rng))), shape="erf")


@of_class("relay ensemble")
def _relays(rng):
    return replace(plain(rng, window(turn(rng))), shape="relays", share_c=rng.uniform(0.2, 0.8))


@of_class("long filter, unknown readback delay")
def _late(rng):
    truth = plain(rng, window(turn(rng)))
    return replace(
        truth,
        time_constant_s=float(rng.choice([1.0, 3.0])),
        poles=int(rng.integers(2, 5)),
        readback_age_s=rng.uniform(-1.0, 3.0),
        magnet_lag_s=rng.uniform(0.1, 1.5),
        prior_delay_s=None,
    )


@of_class("trapped field")
def _trapped(rng):
    truth = plain(rng, window(turn(rng)))
    return replace(truth, trapped_T=rng.uniform(0.2e-3, 2e-3), trapped_scale_T=rng.uniform(0.1, 1.0))


@of_class("random-walk EMF")
def _walk(rng):
    truth = plain(rng, window(turn(rng)))
    return replace(truth, walk_ohm_per_root_s=rng.uniform(0.02, 0.15) / 60)


@of_class("rate changes at 0.3 T")
def _two_rates(rng):
    return replace(plain(rng, window(turn(rng))), rates=((0.3, 2e-3), (np.inf, float(rng.choice([5e-3, 8e-3, 1e-2])))))


@of_class("NaN, spikes, gap")
def _broken(rng):
    return plain(rng, window(turn(rng)))


@of_class("step and settle")
def _stepped(rng):
    truth = plain(rng, window(float(rng.choice([1.0, 3.0]))))
    rate = 5e-3
    settle = 12 * truth.time_constant_s * (1 + truth.poles / 4) + 8 * truth.magnet_lag_s + 2.0
    pitch = float(rng.choice([2e-3, 4e-3, 5e-3]))
    truth = replace(truth, grid_T=(pitch, 0.05), settle_s=settle, rates=((np.inf, rate),), row_s=0.25)
    # A stepped loop has few points: noise as low as a settled voltmeter's
    return replace(truth, noise_ohm_per_root_Hz=min(truth.noise_ohm_per_root_Hz, 0.06))


@of_class("faint AHE")
def _faint(rng):
    wanted_T = rng.uniform(2e-3, 6e-3)
    return at_bound(plain(rng, window(float(rng.choice([1.0, 7.0])))), wanted_T, rng)


@of_class("opposite sign")
def _opposite(rng):
    truth = plain(rng, window(turn(rng)))
    return replace(truth, ahe_ohm=-truth.ahe_ohm)


@of_class("misalignment 0.05 with WAL")
def _misaligned(rng):
    truth = plain(rng, window(turn(rng)))
    return replace(truth, misalignment=0.05 * rng.choice([-1, 1]), wal=rng.uniform(3e-3, 5e-3))


@of_class("two loops")
def _twice(rng):
    return plain(rng, (1.0, -1.0, 1.0, -1.0, 1.0, 0.0))


@of_class("no R_xx")
def _without_xx(rng):
    return plain(rng, window(turn(rng)))


@of_class("begins downward")
def _downward(rng):
    return plain(rng, window(-turn(rng)))


@of_class("begins at the tip")
def _from_tip(rng):
    tip = turn(rng) * float(rng.choice([-1, 1]))
    return replace(plain(rng, (-tip, tip)), start_T=tip)


@of_class("paused sweep")
def _paused(rng):
    truth = plain(rng, window(float(rng.choice([1.0, 3.0]))))
    return replace(truth, pause=(rng.uniform(-0.3, 0.3), rng.uniform(30.0, 900.0)))


@of_class("field readback glitches")
def _glitches(rng):
    return plain(rng, window(turn(rng)))


@of_class("prefix of a run")
def _prefix(rng):
    return replace(plain(rng, window(float(rng.choice([1.0, 3.0])))), expect="prefix")


@of_class("no AHE, lag")
def _no_loop_lag(rng):
    truth = CLASSES["long filter, unknown readback delay"](rng)
    return replace(truth, ahe_ohm=0.0, expect="nothing")


@of_class("no AHE, trapped field")
def _no_loop_trapped(rng):
    truth = plain(rng, window(turn(rng)))
    return replace(
        truth, ahe_ohm=0.0, trapped_T=rng.uniform(1e-3, 12e-3), trapped_scale_T=rng.uniform(0.1, 1.0), expect="nothing"
    )


@of_class("minor loop")
def _minor(rng):
    truth = plain(rng)
    tip = rng.uniform(0.6 * truth.coercive_T, truth.coercive_T + 1.2 * truth.width_T)
    return replace(truth, turns_T=window(tip), shape=str(rng.choice(["tanh", "relays"])), expect="nothing")


@of_class("half a loop")
def _half(rng):
    return replace(plain(rng, (turn(rng), 0.0)), expect="nothing")


@of_class("aborted loop")
def _aborted(rng):
    tip = turn(rng)
    return replace(plain(rng, (tip, -rng.uniform(0.3, 1.0) * tip)), expect="down only")


# What happens to the rows


def _broken_rows(frame, truth, rng):
    rows = len(frame)
    for column, share in (("R_xy_ohm", 0.005), ("R_xx_ohm", 0.005), ("field_T", 0.002), ("temperature_K", 0.01)):
        frame.loc[rng.random(rows) < share, column] = np.nan
    scatter = truth.noise_ohm_per_root_Hz
    for column in ("R_xy_ohm", "R_xx_ohm"):
        hit = rng.random(rows) < 0.003
        frame.loc[hit, column] += rng.choice([-1, 1], hit.sum()) * scatter * np.exp(rng.uniform(1.6, 5.0, hit.sum()))
    first = int(rng.integers(rows))
    lost_s = rng.uniform(30, 300)
    inside = (frame["time_s"] > frame["time_s"][first]) & (frame["time_s"] < frame["time_s"][first] + lost_s)
    return frame[~inside]


def _glitched(frame, truth, rng):
    """The reply to the question before (the row before again), and now and then a wrong number."""
    repeated = np.flatnonzero(rng.random(len(frame)) < 0.002)
    field = frame["field_T"].to_numpy(copy=True)
    for row in repeated[repeated > 0]:
        field[row] = field[row - 1]
    wrong = rng.choice(len(frame), rng.integers(1, 6), replace=False)
    field[wrong] = rng.choice([0.0, 1.0, -1.0], len(wrong)) * field[wrong] * rng.uniform(0.0, 1.5, len(wrong))
    return frame.assign(field_T=field)


def _cut(frame, truth, rng):
    return frame.iloc[: int(rng.uniform(0.1, 1.0) * len(frame))]


def _no_xx(frame, truth, rng):
    return frame.drop(columns="R_xx_ohm")


TROUBLE = {
    "NaN, spikes, gap": _broken_rows,
    "field readback glitches": _glitched,
    "prefix of a run": _cut,
    "no R_xx": _no_xx,
}
