"""What the window says: one line for every claim of an estimator, one word for every state, colours one can read."""

import pytest
from remanence.core.records import (
    Column,
    Estimate,
    EstimateStatus,
    Event,
    Footer,
    Header,
    Leg,
    Measured,
    Outcome,
    Progress,
    Waiting,
)
from remanence.gui.feed import Batch, Reading
from remanence.gui.palette import AMBER, DARK, LIGHT, ON_AMBER, contrast
from remanence.gui.readout import read
from remanence.gui.status import RunStatus, duration, grouped, signed
from remanence.gui.tone import Tone

UP, DOWN = {"coercive_up_T": Measured(0.0471, 0.0004)}, {"coercive_down_T": Measured(-0.0469, 0.0004)}
BOTH = {"coercive_field_T": Measured(0.047, 0.0003), **UP, **DOWN}
CHANNELS = (Column("field_T", "field"),)
HEADER = Header("u", "HallLoop", {"temperature_K": 5.0}, CHANNELS, "s", "r", "S3", True, "", 0, 0, {})
DOWN_LEG = Leg(1, 7.0, -7.0, 2e-3)

READOUTS = [
    (None, "µ₀Hc: no estimate yet"),
    (Estimate(EstimateStatus.WAITING, {}), "µ₀Hc: waiting for both branches"),
    (Estimate(EstimateStatus.WAITING, {}, text="µ₀Hc: waiting (↓ 31 %)"), "µ₀Hc: waiting (↓ 31 %)"),
    (Estimate(EstimateStatus.DOWN_ONLY, DOWN), "µ₀Hc: ↓ only −46.9 ± 0.4 mT (preliminary)"),
    (Estimate(EstimateStatus.UP_ONLY, UP), "µ₀Hc: ↑ only +47.1 ± 0.4 mT (preliminary)"),
    (Estimate(EstimateStatus.RESOLVED, BOTH), "µ₀Hc = 47.0 ± 0.3 mT   ↑ +47.1 ± 0.4   ↓ −46.9 ± 0.4 mT"),
    (
        Estimate(EstimateStatus.RESOLVED, {**BOTH, "ahe_amplitude_ohm": Measured(-1.0, 0.004)}),
        "µ₀Hc = 47.0 ± 0.3 mT   ↑ +47.1 ± 0.4   ↓ −46.9 ± 0.4 mT · R_AHE = −1.000 ± 0.004 Ω",
    ),
    (
        Estimate(EstimateStatus.RESOLVED, {"coercive_field_T": Measured(0.0005, 0.0015)}),
        "|µ₀Hc| < 4 mT (2 standard uncertainties)",
    ),
    (Estimate(EstimateStatus.RESOLVED, {}), "µ₀Hc: resolved, but no value was given"),
    (Estimate(EstimateStatus.DOWN_ONLY, {}), "µ₀Hc: down only, but no value was given"),
    (
        Estimate(EstimateStatus.NOT_RESOLVED, {}, ("no switching inside ±1.0 T",)),
        "µ₀Hc: not resolved: no switching inside ±1.0 T",
    ),
    (Estimate(EstimateStatus.MINOR_LOOP, {}), "µ₀Hc: minor loop, no value: it did not close"),
]


@pytest.mark.parametrize(("estimate", "headline"), READOUTS)
def test_every_claim_has_its_line(estimate, headline):
    assert read(estimate).headline == headline


def test_every_status_is_covered():
    assert {estimate.status for estimate, _ in READOUTS if estimate} == set(EstimateStatus)


@pytest.mark.parametrize("status", EstimateStatus)
def test_a_value_is_never_shown_without_its_uncertainty(status):
    broken = {key: Measured(0.0471, float("nan")) for key in BOTH}
    headline = read(Estimate(status, broken)).headline
    assert "47" not in headline


def test_the_detail_says_what_the_uncertainty_is_made_of():
    estimate = Estimate(EstimateStatus.RESOLVED, BOTH, ("delay fitted",), {"statistical": 1e-4, "delay": 2.5e-4})
    assert read(estimate).detail == "u (mT): delay 0.25, statistical 0.1 · delay fitted"


def test_a_reason_is_not_said_twice():
    readout = read(Estimate(EstimateStatus.NOT_RESOLVED, {}, ("no switching",)))
    assert readout.detail == ""


def test_an_old_fit_says_its_age():
    readout = read(Estimate(EstimateStatus.RESOLVED, BOTH), age_s=14)
    assert readout.detail.startswith("fit 14 s old")
    assert readout.tone is Tone.WARN


def status(**heard):
    result = RunStatus()
    result.apply(Batch(**{"header": HEADER, **heard}))
    return result


MEASURING = {"rows": 9, "reading": Reading(-2.5, 5.002), "legs": (DOWN_LEG,), "progress": Progress(0.42, 372)}


def test_a_ramp_shows_target_and_rate():
    text = status(**MEASURING).field(0.1)
    assert (text.value, text.state) == ("−2.5000 T", "▼ Ramping → −7.000 T · 2.0 mT/s")


def test_at_the_end_of_a_leg_the_field_holds():
    assert status(**{**MEASURING, "reading": Reading(-6.9999, 5.0)}).field(0.1).state == "Holding · −7.000 T"


def test_while_waiting_no_ramp_is_claimed():
    assert "Ramping" not in status(**MEASURING, waiting=Waiting("lock-in settles", 3)).field(0.1).state


@pytest.mark.parametrize(
    ("age_s", "value", "state"),
    [
        (2.9, "−2.5000 T", "▼ Ramping → −7.000 T · 2.0 mT/s"),
        (12, "−2.5000 T", "12 s old"),
        (41, "—", "no reading for 41 s"),
    ],
)
def test_a_stale_number_is_never_shown_as_live(age_s, value, state):
    text = status(**MEASURING).field(age_s)
    assert (text.value, text.state) == (value, state)
    assert (text.value_tone is Tone.LIVE) == (age_s < 3)


def test_temperature_shows_its_target_and_the_difference():
    text = status(**MEASURING).temperature(0.0)
    assert (text.value, text.state) == ("5.002 K", "set 5.000 K · +2 mK")


STATES = [
    ({"header": None}, "Checking"),
    ({}, "Settling"),
    ({"waiting": Waiting("field to 0 T", 60)}, "Settling"),
    (MEASURING, "Measuring"),
    ({**MEASURING, "waiting": Waiting("pause", None, "Paused")}, "Paused"),
    ({**MEASURING, "footer": Footer(Outcome.COMPLETED, 9)}, "Completed"),
    ({**MEASURING, "footer": Footer(Outcome.ABORTED, 9)}, "Aborted"),
    ({**MEASURING, "footer": Footer(Outcome.FAILED, 9, "lock-in")}, "Failed"),
]


@pytest.mark.parametrize(("heard", "word"), STATES)
def test_each_state_has_one_word(heard, word):
    assert status(**heard).state == word


def test_the_run_tile_shows_percent_time_left_and_leg():
    text = status(**MEASURING).run()
    assert (text.value, text.state) == ("Measuring 42 %", "06:12 left · leg 2/4")


def test_a_wait_shows_what_for():
    text = status(waiting=Waiting("10.000 K: now 14.213 K", 360)).run()
    assert (text.value, text.state) == ("Settling", "10.000 K: now 14.213 K · ≈ 06:00")


def test_a_row_ends_a_wait():
    after = status(rows=1, waiting=Waiting("settle"))
    after.apply(Batch(rows=2, reading=Reading(0.0, 5.0)))
    assert after.state == "Measuring"


def test_only_the_end_says_a_hundred_percent():
    assert "99 %" in status(**{**MEASURING, "progress": Progress(1.0, 0)}).run().value


TITLES = [
    (MEASURING, "● 42 % Hall loop 5 K · S3 — remanence [SIMULATED]"),
    ({**MEASURING, "footer": Footer(Outcome.COMPLETED, 9)}, "✓ Hall loop 5 K · S3 — remanence [SIMULATED]"),
    ({**MEASURING, "footer": Footer(Outcome.FAILED, 9)}, "✕ Hall loop 5 K · S3 — remanence [SIMULATED]"),
    ({"header": None}, "Hall loop 5 K — remanence [SIMULATED]"),
]


@pytest.mark.parametrize(("heard", "title"), TITLES)
def test_the_title_can_be_read_in_the_task_bar(heard, title):
    assert status(**heard).title("Hall loop 5 K", simulated=True) == title


def test_a_sample_named_by_the_measurement_is_not_named_twice():
    assert status(**MEASURING).title("Hall loop 5 K · S3", simulated=False) == "● 42 % Hall loop 5 K · S3 — remanence"


def test_the_outcome_says_why_and_what_the_hardware_does():
    footer = Footer(Outcome.FAILED, 1234, "lock-in did not answer.", "Field holds at −0.1842 T")
    sentence, tone = status(**MEASURING, footer=footer).outcome()
    assert sentence == "Run failed: lock-in did not answer. Field holds at −0.1842 T. 1\u202f234 rows kept."
    assert tone is Tone.ALARM


def test_the_last_event_is_the_newest():
    events = (Event("info", "magnet", "leg 1"), Event("warning", "lock-in", "overload"))
    assert status(events=events).last_event() == ("lock-in: overload", Tone.WARN)


def test_numbers_keep_their_sign_and_width():
    assert [signed(x, 2) for x in (1.234, -1.234, 0.0, -0.0001)] == ["+1.23", "−1.23", "+0.00", "+0.00"]
    assert signed(float("nan"), 2) == "—"
    assert grouped(21000) == "21\u202f000"
    assert [duration(s) for s in (41, 372, 13920)] == ["41 s", "06:12", "3 h 52 min"]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_and_curves_can_be_read_in_both_themes(theme):
    for colour in (theme.text, theme.quiet, theme.ok, theme.warn, theme.alarm):
        assert min(contrast(colour, back) for back in (theme.window, theme.base)) >= 4.5, colour
    assert min(contrast(theme.down, theme.base), contrast(theme.up, theme.base)) >= 4.5
    assert contrast(theme.quiet, theme.button) >= 4.5
    assert contrast(AMBER, ON_AMBER) >= 4.5


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
