"""How often the intervals cover: van der Pauw, reciprocal Hall, series and anisotropy over many synthetic runs.

    python benchmarks/van_der_pauw.py [seeds per class] [class ...]

Per class: runs claimed, 95 % coverage, mean z, RMS of error over the bound where there is one, and how often a warning
or a claim was made.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from remanence.analysis.reciprocity import hall_from_reciprocity
from remanence.analysis.van_der_pauw import sheet_resistance
from remanence.core.records import EstimateStatus

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import contact_runs

# Of one seed: {name: (z, error over bound)} and whether something was claimed that the class watches for.
Answer = tuple[dict[str, tuple[float, float]], bool]
PERFECT = {"R_s": "sheet_resistance_ohm", "R_B/R_A": "R_B_over_R_A", "√(Rx/Ry)": "anisotropy"}


def van_der_pauw(change: dict, with_u: bool, seed: int) -> Answer:
    run = contact_runs.Square(**change, seed=seed)
    found = sheet_resistance(run.frame(with_u), gain_u=run.gain_u)
    values = found.estimate.values
    a, b = run.pair_ohm
    truth = {"R_s": run.sheet_ohm, "R_B/R_A": b / a, "√(Rx/Ry)": run.anisotropy**0.5}
    claimed = any(defect.flagged for defect in found.defects)
    if found.estimate.status is not EstimateStatus.RESOLVED:
        return {}, claimed
    # The bound of R_s: van der Pauw's equation differentiated numerically, each of A and B a mean of all its readings.
    count = len(run.labels) * run.repeats / 2.0
    scale = 1e-4 * a
    slopes = [_sheet(a + scale, b) - _sheet(a, b), _sheet(a, b + scale) - _sheet(a, b)]
    bound = np.hypot(np.hypot(*slopes) / scale * run.noise_ohm / count**0.5, run.gain_u * run.sheet_ohm)
    return {
        name: (
            (values[key].value - truth[name]) / values[key].u,
            (values[key].value - truth[name]) / bound if name == "R_s" else np.nan,
        )
        for name, key in PERFECT.items()
    }, claimed


def _sheet(a: float, b: float) -> float:
    low, high = 1e-3, 1e9
    for _ in range(200):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if np.exp(-np.pi * a / middle) + np.exp(-np.pi * b / middle) < 1.0 else (low, middle)
    return low


def hall(change: dict, seed: int) -> Answer:
    rng = np.random.default_rng([seed, 7])
    run = contact_runs.HallLoopRun(**{"density_per_m2": 1e17 * rng.uniform(1.0, 6.0)} | change, seed=seed)
    frame = run.long()
    found = hall_from_reciprocity(frame)
    values = found.estimate.values
    claimed = found.onsager is not None and found.onsager.certain
    if found.estimate.status is not EstimateStatus.RESOLVED:
        return {}, claimed
    # Slope from B and sgn B and an offset per leg at |B| ≥ half of the field, white noise of the readings.
    b = np.linspace(0.5, 1.0, 200) * run.span_T
    rest = b - b.mean()
    per_side = len(frame) / 2.0 / 2.0  # pairs at high field over both sides
    slope_u = run.noise_ohm / np.sqrt(2.0) / np.sqrt(per_side * np.mean(rest**2)) * run.correlated**0.5
    slope = 1.0 / (contact_runs.E_C * run.density_per_m2)
    truth = {
        "hall_slope_ohm_per_T": slope,
        "sheet_density_per_m2": run.density_per_m2,
        "saturated_ahe_ohm": run.ahe_ohm,
    }
    return {
        key: (
            (values[key].value - true) / values[key].u,
            np.nan if "ahe" in key else (values[key].value - true) / (slope_u * true / slope),
        )
        for key, true in truth.items()
    }, claimed


FOUR = ("12,34", "34,12", "23,41", "41,23")
CLASSES: dict[str, Callable[[int], Answer]] = {
    "vdP square": partial(van_der_pauw, {}, True),
    "vdP gain 0.3 %": partial(van_der_pauw, {"gain_u": 0.003}, True),
    "vdP R_x/R_y 1.5": partial(van_der_pauw, {"anisotropy": 1.5}, True),
    "vdP R_x/R_y 4 (ratio 118)": partial(van_der_pauw, {"anisotropy": 4.0}, True),
    "vdP noise 10 %": partial(van_der_pauw, {"noise_ohm": 15.0}, True),
    "vdP noise 10 %, R_x/R_y 2": partial(van_der_pauw, {"noise_ohm": 15.0, "anisotropy": 2.0}, True),
    "vdP EMF 20 Ω": partial(van_der_pauw, {"emf_ohm": 20.0}, True),
    "vdP one direction": partial(van_der_pauw, {"labels": FOUR}, True),
    "vdP two readings": partial(van_der_pauw, {"labels": ("12,34", "23,41")}, True),
    "vdP EMF, 6 of 8": partial(van_der_pauw, {"labels": contact_runs.EIGHT[:6] + ("41,23",), "emf_ohm": 5.0}, True),
    "vdP u from 3 repeats": partial(van_der_pauw, {"repeats": 3}, False),
    "Hall white": partial(hall, {}),
    "Hall filtered noise": partial(hall, {"correlated": 6}),
    "Hall small": partial(hall, {"noise_ohm": 2.0}),
    "Hall few rows": partial(hall, {"period_s": 40.0}),
    "Hall ±7 T, offset": partial(hall, {"span_T": 7.0, "rate_T_per_s": 1e-2, "offset_ohm": 1.0}),
    "Hall frozen moment": partial(hall, {"frozen": 0.3}),
    "Hall curved 10 %": partial(hall, {"curvature": 0.1}),
    "vdP u from 3 of 2": partial(van_der_pauw, {"repeats": 3, "labels": ("12,34", "23,41")}, False),
}


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    wanted = sys.argv[2:] or list(CLASSES)
    with ProcessPoolExecutor(2) as pool:
        for name, one in ((n, f) for n, f in CLASSES.items() if any(w in n for w in wanted)):
            answers = list(pool.map(one, range(seeds), chunksize=25))
            claims = sum(claimed for _, claimed in answers)
            keys = list(dict.fromkeys(key for found, _ in answers for key in found))
            print(f"{name}: flagged or claimed {100.0 * claims / seeds:.1f} %")
            for key in keys:
                z, ratio = np.array([found[key] for found, _ in answers if key in found]).T
                cover = 100.0 * np.mean(np.abs(z) < 1.96)
                print(
                    f"  {key:12s} resolved {len(z)}/{seeds}  covered {cover:5.1f} %  z mean {z.mean():+.2f} "
                    f"rms {np.sqrt(np.mean(z**2)):.2f}  RMS err/bound {np.sqrt(np.nanmean(ratio**2)):.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
