"""Sources, meters and the switch matrix, byte by byte, and what their noise and their wires do to a measurement."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError
from remanence.simulators.contacts import ContactSettings
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import Conversation
from remanence.simulators.keithley import (
    Keithley2182A,
    Keithley2400,
    Keithley2450,
    Keithley6221,
    Keithley7001,
)
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.nanovolt import Flicker, NanovoltInput
from remanence.simulators.noise import NormalStream
from remanence.simulators.sample import load_sample
from remanence.simulators.scpi import ScpiPanel
from remanence.simulators.scpi_grammar import arguments_of, program_units, spellings
from remanence.simulators.world import World, WorldSettings
from remanence.simulators.yokogawa import GS200

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))
KINDS: dict[str, type[ScpiPanel]] = {
    "6221": Keithley6221, "2182A": Keithley2182A, "2400": Keithley2400, "2450": Keithley2450, "7001": Keithley7001, "GS200": GS200,
}  # fmt: skip


class Bench:
    """A laboratory at 5 K and the panels that a test puts into it."""

    def __init__(self, seed: int = 1, **contacts: Any) -> None:
        self.clock = VirtualClock()
        sample = load_sample("park2020_deficient")
        cryostat = CryostatSettings(start_K=5.0, cold_K=5.0)
        self.world = World(
            WorldSettings(MAGNET, cryostat, sample, contacts=ContactSettings(**contacts)), self.clock, seed
        )
        self._panels: dict[str, ScpiPanel] = {}

    def put(self, kind: str, wiring: str = "", **options: Any) -> ScpiPanel:
        self._panels[kind] = KINDS[kind](self.world, kind, wiring, **options)
        return self._panels[kind]

    def ask(self, kind: str, line: str) -> str:
        """The reply to a line; the time it takes passes."""
        panel = self._panels[kind]
        reply = panel.receive(line.encode())
        self.clock.sleep(panel.latency_of(line))
        return reply.decode().strip()

    def numbers(self, kind: str, line: str) -> list[float]:
        return [float(text) for text in self.ask(kind, line).split(",")]


# SCPI


def test_headers_have_all_their_spellings() -> None:
    assert set(spellings("SENSe#? VOLTage DC?")) == {
        f"{sense}{volt}{dc}" for sense in ("SENSE:", "SENS:", "SENSE1:", "SENS1:", "") for volt in ("VOLTAGE", "VOLT") for dc in (":DC", "")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("message", "headers"),
    [
        (":SENS:VOLT:NPLC 1;RANG 2", ["SENS:VOLT:NPLC", "SENS:VOLT:RANG"]),
        (":SENS:VOLT:NPLC 1;*CLS;RANG 2", ["SENS:VOLT:NPLC", "*CLS", "SENS:VOLT:RANG"]),
        (":SENS:FUNC 'A;B';:OUTP 1;", ["SENS:FUNC", "OUTP"]),
        ("status:queue:clear;*RST;:stat:pres;:*CLS;", ["STATUS:QUEUE:CLEAR", "*RST", "STAT:PRES", "*CLS"]),
    ],
)
def test_a_message_goes_on_where_it_was(message: str, headers: list[str]) -> None:
    assert [header for header, _, _ in program_units(message)] == headers


def test_arguments_keep_quotes_and_lists_whole() -> None:
    assert arguments_of("1, 'a,b' ,(@1!1,1!2), x") == ["1", "'a,b'", "(@1!1,1!2)", "x"]
    assert arguments_of("") == []


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_panel_has_an_error_queue_that_overflows_ends_and_is_cleared(kind: str) -> None:
    bench = Bench()
    panel = bench.put(kind)
    bench.ask(kind, "*CLS")
    bench.ask(kind, "FOO:BAR")
    assert bench.ask(kind, "SYST:ERR?").startswith('-113,"Undefined header')
    assert bench.ask(kind, "*ESR?") == "32"
    panel.fill_errors()
    assert int(bench.ask(kind, "*STB?")) & 4
    replies = [bench.ask(kind, "SYST:ERR?") for _ in range(panel.queue_length + 1)]
    assert replies[-2].startswith("-350")
    assert replies[-1].startswith('0,"No error')
    panel.refuse("OUTP ON")
    bench.ask(kind, "*CLS")
    assert bench.ask(kind, "SYST:ERR?").startswith("0,")
    assert int(bench.ask(kind, "*STB?")) & 4 == 0


@pytest.mark.parametrize("kind", ["6221", "2400", "2450", "GS200"])
def test_a_power_cycle_switches_the_output_off_and_says_so(kind: str) -> None:
    bench = Bench()
    panel = bench.put(kind)
    bench.ask(kind, "OUTP ON")
    assert bench.ask(kind, "OUTP?") == "1"
    bench.ask(kind, "*ESR?")
    panel.power_cycle()
    assert bench.ask(kind, "OUTP?;*ESR?") == "0;128"


@pytest.mark.parametrize(
    ("kind", "knob", "value", "query", "answer"),
    [
        ("6221", "current", "1e-6", "SOUR:CURR?", "1.000000E-06"), ("2182A", "nplc", "1", "SENS:VOLT:NPLC?", "1.00"), ("2400", "function", "CURR", "SOUR:FUNC?", "CURR"),
        ("2450", "output", "ON", "OUTP?", "1"), ("GS200", "limit_V", "5", "SOUR:PROT:VOLT?", "5"), ("7001", "break", "OFF", "ROUT:CONF:BBM?", "0"),
    ],
)  # fmt: skip
def test_a_person_can_turn_the_settings_at_the_front(kind: str, knob: str, value: str, query: str, answer: str) -> None:
    bench = Bench()
    panel = bench.put(kind)
    assert knob in panel.knobs
    panel.turn(knob, value)
    assert bench.ask(kind, query) == answer
    for wrong in ((knob, "rubbish"), ("rubbish", "1")):
        with pytest.raises(ConfigError, match="rubbish"):
            panel.turn(*wrong)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_panel_says_what_it_is_and_what_is_inferred(kind: str) -> None:
    bench = Bench()
    panel = bench.put(kind)
    assert bench.ask(kind, "*IDN?").split(",")[1].endswith(panel.model.rstrip("A")[-3:]) or kind in ("2182A", "GS200")
    assert panel.firmware in bench.ask(kind, "*IDN?")
    assert panel.inferred and all(sentence.endswith(".") for sentence in panel.inferred)


# The nanovoltmeter's input


@pytest.mark.parametrize("nplc", [0.1, 1.0, 5.0, 50.0])
def test_noise_falls_with_the_root_of_the_line_cycles(nplc: float) -> None:
    # Conversions far apart, so that 1/f noise is the same in all.
    stream = NormalStream(3, f"{nplc}")
    converter = NanovoltInput(stream, 0.0)
    values = [converter.convert(0.0, 0.01, nplc, 30e-9, float(k)) for k in range(3000)]
    hum = 2e-6 * abs(math.sin(math.pi * nplc)) / (math.pi * nplc) / math.sqrt(2)
    expected = math.hypot(30e-9 * math.sqrt(50.0 / nplc / 2.0), hum if nplc < 1 else 0.0)
    assert np.std(values) == pytest.approx(expected, rel=0.07)


def test_flicker_noise_has_as_much_power_in_each_octave() -> None:
    flicker = Flicker(1.0, 1.0, NormalStream(5, "flicker"))
    step_s = 0.1
    values = np.array([flicker.after(step_s) for _ in range(1 << 15)])
    spectrum = np.abs(np.fft.rfft(values)) ** 2 * 2 * step_s / len(values)
    frequencies = np.fft.rfftfreq(len(values), step_s)
    for low in (0.008, 0.03, 0.12, 0.3):
        band = (frequencies >= low) & (frequencies < 2 * low)
        assert np.mean(spectrum[band] * frequencies[band]) == pytest.approx(1.0, rel=0.3)


@pytest.mark.parametrize(("full", "nplc", "step"), [(0.01, 1.0, 1e-9), (0.01, 0.1, 1e-8), (1.0, 5.0, 1e-7)])
def test_the_converter_has_steps(full: float, nplc: float, step: float) -> None:
    converter = NanovoltInput(NormalStream(1, "steps"), 0.0)
    values = [converter.convert(1e-3, full, nplc, 0.0, float(k)) for k in range(20)]
    assert all(abs(value / step - round(value / step)) < 1e-6 for value in values)
    assert len(set(values)) > 1


def test_the_2182a_overflows_its_range_and_autorange_finds_another() -> None:
    bench = Bench()
    bench.put("2182A")
    bench.put("6221")
    bench.ask("6221", "SOUR:CURR 1e-3;:SOUR:CURR:COMP 10;:OUTP ON")
    volts = 1e-3 * bench.world.contacts.resistance(1, 2, 3, 4)
    assert bench.numbers("2182A", "READ?") == [pytest.approx(volts, rel=1e-4)]
    assert bench.ask("2182A", "SENS:VOLT:RANG?") == "1.000000E+00"
    bench.ask("2182A", "*CLS;:SENS:VOLT:RANG 0.08")
    assert bench.ask("2182A", "SENS:VOLT:CHAN1:RANG?;RANG:AUTO?") == "1.000000E-01;0"
    assert bench.ask("2182A", "READ?") == "+9.90000000E+37"
    assert int(bench.ask("2182A", "STAT:MEAS?")) & 1


@pytest.mark.parametrize(("terminator", "end"), [("lf", b"\n"), ("cr", b"\r"), ("crlf", b"\r\n"), ("lfcr", b"\n\r")])
def test_the_2182a_ends_its_replies_as_its_menu_says(terminator: str, end: bytes) -> None:
    reply = Bench().put("2182A", terminator=terminator).receive(b":SENS:FUNC?")
    assert reply == b'"VOLT:DC"' + end
    with pytest.raises(ConfigError, match="terminator"):
        Bench().put("2182A", terminator="xx")


def test_the_2182a_fills_its_buffer_at_its_own_rate_and_sets_the_bits_that_are_waited_for() -> None:
    bench = Bench()
    bench.put("2182A")
    bench.ask("2182A", "*RST;:STAT:PRES;*CLS;*SRE 1;:STAT:MEAS:ENAB 512;")
    bench.ask("2182A", ":SENS:VOLT:NPLC 1;:TRAC:CLE;POIN 12;:TRIG:COUN 12;:TRAC:FEED SENS;FEED:CONT NEXT;:INIT")
    bench.clock.sleep(0.3)
    assert int(bench.ask("2182A", "*STB?")) & 65 == 0
    assert 0 < int(bench.ask("2182A", "TRAC:POIN:ACT?")) < 12
    bench.clock.sleep(1.0)
    assert int(bench.ask("2182A", "*STB?")) & 65 == 65
    values = bench.numbers("2182A", "TRAC:DATA?")
    assert len(values) == 12
    assert bench.numbers("2182A", "CALC2:FORM MEAN;:CALC2:STAT ON;:CALC2:IMM?") == [
        pytest.approx(np.mean(values), rel=1e-5)
    ]
    assert bench.ask("2182A", "SYST:ERR?") == '0,"No error"'


@pytest.mark.parametrize(
    ("line", "code"),
    [("SENS:VOLT:NPLC 61", -222), ("SENS:FUNC 'CURR'", -224), ("TRIG:SOUR BUS;:READ?", -214), ("*TRG", -211), ("TRAC:DATA?", -230), ("SENS:FUNC VOLT", -104)],
)  # fmt: skip
def test_the_2182a_refuses(line: str, code: int) -> None:
    bench = Bench()
    bench.put("2182A")
    bench.ask("2182A", line)
    assert bench.ask("2182A", "SYST:ERR?").startswith(f"{code},")


def test_the_2182a_waits_for_the_bus_and_each_trigger_is_a_reading() -> None:
    bench = Bench()
    panel = bench.put("2182A")
    bench.ask("2182A", "*RST;:TRIG:SOUR BUS;COUN 2;:TRAC:POIN 10;FEED:CONT NEXT;:INIT")
    for count in (1, 2):
        bench.ask("2182A", "*TRG") if count == 1 else panel.trigger()
        bench.clock.sleep(1.0)
        assert bench.ask("2182A", "TRAC:POIN:ACT?") == str(count)
    panel.trigger()
    assert bench.ask("2182A", "SYST:ERR?").startswith("-211")


def test_the_2182a_measures_all_the_time_after_power_on_until_it_is_reset() -> None:
    bench = Bench()
    bench.put("2182A")
    assert bench.ask("2182A", "SENS:DATA?") != bench.ask("2182A", "FETC?")
    bench.ask("2182A", "INIT")
    assert bench.ask("2182A", "SYST:ERR?").startswith("-213")
    bench.ask("2182A", "*RST")
    assert bench.ask("2182A", "INIT:CONT?;:FETC?") == "0"
    assert bench.ask("2182A", "SYST:ERR?").startswith("-230")
    bench.ask("2182A", "SYST:PRES")
    assert bench.ask("2182A", "INIT:CONT?") == "1"


def test_an_open_input_wanders_and_its_second_channel_is_open_unless_wired() -> None:
    bench = Bench()
    bench.put("2182A")
    values = [bench.numbers("2182A", ":SENS:CHAN 2;:READ?")[0] for _ in range(20)]
    assert np.std(values) > 1e-4
    wired = Bench()
    wired.put("2182A", "4-3 1-2")
    assert abs(wired.numbers("2182A", ":SENS:CHAN 2;:READ?")[0]) < 5e-6


# Delta mode


def delta(bench: Bench, setup: str = "", count: int = 40) -> "np.ndarray[Any, Any]":
    """The readings of a delta measurement at ±1 µA."""
    bench.ask("2182A", "*RST;:SENS:VOLT:NPLC 1")
    bench.ask(
        "6221",
        f"*RST;*CLS;:SOUR:DELT:HIGH 1e-6;COUN {count};DEL 0.002;CAB ON;:TRAC:POIN {count};{setup}:SOUR:DELT:ARM;:INIT:IMM",
    )
    bench.clock.sleep(0.05 * (count + 4))
    assert bench.ask("6221", "SYST:ERR?") == '0,"No error"'
    return np.array(bench.numbers("6221", "TRAC:DATA?")).reshape(-1, 2)


def test_delta_mode_takes_offset_and_linear_drift_away() -> None:
    # A drift of a microvolt a second and offsets of millivolts, both far above the signal's microvolts of noise.
    bench = Bench(thermal_V=3e-3, drift_V_per_h=3600e-6, walk_V_per_root_h=0.0)
    bench.put("2182A")
    bench.put("6221")
    truth_V = 1e-6 * bench.world.contacts.resistance(1, 2, 3, 4)
    bench.ask("2182A", "SENS:VOLT:NPLC 1")
    before, later = bench.numbers("2182A", "READ?")[0], (bench.clock.sleep(10.0), bench.numbers("2182A", "READ?")[0])[1]
    assert abs(before) > 1e-4
    assert abs(later - before) > 1e-6
    values = delta(bench)[:, 0]
    assert values.mean() == pytest.approx(truth_V, abs=10e-9)
    assert values.std() < 20e-9


def test_delta_mode_gives_ohms_siemens_and_watts_of_the_step() -> None:
    bench = Bench()
    bench.put("2182A")
    bench.put("6221")
    ohms = bench.world.contacts.resistance(1, 2, 3, 4)
    for unit, expected in (("OHMS", ohms), ("SIEM", 1 / ohms), ("W", 1e-12 * ohms)):
        assert delta(bench, f":UNIT:VOLT:DC {unit};")[:, 0].mean() == pytest.approx(expected, rel=3e-3)


def test_delta_mode_stamps_elements_and_the_end() -> None:
    bench = Bench()
    bench.put("2182A")
    bench.put("6221")
    values = delta(bench)
    assert len(values) == 40
    assert np.diff(values[:, 1]) == pytest.approx(0.045, abs=1e-3)
    bench.ask("6221", "FORM:ELEM READ,TST,RNUM,SOUR,COMP")
    assert (
        bench.ask("6221", "TRAC:DATA?").split(",")[5:10:2][1]
        == "1.000000E+00"[:0] + bench.ask("6221", "TRAC:DATA?").split(",")[7]
    )
    assert bench.ask("6221", "TRAC:DATA?").split(",")[7:10] == ["1.000000E+00", "1.000000E-06", "F"]
    assert int(bench.ask("6221", "STAT:MEAS?")) & 512
    assert int(bench.ask("6221", "STAT:OPER?")) & 2
    assert bench.ask("6221", "OUTP?") == "0"
    assert bench.ask("6221", "SENS:DATA?") != ""


def test_delta_mode_needs_its_nanovoltmeter_and_talks_to_it() -> None:
    bench = Bench()
    bench.put("6221")
    assert bench.ask("6221", "SOUR:DELT:NVPR?;:SENS:DATA?") == "0;9.900000E+37,0.000000E+00"
    bench.ask("6221", "SOUR:DELT:ARM")
    assert bench.ask("6221", "SYST:ERR?").startswith("-241")
    bench.put("2182A")
    assert bench.ask("6221", "SOUR:DELT:NVPR?") == "1"
    bench.ask("6221", "SYST:COMM:SER:SEND 'VOLT:RANG 0.1'")
    bench.ask("6221", 'SYST:COMM:SER:SEND "VOLT:RANG?"')
    assert bench.ask("6221", "SYST:COMM:SER:ENT?") == "1.000000E-01"


def test_delta_mode_over_the_range_is_overflow_and_in_compliance_gives_up() -> None:
    bench = Bench()
    bench.put("2182A")
    bench.put("6221")
    bench.ask("2182A", "SENS:VOLT:RANG 0.01;NPLC 1")
    bench.ask("6221", "SOUR:DELT:HIGH 1e-3;COUN 10;:TRAC:POIN 10;:SOUR:CURR:COMP 10;:SOUR:DELT:ARM;:INIT")
    bench.clock.sleep(1.0)
    assert bench.numbers("6221", "TRAC:DATA?")[:1] == [9.9e37]
    bench.world.contacts.damage(2, math.inf)
    bench.ask("6221", "*CLS;:SOUR:DELT:CAB ON;ARM;:INIT")
    bench.clock.sleep(1.0)
    assert bench.ask("6221", "OUTP?;:TRAC:POIN:ACT?") == "0;0"
    assert int(bench.ask("6221", "STAT:MEAS?")) & 8


def test_delta_readings_belong_to_the_field_of_their_own_time() -> None:
    bench = Bench(thermal_V=0.0)
    bench.put("2182A", "4-2")
    bench.put("6221", "1-3")
    bench.ask("2182A", "SENS:VOLT:NPLC 1")
    bench.world.magnet.ramp(8.0, 0.04, bench.world.now())
    bench.ask("6221", "UNIT:VOLT:DC OHMS;:SOUR:DELT:HIGH 1e-5;COUN INF;:TRAC:POIN 20000;:SOUR:DELT:ARM;:INIT")
    # Nobody looks for two hundred seconds.
    bench.clock.sleep(200.0)
    values = np.array(bench.numbers("6221", "TRAC:DATA?")).reshape(-1, 2)
    assert len(values) == pytest.approx(200 / 0.045, rel=0.03)
    early, late = values[values[:, 1] < 20.0][-1, 0], values[-1, 0]
    r_xy = bench.world.contacts.resistance(1, 3, 2, 4)
    assert late == pytest.approx(r_xy, abs=0.2)
    assert late - early > 20.0
    bench.ask("6221", "SOUR:SWE:ABOR")
    assert bench.ask("6221", "OUTP?") == "0"


# The 6221's direct current


def test_the_6221_current_has_to_fit_its_range_and_compliance_is_told() -> None:
    bench = Bench()
    panel: Any = bench.put("6221")
    bench.ask("6221", "SOUR:CURR:RANG 1e-3;:SOUR:CURR 2.2e-3")
    assert bench.ask("6221", "SYST:ERR?").startswith("-222")
    assert bench.ask("6221", "SOUR:CURR:RANG?;:SOUR:CURR?") == "2.000000E-03;0.000000E+00"
    bench.ask("6221", "SOUR:CURR 2e-3;CURR:COMP 0.5;:OUTP ON")
    assert panel._source.limited
    assert int(bench.ask("6221", "STAT:MEAS?")) & 8
    bench.ask("6221", "SOUR:CURR 1e-6")
    assert not panel._source.limited


def test_the_6221_sweeps_its_current_in_steps_and_says_when_it_has_done() -> None:
    bench = Bench()
    panel: Any = bench.put("6221")
    bench.ask("6221", "SOUR:SWE:SPAC LIN;:SOUR:CURR:STAR 0;STOP 1e-3;STEP 2.5e-4;:SOUR:DEL 0.5;:SOUR:SWE:ARM;:INIT")
    levels: list[float] = []
    for _ in range(5):
        bench.clock.sleep(0.2)
        bench.world.advance()
        levels.append(panel._source.level)
        bench.clock.sleep(0.3)
    assert levels == pytest.approx([0.0, 2.5e-4, 5e-4, 7.5e-4, 1e-3])
    assert int(bench.ask("6221", "STAT:OPER?")) & 2
    bench.ask("6221", "SOUR:SWE:SPAC LOG;POIN 3;:SOUR:CURR:STAR 1e-6;:SOUR:SWE:ARM;:INIT")
    bench.clock.sleep(0.55)
    bench.world.advance()
    assert panel._source.level == pytest.approx(math.sqrt(1e-6 * 1e-3))


def test_a_waveform_stops_when_the_matrix_opens_and_is_cut_by_a_bad_contact() -> None:
    bench = Bench()
    bench.put("6221", "r1-r2")
    bench.put("7001")
    bench.ask("7001", "ROUT:CLOS (@1!1!1,1!2!2)")
    bench.ask("6221", "SOUR:WAVE:AMPL 1e-5;FREQ 17;ARM;INIT")
    excitation = bench.world.excitation
    assert excitation.through_sample_A == pytest.approx(1e-5 / math.sqrt(2))
    bench.ask("7001", "ROUT:OPEN ALL")
    assert excitation.through_sample_A == 0.0
    bench.world.contacts.damage(1, 1e7)
    bench.ask("7001", "ROUT:CLOS (@1!1!1,1!2!2)")
    assert excitation.through_sample_A == pytest.approx(1e-6 / math.sqrt(2), rel=1e-3)


def test_an_intermittent_contact_switches_the_alternating_current_off_and_on_by_itself() -> None:
    bench = Bench()
    bench.put("6221", "1-2")
    bench.ask("6221", "SOUR:WAVE:AMPL 1e-5;FREQ 17;ARM;INIT")
    bench.world.contacts.damage(2, math.inf, bad_for_s=1.0, good_for_s=3.0)
    flows: list[bool] = []
    for _ in range(2000):
        bench.clock.sleep(1.0)
        bench.world.advance()
        flows.append(bench.world.excitation.through_sample_A > 0.0)
    assert sum(flows) / len(flows) == pytest.approx(0.75, abs=0.04)
    bench.world.contacts.mend(2)
    assert bench.world.excitation.through_sample_A == pytest.approx(1e-5 / math.sqrt(2))


def test_a_6221_at_rest_leaves_another_instruments_drive_alone() -> None:
    bench = Bench()
    bench.put("6221")
    bench.world.excitation.on, bench.world.excitation.rms_A = True, 1e-6
    bench.ask("6221", "*RST;:SOUR:CURR 1e-3")
    assert bench.world.excitation.through_sample_A == 1e-6


# The 2400 and the 2450


def test_the_2400_answers_as_the_recorded_one() -> None:
    bench = Bench()
    bench.put("2400")
    assert bench.ask("2400", "SENS:FUNC?") == '"CURR:DC"'
    assert bench.ask("2400", "SOUR:VOLT:RANG?") == "21.00"
    bench.ask("2400", "SOUR:CURR 1e-5")
    assert bench.ask("2400", "SOUR:CURR?") == "1.000000E-05"
    bench.ask("2400", "OUTP ON;:FORM:ELEM CURR,VOLT")
    # In the instrument's order, whatever was asked; what is not measured but sourced is told.
    assert len(bench.ask("2400", "READ?").split(",")) == 2
    bench.ask("2400", "SOUR:FUNC CURR;:FORM:ELEM VOLT,CURR,RES")
    assert bench.ask("2400", "READ?").split(",")[0::2] == ["+9.910000E+37", "+9.910000E+37"]


@pytest.mark.parametrize(
    ("line", "code"),
    [("READ?", 803), ("INIT", 803), ("SOUR:CURR 2", -222), ("SENS:FUNC 'FREQ'", -224), ("SOUR:VOLT:RANG 2;:SOUR:VOLT 5", -222), ("FETC?", -230), ("FORM:ELEM", -109)],
)  # fmt: skip
def test_the_2400_refuses(line: str, code: int) -> None:
    bench = Bench()
    bench.put("2400")
    bench.ask("2400", line)
    assert bench.ask("2400", "SYST:ERR?").startswith(f"{code},")


def test_the_2400_sources_volts_up_to_its_compliance_current() -> None:
    bench = Bench()
    panel: Any = bench.put("2400", "1-3")
    bench.ask("2400", "*RST;:SENS:CURR:PROT 1e-4;:SENS:FUNC:ALL;:SENS:RES:MODE MAN;:OUTP ON")
    loop = panel._meter.source
    ohms = bench.world.circuit.loop_ohm(loop)
    for volts in (-0.5, -0.1, 0.1, 0.5):
        bench.ask("2400", f"SOUR:VOLT {volts}")
        seen = bench.numbers("2400", "READ?")
        wanted = max(-1e-4, min(1e-4, volts / ohms))
        assert seen[1] == pytest.approx(wanted, abs=2e-7)
        assert bool(int(seen[4]) & 8) == (abs(volts) > 0.2)
        assert bench.ask("2400", "SENS:CURR:PROT:TRIP?") == str(int(abs(volts) > 0.2))


def test_the_2400_sweeps_within_one_read() -> None:
    bench = Bench()
    bench.put("2400", "1-2 4-3")
    bench.ask("2400", "SOUR:FUNC CURR;:SYST:RSEN ON;:SENS:VOLT:PROT 2;:SENS:FUNC 'VOLT';:FORM:ELEM VOLT,CURR")
    bench.ask("2400", "SOUR:CURR:MODE SWE;STAR -1e-4;STOP 1e-4;:SOUR:SWE:POIN 5;:TRIG:COUN 5;:OUTP ON")
    values = np.array(bench.numbers("2400", "READ?")).reshape(-1, 2)
    assert values[:, 1] == pytest.approx(np.linspace(-1e-4, 1e-4, 5), abs=5e-9)
    truth = bench.world.contacts.resistance(1, 2, 3, 4)
    assert np.polyfit(values[:, 1], values[:, 0], 1)[0] == pytest.approx(truth, rel=1e-3)


def test_a_slow_reading_takes_its_time_on_the_wire() -> None:
    bench = Bench()
    panel = bench.put("2400")
    bench.ask("2400", "OUTP ON;:SENS:CURR:NPLC 10")
    panel.receive(b"READ?")
    assert panel.latency_of("READ?") == pytest.approx(0.6, abs=0.02)
    panel.receive(b"OUTP?")
    assert panel.latency_of("OUTP?") == panel.latency_s


def test_the_2450_keeps_named_buffers_and_their_elements() -> None:
    bench = Bench()
    bench.put("2450", "1-2")
    bench.ask("2450", "TRAC:MAKE 'mine', 20;:SENS:COUN 3;:OUTP ON;:TRAC:TRIG 'mine'")
    assert bench.ask("2450", "TRAC:ACT? 'mine';POIN? 'mine'") == "3;20"
    stamped = bench.ask("2450", "TRAC:DATA? 2,2,'mine',DATE,TIME,UNIT,SOUR,SOURUNIT,REL,SOURSTAT").split(",")
    assert (stamped[0], stamped[2], stamped[4], stamped[6]) == ("01/01/2026", "Amp DC", "Volt DC", "32")
    bench.ask("2450", "TRAC:CLE 'mine'")
    for line, code in [
        ("TRAC:DATA? 1,1,'mine'", -230),
        ("TRAC:ACT? 'other'", -224),
        ("TRAC:DEL 'defbuffer1'", -221),
        ("OUTP OFF;:READ?", 5076),
        ("INIT", -221),
    ]:
        bench.ask("2450", line)
        assert bench.ask("2450", "SYST:ERR?").startswith(f"{code},")
    bench.ask("2450", "TRAC:DEL 'mine'")
    assert bench.ask("2450", "SYST:ERR?") == '0,"No error;0;0 0"'


# The GS200


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("SOUR:FUNC?", "VOLT"), ("SOUR:LEV 1.111;LEV?", "+1.111E+0"), ("SOUR:RANG 10E-3;RANG?", "10E-3"), ("SOUR:RANG 30;RANG?;:SOUR:LEV 32;LEV?", "30E+0;+3.2E+1"),
        ("SOUR:LEV 1.2;LEV?", "+1.2E+0"), ("SOUR:LEV 1.2001;:SYST:ERR?", '-222,"Parameter data out of range"'),
        ("SOUR:LEV:AUTO -3.5;:SOUR:RANG?;LEV?", "10E+0;-3.5E+0"), ("SOUR:LEV 0.123456;LEV?", "+1.2346E-1"),
        ("OUTP ON;:SOUR:FUNC CURR;:SYST:ERR?", '-221,"Settings conflict"'), ("SOUR:LEV 1;:SOUR:RANG 0.1;:SYST:ERR?", '-221,"Settings conflict"'),
        ("PROG:RUN;:SYST:ERR?", '-221,"Settings conflict"'), ("*OPT?", "NONE"), ("MEAS?;:SYST:ERR?", '-241,"Hardware missing"'), ("SOUR:PROT:VOLT?;CURR?", "30;0.200"),
    ],
)  # fmt: skip
def test_the_gs200_says(line: str, reply: str) -> None:
    bench = Bench()
    bench.put("GS200")
    assert bench.ask("GS200", line) == reply


def test_the_gs200_runs_a_program_of_steps_and_slopes_and_can_be_held() -> None:
    bench = Bench()
    panel: Any = bench.put("GS200")
    bench.ask("GS200", "OUTP ON;:PROG:EDIT:STAR;:SOUR:LEV 0.5;LEV 1;:PROG:EDIT:END;:PROG:INT 2;SLOP 1;REP 0;RUN")
    levels: list[float] = []
    for pause_s in (0.5, 1.0, 1.0, 0.5):
        bench.clock.sleep(pause_s)
        bench.world.advance()
        levels.append(panel._source.level)
    assert levels == pytest.approx([0.25, 0.5, 0.75, 1.0], abs=0.06)
    bench.ask("GS200", "PROG:PAUS")
    bench.clock.sleep(5.0)
    assert int(bench.ask("GS200", "STAT:COND?")) & 256 == 0
    bench.ask("GS200", "PROG:CONT")
    bench.clock.sleep(2.0)
    assert int(bench.ask("GS200", "STAT:COND?")) & 256
    assert int(bench.ask("GS200", "STAT:EVEN?")) & 0b11000000 == 0b11000000
    assert bench.ask("GS200", "SOUR:LEV?;:STAT:EVEN?") == "+1.0E+0;0"


# The 7001


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("ROUT:CLOS (@1!1!1,1!2!3);CLOS:STAT?", "(@1!1!1,1!2!3)"), ("ROUT:CLOS (@1!1);CLOS? (@1!1!1,1!1!2)", "1,0"), ("ROUT:CLOS (@ 1!11 : 1!13);CLOS:STAT?", "(@1!2!1,1!2!2,1!2!3)"),
        ("ROUT:CLOS (@1!1!1);OPEN? (@1!1!1)", "0"), ("ROUT:CLOS (@1!1:1!4);OPEN (@1!2);CLOS:STAT?", "(@1!1!1,1!1!3,1!1!4)"), ("ROUT:CLOS (@1!1);OPEN ALL;CLOS:STAT?", "(@)"),
        ("ROUT:CLOS (@2!1);:SYST:ERR?", '-222,"Parameter data out of range"'), ("ROUT:CLOS (@1!5!1);:SYST:ERR?", '-222,"Parameter data out of range"'), ("ROUT:CLOS 1!1;:SYST:ERR?", '-104,"Data type error"'),
        ("ROUT:CLOS;:SYST:ERR?", '-109,"Missing parameter"'), ("ROUT:CONF:SLOT1:CTYP?;:ROUT:CONF:SLOT2:CTYP?", "C7012;NONE"),
        ("ROUT:CLOS (@1!3);MEM:SAVE M1;:ROUT:OPEN ALL;:ROUT:MEM:REC M1;:ROUT:CLOS:STAT?", "(@1!1!3)"), ("ROUT:FCH (@1!7);CLOS (@1!7);:SYST:ERR?", '-221,"Settings conflict"'),
    ],
)  # fmt: skip
def test_the_7001_closes_opens_and_tells(line: str, reply: str) -> None:
    bench = Bench()
    bench.put("7001")
    assert bench.ask("7001", line) == reply


def test_the_7001_scans_one_channel_for_each_trigger() -> None:
    bench = Bench()
    bench.put("7001")
    bench.ask("7001", "ROUT:SCAN (@1!1,1!12);:TRIG:SOUR BUS;COUN 3;:INIT")
    seen = [bench.ask("7001", "*TRG;:ROUT:CLOS:STAT?") for _ in range(3)]
    assert seen == ["(@1!1!1)", "(@1!2!2)", "(@1!1!1)"]
    bench.ask("7001", "*TRG")
    assert bench.ask("7001", "SYST:ERR?").startswith("-211")
    bench.ask("7001", "ROUT:OPEN ALL;SCAN (@1!1:1!4);:TRIG:SOUR IMM;COUN 4;DEL 1;:INIT")
    bench.clock.sleep(2.5)
    assert bench.ask("7001", "ROUT:CLOS:STAT?") == "(@1!1!2)"
    bench.clock.sleep(2.0)
    assert bench.ask("7001", "ROUT:CLOS:STAT?;:STAT:OPER?") == "(@1!1!4);1026"


def test_van_der_pauw_and_hall_through_matrix_source_and_nanovoltmeter() -> None:
    bench = Bench(anisotropy=1.2)
    for kind in ("7001", "2182A", "6221"):
        bench.put(kind)
    bench.world.magnet.ramp(20.0, 0.04, bench.world.now())
    bench.clock.sleep(520.0)
    bench.world.advance()

    def measured(i: int, j: int, k: int, l: int) -> float:  # noqa: E741  van der Pauw's letters
        bench.ask("7001", f"ROUT:OPEN ALL;CLOS (@1!1!{i},1!2!{j},1!3!{l},1!4!{k})")
        return float(delta(bench, ":UNIT:VOLT:DC OHMS;", count=30)[:, 0].mean())

    r_xx, r_xy = bench.world.sheet_resistances()
    r_a, r_b = measured(1, 2, 3, 4), measured(2, 3, 4, 1)
    assert math.exp(-math.pi * r_a / r_xx) + math.exp(-math.pi * r_b / r_xx) == pytest.approx(1.0, abs=5e-4)
    assert r_a / r_b > 1.5
    assert (measured(1, 3, 2, 4) - measured(2, 4, 1, 3)) / 2 == pytest.approx(r_xy, abs=0.02)


def test_with_the_matrix_open_the_source_is_in_compliance_and_the_meter_reads_rubbish() -> None:
    bench = Bench()
    for kind in ("7001", "2182A", "6221"):
        bench.put(kind)
    bench.ask("6221", "SOUR:CURR 1e-6;:OUTP ON")
    assert int(bench.ask("6221", "STAT:MEAS?")) & 8
    values = [bench.numbers("2182A", "READ?")[0] for _ in range(10)]
    assert np.std(values) > 1e-4


# All of them


@pytest.mark.parametrize("seed", [1, 2])
def test_two_benches_with_one_seed_read_the_same(seed: int) -> None:
    def readings(number: int) -> list[str]:
        bench = Bench(number)
        for kind in ("2182A", "6221", "2400"):
            bench.put(kind)
        bench.ask("2400", "OUTP ON")
        return [bench.ask(kind, "READ?") for kind in ("2182A", "2400") for _ in range(5)]

    assert readings(seed) == readings(seed)
    assert readings(seed) != readings(seed + 1)


_WORDS = st.sampled_from(
    b"SOUR:CURR SOUR:VOLT:LEV OUTP ON OFF READ? FETC? INIT ABOR TRAC:DATA? TRAC:POIN TRAC:FEED:CONT NEXT SOUR:DELT:ARM SOUR:DELT:HIGH "
    b"SENS:FUNC 'VOLT' 'RES' SENS:VOLT:NPLC FORM:ELEM ALL VOLT,CURR TRIG:COUN TRIG:SOUR BUS IMM *TRG *RST SOUR:SWE:ARM SOUR:WAVE:ARM "
    b"SOUR:WAVE:INIT PROG:RUN PROG:EDIT:STAR PROG:EDIT:END PROG:INT SOUR:LEV SOUR:RANG ROUT:CLOS (@1!1!1,1!2!2) (@1!1:1!9) ROUT:SCAN "
    b"ROUT:OPEN MEAS? SYST:ERR? *STB? CALC2:IMM? CALC3:DATA? TRAC:MAKE 'a' SENS:COUN SOUR:FUNC CURR SOUR:CURR:MODE SWE "
    b", ; ? : ( @ ! ' \" \r nan inf 1e999 -1 0 1 2 5 1e-6 0.1 99999999999 \xff \x00".split(b" ")
)  # fmt: skip
_LINES = st.lists(st.one_of(_WORDS, st.binary(max_size=5)), max_size=10).map(b" ".join)


@pytest.mark.parametrize("kind", list(KINDS))
@settings(max_examples=25, deadline=None)
@given(pieces=st.lists(st.tuples(_LINES, st.floats(0.0, 1.0)), max_size=10))
def test_a_panel_survives_any_bytes_and_stays_bounded(kind: str, pieces: list[tuple[bytes, float]]) -> None:
    bench = Bench()
    panel = bench.put(kind)
    conversation = Conversation(panel)
    for line, pause_s in pieces:
        assert len(conversation.feed(line + b"\n")) < 1 << 21
        bench.clock.sleep(pause_s)
    bench.world.advance()
    assert panel.receive(b"*CLS;*IDN?").startswith((b"KEITHLEY", b"YOKOGAWA"))
    bench.world.circuit.solve()


def test_a_wiring_that_is_none_is_refused_by_every_panel() -> None:
    makers: list[Callable[[], object]] = [
        lambda kind=kind: Bench().put(kind, "1,2") for kind in ("6221", "2182A", "2400", "2450", "GS200")
    ]
    for make in makers:
        with pytest.raises(ConfigError, match="wired"):
            make()
