"""How often the interval covers: the Hall loop estimator over many synthetic runs of several classes.

    python benchmarks/coverage_synthetic.py [seeds per class] [class ...]

Per class: runs claimed, 95 % coverage, mean and RMS of (estimate − truth)/u for B_C, +B_C and −B_C, the median
u(B_C), u and the RMS error in units of the bound (e_n/A) sqrt(0.375 w v / 2), and the time of `update` and `estimate`.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from remanence.analysis.hall_loop import HallLoopEstimator, HallLoopSettings
from remanence.core.records import EstimateStatus, Row

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import synthetic

SEVEN = (7.0, -7.0, 7.0, 0.0)
CLASSES = {
    "±1 T, 2 mT/s": {},
    "±7 T, 2 mT/s": {"turns_T": SEVEN},
    "±1 T, no AHE": {"ahe_ohm": 0.0},
    "±7 T, no AHE": {"ahe_ohm": 0.0, "turns_T": SEVEN},
    "±1 T, minor loop": {"turns_T": (0.06, -0.06, 0.06, 0.0)},
    "±0.3 T": {"turns_T": (0.3, -0.3, 0.3, 0.0)},
    "±3 T": {"turns_T": (3.0, -3.0, 3.0, 0.0)},
    "±1 T, two loops": {"turns_T": (1.0, -1.0, 1.0, -1.0, 1.0, 0.0)},
    "±1 T, 0.5 mT/s": {"rate_T_per_s": 5e-4},
    "±1 T, 5 mT/s": {"rate_T_per_s": 5e-3},
    "±1 T, filter 4 × 1 s": {"time_constant_s": 1.0},
    "±1 T, trapped flux renewed at 0.5 T": {"memory_T": 0.5},
    "±1 T, faint (0.05 Ω)": {"ahe_ohm": 0.05},
    "±1 T, random walk 10 mΩ/√h": {"random_walk_ohm": 0.01},
    "±7 T, random walk 10 mΩ/√h": {"random_walk_ohm": 0.01, "turns_T": SEVEN},
    "±1 T, two-step reversal": {"second_step": (0.34, 0.075)},
    "±7 T, two-step reversal": {"second_step": (0.34, 0.075), "turns_T": SEVEN},
}


def run(change, seeds):
    z, u, error, bound, update_us, estimate_ms = [], [], [], [], [], []
    for seed in range(seeds):
        truth = replace(synthetic.draw(seed, base=synthetic.Truth()), **change)
        frame = synthetic.frame(truth)
        rows = [
            Row(n, 0.0, 0.0, v) for n, v in enumerate(zip(*(frame[c].tolist() for c in frame.columns), strict=True))
        ]
        estimator = HallLoopEstimator(list(frame.columns), HallLoopSettings(truth.time_constant_s, truth.poles))
        start = time.perf_counter()  # noqa: TID251  a benchmark measures real time
        for row in rows:
            estimator.update(row)
        middle = time.perf_counter()  # noqa: TID251
        estimate = estimator.estimate()
        estimate_ms.append((time.perf_counter() - middle) * 1e3)  # noqa: TID251
        update_us.append((middle - start) / len(rows) * 1e6)
        if estimate.status is not EstimateStatus.RESOLVED:
            continue
        wanted = (("coercive_field_T", 1.0), ("coercive_up_T", 1.0), ("coercive_down_T", -1.0))
        found = [(estimate.values[key], sign * truth.crossing_T) for key, sign in wanted]
        z.append([(m.value - true) / m.u for m, true in found])
        u.append(found[0][0].u)
        error.append(found[0][0].value - truth.crossing_T)
        bound.append(truth.bound_T / np.sqrt(2.0) if truth.ahe_ohm else np.nan)
    return tuple(np.array(x) for x in (z, u, error, bound, update_us, estimate_ms))


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    for name in sys.argv[2:] or CLASSES:
        z, u, error, bound, update_us, estimate_ms = run(CLASSES[name], seeds)
        print(f"{name}: claimed {len(z)} of {seeds}")
        if len(z):
            cover, mean, rms = (np.abs(z) < 1.96).mean(0), z.mean(0), np.sqrt((z**2).mean(0))
            for k, key in enumerate(("B_C ", "+B_C", "−B_C")):
                print(f"  {key} covered {100 * cover[k]:3.0f} %   z mean {mean[k]:+.2f} rms {rms[k]:.2f}")
            ratio, rms_ratio = np.median(u / bound), np.sqrt(np.mean((error / bound) ** 2))
            print(f"  u {np.median(u) * 1e3:.3f} mT = {ratio:.2f} bounds, RMS error {rms_ratio:.2f} bounds")
        print(f"  update {np.median(update_us):.1f} µs, estimate {np.median(estimate_ms):.0f} ms", flush=True)


if __name__ == "__main__":
    main()
