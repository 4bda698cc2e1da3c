"""How good the Hall loop estimator is: thousands of runs of known truth, by class, against the Cramér–Rao bound.

    python benchmarks/hall_coverage.py [seeds] [class ...] [--procs 2] [--first 0] [--ordinary] [--save runs.csv]
    python benchmarks/hall_coverage.py --show seed class     what is true of one run, and what is estimated

A class is named by any part of its name. `--ordinary` shows hurried analysis on the same runs: the high-field line
subtracted, smoothing, the first crossing of each leg, no lag.
Per class: runs claimed, 95 % coverage of B_C and its binomial error, mean and RMS of z = (estimate − truth)/u, RMS of
the error in units of the bound, median |error| and u, the time of one estimate, the verdict on each acceptance limit,
and the seeds that did worst.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from remanence.analysis.hall_loop import analyze_hall_loop
from remanence.core.records import Estimate, EstimateStatus, Measured

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.hall_bench import HallRun
from tests.hall_bound import Bound, bound
from tests.hall_runs import CLASSES, run

CLEAN, HARDER, HARDEST = 1.2, 1.5, 2.0
EFFICIENCY = {
    "strong two-band curvature": HARDER, "Langevin S-shape": HARDER, "rate changes at 0.3 T": HARDER,
    "long filter, unknown readback delay": HARDER, "NaN, spikes, gap": HARDER, "step and settle": HARDER,
    "faint AHE": HARDER, "no R_xx": HARDER, "field readback glitches": HARDER, "paused sweep": HARDER,
    "skewed reversal": HARDEST, "two-step reversal": HARDEST, "erf reversal": HARDEST, "relay ensemble": HARDEST,
    "trapped field": HARDEST, "random-walk EMF": HARDEST,
}  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """What one run came to. `z` and `error_T` are NaN where nothing was claimed."""

    seed: int
    status: str
    error_T: float = np.nan
    u_T: float = np.nan
    z: float = np.nan
    z_up: float = np.nan
    z_down: float = np.nan
    bound_T: float = np.nan
    wary_T: float = np.nan
    relative_bound: float = np.nan
    false_claim: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Claim:
    """An answer by any method: its status and, where claimed, B_C, +B_C and −B_C."""

    status: str
    coercive: Measured | None = None
    up: Measured | None = None
    down: Measured | None = None


def estimate(hall: HallRun) -> Estimate:
    settings = hall.metadata
    return analyze_hall_loop(hall.frame, time_constant_s=settings["time_constant_s"], poles=int(settings["poles"]))


def ours(hall: HallRun) -> Claim:
    """What the package claims."""
    found = estimate(hall)
    keys = ("coercive_field_T", "coercive_up_T", "coercive_down_T")
    values = [found.values.get(key) for key in keys]
    if found.status is not EstimateStatus.RESOLVED:
        values[0] = None
    return Claim(str(found.status), *values)


def ordinary(hall: HallRun, *, window_T: float = 5e-3) -> Claim:
    """Analysis in a hurry, and what is quoted with it: the scatter about the smooth curve over its slope."""
    frame = hall.frame[["field_T", "R_xy_ohm"]].dropna()
    B, R = frame["field_T"].to_numpy(), frame["R_xy_ohm"].to_numpy()
    far = np.abs(B) > 0.7 * np.abs(B).max()
    slope, start = np.polyfit(B[far], R[far], 1)
    step_T = np.median(np.abs(np.diff(B)))
    points = max(1, int(window_T / step_T)) if step_T else 1
    left = R - slope * B - start
    smooth = pd.Series(left).rolling(points, center=True, min_periods=1).mean().to_numpy()
    bottom = int(np.argmin(B))
    top = int(np.argmax(B[: bottom + 1]))
    crossings = []
    for first, last in ((top, bottom), (bottom, len(B) - 1)):
        path, curve = B[first:last], smooth[first:last]
        near = np.abs(path) < 0.5
        path, curve = path[near], curve[near]
        change = np.flatnonzero(np.sign(curve[1:]) != np.sign(curve[:-1]))
        if not len(change):
            return Claim("not resolved")
        at = int(change[0])
        around = slice(max(0, at - points), at + points)
        steep = abs(np.polyfit(path[around], curve[around], 1)[0]) if np.ptp(path[around]) else np.inf
        scatter = np.std(left[first:last][near][around] - curve[around]) / np.sqrt(points)
        crossings.append(Measured(float(path[at]), float(np.hypot(scatter / steep, step_T))))
    down, up = crossings
    if not down.value < 0 < up.value:
        return Claim("not resolved")
    mean = Measured((up.value - down.value) / 2, float(np.hypot(up.u, down.u)) / 2)
    return Claim("resolved", mean, up, down)


METHODS = {"ours": ours, "ordinary": ordinary}


def judge(task: tuple[str, int, str]) -> Judged:
    """One run made, estimated and compared with its truth."""
    name, seed, method = task
    hall = run(name, seed)
    truth = hall.truth
    began = time.perf_counter()  # noqa: TID251  a benchmark measures real time
    try:
        claim = METHODS[method](hall)
    except Exception as error:  # a crash is a result too: it is counted, and named
        return Judged(seed, f"CRASH {type(error).__name__}: {error}")
    seconds = time.perf_counter() - began  # noqa: TID251
    least = bound(hall) if truth.expect == "resolved" else Bound(np.nan, np.nan, np.nan)
    return Judged(
        seed,
        claim.status,
        claim.coercive.value - truth.coercive_T if claim.coercive else np.nan,
        claim.coercive.u if claim.coercive else np.nan,
        z_of(claim.coercive, truth.coercive_T),
        z_of(claim.up, truth.up_T),
        z_of(claim.down, -truth.down_T),
        least.coercive_T,
        least.wary_T,
        least.coercive_T / truth.coercive_T,
        false_claim(claim, hall),
        seconds,
    )


def z_of(found: Measured | None, true: float) -> float:
    return (found.value - true) / found.u if found else np.nan


def false_claim(claim: Claim, hall: HallRun) -> bool:
    """Whether something is claimed that the rows cannot tell."""
    truth = hall.truth
    if truth.expect == "nothing":
        return any((claim.coercive, claim.up, claim.down))
    if truth.expect == "down only":
        return bool(claim.coercive or claim.up)
    if truth.expect == "prefix":
        B = hall.frame["field_T"].to_numpy()
        bottom = int(np.nanargmin(B))
        fell = B[bottom] < -truth.down_T
        rose = fell and np.nanmax(B[bottom:]) > truth.up_T
        return bool(claim.coercive and not rose) or bool(claim.down and not fell)
    return False


def report(name: str, judged: list[Judged]) -> bool:
    """Print what a class came to; True if it keeps every limit."""
    expect = run(name, judged[0].seed).truth.expect
    crashed = [j for j in judged if j.status.startswith("CRASH")]
    said = ", ".join(f"{status} {count}" for status, count in Counter(j.status.split(":")[0] for j in judged).items())
    times = np.array([j.seconds for j in judged])
    print(f"\n{name}: {said}; one estimate {np.median(times):.2f} s, at most {times.max():.2f} s")
    limits: list[tuple[str, bool]] = [(f"crashes {len(crashed)}", not crashed)]
    false = [j for j in judged if j.false_claim]
    if expect != "resolved":
        limits.append(
            (f"false claims {100 * len(false) / len(judged):.1f} % ≤ 2", at_most(len(false), len(judged), 0.02))
        )
    if expect == "resolved":
        limits += claims(judged)
    if expect in ("resolved", "prefix"):
        limits += calibration("B_C", np.array([j.z for j in judged]))
    if expect == "prefix":
        limits += [
            (f"preliminary {text}", kept) for text, kept in calibration("−B_C", np.array([j.z_down for j in judged]))
        ]
    if expect == "down only":
        got = [j for j in judged if np.isfinite(j.z_down)]
        limits.append((f"−B_C given {100 * len(got) / len(judged):.1f} % ≥ 98", at_least(len(got), len(judged), 0.98)))
        limits += calibration("−B_C", np.array([j.z_down for j in judged]))
    if expect == "resolved":
        limits.append(efficiency(name, judged))
        both = [np.array([getattr(j, key) for j in judged]) for key in ("z_up", "z_down")]
        print("  +B_C, −B_C apart: " + "; ".join(f"covered {cover(z):.1f} %, z {np.nanmean(z):+.2f}" for z in both))
    error, u = (np.array([getattr(j, key) for j in judged]) * 1e3 for key in ("error_T", "u_T"))
    if np.isfinite(error).any():
        least = np.array([j.bound_T for j in judged])
        over = f" = {np.nanmedian(u / least / 1e3):.2f} bounds" if np.isfinite(least).any() else ""
        print(f"  |error| median {np.nanmedian(np.abs(error)):.3f} mT, u median {np.nanmedian(u):.3f} mT{over}")
    for text, kept in limits:
        print(f"  {'PASS' if kept else 'FAIL'}  {text}")
    worst = sorted((j for j in judged if np.isfinite(j.z)), key=lambda j: -abs(j.z))[:6]
    if worst:
        print("  worst: " + ", ".join(f"seed {j.seed} z {j.z:+.1f} ({1e3 * j.error_T:+.2f} mT)" for j in worst))
    far = sorted((j for j in judged if np.isfinite(j.error_T / j.bound_T)), key=lambda j: -abs(j.error_T / j.bound_T))[
        :6
    ]
    if far:
        print("  farthest: " + ", ".join(f"seed {j.seed} {j.error_T / j.bound_T:+.1f} bounds" for j in far))
    wanted = {"resolved": "z", "down only": "z_down"}.get(expect)
    refused = [j.seed for j in judged if wanted and not np.isfinite(getattr(j, wanted))][:12]
    if refused:
        print(f"  refused: seeds {', '.join(map(str, refused))}")
    if false:
        print(f"  false: seeds {', '.join(str(j.seed) for j in false[:12])}")
    for j in crashed[:3]:
        print(f"  seed {j.seed}: {j.status}")
    sys.stdout.flush()
    return all(kept for _, kept in limits)


def at_most(count: int, total: int, share: float) -> bool:
    """Whether a count keeps to a share, with two binomial standard errors of tolerance."""
    return count <= total * share + 2 * np.sqrt(total * share * (1 - share))


def at_least(count: int, total: int, share: float) -> bool:
    return at_most(total - count, total, 1 - share)


def claims(judged: list[Judged]) -> list[tuple[str, bool]]:
    """Claims where B_C can be had to 5 %, and where only to 5–12 %."""
    limits = []
    for low, high, share in ((0.0, 0.05, 0.98), (0.05, 0.12, 0.70)):
        some = [j for j in judged if low <= j.relative_bound < high]
        if some:
            claimed = sum(np.isfinite(j.z) for j in some)
            text = f"claimed {100 * claimed / len(some):.1f} % of {len(some)} ≥ {100 * share:.0f}"
            text += f" (bound {100 * low:.0f}–{100 * high:.0f} %)"
            limits.append((text, at_least(claimed, len(some), share)))
    return limits


def cover(z: np.ndarray) -> float:
    z = z[np.isfinite(z)]
    return 100 * float(np.mean(np.abs(z) < 1.96)) if len(z) else np.nan


def calibration(what: str, z: np.ndarray) -> list[tuple[str, bool]]:
    """Coverage in [92, 98] % and |mean z| ≤ 0.1, with two standard errors of tolerance."""
    z = z[np.isfinite(z)]
    if len(z) < 2:
        return []
    covered = cover(z) / 100
    error = np.sqrt(0.95 * 0.05 / len(z))
    mean, mean_error = float(np.mean(z)), float(np.std(z) / np.sqrt(len(z)))
    covers = f"{what} covered {100 * covered:.1f} ± {100 * error:.1f} % in 92–98"
    centred = f"{what} mean z {mean:+.3f} ± {mean_error:.3f} within 0.1 (RMS z {np.sqrt(np.mean(z**2)):.2f})"
    return [
        (covers, 0.92 - 2 * error <= covered <= 0.98 + 2 * error),
        (centred, abs(mean) <= 0.1 + 2 * mean_error),
    ]


def efficiency(name: str, judged: list[Judged]) -> tuple[str, bool]:
    ratio = np.array([j.error_T / j.bound_T for j in judged if np.isfinite(j.error_T)])
    if not len(ratio):
        return "no claim to judge", False
    limit = EFFICIENCY.get(name, CLEAN)
    rms = float(np.sqrt(np.mean(ratio**2)))
    error = float(np.std(ratio**2) / (2 * rms * np.sqrt(len(ratio))))
    wary = float(np.sqrt(np.mean([(j.error_T / j.wary_T) ** 2 for j in judged if np.isfinite(j.error_T)])))
    text = f"RMS error {rms:.2f} ± {error:.2f} bounds ≤ {limit} (of the bound with trapped flux unknown {wary:.2f})"
    return text, rms <= limit + 2 * error


def show(name: str, seed: int) -> None:
    """One run in full."""
    hall = run(name, seed)
    print(f"{name}, seed {seed}: {len(hall.frame)} rows of {', '.join(hall.frame)}")
    print("\n".join(f"  {key} = {value}" for key, value in asdict(hall.truth).items()))
    found = estimate(hall)
    print(f"{found.status}; B_C in truth {hall.truth.coercive_T}, could be had to {bound(hall)}")
    print("\n".join(f"  {key} = {measured.value:.6g} ± {measured.u:.2g}" for key, measured in found.values.items()))
    print("\n".join(f"  {source}: {u * 1e3:.3f} mT" for source, u in found.budget.items()))
    print("\n".join(found.reasons))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="?", type=int, default=100)
    parser.add_argument("classes", nargs="*")
    parser.add_argument("--procs", type=int, default=2)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--ordinary", action="store_true")
    parser.add_argument("--save", type=Path)
    parser.add_argument("--show", type=int, metavar="SEED")
    asked = parser.parse_intermixed_args()
    if asked.show is not None:  # then no number of seeds is given, and what stands there is a class
        show(next(name for name in CLASSES if asked.classes[0] in name), asked.show)
        return 0
    names = [name for name in CLASSES if not asked.classes or any(part in name for part in asked.classes)]
    method = "ordinary" if asked.ordinary else "ours"
    kept, saved = 0, []
    # Spawned, so that what the processes load reads this: one thread each, or they fight for the same cores.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with multiprocessing.get_context("spawn").Pool(asked.procs) as pool:
        for name in names:
            tasks = [(name, seed, method) for seed in range(asked.first, asked.first + asked.seeds)]
            judged = pool.map(judge, tasks, chunksize=1)
            kept += report(name, judged)
            saved += [{"class": name} | asdict(j) for j in judged]
    if asked.save:
        pd.DataFrame(saved).to_csv(asked.save, index=False)
    print(f"\n{kept} of {len(names)} classes keep every limit ({asked.seeds} seeds each, from {asked.first})")
    return 0 if kept == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
