"""Clocks, errors and quantities."""

import math
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remanence.core import errors
from remanence.core.clock import ScaledClock, SystemClock, VirtualClock
from remanence.core.errors import ConfigError, RemanenceError
from remanence.core.quantities import format_measured, parse, registry
from remanence.core.records import Measured

UNDERSTOOD = [
    ("1.5 mT/s", "T/s", 1.5e-3), ("0,5 T", "T", 0.5), ("500 mT", "T", 0.5), ("5 kOe", "T", 0.5), ("10 Oe/s", "T/s", 1e-3),
    ("0.3 T/min", "T/s", 5e-3), ("-7T", "T", -7.0), ("−7 T", "T", -7.0), ("1e-6 A", "A", 1e-6), ("1 µA", "A", 1e-6),
    ("1 μA", "A", 1e-6), ("0,123 T", "T", 0.123), ("1 A/m", "T", 4e-7 * math.pi), ("2 emu", "A m^2", 2e-3),
    ("300 ms", "s", 0.3), ("12 %", "", 0.12), ("3", "", 3.0), (".5 T", "T", 0.5), ("10 kG", "T", 1.0),
]  # fmt: skip
REFUSED = [
    ("1,234 T", "T"), ("1.234,5 T", "T"), ("1,234,567 T", "T"), ("7", "T"), ("", "T"), ("T", "T"), ("nan T", "T"),
    ("inf T", "T"), ("1e400 T", "T"), ("5 K", "T"), ("5 T T", "T"), ("1_0 T", "T"), ("٣ T", "T"), ("7 T", "A"), ("5 °C", "K"),
    ("5 degC", "K"), ("0x10 T", "T"), ("7 T; import os", "T"), ("9**9**9", "T"), ("__import__('os') T", "T"), ("1 " * 99, "T"),
    ("5 T^99999999999", "T"), ("1.2.3 T", "T"), ("--1 T", "T"), ("1e T", "T"), ("1 tesler", "T"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "unit", "value"), UNDERSTOOD)
def test_a_quantity_is_understood(text: str, unit: str, value: float):
    assert parse(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("text", "unit"), REFUSED)
def test_a_quantity_that_could_be_another_number_is_refused(text: str, unit: str):
    with pytest.raises(ConfigError) as refusal:
        parse(text, unit)
    assert refusal.value.exit_code == 3


@given(
    st.floats(-1e6, 1e6, allow_nan=False), st.sampled_from(["T", "mT", "kOe", "G"]), st.sampled_from(["", " ", "  "])
)
def test_what_is_written_is_what_is_read(number: float, unit: str, gap: str):
    factor = {"T": 1.0, "mT": 1e-3, "kOe": 0.1, "G": 1e-4}[unit]
    assert parse(f"{number!r}{gap}{unit}", "T") == pytest.approx(number * factor, rel=1e-12, abs=1e-300)


@given(st.integers(0, 999), st.integers(0, 10**6))
def test_a_decimal_comma_never_changes_the_number(whole: int, fraction: int):
    text = f"{whole},{fraction} T"
    try:
        value = parse(text, "T")
    except ConfigError:
        assert len(str(fraction)) == 3
    else:
        assert value == float(f"{whole}.{fraction}")


@given(st.text(max_size=40))
def test_any_text_is_a_finite_number_or_a_refusal(text: str):
    try:
        value = parse(text, "T", bare=True)
    except ConfigError:
        return
    assert math.isfinite(value)


def test_emu_is_known_to_the_registry_that_pymeasure_uses():
    from pymeasure.units import ureg

    assert registry() is ureg
    assert ureg.Quantity(1, "emu").to("A m^2").magnitude == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("value", "u", "text"),
    [
        (47.0213e-3, 0.31e-3, "47.0 ± 0.3 mT"), (47.0213e-3, 0.131e-3, "47.02 ± 0.13 mT"), (-0.05e-3, 0.3e-3, "-0.1 ± 0.3 mT"),
        (1.0, 12e-3, "1000 ± 12 mT"), (math.nan, 1.0, "not known (mT)"), (1.0, 0.0, "not known (mT)"),
    ],
)  # fmt: skip
def test_a_value_is_shown_to_the_figures_its_uncertainty_allows(value: float, u: float, text: str):
    assert format_measured(Measured(value, u), "mT", 1e3) == text


def test_virtual_time_moves_only_by_sleeping():
    clock = VirtualClock()
    before = clock.utc()
    assert clock.now() == 0.0
    clock.sleep(21_000.0)
    clock.sleep(-5.0)
    assert clock.now() == 21_000.0
    assert (clock.utc() - before).total_seconds() == 21_000.0


def test_a_scaled_clock_runs_faster_than_the_system():
    scaled, system = ScaledClock(1e6), SystemClock()
    real = system.now()
    scaled.sleep(1000.0)
    assert scaled.now() >= 1000.0
    assert system.now() >= real
    assert scaled.utc().tzinfo is UTC
    assert system.utc().tzinfo is UTC


@pytest.mark.parametrize("speed", [0.0, -1.0, math.inf, math.nan])
def test_a_clock_that_cannot_run_is_refused(speed: float):
    with pytest.raises(ValueError, match="speed"):
        ScaledClock(speed)


def test_an_error_says_what_where_state_and_what_to_do():
    error = ConfigError("9.5 T is too much", where="hall.toml:6", state="Nothing was sent", do="ask for less.")
    assert str(error) == "hall.toml:6: 9.5 T is too much. Nothing was sent. ask for less."


def test_every_error_of_the_tree_is_drawn_with_its_exit_code():
    tree = errors.__doc__ or ""
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, RemanenceError)]
    assert all(kind.__name__ in tree for kind in kinds)
    assert len({kind.code for kind in kinds}) == len(kinds)
