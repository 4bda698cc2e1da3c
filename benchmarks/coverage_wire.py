"""Does 95 % mean 95 %? Whole loops over simulated wires, one seed each, against the sample's own coercive field.

    python benchmarks/coverage_wire.py --seeds 100 --max-field 7          # about 15 min on two cores
    python benchmarks/coverage_wire.py --seeds 100 --max-field 1 --no-ahe

Each seed also draws the sample's coercive field, width and amplitude, the trapped flux, the lag and the offset, so
that no single set of numbers can be tuned to.
"""

import argparse
import random
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from remanence.cli.session import simulated_truth
from remanence.core.records import EstimateStatus
from remanence.engine.live_fit import LiveFit
from remanence.engine.runner import Runner
from remanence.engine.station import Station
from remanence.engine.station_file import reference_station
from remanence.procedures.hall_loop import HallLoop
from remanence.simulators.sample import load_sample

KEYS = ("coercive_field_T", "coercive_up_T", "coercive_down_T")


def one(seed: int, max_field_T: float, vary: bool, ahe: bool) -> dict[str, tuple[float, float]] | None:
    """z and u of each crossing for one seed, or None when no coercive field was claimed."""
    draw = random.Random(seed)
    sample = load_sample("park2020_deficient")
    text = reference_station().read_text(encoding="utf-8")
    if vary:
        sample = sample.model_copy(
            update={
                "coercive_T": draw.uniform(0.040, 0.053),
                "coercive_spread_T": draw.uniform(0.010, 0.018),
                "interaction_T": draw.uniform(0.004, 0.012),
                "ahe_amplitude_ohm": draw.uniform(1.5, 4.0),
                "contact_misalignment": draw.uniform(-0.04, 0.04),
                "noise_V_per_sqrtHz": draw.uniform(15e-9, 50e-9),
            }
        )
        text = text.replace('trapped_field = "0.5 mT"', f'trapped_field = "{draw.uniform(0, 2):.3f} mT"')
        text = text.replace('trapped_scale = "0.3 T"', f'trapped_scale = "{draw.uniform(0.2, 0.5):.3f} T"')
        text = text.replace('switch_resistance = "50 ohm"', f'switch_resistance = "{draw.uniform(20, 300):.1f} ohm"')
        text = text.replace('field_offset = "0.04 mT"', f'field_offset = "{draw.uniform(-0.06, 0.06):.3f} mT"')
    if not ahe:
        sample = sample.model_copy(update={"ahe_amplitude_ohm": 0.0})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "station.toml"
        path.write_text(text, encoding="utf-8")
        with Station.open(path, simulate=True, seed=seed, sample=sample) as station:
            fit = LiveFit(period_s=None)
            result = Runner(station, Path(folder), live_fit=fit).run(HallLoop(max_field_T=max_field_T))
            truth = simulated_truth(station, HallLoop(max_field_T=max_field_T))
    estimate = result.estimate
    if estimate is None or estimate.status is not EstimateStatus.RESOLVED:
        return None
    if not ahe:
        return {key: (np.inf, estimate.values[key].u) for key in KEYS}
    return {key: ((m.value - truth[key]) / m.u, m.u) for key in KEYS if (m := estimate.values[key])}


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--max-field", type=float, default=7.0)
    parser.add_argument("--fixed", action="store_true", help="only the noise differs from seed to seed")
    parser.add_argument("--no-ahe", action="store_true")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds)
    work = partial(one, max_field_T=asked.max_field, vary=not asked.fixed, ahe=not asked.no_ahe)
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(work, seeds))
    claimed = [item for item in found if item is not None]
    print(f"±{asked.max_field:g} T, {len(found)} seeds: {len(claimed)} claimed a coercive field")
    if asked.no_ahe or not claimed:
        return
    for key in KEYS:
        z = np.array([item[key][0] for item in claimed])
        u = np.array([item[key][1] for item in claimed])
        covered, spread = np.mean(np.abs(z) < 1.96), np.sqrt(np.mean(z**2))
        print(
            f"  {key:18s} covered {covered:6.1%}  mean z {z.mean():+.2f}  rms z {spread:.2f}"
            f"  largest |z| {np.abs(z).max():.1f}  median u {np.median(u) * 1e3:.3f} mT"
        )


if __name__ == "__main__":
    main()
