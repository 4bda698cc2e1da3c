"""Synthetic M(H) runs of a SQUID magnetometer, with their truth and their Cramér–Rao bound.

Written from the formulas of the forward model alone; nothing here is shared with the estimator. Moments are in emu
and fields in oersted inside, as the magnetometer's own software has them, and leave in A m² and tesla.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import erf

MU_B_EMU = 9.2740100783e-21
K_B_ERG = 1.380649e-16
STO_EMU_PER_OE = -7.04e-9


@dataclass(frozen=True)
class Sample:
    """One film on its substrate in one magnet: emu, Oe, K."""

    saturation_emu: float = 1e-5
    coercive_Oe: float = 450.0
    shift_Oe: float = 0.0
    width_Oe: float = 300.0
    shape: str = "tanh"
    slope_emu_per_Oe: float = STO_EMU_PER_OE
    spins: float = 0.0
    temperature_K: float = 5.0
    offset_emu: float = 0.0
    trapped_Oe: float = 0.0
    trapped_scale_Oe: float = 3000.0
    centring: str = ""  # "", "jump" or "flip": what a free-centre fit does where the moment is lost in noise
    noise_emu: float = 1e-8
    noise_high_emu: float = 8e-8
    noise_relative: float = 3e-4
    grid: str = "stepped"
    largest_Oe: float = 70_000.0


def grid_Oe(kind, largest, rng):
    """The set points of one falling leg from +largest to −largest."""
    if kind == "stepped":
        low = np.arange(0.0, 1500.0, 50.0)
        middle = np.geomspace(1500.0, 10_000.0, 16)
        high = np.arange(15_000.0, 70_001.0, 5_000.0)
        half = np.concatenate([low, middle, high])
    elif kind == "uneven":
        half = np.unique(np.concatenate([np.linspace(0.0, 1200.0, 35), np.geomspace(1250.0, 70_000.0, 30)]))
    elif kind == "low":
        half = np.concatenate([np.arange(0.0, 1200.0, 40.0), np.geomspace(1200.0, 10_000.0, 25)])
    else:
        half = np.linspace(0.0, largest, 101)
    half = np.append(half[half < 0.999 * largest], largest)
    return np.concatenate([half[:0:-1], -half])


def path_Oe(sample, rng, legs=("virgin", "down", "up")):
    """Fields and leg numbers of a run."""
    down = grid_Oe(sample.grid, sample.largest_Oe, rng)
    pieces = {"virgin": down[down.size // 2 :: -1], "down": down, "up": down[::-1]}
    fields = [pieces[name] for name in legs]
    # The instrument's own reading of the field scatters a little about the set point, and repeats the tip.
    field = np.concatenate(fields)
    return field + rng.normal(0.0, 0.2, field.size), np.repeat(np.arange(len(legs)), [f.size for f in fields])


def brillouin(x, spin):
    """B_J(x) by its definition; the series near zero."""
    x = np.asarray(x, dtype=float)
    a, b = (2.0 * spin + 1.0) / (2.0 * spin), 1.0 / (2.0 * spin)
    y = np.where(np.abs(x) < 1e-4, 1.0, x)
    exact = a / np.tanh(a * y) - b / np.tanh(b * y)
    return np.where(np.abs(x) < 1e-4, (spin + 1.0) / (3.0 * spin) * x, exact)


def step(x, shape):
    """One reversal from −1 to +1 that crosses zero at x = 0 with unit slope scale."""
    if shape == "tanh":
        return np.tanh(x)
    if shape == "erf":
        return erf(0.5 * np.sqrt(np.pi) * x)
    if shape == "two-step":  # 65 % here, 35 % later: the crossing is put back to zero below
        raw = lambda v: 0.65 * np.tanh(v / 0.7) + 0.35 * np.tanh((v - 2.0) / 0.7)  # noqa: E731
    elif shape == "nucleation":
        raw = lambda v: 1.0 - 2.0 * np.exp(-np.exp(np.clip(v, -50, 50)))  # noqa: E731
    elif shape == "tails":
        raw = lambda v: 0.6 * np.tanh(v) + 0.4 * (2.0 / np.pi) * np.arctan(0.7 * v)  # noqa: E731
    else:
        raise ValueError(shape)
    grid = np.linspace(-4.0, 4.0, 4001)
    return raw(x + float(np.interp(0.0, raw(grid), grid)))


PARAMETERS = (
    "saturation_emu", "coercive_Oe", "shift_Oe", "width_Oe", "slope_emu_per_Oe", "spins", "offset_emu",
    "trapped_Oe", "trapped_scale_Oe",
)  # fmt: skip


def moment_emu(sample, field, direction, last):
    """The true moment. `direction` is +1 on a rising leg, `last` the sign of the last large field (0: none yet)."""
    true = field - last * sample.trapped_Oe / (1.0 + (field / sample.trapped_scale_Oe) ** 2)
    x = 2.0 * MU_B_EMU * 2.5 * true / (K_B_ERG * sample.temperature_K)
    film = (
        sample.saturation_emu
        * direction
        * step((direction * (true - sample.shift_Oe) - sample.coercive_Oe) / sample.width_Oe, sample.shape)
    )
    virgin = last == 0.0
    if np.any(virgin):
        film = np.where(virgin, sample.saturation_emu * np.tanh(true / (2.0 * sample.width_Oe)), film)
    paramagnet = sample.spins * 5.0 * MU_B_EMU * brillouin(x, 2.5)
    return film + sample.slope_emu_per_Oe * true + paramagnet + sample.offset_emu


def noise_emu(sample, field, moment):
    """σ of each point: floor, share of the moment, and the extra noise above 2.5 kOe."""
    high = np.where(np.abs(field) > 2500.0, sample.noise_high_emu, 0.0)
    return np.sqrt(sample.noise_emu**2 + (sample.noise_relative * moment) ** 2 + high**2)


def signs(leg, legs):
    """Direction and last large field of every point."""
    direction = np.array([1.0 if legs[k] in ("virgin", "up") else -1.0 for k in leg])
    last = np.array([{"virgin": 0.0, "down": 1.0, "up": -1.0}[legs[k]] for k in leg])
    return direction, last


def run(sample, seed, *, legs=("virgin", "down", "up"), with_u=True, with_leg=False):
    """One run as a frame in SI."""
    rng = np.random.default_rng(seed)
    field, leg = path_Oe(sample, rng, legs)
    direction, last = signs(leg, legs)
    moment = moment_emu(sample, field, direction, last)
    sigma = noise_emu(sample, field, moment)
    seen = moment + rng.normal(0.0, sigma)
    if sample.centring:
        lost = (np.abs(moment) < 15.0 * sigma) & (rng.random(field.size) < 0.3)
        if sample.centring == "flip":
            seen = np.where(lost, -seen, seen)
        else:
            seen = np.where(lost, moment + 8.0 * sigma * rng.standard_t(2, field.size), seen)
    frame = pd.DataFrame(
        {
            "time_s": 30.0 * np.arange(field.size),
            "field_T": field * 1e-4,
            "temperature_K": sample.temperature_K + rng.normal(0.0, 0.002, field.size),
            "moment_Am2": seen * 1e-3,
        }
    )
    if with_u:
        frame["moment_u_Am2"] = sigma * 1e-3
    if with_leg:
        frame["leg"] = leg
    return frame


def bound_Oe(sample, seed, *, legs=("virgin", "down", "up"), free=PARAMETERS):
    """The least σ of H_C that any unbiased estimator can have, with every parameter in `free` unknown."""
    rng = np.random.default_rng(seed)
    field, leg = path_Oe(sample, rng, legs)
    direction, last = signs(leg, legs)
    used = last != 0.0
    field, direction, last = field[used], direction[used], last[used]
    sigma = noise_emu(sample, field, moment_emu(sample, field, direction, last))
    small = {
        "saturation_emu": 1e-9, "coercive_Oe": 0.05, "shift_Oe": 0.05, "width_Oe": 0.05, "slope_emu_per_Oe": 1e-13,
        "spins": 1e11, "offset_emu": 1e-10, "trapped_Oe": 0.01, "trapped_scale_Oe": 1.0,
    }  # fmt: skip
    columns = []
    for name in free:
        if name == "trapped_scale_Oe" and sample.trapped_Oe == 0.0:
            continue
        up, down = (replace(sample, **{name: getattr(sample, name) + s * small[name]}) for s in (1, -1))
        difference = moment_emu(up, field, direction, last) - moment_emu(down, field, direction, last)
        columns.append(difference / (2.0 * small[name]) / sigma)
    jacobian = np.array(columns).T
    scale = np.linalg.norm(jacobian, axis=0)
    inverse = np.linalg.inv((jacobian / scale).T @ (jacobian / scale))
    k = list(free).index("coercive_Oe")
    return float(np.sqrt(inverse[k, k]) / scale[k])


def draw(kind, seed):
    """A sample of one class of runs."""
    rng = np.random.default_rng([seed, 77])
    base = Sample(
        saturation_emu=10 ** rng.uniform(-5.5, -4.7),
        coercive_Oe=rng.uniform(400.0, 530.0),
        shift_Oe=rng.normal(0.0, 10.0),
        width_Oe=rng.uniform(200.0, 400.0),
        slope_emu_per_Oe=STO_EMU_PER_OE * rng.uniform(0.85, 1.15),
        offset_emu=rng.normal(0.0, 5e-8),
        temperature_K=5.0,
    )
    trapped = {"trapped_Oe": rng.uniform(5.0, 40.0), "trapped_scale_Oe": 10 ** rng.uniform(3.0, 4.0)}
    spins = rng.uniform(0.5e15, 5e15)
    bare = {"saturation_emu": 0.0, "width_Oe": 300.0}
    changes = {
        "clean": {},
        "paramagnetic": {"spins": spins},
        "weak": {"saturation_emu": 10 ** rng.uniform(-6.3, -5.7), "spins": rng.uniform(0.0, 1e15)},
        "trapped": trapped,
        "trapped paramagnetic": {**trapped, "spins": spins},
        "centring jump": {"centring": "jump"},
        "centring flip": {"centring": "flip"},
        "weak centring": {"saturation_emu": 10 ** rng.uniform(-6.3, -5.7), "centring": "jump"},
        "erf": {"shape": "erf"},
        "two-step": {"shape": "two-step"},
        "nucleation": {"shape": "nucleation"},
        "tails": {"shape": "tails"},
        "exchange bias": {"shift_Oe": rng.choice([-1.0, 1.0]) * rng.uniform(200.0, 700.0)},
        "uneven": {"grid": "uneven"},
        "half": {},
        "no substrate": {"slope_emu_per_Oe": 2e-10, **trapped},
        "1 T": {"largest_Oe": 10_000.0, "grid": "low"},
        "bare trapped": {**bare, **trapped},
        "bare paramagnetic": {**bare, "spins": spins},
        "bare trapped paramagnetic": {**bare, **trapped, "spins": spins},
        "anhysteretic trapped": {"coercive_Oe": 0.0, "shift_Oe": 0.0, "width_Oe": 1000.0, **trapped},
        "soft trapped": {"coercive_Oe": rng.uniform(2.0, 15.0), "width_Oe": 60.0, **trapped},
        "minor": {"grid": "low", "largest_Oe": 500.0},
    }
    return replace(base, **changes[kind])


KINDS = (
    "clean", "paramagnetic", "weak", "trapped", "trapped paramagnetic", "centring jump", "centring flip",
    "weak centring", "erf", "two-step", "nucleation", "tails", "exchange bias", "uneven", "no substrate", "1 T",
    "bare trapped", "bare paramagnetic", "bare trapped paramagnetic", "anhysteretic trapped", "soft trapped", "minor",
    "half",
)  # fmt: skip
LEGS = {"half": ("virgin", "down")}


def truth(sample):
    """What an estimate should say, in SI."""
    ends = [(sign * sample.shift_Oe + sample.coercive_Oe) / sample.width_Oe for sign in (1.0, -1.0)]
    # Zero field lies on the rising branch at x = −(H_C + shift)/w, on the falling one at x = −(H_C − shift)/w.
    remanence = -sample.saturation_emu * np.mean([step(-x, sample.shape) for x in ends])
    return {
        "coercive_field_T": sample.coercive_Oe * 1e-4,
        "loop_centre_T": sample.shift_Oe * 1e-4,
        "saturation_moment_Am2": sample.saturation_emu * 1e-3,
        "remanent_moment_Am2": float(remanence) * 1e-3,
    }


def control_run(sample, seed):
    """The bare substrate with its holder in the same history and the same trapped flux."""
    return run(replace(sample, saturation_emu=0.0, centring=""), seed + 1_000_000)


def rock(seed, *, soft=0.6, noise=2e-10, points=200):
    """A loop of a rock in an electromagnet at room temperature: soft and hard grains over a paramagnetic slope.

    Returns the frame and (m_S, m_R, H_C) of the film part, by bisection of the noiseless branches. SI.
    """
    rng = np.random.default_rng([seed, 5])
    saturation, slope = 10 ** rng.uniform(-7.5, -5.5), 10 ** rng.uniform(-8.5, -6.0)
    c_soft, w_soft, c_hard, w_hard = rng.uniform(0.004, 0.01), 0.03, rng.uniform(0.05, 0.12), 0.1
    largest = rng.uniform(0.9, 1.5)

    def rising(field):
        part = soft * np.tanh((field - c_soft) / w_soft) + (1.0 - soft) * np.tanh((field - c_hard) / w_hard)
        return saturation * part

    down = np.linspace(largest, -largest, points)
    field = np.concatenate([down, down[::-1]]) + rng.normal(0.0, 2e-4, 2 * points)
    film = np.concatenate([-rising(-field[:points]), rising(field[points:])])
    moment = film + slope * field + rng.normal(0.0, noise + 2e-3 * saturation, field.size)
    low, high = 0.0, 0.2
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if rising(middle) > 0.0 else (middle, high)
    frame = pd.DataFrame({"field_T": field, "moment_Am2": moment})
    return frame, (saturation, -float(rising(0.0)), 0.5 * (low + high))


# Rocks as an alternating-gradient magnetometer sees them: share, H_C and width in tesla of each family of grains, the
# share that is superparamagnetic and the field of its Langevin function, slope in m_S per tesla, noise in m_S.
ROCKS = {
    "pseudo single domain": ([(1.0, 0.012, 0.04)], 0.0, 0.01, 0.3, 1e-3),
    "wasp waist, soft and hard grains": ([(0.6, 0.006, 0.02), (0.4, 0.25, 0.1)], 0.0, 0.01, 0.5, 1e-3),
    "wasp waist, superparamagnetic half": ([(0.5, 0.06, 0.05)], 0.5, 0.01, 0.2, 1e-3),
    "pot belly, fine superparamagnetic grains": ([(0.6, 0.03, 0.03)], 0.4, 0.04, 0.2, 1e-3),
    "wasp waist on a paramagnetic rock": ([(0.5, 0.008, 0.02), (0.3, 0.12, 0.06)], 0.2, 0.01, 5.0, 1e-3),
    "pot belly on a diamagnetic rock": ([(0.7, 0.04, 0.06)], 0.3, 0.02, -1.5, 3e-3),
}


def rock_of(name, seed, *, saturation_Am2=1e-6, largest_T=1.0, points=200):
    """A run of one of `ROCKS` and its (m_S, m_R, H_C) without noise as the maker defines them: the line through what
    lies beyond 70 % of the largest field gives slope and m_S; m_R and H_C are those of the rest."""
    grains, share, langevin_T, slope, noise = ROCKS[name]

    def rising(field):
        ratio = np.where(np.abs(field) < 1e-9, 1e-9, field) / langevin_T
        fine = 1.0 / np.tanh(ratio) - 1.0 / ratio
        return share * fine + sum(part * np.tanh((field - at) / width) for part, at, width in grains)

    rng = np.random.default_rng([seed, 9])
    down = np.linspace(largest_T, -largest_T, points)
    field = np.concatenate([down, down[::-1]]) + rng.normal(0.0, 1e-4, 2 * points)
    film = np.concatenate([-rising(-field[:points]), rising(field[points:])])
    moment = film + slope * field + rng.normal(0.0, noise, field.size)
    grid = np.linspace(0.7 * largest_T, largest_T, 500)
    extra, saturation = np.polyfit(grid, 0.5 * (rising(grid) - rising(-grid)), 1)
    low, high = 0.0, 0.5
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if rising(middle) - extra * middle > 0.0 else (middle, high)
    frame = pd.DataFrame({"field_T": field, "moment_Am2": moment * saturation_Am2})
    return frame, (saturation * saturation_Am2, -float(rising(0.0)) * saturation_Am2, 0.5 * (low + high))
