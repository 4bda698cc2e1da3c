"""Where the fit of an M(H) loop begins: every plausible coercive field and width, the rest by linear least squares."""

import numpy as np

from .magnetisation_fit import LoopProblem
from .magnetisation_model import DOWN, LOG_SCALE, LOG_WIDTH, OFFSET, SATURATION, SIZE, SLOPE, SPINS, UP, LoopModel
from .models import FloatArray

COERCIVE_SHARES = np.geomspace(5e-4, 0.6, 28)  # of the largest field
WIDTHS = (0.3, 0.7, 1.5, 4.0)  # of the coercive field
STEP_SHARES = np.geomspace(2e-3, 0.3, 10)  # of the largest field, widths of a step without hysteresis


def loop_starts(problem: LoopProblem, count: int = 2) -> list[FloatArray]:
    """The `count` best starts whose coercive fields differ by more than a third; none if no rising step helps."""
    largest_T = float(np.abs(problem.field_T).max())
    coercive_T = np.repeat(COERCIVE_SHARES * largest_T, len(WIDTHS))
    width_T = coercive_T * np.tile(WIDTHS, len(COERCIVE_SHARES))
    x = (problem.direction * problem.field_T - coercive_T[:, None]) / width_T[:, None]
    heights, gains = _gains(problem, problem.direction * np.tanh(x))
    order = [k for k in np.argsort(-gains) if heights[k] > 0.0]
    chosen: list[int] = []
    for k in order:
        if all(abs(np.log(coercive_T[k] / coercive_T[j])) > 0.3 for j in chosen):
            chosen.append(int(k))
        if len(chosen) == count:
            break
    return [_start(problem, float(coercive_T[k]), float(width_T[k])) for k in chosen]


def step_starts(problem: LoopProblem) -> list[FloatArray]:
    """Starts without hysteresis: no step at all, and the best step about zero field."""
    widths_T = STEP_SHARES * float(np.abs(problem.field_T).max())
    _, gains = _gains(problem, np.tanh(problem.field_T / widths_T[:, None]))
    return [_start(problem, 0.0, None), _start(problem, 0.0, float(widths_T[np.argmax(gains)]))]


def _background(problem: LoopProblem) -> tuple[FloatArray, list[int]]:
    columns = [SLOPE, OFFSET, *([SPINS] if problem.paramagnet else [])]
    parts = {
        SLOPE: problem.field_T,
        OFFSET: np.ones_like(problem.field_T),
        SPINS: LoopModel("tanh", problem.temperature_K).paramagnet(problem.field_T)[0],
    }
    return np.stack([parts[k] for k in columns], axis=1), columns


def _gains(problem: LoopProblem, steps: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Height of each step, (K, N), and how much it takes off χ², beside a free background."""
    background, _ = _background(problem)
    span, _ = np.linalg.qr(background / problem.sigma[:, None])
    target = problem.moment / problem.sigma
    target = target - span @ (span.T @ target)
    rows = steps / problem.sigma
    rows = rows - (rows @ span) @ span.T
    norm = np.maximum((rows**2).sum(axis=1), 1e-300)
    along = rows @ target
    return along / norm, along**2 / norm


def _start(problem: LoopProblem, coercive_T: float, width_T: float | None) -> FloatArray:
    """All parameters of one step by linear least squares; no step if `width_T` is None."""
    p = np.zeros(SIZE)
    p[[UP, DOWN]] = coercive_T, -coercive_T
    p[LOG_SCALE] = problem.priors.log_scale
    p[LOG_WIDTH] = np.log(width_T if width_T is not None else np.abs(problem.field_T).max())
    design, columns = _background(problem)
    if width_T is not None:
        x = (problem.direction * problem.field_T - coercive_T) / width_T
        design = np.concatenate([design, (problem.direction * np.tanh(x))[:, None]], axis=1)
        columns = [*columns, SATURATION]
    design = design / problem.sigma[:, None]
    norm = np.linalg.norm(design, axis=0)
    p[columns] = np.linalg.lstsq(design / norm, problem.moment / problem.sigma, rcond=1e-12)[0] / norm
    return p
