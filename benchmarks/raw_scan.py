"""How often the interval of a raw scan's moment covers, and how often a fault is found.

    python benchmarks/raw_scan.py [seeds per class] [class ...]

Per class: moments given, 95 % coverage, mean of z, RMS error over the Fisher bound (without faults), scans in which
something beside the sample was found, and the time of one scan.
"""

import sys
import time
from dataclasses import replace
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from remanence.analysis import dipole_response
from remanence.analysis.raw_scan import Scan, analyze_scan, analyze_scans
from remanence.core.records import Measured

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import raw_scan_runs as runs

T = runs.Truth
M3 = T(coils="MPMS3", points=200)
# name: (truth, way of drawing, how the centre is given)
CLASSES = {
    "centred, fixed": (T(), runs.draw, "exact"),
    "centred, fixed, 32 points": (T(points=32), runs.draw, "exact"),
    "centred, fixed, MPMS3": (M3, runs.draw, "exact"),
    "off-centre 6 mm, fixed": (T(centre_m=6e-3), runs.draw, "exact"),
    "off-centre 6 mm, free": (T(centre_m=6e-3), runs.draw, "free"),
    "off-centre 6 mm, free, MPMS3": (replace(M3, centre_m=6e-3), runs.draw, "free"),
    "strong, free": (T(strength=1000.0), runs.draw, "free"),
    "barely free (m = 22 σ)": (T(strength=22.0), runs.draw, "free"),
    "sub-noise, fixed": (T(strength=0.5), runs.draw, "exact"),
    "sub-noise, fixed, MPMS3": (replace(M3, strength=0.5), runs.draw, "exact"),
    "sub-noise, free": (T(strength=0.5), runs.draw, "free"),
    "no moment, free": (T(strength=0.0), runs.draw, "free"),
    "believed ± 0.5 mm, weak": (T(strength=5.0), runs.draw, "believed"),
    "believed ± 0.5 mm, m = 30 σ": (T(strength=30.0), runs.draw, "believed"),
    "believed ± 0.5 mm, strong": (T(strength=500.0), runs.draw, "believed"),
    "rod of 5 mm, fixed": (T(length_m=5e-3, strength=200.0), runs.draw, "exact"),
    "rod of 5 mm, free, MPMS3": (replace(M3, length_m=5e-3, strength=200.0), runs.draw, "free"),
    "up and down": (T(both_ways=True), runs.draw, "exact"),
    "up and down, free": (T(both_ways=True, centre_m=2e-3), runs.draw, "free"),
    "noise with memory 0.5": (T(correlation=0.5), runs.draw, "exact"),
    "noise with memory 0.85, MPMS3": (replace(M3, correlation=0.85), runs.draw, "exact"),
    "background subtracted": (T(), runs.draw, "background"),
    "shared by a loop": (T(strength=60.0), runs.loop, "shared"),
    "shared by a loop, MPMS3": (replace(M3, strength=60.0), runs.loop, "shared"),
    "holder, fixed": (T(strength=150.0), runs.with_holder, "exact"),
    "holder, free": (T(strength=150.0), runs.with_holder, "free"),
    "holder, fixed, MPMS3": (replace(M3, strength=150.0), runs.with_holder, "exact"),
    "holder, free, MPMS3": (replace(M3, strength=150.0), runs.with_holder, "free"),
    "flux jump, fixed": (T(), runs.with_jump, "exact"),
    "flux jump, free": (T(), runs.with_jump, "free"),
    "flux jump, fixed, MPMS3": (M3, runs.with_jump, "exact"),
    "flux jump, sub-noise": (T(strength=0.5), runs.with_jump, "exact"),
    "flux jump, up and down": (T(both_ways=True), runs.with_jump, "exact"),
}


def coils_of(truth):
    return replace(getattr(dipole_response, truth.coils), length_m=truth.length_m)


def one(job):
    name, seed = job
    base, make, how = CLASSES[name]
    start = time.perf_counter()  # noqa: TID251
    if how == "shared":
        truths = make(base, seed)
        result = analyze_scans(
            [Scan(*runs.voltage(t)) for t in truths], response=coils_of(base), calibration_V_m_per_A=base.calibration
        )
        took = (time.perf_counter() - start) / len(truths)  # noqa: TID251
        return [row(t, scan, took) for t, scan in zip(truths, result.scans, strict=True)]
    truth = make(base, seed)
    z, volts = runs.voltage(truth)
    centre, background = truth.centre_m, None
    if how == "free":
        centre = None
    elif how == "believed":
        centre = Measured(truth.centre_m + 5e-4 * np.random.default_rng([seed, 9]).normal(), 5e-4)
    elif how == "background":
        extra_V, behind = runs.background(truth)
        volts, background = volts + extra_V, Scan(*behind)
    result = analyze_scan(
        z,
        volts,
        response=coils_of(truth),
        calibration_V_m_per_A=truth.calibration,
        centre_m=centre,
        background=background,
    )
    return [row(truth, result, time.perf_counter() - start, free=how == "free")]  # noqa: TID251


def row(truth, result, took, free=False):
    bound = truth.bound_Am2(free_centre=free, moment_Am2=truth.moment_Am2)
    moment = result.moment
    if moment is None:
        return (np.nan, np.nan, np.nan, bool(result.found), took, result.estimate.text)
    error = moment.value - truth.moment_Am2
    return (error / moment.u, error / bound, moment.u / bound, bool(result.found), took, "")


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with Pool(2) as pool:
        for name in sys.argv[2:] or CLASSES:
            count = max(seeds // 20, 25) if CLASSES[name][2] == "shared" else seeds
            rows = [r for part in pool.imap(one, [(name, s) for s in range(count)], 5) for r in part]
            z, error, u, found, took = (np.array([r[k] for r in rows], dtype=float) for k in range(5))
            given = np.isfinite(z)
            line = f"{name:32} given {given.mean():6.1%}  found {found.mean():6.1%}"
            if given.any():
                z, error, u = z[given], error[given], u[given]
                line += (
                    f"  covered {np.mean(np.abs(z) < 1.96):6.1%}  z {z.mean():+.2f} rms {np.sqrt(np.mean(z**2)):.2f}"
                )
                line += f"  error/bound {np.sqrt(np.mean(error**2)):.2f}  u/bound {np.median(u):.2f}"
            print(f"{line}  {np.median(took) * 1e3:.0f} ms", flush=True)


if __name__ == "__main__":
    main()
