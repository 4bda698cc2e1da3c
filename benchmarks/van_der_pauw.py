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
from remanence.analysis.anisotropy import moment_anisotropy
from remanence.analysis.reciprocity import hall_from_reciprocity
from remanence.analysis.series import Entry, Series
from remanence.analysis.series_mean import difference, ratio, weighted_mean
from remanence.analysis.series_trend import linear_trend, plateau
from remanence.analysis.van_der_pauw import sheet_resistance
from remanence.core.records import EstimateStatus, Measured

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import contact_runs
import film_runs
import series_runs

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


def _series(run: series_runs.SeriesRun) -> Series:
    x, y, u, parts = run.draw()
    entries = [
        Entry(float(x[i]), Measured(float(y[i]), float(u[i])), {k: float(p[i]) for k, p in parts.items()}, x_u=run.x_u)
        for i in range(x.size)
    ]
    return Series.of("thickness_uc", "moment_Am2", entries)


def mean_and_differences(change: dict, seed: int) -> Answer:
    run = series_runs.SeriesRun(**{"rise": 0.0} | change, seed=seed)
    series = _series(run)
    mean, apart = weighted_mean(series), difference(series, 2.0, 30.0)
    of = ratio(series, 2.0, 30.0)
    bound = np.hypot(run.noise / np.sqrt(len(run.x)), np.hypot(run.offset_u, run.scale_u * run.plateau))
    return {
        "mean": ((mean.mean.value - run.plateau) / mean.mean.u, (mean.mean.value - run.plateau) / bound),
        "difference": (apart.z, np.nan),
        "ratio": (of.z, np.nan),
    }, apart.significant


def line(change: dict, seed: int) -> Answer:
    run = series_runs.SeriesRun(**{"rise": 0.0, "slope": 0.1} | change, seed=seed)
    found = linear_trend(_series(run))
    rest = np.array(run.x) - np.mean(run.x)
    bound = np.hypot(np.hypot(run.noise, run.slope * run.x_u) / np.sqrt(np.sum(rest**2)), run.scale_u * run.slope)
    error = found.slope.value - run.slope
    ten = found.at(10.0)
    return {
        "slope": (error / found.slope.u, error / bound),
        "at 10": ((ten.value - run.plateau - 10.0 * run.slope) / ten.u, np.nan),
    }, abs(found.z) > 3.0


def kink(change: dict, seed: int) -> Answer:
    rng = np.random.default_rng([seed, 8])
    run = series_runs.SeriesRun(**{"x0": rng.uniform(8.0, 14.0)} | change, seed=seed)
    found = plateau(_series(run))
    if found.estimate.status is not EstimateStatus.RESOLVED:
        return {}, False
    values = found.estimate.values
    truth = {"levels_off_thickness_uc": run.x0, "plateau_moment_Am2": run.plateau, "rise_moment_Am2_per_uc": run.rise}
    x = np.array(run.x)
    design = np.column_stack([np.ones_like(x), np.minimum(x - run.x0, 0.0), -run.rise * (x < run.x0)])
    bound = np.sqrt(np.diag(run.noise**2 * np.linalg.pinv(design.T @ design)))[[2, 0, 1]]
    return {
        key.split("_moment")[0]: ((values[key].value - true) / values[key].u, (values[key].value - true) / limit)
        for (key, true), limit in zip(truth.items(), bound, strict=True)
    }, True


def directions(change: dict, seed: int) -> Answer:
    run = film_runs.FilmRun(**change, seed=seed)
    reported = {name: Measured(value, run.noise_Am2) for name, value in run.draw().items()}
    found = moment_anisotropy(reported, "MPMS3", calibration_u=run.calibration_u)
    values = found.estimate.values
    keys = {name: f"moment_Am2 {name}" for name in reported}
    answer = {name: ((values[key].value - run.true_Am2(name)) / values[key].u, np.nan) for name, key in keys.items()}
    if "preferred_over_others" in values:
        of, true = values["preferred_over_others"], run.true_Am2("[001]") / run.moment_Am2
        answer["ratio"] = ((of.value - true) / of.u, np.nan)
    return answer, found.preferred is not None


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
    "vdP EMF, 6 of 8": partial(van_der_pauw, {"labels": (*contact_runs.EIGHT[:6], "41,23"), "emf_ohm": 5.0}, True),
    "vdP u from 3 repeats": partial(van_der_pauw, {"repeats": 3}, False),
    "Hall white": partial(hall, {}),
    "Hall filtered noise": partial(hall, {"correlated": 6}),
    "Hall small": partial(hall, {"noise_ohm": 2.0}),
    "Hall few rows": partial(hall, {"period_s": 40.0}),
    "Hall ±7 T, offset": partial(hall, {"span_T": 7.0, "rate_T_per_s": 1e-2, "offset_ohm": 1.0}),
    "Hall frozen moment": partial(hall, {"frozen": 0.3}),
    "Hall curved 10 %": partial(hall, {"curvature": 0.1}),
    "series mean": partial(mean_and_differences, {}),
    "series mean, shared": partial(mean_and_differences, {"scale_u": 0.05, "offset_u": 0.3}),
    "series mean, u half": partial(mean_and_differences, {"understated": 2.0, "scale_u": 0.02}),
    "line": partial(line, {}),
    "line, shared": partial(line, {"scale_u": 0.05, "offset_u": 0.3}),
    "line, u of x": partial(line, {"x_u": 2.0}),
    "line, no slope": partial(line, {"slope": 0.0}),
    "kink": partial(kink, {}),
    "kink, shared": partial(kink, {"scale_u": 0.05, "offset_u": 0.3}),
    "kink, noisy": partial(kink, {"noise": 0.6}),
    "kink, many": partial(kink, {"x": tuple(np.linspace(1.0, 30.0, 30)), "noise": 0.5}),
    "kink? constant": partial(kink, {"rise": 0.0}),
    "kink? line": partial(kink, {"rise": 0.0, "slope": 0.3}),
    "kink? line, x to 30 by 1": partial(kink, {"rise": 0.0, "slope": 0.3, "x": tuple(np.linspace(1.0, 30.0, 30))}),
    "kink? smooth": partial(kink, {"smooth": 5.0, "noise": 0.1}),
    "directions: isotropic": partial(directions, {}),
    "directions: isotropic, quiet": partial(directions, {"noise_Am2": 1e-12}),
    "directions: [001] 15 % larger": partial(directions, {"out_of_plane": 1.15}),
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
                z, bounds = np.array([found[key] for found, _ in answers if key in found]).T
                cover = 100.0 * np.mean(np.abs(z) < 1.96)
                print(
                    f"  {key:12s} resolved {len(z)}/{seeds}  covered {cover:5.1f} %  z mean {z.mean():+.2f} "
                    f"rms {np.sqrt(np.mean(z**2)):.2f}  RMS err/bound {np.sqrt(np.mean(bounds**2)):.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
