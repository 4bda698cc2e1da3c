"""Series, their mean, comparisons and trends; directions and the film's shape; refusals, coverage, a figure."""

import re
import sys
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from remanence.analysis.anisotropy import anisotropy_of, moment_anisotropy
from remanence.analysis.film_geometry import Gradiometer, geometry_factor
from remanence.analysis.names import split_unit, u_name
from remanence.analysis.series import Entry, Series
from remanence.analysis.series_mean import compared, difference, ratio, weighted_mean
from remanence.analysis.series_trend import linear_trend, plateau
from remanence.core.records import Estimate, EstimateStatus, Measured

sys.path.insert(0, str(Path(__file__).parent))
import figures
import film_runs
from film_runs import FilmRun
from series_runs import SeriesRun

PAGE = Path(__file__).parents[1] / "docs" / "analysis" / "series.md"
RESOLVED, REFUSED = EstimateStatus.RESOLVED, EstimateStatus.NOT_RESOLVED


def made(run: SeriesRun, x_name="thickness_uc", quantity="moment_Am2") -> Series:
    x, y, u, parts = run.draw()
    shared = [{name: float(part[i]) for name, part in parts.items()} for i in range(x.size)]
    entries = [
        Entry(float(a), Measured(float(b), float(c)), s, x_u=run.x_u)
        for a, b, c, s in zip(x, y, u, shared, strict=True)
    ]
    return Series.of(x_name, quantity, entries)


def of(*values, shared=None, x_name="temperature_K", quantity="coercive_field_T") -> Series:
    """A series of (x, value, u)."""
    return Series.of(x_name, quantity, [Entry(x, Measured(v, u), shared or {}) for x, v, u in values])


def covers(z, tolerance=0.05, bias=0.2):
    covered, mean = np.mean(np.abs(z) < 1.96), np.mean(z)
    assert abs(covered - 0.95) < tolerance, covered
    assert abs(mean) < bias, mean


# -- the table ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, parts",
    [
        ("coercive_field_T", ("coercive_field", "T")),
        ("sheet_density_per_m2", ("sheet_density", "per_m2")),
        ("mobility_m2_per_Vs", ("mobility", "m2_per_Vs")),
        ("R_xy_ohm", ("R_xy", "ohm")),
        ("anisotropy", ("anisotropy", "")),
    ],
)
def test_a_name_carries_its_unit(name, parts):
    assert split_unit(name) == parts
    assert u_name(name).split("_u")[0] == parts[0]


def test_the_frame_holds_every_part_of_u_and_comes_back_as_the_same_series():
    series = made(SeriesRun(scale_u=0.05, offset_u=0.3))
    frame = series.frame()
    assert list(frame.columns) == [
        "thickness_uc", "thickness_u_uc", "moment_Am2", "moment_u_Am2", "moment_independent_u_Am2",
        "moment_offset_u_Am2", "moment_calibration_u_Am2",
    ]  # fmt: skip
    parts = {"offset": "moment_offset_u_Am2", "calibration": "moment_calibration_u_Am2"}
    again = Series.from_frame(frame, "thickness_uc", "moment_Am2", parts)
    assert again.covariance == pytest.approx(series.covariance)
    assert frame["moment_independent_u_Am2"].to_numpy() == pytest.approx(0.25)


def test_the_covariance_is_that_of_many_draws():
    run = SeriesRun(x=(5.0, 10.0, 20.0), scale_u=0.05, offset_u=0.3)
    draws = np.array([replace(run, seed=seed).draw()[1] for seed in range(4000)])
    expected = made(replace(run, noise=1e-9 + 0.25)).covariance
    assert np.cov(draws.T) == pytest.approx(expected, rel=0.15)


def test_entries_are_ordered_and_found_by_x_or_label():
    series = of((10.0, 2.0, 0.1), (2.0, 1.0, 0.1))
    assert series.x.tolist() == [2.0, 10.0]
    assert series.index(10.0) == 1
    with pytest.raises(ValueError, match="no entry 5"):
        series.index(5.0)
    with pytest.raises(ValueError, match="more than one entry"):
        of((2.0, 2.0, 0.1), (2.0, 1.0, 0.1)).index(2.0)


def test_estimates_that_claim_nothing_are_left_out_and_named():
    claimed = Estimate(RESOLVED, {"coercive_field_T": Measured(0.047, 0.001)})
    silent = Estimate(REFUSED, {}, text="not resolved: no step")
    series = Series.from_estimates(
        "temperature_K", "coercive_field_T", [(5.0, claimed), (50.0, silent)], {"field": 0.01}
    )
    assert series.value.tolist() == [0.047]
    assert series.shared["field"].tolist() == [pytest.approx(0.00047)]
    assert series.reasons == ("no coercive_field_T at 50.0: not resolved: no step",)
    other_unit = Estimate(RESOLVED, {"coercive_field_mT": Measured(47.0, 1.0)})
    with pytest.raises(ValueError, match="different units"):
        Series.from_estimates("temperature_K", "coercive_field_T", [(5.0, other_unit), (2.0, claimed)])


def test_values_that_are_not_finite_are_left_out_and_counted():
    series = of((1.0, 1.0, 0.1), (2.0, float("nan"), 0.1))
    assert "1 of 2 entries left out" in series.reasons[0]


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: of(), "no entry"),
        (lambda: of((1.0, 1.0, 0.0)), "above zero"),
        (lambda: of((1.0, 1.0, 0.1), ("[001]", 1.0, 0.1)), "mixes numbers and text"),
        (lambda: of((1.0, 1.0, 0.1), shared={"mass": 0.2}), "exceed the whole u"),
        (lambda: of((float("nan"), 1.0, 0.1)), "x must be finite"),
        (lambda: Series.of("T_K", "moment_Am2", [Entry(1.0, Measured(1.0, 0.1), x_u=-1.0)]), "uncertainty of x"),
        (lambda: Series.from_frame(pd.DataFrame({"moment_Am2": [1.0]}), "T_K", "moment_Am2"), "T_K, moment_u_Am2"),
        (lambda: of((1.0, 1.0, 0.1)).joined(of((2.0, 1.0, 0.1), quantity="coercive_field_mT")), "different units"),
        (lambda: of((1.0, 1.0, 0.1)).joined(of((2.0, 1.0, 0.1), x_name="temperature_mK")), "different units"),
        (lambda: of((1.0, 1.0, 0.1)).joined(of((2.0, 1.0, 0.1), quantity="moment_Am2")), "different quantities"),
        (lambda: compared(of((1.0, 1.0, 0.1)), of((2.0, 1.0, 0.1))), "no single entry"),
        (lambda: linear_trend(of(("[001]", 1.0, 0.1), ("[100]", 1.0, 0.1))), "is text"),
        (lambda: linear_trend(of((1.0, 1.0, 0.1))), "2 are needed"),
        (lambda: plateau(made(SeriesRun(x=(1.0, 2.0, 3.0, 4.0)))), "5 are needed"),
        (lambda: weighted_mean(of((1.0, 1.0, 0.1), shared={"mass": 0.1})), "all of its u is shared"),
        (lambda: ratio(of((1.0, 1.0, 0.1), (2.0, 0.1, 0.1)), 1.0, 2.0), "from zero"),
    ],
)
def test_what_makes_no_series_is_refused_in_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        make()


def test_joined_series_share_what_has_the_same_name():
    one = of((2.0, 10.0, 1.0), shared={"mass": 0.8})
    other = of((5.0, 11.0, 1.0), shared={"mass": 0.8})
    assert one.joined(other).covariance[0, 1] == pytest.approx(0.64)


# -- mean and comparison ------------------------------------------------------------------------------------------


def test_a_shared_part_counts_once_in_the_mean_and_not_in_the_difference():
    series = of((1.0, 10.0, sqrt(0.5)), (2.0, 10.4, sqrt(0.5)), shared={"mass": 0.5})
    mean = weighted_mean(series).mean
    assert mean.value == pytest.approx(10.2)
    assert mean.u == pytest.approx(sqrt(0.25 / 2 + 0.25))
    apart = difference(series, 2.0, 1.0).apart
    assert (apart.value, apart.u) == (pytest.approx(0.4), pytest.approx(sqrt(0.5)))


def test_what_scales_all_alike_cancels_in_the_ratio():
    entries = [
        Entry(x, Measured(v, sqrt(0.01**2 + (0.1 * v) ** 2)), {"mass": 0.1 * v}) for x, v in ((1.0, 5.3), (2.0, 2.3))
    ]
    found = ratio(Series.of("fluence_J_per_cm2", "sheet_density_per_cm2", entries), 1.0, 2.0)
    assert found.apart.value == pytest.approx(5.3 / 2.3)
    assert found.apart.u == pytest.approx(5.3 / 2.3 * np.hypot(0.01 / 5.3, 0.01 / 2.3), rel=1e-6)


def test_the_mean_stays_among_its_entries_where_whole_covariances_would_leave_them():
    """Peelle's puzzle: 1.5 and 1.0, 10 % each of their own and 20 % shared, have the 'best' mean 0.88."""
    values = ((1.0, 1.5), (2.0, 1.0))
    entries = [Entry(x, Measured(v, v * sqrt(0.1**2 + 0.2**2)), {"scale": 0.2 * v}) for x, v in values]
    assert 1.0 < weighted_mean(Series.of("temperature_K", "moment_Am2", entries)).mean.value < 1.5


def test_scatter_beyond_u_enlarges_u_and_says_so():
    series = of(*((float(i), v, 0.1) for i, v in enumerate((1.0, 2.0, 1.0, 2.0, 1.5, 0.6))))
    mean = weighted_mean(series)
    assert mean.birge > 4.0
    assert "scatter" in mean.reasons[0]
    assert mean.mean.u > 4.0 * 0.1 / sqrt(6.0)
    assert mean.chi2 == pytest.approx(mean.birge**2 * mean.freedom)


def test_comparisons_say_who_differs_and_by_how_much():
    found = difference(of(("rich", 5.3, 0.1), ("deficient", 2.3, 0.1), x_name="sample"), "rich", "deficient")
    assert found.text == "rich differs from deficient by 3 ± 0.14 T (z = +21.2)"
    assert found.significant
    (same,) = compared(of((5.0, 1.0, 0.1)), of((5.0, 1.1, 0.1)))
    assert "does not differ" in same.text
    assert not same.significant


@pytest.mark.parametrize("change", [{}, {"scale_u": 0.05, "offset_u": 0.3}], ids=["own", "shared"])
def test_means_differences_and_ratios_cover(change):
    z = []
    for seed in range(200):
        run = SeriesRun(rise=0.0, seed=seed, **change)
        series = made(run)
        mean = weighted_mean(series).mean
        z.append(((mean.value - run.plateau) / mean.u, difference(series, 2.0, 30.0).z, ratio(series, 2.0, 30.0).z))
    for column in np.array(z).T:
        covers(column)


# -- trends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [{}, {"scale_u": 0.05, "offset_u": 0.3}, {"x_u": 2.0}], ids=["own", "shared", "u of x"]
)
def test_slopes_cover_and_flat_series_have_none(change):
    z, claims = [], 0
    for seed in range(200):
        found = linear_trend(made(SeriesRun(rise=0.0, slope=0.1, seed=seed, **change)))
        z.append((found.slope.value - 0.1) / found.slope.u)
        at = found.at(10.0)
        z.append((at.value - 11.0) / at.u)
        claims += abs(linear_trend(made(SeriesRun(rise=0.0, seed=seed, **change))).z) > 3.0
    covers(z)
    assert claims <= 4


def test_a_line_says_what_it_found():
    found = linear_trend(made(SeriesRun(rise=0.0, slope=0.5), "fluence_J_per_cm2"))
    assert found.estimate.text.startswith("moment_Am2 rises with fluence_J_per_cm2: 0.4908 ± 0.0084 Am2")
    assert "has no trend" in linear_trend(made(SeriesRun(rise=0.0))).estimate.text
    bent = linear_trend(made(SeriesRun(noise=0.05)))
    assert "not a straight line" in bent.estimate.reasons[0]


@pytest.mark.parametrize(
    "change", [{}, {"scale_u": 0.05, "offset_u": 0.3}, {"x_u": 0.4}], ids=["own", "shared", "u of x"]
)
def test_where_a_series_levels_off_is_covered(change):
    z, claimed = [], 0
    for seed in range(40):
        run = SeriesRun(x0=8.0 + 6.0 * (seed / 40.0), seed=seed, **change)
        found = plateau(made(run))
        if found.estimate.status is RESOLVED:
            claimed += 1
            values = found.estimate.values
            x0, level = values["levels_off_thickness_uc"], values["plateau_moment_Am2"]
            rise = values["rise_moment_Am2_per_uc"]
            z.append(
                ((x0.value - run.x0) / x0.u, (level.value - run.plateau) / level.u, (rise.value - run.rise) / rise.u)
            )
            assert found.interval[0] < x0.value < found.interval[1]
    assert claimed >= 38
    covers(np.array(z)[:, 0], 0.11, 0.5)
    covers(np.array(z).ravel(), 0.07, 0.3)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"rise": 0.0}, "a constant describes it as well"),
        ({"rise": 0.0, "slope": 0.3}, "a straight line describes it as well"),
        ({"smooth": 5.0, "noise": 0.03}, "smoother"),
        ({"x0": 27.0}, ""),
    ],
)
def test_a_plateau_is_not_claimed_where_there_is_none(change, sentence):
    refused = [
        found.estimate
        for seed in range(15)
        if (found := plateau(made(SeriesRun(seed=seed, **change)))).estimate.status is REFUSED
    ]
    assert len(refused) >= 7
    assert all(sentence in estimate.reasons[0] and not estimate.values for estimate in refused)


# -- the film's shape and directions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "instrument, orientation, published",
    [("MPMS", "[001]", 1.035), ("MPMS", "[100]", 0.983), ("MPMS3", "[001]", 1.074), ("MPMS3", "[100]", 0.966)],
)
def test_the_factor_is_that_of_a_film_summed_point_by_point(instrument, orientation, published):
    found = geometry_factor(instrument, orientation, radial_offset_u_m=0.0)
    assert found.value == pytest.approx(film_runs.reported_over_true(instrument, orientation), abs=5e-4)
    assert abs(found.value - published) < max(found.u, 2.5e-3)


@pytest.mark.parametrize("size_m", [(5e-3, 2.5e-3), (2.5e-3, 5e-3), (3e-3, 8e-3)])
@pytest.mark.parametrize("orientation", ["[001]", "[100]", "[110]"])
def test_rectangles_are_worked_out(size_m, orientation):
    found = geometry_factor("MPMS3", orientation, size_m, radial_offset_u_m=0.0)
    assert found.value == pytest.approx(film_runs.reported_over_true("MPMS3", orientation, size_m), abs=1e-3)


def test_an_offset_of_a_millimetre_makes_nine_per_cent():
    assert geometry_factor("MPMS3", "perpendicular", radial_offset_m=1e-3).value == pytest.approx(1.09, abs=5e-3)


def test_an_uncertain_offset_moves_the_factor_as_well():
    known, unsure = (geometry_factor("MPMS3", "[001]", radial_offset_u_m=u) for u in (0.0, 6e-4))
    draws = 6e-4 * np.random.default_rng(3).standard_normal(150)
    many = [film_runs.reported_over_true("MPMS3", "[001]", offset_m=(float(d), 0.0), points=8, steps=25) for d in draws]
    assert unsure.value - known.value == pytest.approx(np.mean(many) - known.value, abs=2e-3)
    assert unsure.u > known.u


def test_a_point_is_reported_as_it_is():
    for instrument in ("MPMS", "MPMS3", "MPMS3 VSM", Gradiometer(0.01, 0.01, 0.04)):
        assert geometry_factor(instrument, "[001]", (1e-5, 1e-5), radial_offset_u_m=0.0).value == pytest.approx(
            1.0, abs=1e-5
        )


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (("PPMS", "[001]"), "instrument 'PPMS' is unknown"),
        (("MPMS", "[111]"), "orientation '[111]' is unknown"),
        (("MPMS", "[001]", (5.0, 5.0)), "in metres"),
        (("MPMS", "[001]", (5e-3, -5e-3)), "positive"),
        ((Gradiometer(0.01, 0.0, 0.04), "[001]"), "a gradiometer needs"),
    ],
)
def test_a_film_that_cannot_be_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        geometry_factor(*arguments)


@pytest.mark.parametrize("noise_Am2", [1e-10, 1e-12])
def test_an_isotropic_film_has_no_preferred_direction(noise_Am2):
    claims = 0
    z = []
    for seed in range(60):
        run = FilmRun(noise_Am2=noise_Am2, seed=seed)
        reported = {name: Measured(value, noise_Am2) for name, value in run.draw().items()}
        found = moment_anisotropy(reported, "MPMS3", calibration_u=run.calibration_u)
        claims += found.preferred is not None
        z += [(m.value - run.moment_Am2) / m.u for m in found.estimate.values.values()]
    assert claims <= 1
    covers(z, 0.06)
    # Uncorrected it would have had one every time.
    assert reported["[001]"].value - reported["[100]"].value > 5.0 * sqrt(2.0) * noise_Am2
    assert "shape in the coils explains it" in found.estimate.reasons[-1]


def test_a_direction_that_is_preferred_is_found_with_its_ratio():
    z = []
    for seed in range(60):
        run = FilmRun(out_of_plane=1.3, seed=seed)
        reported = {name: Measured(value, run.noise_Am2) for name, value in run.draw().items()}
        found = moment_anisotropy(reported, "MPMS3", calibration_u=run.calibration_u)
        assert found.preferred == "[001]"
        assert found.p_equal < 1e-3
        ratio_found = found.estimate.values["preferred_over_others"]
        z.append((ratio_found.value - 1.3) / ratio_found.u)
    covers(z, 0.07)
    assert found.factors["[001]"].value == pytest.approx(1.0755, abs=2e-3)


def test_fields_need_no_correction():
    series = of(("[001]", 0.047, 0.001), ("[100]", 0.030, 0.001), ("[110]", 0.031, 0.001), x_name="orientation")
    found = anisotropy_of(series)
    assert found.preferred == "[001]"
    assert len(found.comparisons) == 3
    assert found.factors == {}
    assert "geometry" not in " ".join(found.estimate.reasons)


@pytest.mark.parametrize(
    "series, sentence",
    [
        (of((1.0, 1.0, 0.1), (2.0, 1.0, 0.1)), "orientations as text"),
        (of(("[001]", 1.0, 0.1), x_name="orientation"), "one orientation only"),
    ],
)
def test_what_is_no_comparison_of_directions_is_refused(series, sentence):
    with pytest.raises(ValueError, match=sentence):
        anisotropy_of(series)


# -- page and figure ----------------------------------------------------------------------------------------------


def test_the_python_of_the_page_runs():
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        exec(compile(code, PAGE.name, "exec"), names)
    assert names


def test_the_figure_of_the_page():
    series = made(SeriesRun(seed=3, scale_u=0.05, noise=0.35))
    found = plateau(series)
    values = found.estimate.values
    x0, level = values["levels_off_thickness_uc"], values["plateau_moment_Am2"]
    rise = values["rise_moment_Am2_per_uc"]
    run = FilmRun(noise_Am2=2e-10, seed=1)
    reported = {name: Measured(value, run.noise_Am2) for name, value in run.draw().items()}
    directions = moment_anisotropy(reported, "MPMS3", calibration_u=run.calibration_u)
    figure = figures.new_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    left.errorbar(
        series.x, series.value, series.u, fmt="none", ecolor="0.75", capsize=3, label="±1σ, calibration included"
    )
    left.errorbar(series.x, series.value, series.independent_u, fmt="o", ms=4, capsize=3, label="±1σ, their own")
    x = np.linspace(0.0, 31.0, 200)
    left.plot(
        x, level.value + rise.value * np.minimum(x - x0.value, 0.0), color="C1", lw=1.2, label="rise that levels off"
    )
    left.axvspan(*found.interval, color="C1", alpha=0.15, lw=0, label="x0, 95 %")
    left.set(
        xlabel="thickness (u.c.)", ylabel="moment (10⁻⁹ A m²)", title=f"levels off at {x0.value:.1f} ± {x0.u:.1f} u.c."
    )
    left.legend(fontsize=8, loc="lower right")
    place = np.arange(3)
    right.errorbar(place - 0.1, [1e9 * m.value for m in reported.values()], 1e9 * run.noise_Am2, fmt="s", ms=5, capsize=3,
                   color="0.6", label="as reported")  # fmt: skip
    right.errorbar(place + 0.1, 1e9 * directions.series.value, 1e9 * directions.series.u, fmt="o", ms=5, capsize=3,
                   label="for the film's shape")  # fmt: skip
    right.axhline(1e9 * run.moment_Am2, color="k", lw=0.8, ls="--", label="true, the same for all")
    right.set_xticks(place, list(reported))
    right.set(xlabel="field along", ylabel="moment (10⁻⁹ A m²), ±1σ", title="No preferred direction", xlim=(-0.5, 2.5))
    right.legend(fontsize=8)
    figures.keep(figure, "series")
