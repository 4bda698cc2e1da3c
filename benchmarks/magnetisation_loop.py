"""How often the intervals of an M(H) loop cover, and how often a loop is claimed, over fresh synthetic runs by class.

    python benchmarks/magnetisation_loop.py [seeds per class] [class ...]

Per class: runs claimed, by which method; then for H_C, the loop's centre, m_S and m_R the coverage of the 95 %
interval, mean and RMS of (estimate − truth)/u; the RMS error of H_C in units of the bound with every nuisance free,
and the median u. Truth of H_C is the crossing of the film's branches, whatever their shape.
"""

import os
import sys
from multiprocessing import Pool
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import squid_runs
from remanence.analysis.magnetisation_loop import analyze_magnetisation_loop
from remanence.core.records import EstimateStatus

FIRST_SEED = 10_000  # the tests use small ones
KEYS = ("coercive_field_T", "loop_centre_T", "saturation_moment_Am2", "remanent_moment_Am2")
CLASSES = (*squid_runs.KINDS, "clean, no u", "trapped, no u", "weak, no u", "trapped, control", "no substrate, control")


def one(job):
    name, seed = job
    kind, _, variant = name.partition(", ")
    sample = squid_runs.draw(kind, seed)
    legs = squid_runs.LEGS.get(kind, ("virgin", "down", "up"))
    frame = squid_runs.run(sample, seed, legs=legs, with_u=variant != "no u")
    control = squid_runs.control_run(sample, seed) if variant == "control" else None
    result = analyze_magnetisation_loop(frame, control=control)
    estimate = result.estimate
    truth = squid_runs.truth(sample)
    bound = np.nan
    if sample.saturation_emu > 0.0 and sample.coercive_Oe > 0.0 and len(legs) == 3:
        bound = squid_runs.bound_Oe(sample, seed) * 1e-4
    if estimate.status is not EstimateStatus.RESOLVED:
        return seed, None, bound, estimate.text
    found = [(estimate.values[key].value, estimate.values[key].u, truth[key]) for key in KEYS]
    return seed, found, bound, result.method


def report(name, answers):
    claimed = [a for a in answers if a[1] is not None]
    methods = {m: sum(a[3] == m for a in claimed) for m in ("shape", "crossings")}
    print(f"{name}: claimed {len(claimed)} of {len(answers)} {methods}")
    if not claimed:
        return
    numbers = np.array([a[1] for a in claimed])
    error = numbers[:, :, 0] - numbers[:, :, 2]
    z = error / numbers[:, :, 1]
    for k, label in enumerate(("H_C", "centre", "m_S", "m_R")):
        print(
            f"  {label:7s}covered {100 * np.mean(np.abs(z[:, k]) < 1.96):5.1f} %   "
            f"z mean {z[:, k].mean():+.2f} rms {np.sqrt(np.mean(z[:, k] ** 2)):.2f}"
        )
    bound = np.array([a[2] for a in claimed])
    print(
        f"  H_C    RMS err/bound {np.sqrt(np.mean((error[:, 0] / bound) ** 2)):.2f}, median u/bound "
        f"{np.median(numbers[:, 0, 1] / bound):.2f}, median u {1e3 * np.median(numbers[:, 0, 1]):.4f} mT",
        flush=True,
    )
    worst = np.argsort(-np.abs(z[:, 0]))[:3]
    print("  worst:", ", ".join(f"seed {claimed[k][0]} z {z[k, 0]:+.1f}" for k in worst), flush=True)


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with Pool(2) as pool:
        for name in sys.argv[2:] or CLASSES:
            report(name, pool.map(one, [(name, FIRST_SEED + k) for k in range(seeds)], chunksize=8))


if __name__ == "__main__":
    main()
