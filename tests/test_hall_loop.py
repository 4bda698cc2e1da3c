"""The main job over simulated wires: one Hall loop, from the instruments' replies to the coercive field."""

import math
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import pytest
from pymeasure.experiment import Results, Worker
from remanence.analysis.hall_loop import analyze_hall_loop
from remanence.cli.session import simulated_truth
from remanence.core.errors import ConfigError, LimitError
from remanence.core.records import Estimate, EstimateStatus, Outcome, Row
from remanence.engine.listener import Listener
from remanence.engine.live_fit import LiveFit
from remanence.engine.recipe import procedure_classes
from remanence.engine.runner import Runner, RunResult
from remanence.engine.station import Station
from remanence.engine.station_file import reference_station
from remanence.procedures.base import Procedure
from remanence.procedures.hall_loop import HallLoop
from remanence.simulators.sample import load_sample
from remanence.storage import read_run

QUICK = {"settle_window_s": 5.0}


def station_of(seed: int = 1, ahe: bool = True) -> Station:
    sample = load_sample("park2020_deficient")
    if not ahe:
        sample = sample.model_copy(update={"ahe_amplitude_ohm": 0.0})
    return Station.open(reference_station(), simulate=True, seed=seed, sample=sample)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunResult, Station, "Hears"]]:
    hears = Hears()
    with station_of() as station:
        fit = LiveFit([hears], period_s=0.05)
        runner = Runner(station, tmp_path_factory.mktemp("runs"), listeners=[hears], live_fit=fit)
        yield runner.run(HallLoop(max_field_T=1.0, **QUICK)), station, hears


class Hears(Listener):
    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.estimates: list[tuple[int, Estimate]] = []

    def row(self, row: Row) -> None:
        self.rows.append(row)

    def estimate(self, estimate: Estimate) -> None:
        self.estimates.append((len(self.rows), estimate))


def test_the_measured_crossings_are_the_samples_within_three_standard_errors(finished: Any):
    result, station, _ = finished
    assert result.estimate.status is EstimateStatus.RESOLVED
    for key, truth in simulated_truth(station, HallLoop()).items():
        measured = result.estimate.values[key]
        assert abs(measured.value - truth) < 3 * measured.u, key
    assert result.estimate.values["coercive_field_T"].u < 0.5e-3


def test_every_row_carries_what_an_analysis_needs(finished: Any):
    result, _, _ = finished
    frame = read_run(result.folder).frame
    assert list(frame.columns[:13]) == HallLoop.DATA_COLUMNS[:13]
    assert frame["leg"].tolist() == sorted(frame["leg"])
    assert set(frame["leg"]) == {0, 1, 2, 3}
    assert frame["temperature_K"].between(4.97, 5.03).all()
    assert (frame["time_s"] > frame["field_time_s"]).all()
    assert ((frame["time_s"] - frame["field_time_s"]) < 0.5).all()
    assert frame["field_T"].abs().max() == pytest.approx(1.0, abs=2e-3)
    assert frame["R_xy_ohm"].equals(frame["x_xy_V"] / 1e-6)
    assert not (frame["flags"].fillna("") != "").any()


def test_the_rows_own_time_counts_from_the_start_of_the_run(finished: Any):
    result, _, hears = finished
    for row in hears.rows[::500]:
        # What the row's numbers were measured at lies within the second before the row was complete.
        assert 0.0 <= row.time_s - row.values[0] < 1.0
        assert row.utc_s == pytest.approx(result.header.started_utc_s + row.time_s, abs=1e-6)


def test_the_record_holds_every_instrument_and_what_the_guard_sent(finished: Any):
    result, _, _ = finished
    kept = read_run(result.folder)
    settings = {record.name: record.settings for record in kept.instruments}
    assert set(settings) == {"magnet", "cryostat", "source", "lockin_xx", "lockin_xy"}
    assert settings["lockin_xy"]["wiring"] == "xy"
    said = [event.event.text for event in kept.events]
    assert "program +1.00000 T at 2 mT/s" in said
    # The supply's sign is a relay: between +1 T and −1 T the guard stops at zero.
    assert said.count("program +0.00000 T at 2 mT/s") >= 2
    assert [leg.leg.stop_T for leg in kept.legs] == [1.0, -1.0, 1.0, 0.0]


def test_the_live_fit_waits_for_both_branches_before_it_claims(finished: Any):
    result, _, hears = finished
    up_leg_crosses = next(row.n for row in hears.rows if row.values[1] == 2 and row.values[3] > 0.05)
    for seen, estimate in hears.estimates:
        assert (estimate.status is not EstimateStatus.RESOLVED) or seen > up_leg_crosses
        assert all(math.isfinite(m.u) and m.u > 0 for m in estimate.values.values())
    assert hears.estimates[-1][1] == result.estimate


def test_the_same_rows_give_the_same_estimate_offline(finished: Any):
    result, _, _ = finished
    assert analyze_hall_loop(read_run(result.folder).frame, time_constant_s=0.3, poles=4) == result.estimate


def test_pymeasure_loads_rows_and_parameters(finished: Any):
    result, _, hears = finished
    loaded = Results.load(str(result.folder / "run.csv"))
    assert type(loaded.procedure) is HallLoop
    assert loaded.procedure.max_field_T == 1.0
    assert loaded.procedure.filter_poles == 4
    frame: pd.DataFrame = loaded.data
    assert len(frame) == len(hears.rows)
    assert frame["field_T"].tolist() == [row.values[3] for row in hears.rows]


def test_without_an_anomalous_hall_effect_nothing_is_claimed(tmp_path: Path):
    with station_of(ahe=False) as station:
        result = Runner(station, tmp_path, live_fit=LiveFit(period_s=None)).run(HallLoop(max_field_T=0.6, **QUICK))
    assert result.estimate is not None
    assert result.estimate.status is EstimateStatus.NOT_RESOLVED
    assert not any(key.startswith(("coercive", "loop_centre")) for key in result.estimate.values)


def test_two_runs_with_one_seed_are_the_same_to_the_byte(tmp_path: Path):
    journals: list[bytes] = []
    for _ in range(2):
        with station_of(seed=5) as station:
            runner = Runner(station, tmp_path, random_bytes=lambda n: b"\x01" * n, live_fit=LiveFit(period_s=0.01))
            result = runner.run(HallLoop(max_field_T=0.15, **QUICK))
        journals.append((result.folder / "run.jsonl").read_bytes())
    assert journals[0] == journals[1]


def test_another_seed_gives_other_noise(tmp_path: Path):
    found: list[float] = []
    for seed in (1, 2):
        with station_of(seed=seed) as station:
            result = Runner(station, tmp_path).run(HallLoop(max_field_T=0.02, **QUICK))
        found.append(float(read_run(result.folder).frame["R_xy_ohm"].iloc[5]))
    assert found[0] != found[1]


def test_it_runs_under_pymeasures_own_worker(tmp_path: Path):
    with station_of() as station:
        procedure = HallLoop(max_field_T=0.05, **QUICK)
        procedure.station = station
        results = Results(procedure, str(tmp_path / "worker.csv"))
        worker = Worker(results)
        worker.start()
        worker.join(timeout=250)
        assert procedure.status == Procedure.FINISHED
        assert len(results.data) > 100
        field = station.guards["magnet"]
        assert "holds at +0.0000 T" in field.describe()


def test_a_stop_under_pymeasures_worker_leaves_the_magnet_on_hold(tmp_path: Path):
    with station_of() as station:
        procedure = HallLoop(max_field_T=3.0, **QUICK)
        procedure.station = station
        results = Results(procedure, str(tmp_path / "worker.csv"))
        worker = Worker(results)
        real = worker.handle_record

        def stop_at_some_row(record: dict[str, Any]) -> None:
            real(record)
            if record["leg"] == 0 and record["field_T"] > 0.1:
                worker.stop()

        worker.handle_record = stop_at_some_row  # pyright: ignore[reportAttributeAccessIssue]
        worker.start()
        # The worker's own join returns as soon as it was asked to stop, not when it has.
        Thread.join(worker, timeout=250)
        assert procedure.status == Procedure.ABORTED
        assert "holds at +0.1" in station.guards["magnet"].describe()


def test_a_worker_without_a_station_says_what_to_do(tmp_path: Path):
    with pytest.raises(ConfigError, match="station"):
        HallLoop().execute()


def test_a_field_beyond_the_guard_is_a_failed_run_and_nothing_moved(tmp_path: Path):
    with station_of() as station:
        result = Runner(station, tmp_path).run(HallLoop(max_field_T=16.0, **QUICK))
        assert result.footer.outcome is Outcome.FAILED
        assert isinstance(result.error, LimitError)
        assert "holds at +0.0000 T" in result.footer.hardware


def test_a_temperature_that_does_not_settle_ends_the_run_before_the_field_moves(tmp_path: Path):
    with station_of() as station:
        procedure = HallLoop(temperature_K=300.0, settle_timeout_s=20.0)
        result = Runner(station, tmp_path).run(procedure)
    assert result.footer.outcome is Outcome.FAILED
    assert "did not stay within" in result.footer.reason
    assert result.footer.rows == 0


# What every procedure must do, whoever wrote it.


@pytest.mark.parametrize("name", sorted(procedure_classes()))
def test_every_parameter_of_a_procedure_carries_its_unit(name: str):
    procedure = procedure_classes()[name]()
    for attribute, parameter in procedure.parameter_objects().items():
        unit = getattr(parameter, "units", None)
        if unit:
            assert attribute.endswith("_" + unit.replace("/", "_per_")), attribute
        assert parameter.default is not None


@pytest.mark.parametrize("name", sorted(procedure_classes()))
@pytest.mark.parametrize("row", [0, 1, 10, 60])
def test_every_procedure_aborts_safely_at_any_row(name: str, row: int, tmp_path: Path):
    with station_of() as station:
        procedure = procedure_classes()[name](max_field_T=0.1, **QUICK)

        class Stop(Listener):
            def row(self, row_: Row) -> None:
                if row_.n == row:
                    runner.abort("test")

        runner = Runner(station, tmp_path, listeners=[Stop()])
        result = runner.run(procedure)
        assert result.footer.outcome is Outcome.ABORTED
        assert result.footer.rows == row + 1
        assert station.world is not None
        assert not station.world.excitation.on
        now = station.clock.now()
        magnet = station.world.magnet
        assert magnet.lead_current(now) == magnet.lead_current(now + 1e5)
