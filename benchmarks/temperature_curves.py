"""How often the intervals of m(T) cover, and how often something is claimed where nothing is.

    python benchmarks/temperature_curves.py [seeds per class] [class ...]

Per class and value: claimed, 95 % coverage, mean and RMS of z, median u, and for Curie–Weiss the RMS error over the
Fisher bound of the rows above 20 K.
"""

import sys
from dataclasses import replace
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from remanence.analysis.temperature_curves import analyze_temperature_curves

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import temperature_curve_runs as runs

T = runs.Truth
CURIE = T(kind="curie")
CLASSES = {
    "Curie–Weiss": (CURIE, False),
    "Curie–Weiss, with u": (replace(CURIE, with_u=True), False),
    "Curie–Weiss, strong": (replace(CURIE, curie_m3_K=2.5e-11), False),
    "Curie–Weiss, 60 rows": (replace(CURIE, rows=60), False),
    "Curie–Weiss, memory 0.5": (replace(CURIE, correlation=0.5), False),
    "Curie–Weiss, memory 0.8": (replace(CURIE, correlation=0.8, rows=250), False),
    "Curie–Weiss, bad rows": (CURIE, True),
    "Curie–Weiss, lag 0.5 K": (replace(CURIE, lag_K=0.5, cooling=True), False),
    "two Curie–Weiss laws": (replace(CURIE, kind="blocking", blocking_K=3.0, low_K=5.0, spread=1.2), False),
    "blocking": (T(), False),
    "blocking, narrow": (T(spread=0.15), False),
    "blocking, broad": (T(spread=0.7), False),
    "blocking, noisy": (T(noise_Am2=1e-10), False),
    "blocking, very noisy": (T(noise_Am2=3e-10), False),
    "blocking, 60 rows": (T(rows=60), False),
    "blocking, 400 rows": (T(rows=400), False),
    "blocking, memory 0.5": (T(correlation=0.5, noise_Am2=5e-11), False),
    "blocking, bad rows": (T(), True),
    "blocking, FC on cooling": (T(cooling=True), False),
    "blocking, lag 0.5 K": (T(cooling=True, lag_K=0.5), False),
    "kink": (T(kind="kink", gap=0.3, relative_noise=1e-3), False),
    "branches agree": (T(kind="agree"), False),
    "branches agree, noisy": (T(kind="agree", noise_Am2=4e-10), False),
    "branches agree, memory 0.8": (T(kind="agree", noise_Am2=2e-10, correlation=0.8), False),
    "gap all the way up": (T(kind="gap"), False),
    "gap all the way up, noisy": (T(kind="gap", noise_Am2=2e-10), False),
}
KEYS = {
    "irreversibility_temperature_K": "T_irr",
    "zfc_maximum_K": "T_max",
    "blocking_temperature_K": "T_B",
    "curie_constant_m3_K": "C",
    "curie_weiss_theta_K": "θ",
    "chi0_m3": "χ0",
}


def one(job):
    name, seed = job
    base, bad = CLASSES[name]
    truth = runs.draw(base, seed)
    frame = runs.frame(truth)
    values = analyze_temperature_curves(runs.spoil(frame, seed) if bad else frame).estimate.values
    true, bound = dict.fromkeys(KEYS, np.nan), dict.fromkeys(KEYS, np.nan)
    if truth.kind in ("blocking", "kink"):
        true["irreversibility_temperature_K"] = truth.irreversibility_K
    if truth.kind == "blocking":
        true["zfc_maximum_K"] = true["blocking_temperature_K"] = truth.maximum_K
    if truth.kind == "curie":
        keys = list(KEYS)[3:]
        true |= dict(zip(keys, (truth.curie_m3_K, truth.theta_K, truth.chi0_m3), strict=True))
        bound |= dict(zip(keys, runs.curie_bound(truth), strict=True))
    return {
        key: (values[key].value - true[key], values[key].u, bound[key]) if key in values else (np.nan,) * 3
        for key in KEYS
    }, [key in values for key in KEYS]


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with Pool(2) as pool:
        for name in sys.argv[2:] or CLASSES:
            rows, claims = zip(*pool.imap(one, [(name, seed) for seed in range(seeds)], 5), strict=True)
            print(name)
            for (key, label), claimed in zip(KEYS.items(), np.mean(claims, axis=0), strict=True):
                if not claimed:
                    continue
                error, u, bound = np.array([row[key] for row in rows]).T
                z = (error / u)[np.isfinite(error)]
                line = f"   {label:6} claimed {claimed:6.1%}"
                if z.size:
                    line += f"  covered {np.mean(np.abs(z) < 1.96):6.1%}  z {z.mean():+.2f}"
                    line += f" rms {np.sqrt(np.mean(z**2)):.2f}"
                    line += f"  u {np.nanmedian(u):.3g}  error {np.sqrt(np.nanmean(error**2)):.3g}"
                if np.isfinite(bound).any():
                    line += f"  error/bound {np.sqrt(np.nanmean((error / bound) ** 2)):.2f}"
                print(line, flush=True)


if __name__ == "__main__":
    main()
