"""The shapes of a branch, and the wandering voltage that a fit marginalises."""

import numpy as np
import pytest
from remanence.analysis.loop_data import Points
from remanence.analysis.loop_shapes import SHAPE_SIZE, SHAPES
from remanence.analysis.wander import wander_of

Z = np.linspace(-6.0, 6.0, 241)


def drawn(seed: int, name: str) -> np.ndarray:
    scale = np.full(SHAPE_SIZE, 0.05) if name == "free" else np.array([1.5, 1.5, 0.5, *np.zeros(SHAPE_SIZE - 3)])
    return np.random.default_rng(seed).normal(0.0, 1.0, SHAPE_SIZE) * scale


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("seed", range(6))
def test_a_shape_crosses_zero_at_zero_closes_far_out_and_falls_as_it_rises(name: str, seed: int):
    q = drawn(seed, name)
    up, _, _ = SHAPES[name](Z, np.ones_like(Z), q)
    down, _, _ = SHAPES[name](Z, -np.ones_like(Z), q)
    assert up[120] == pytest.approx(0.0, abs=1e-12)
    assert np.allclose(down, -up[::-1])
    far, _, _ = SHAPES[name](np.array([-60.0, 60.0]), np.ones(2), q)
    assert far == pytest.approx([-1.0, 1.0], abs=1e-6)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("direction", [1.0, -1.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_derivatives_of_a_shape_are_those_of_its_values(name: str, direction: float, seed: int):
    q, step, rising = drawn(seed, name), 1e-6, np.full_like(Z, direction)
    shape = SHAPES[name]
    _, slope, own = shape(Z, rising, q)
    assert slope == pytest.approx(
        (shape(Z + step, rising, q)[0] - shape(Z - step, rising, q)[0]) / (2 * step), abs=1e-7
    )
    for k in range(own.shape[0]):
        there = np.zeros(SHAPE_SIZE)
        there[k] = step
        numeric = (shape(Z, rising, q + there)[0] - shape(Z, rising, q - there)[0]) / (2 * step)
        assert own[k] == pytest.approx(numeric, abs=1e-6)


def points(legs: int = 3, each: int = 200) -> Points:
    size = legs * each
    one = np.ones(size)
    time = np.concatenate([np.linspace(-1 + 0.7 * k, -0.6 + 0.7 * k, each) for k in range(legs)])
    leg = np.repeat(np.arange(legs), each).astype(float)
    return Points(one, one, one, one, time, one, leg, one, one)


def test_the_projector_is_the_inverse_of_the_walk_s_covariance():
    wander = wander_of(points(each=40))
    weight = np.random.default_rng(0).uniform(0.5, 2.0, 120)
    projector = wander.projector(weight, 0.7)
    z = 0.7 * weight[:, None] * wander.columns
    assert np.eye(120) - projector.T @ projector == pytest.approx(np.linalg.inv(np.eye(120) + z @ z.T), abs=1e-9)
    assert wander.projector(weight, 0.0).shape == (0, 120)


def test_the_columns_of_the_walk_have_the_covariance_of_brownian_motion_and_go_on_from_leg_to_leg():
    there = points(each=60)
    columns = wander_of(there).columns
    t = there.span_time - there.span_time.min()
    brownian = np.minimum(t[:, None], t)
    assert columns @ columns.T == pytest.approx(brownian, abs=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_a_walk_is_found_where_there_is_one_and_not_where_there_is_none(seed: int):
    there = points()
    rng = np.random.default_rng(seed)
    white = rng.normal(0.0, 1.0, there.size)
    weight = np.ones(there.size)
    steps = np.diff(there.span_time, prepend=there.span_time[0] - 1e-3)
    walk = np.cumsum(rng.normal(0.0, 1.0, there.size) * np.sqrt(steps))
    wander = wander_of(there)
    assert wander.strength(white, weight) == 0.0
    assert 2.0 < wander.strength(white + 5.0 * walk, weight) < 12.0
