"""How often the intervals of the fits of two bands and of one band cover, on synthetic sweeps of several classes.

    python benchmarks/two_band.py [seeds per class] [class ...]

Per class: sweeps claimed, and for each of n1, µ1, n2, µ2 (classes `single`: n, µ, R_s) the 95 % coverage, mean and RMS
of (estimate − truth)/u, the median relative u and the RMS error in units of the statistical part of u.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
from remanence.analysis.single_band import analyze_single_band  # noqa: E402
from remanence.analysis.two_band import analyze_two_band  # noqa: E402
from remanence.analysis.two_band_result import BAND_KEYS  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import transport_runs as runs  # noqa: E402

SEVEN = {"turns_T": (0.0, 7.0, -7.0, 7.0, 0.0), "step_T": 0.02}
MOBILE = {"densities_per_m2": (2.2e17, 0.15e17), "mobilities_m2_per_Vs": (0.03, 0.5)}
CLASSES = {
    "±15 T": {},
    "±7 T": SEVEN,
    "±3 T, µ2 B = 1.5": {"turns_T": (0.0, 3.0, -3.0, 3.0, 0.0), "step_T": 0.01, **MOBILE},
    "±7 T, no AHE": {**SEVEN, "ahe_ohm": 0.0},
    "±7 T, lag, drift, cusp": {**SEVEN, "delay_s": 1.2, "drift_ohm": 0.3, "localization": 0.005},
    "±7 T, cusp, µ2 B = 3.5": {**SEVEN, **MOBILE, "localization": 0.005},
    "±7 T, correlated noise": {**SEVEN, "correlation": 0.8},
    "±7 T, random walk": {**SEVEN, "noise_ohm": 0.01, "walk_ohm": 0.003},
    "±7 T, S-shape": {**SEVEN, "paramagnet_ohm": 1.0},
    "±7 T, noisy": {**SEVEN, "noise_ohm": 1.0},
    "±14 T, one direction": {"turns_T": (14.0, -14.0), "step_T": 0.03},
    "±7 T, holes": {**SEVEN, "sign": -1.0},
    "±7 T, 1 % magnetoresistance more": {**SEVEN, "magnetoresistance_per_T": 0.0015},
    "one band, ±7 T": {**SEVEN, "densities_per_m2": (2.3e17,), "mobilities_m2_per_Vs": (0.03,)},
    "one band, cusp": {
        **SEVEN, "densities_per_m2": (2.3e17,), "mobilities_m2_per_Vs": (0.03,), "localization": 0.005,
    },
    "one band, S-shape": {
        **SEVEN, "densities_per_m2": (2.3e17,), "mobilities_m2_per_Vs": (0.03,), "paramagnet_ohm": 1.0,
    },
    "µ2 B = 0.3": {**SEVEN, "turns_T": (0.0, 3.0, -3.0, 3.0, 0.0), "step_T": 0.01},
}  # fmt: skip
ONE = {**SEVEN, "densities_per_m2": (2.3e17,), "mobilities_m2_per_Vs": (0.03,)}
SINGLE = {
    "single, ±7 T": ONE,
    "single, lag, drift, cusp": {**ONE, "delay_s": 1.2, "drift_ohm": 0.3, "localization": 0.005},
    "single, correlated noise": {**ONE, "correlation": 0.8},
    "single, random walk": {**ONE, "noise_ohm": 0.01, "walk_ohm": 0.003},
    "single, ±1 T, 1 mT/s": {**ONE, "turns_T": (1.0, -1.0, 1.0), "step_T": 0.004},
    "single, but two bands": SEVEN,
}


def one_band(name, seed):
    truth = runs.draw(seed, base=replace(runs.Truth(), **SINGLE[name]))
    result = analyze_single_band(runs.frame(truth))
    if not result.resolved:
        return seed, result.estimate.text, None
    n, mu = truth.densities_per_m2[0], truth.mobilities_m2_per_Vs[0]
    wanted = {"density_per_m2": n, "mobility_m2_per_Vs": mu, "sheet_resistance_ohm": 1.0 / (runs.E_C * n * mu)}
    rows = []
    for key, true in wanted.items():
        m = result.estimate.values[key]
        stat = result.estimate.budget.get(f"{key}: statistical", m.u)
        rows.append(
            ((m.value - true) / m.u, m.u / m.value, (m.value - true) / stat, float(abs(m.value - true) < 1.96 * m.u))
        )
    return seed, result.estimate.text, np.array(rows)


def one(name, seed):
    if name in SINGLE:
        return one_band(name, seed)
    truth = runs.draw(seed, base=replace(runs.Truth(), **CLASSES[name]))
    result = analyze_two_band(runs.frame(truth))
    if not result.resolved:
        return seed, result.estimate.text, None
    pairs = zip(truth.densities_per_m2, truth.mobilities_m2_per_Vs, strict=True)
    wanted = np.ravel(sorted(pairs, key=lambda pair: pair[1]))
    values = [result.estimate.values[key] for key in BAND_KEYS]
    if wanted.size != 4:
        return seed, result.estimate.text, np.full((4, 4), np.nan)
    stat = [result.budget(key)["statistical"] for key in BAND_KEYS]
    limits = [result.intervals_95[key] for key in BAND_KEYS]
    inside = [low < true < high for (low, high), true in zip(limits, wanted, strict=True)]
    rows = [
        ((m.value - true) / m.u, m.u / m.value, (m.value - true) / s, float(hit))
        for m, true, s, hit in zip(values, wanted, stat, inside, strict=True)
    ]
    return seed, result.estimate.text, np.array(rows)


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with ProcessPoolExecutor(2) as pool:
        for name in sys.argv[2:] or (*CLASSES, *SINGLE):
            done = list(pool.map(partial(one, name), range(seeds), chunksize=5))
            claimed = [row for _, _, row in done if row is not None]
            print(f"{name}: claimed {len(claimed)} of {seeds}", flush=True)
            refused = {text.split(":")[1][:60] for _, text, row in done if row is None}
            if refused:
                print("   refused:", *sorted(refused), sep="\n     ")
            if not claimed or np.isnan(claimed[0]).any():
                continue
            table = np.array(claimed)
            z, relative, in_stat, hit = (table[:, :, k] for k in range(4))
            covered, rms = 100 * (np.abs(z) < 1.96).mean(0), np.sqrt((z**2).mean(0))
            for k, key in enumerate(("n", "µ", "R_s") if name in SINGLE else ("n1", "µ1", "n2", "µ2")):
                print(
                    f"   {key}: ±1.96 u covers {covered[k]:.1f} %, interval {100 * hit[:, k].mean():.1f} %, "
                    f"z {z[:, k].mean():+.2f} rms {rms[k]:.2f}, u/value {np.median(relative[:, k]):.2e}, "
                    f"RMS error {np.sqrt(np.mean(in_stat[:, k] ** 2)):.2f} stat. u",
                    flush=True,
                )


if __name__ == "__main__":
    main()
