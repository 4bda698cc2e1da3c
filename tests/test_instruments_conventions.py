"""What holds for every driver, found by walking the room: its words, its twin, and no wrong value under any bad line.

The faults are F1 to F21 of the catalogue of link faults. What a driver returns under them must be what it makes of
what the panel truly said, or an error; when a fault is over, the driver works again.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from remanence.core.errors import CommunicationError, RemanenceError
from remanence.instruments.catalogue import OFFERED
from remanence.instruments.driver import Driver
from remanence.simulators.faults import KINDS, Fault, Place

from .driver_bench import VERBS, Bench, drivers, plain, readings_of, twin_of

DRIVERS = pytest.mark.parametrize("kind", drivers(), ids=lambda kind: kind.__name__)
ON_A_LINE = [kind for kind in drivers() if twin_of(kind).on_a_line]
UNITS = (
    "no unit|V|A|T|K|H|Hz|W|s|min|ohm|degree|dB|kPa|bar|Torr|A·m²|Ω|%|1/s|power line cycles|line cycles|parts|"
    "points|octave|PLC|sensor units|[mµnp]?(?:V|A|s|T|K|Hz)|1/1000 s|dBm|litre|l|mbar"
)
_UNIT = re.compile(rf"\((?:{UNITS})\b[^)]*\)|\((?:%|Ω)[^)]*\)")

# Each fault of the line: its kind and details, amounts of time in deadlines.
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "F1 lost": ("lost", {}), "F1 unheard": ("unheard", {}), "F2 late": ("late", {"deadlines": 1.4}),
    "F3 later": ("late", {"deadlines": 2.6}), "F4 partial": ("cut", {}), "F4 in two pieces": ("split", {}),
    "F5 short": ("short", {}), "F6 doubled": ("doubled", {}), "F7 garbage": ("garbage", {}),
    "F8 no terminator": ("unended", {}), "F8 another terminator": ("unended", {"another": True}),
    "F9 endless": ("endless", {"amount": 1.2e6, "probability": 0.1, "count": 3}), "F10 dripping": ("dripping", {}),
    "F11 reset": ("reset", {}), "F12 reset before": ("reset_before", {}), "F13 half-open": ("half_open", {}),
    "F13 unreachable": ("unreachable", {"probability": 1.0, "for_s": 40.0}),
    "F15 slow": ("late", {"deadlines": 0.9, "probability": 1.0}), "F17 empty": ("empty", {}),
    "F21 noise": ("noise", {"amount": 2e-3, "probability": 1.0}),
}  # fmt: skip
# F5, F14, F16 and F17: what comes is none of what was asked for, and well formed all the same.
TEXTS = (
    "1.0E", "-", "+9.9E37", "NAN", "INF", "1e400", "OVERLOAD", "1,2,3,4,5,6,7,8,9", "1.5 kOhm", "SOMEBODY,ELSE,0,0",
)  # fmt: skip
# What came is a reply like any other: no protocol here can tell that digits are missing or a bit is another.
UNTELLABLE = {"F5 short", "F21 noise"}
INTERFACES = ("gpib", "serial", "socket")
ROUNDS, LASTS_s, RECOVERS_s = 24, 150.0, 120.0


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_the_walk_finds_the_drivers() -> None:
    assert len(drivers()) >= 25
    assert {name for name in FAULTS if KINDS[FAULTS[name][0]].place is Place.PANEL} == set()


# Words


@DRIVERS
def test_every_property_says_what_it_does_and_in_which_unit(kind: type[Driver]) -> None:
    own = {
        name: value
        for base in kind.__mro__
        if base.__module__.startswith("remanence.")
        for name, value in vars(base).items()
        if isinstance(value, property) and not name.startswith("_")
    }
    silent = {name: (value.__doc__ or "").strip() for name, value in own.items() if name != "where"}
    assert {n: t for n, t in silent.items() if not t.startswith(("Control", "Measure", "Set", "Get"))} == {}
    assert {n: t for n, t in silent.items() if _UNIT.search(t) is None} == {}


@DRIVERS
def test_its_table_names_properties_that_it_has(kind: type[Driver]) -> None:
    assert [name for name in kind.settings_table if not hasattr(kind, name)] == []


@pytest.mark.parametrize("capability", OFFERED, ids=lambda capability: capability.__name__)
def test_the_typed_table_holds_exactly_the_drivers_that_offer_a_capability(capability: Any) -> None:
    """That their members are of the right types is the type checker's to say: `instruments/catalogue.py`."""
    members = {name for name in vars(capability) if not name.startswith("_")}
    offering = {kind for kind in drivers() if all(hasattr(kind, name) for name in members)}
    assert offering == set(OFFERED[capability])


@DRIVERS
def test_every_driver_offers_a_capability(kind: type[Driver]) -> None:
    assert [capability for capability, kinds in OFFERED.items() if kind in kinds] != []


# Its twin


@DRIVERS
def test_it_opens_and_reads_its_twin_in_this_process(kind: type[Driver], stack: ExitStack) -> None:
    works(Bench(kind, "socket", stack))


@DRIVERS
def test_it_opens_and_reads_its_twin_over_tcp(kind: type[Driver], stack: ExitStack) -> None:
    works(Bench(kind, "socket", stack, tcp=True))


def works(bench: Bench) -> None:
    identity = bench.driver.verify()
    assert identity
    assert isinstance(bench.driver.serial_number(), str)
    bench.open()
    settings = bench.driver.settings()
    assert set(bench.kind.settings_table) <= set(settings)
    assert [value for value in settings.values() if str(value).startswith("unreadable")] == []
    for name in readings_of(bench.kind):
        if bench.panel.on_a_line:
            assert plain(bench.read(name)) in bench.truths(name), name
        else:
            bench.read(name)
    assert bench.driver.verify() == identity


# A bad line


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ON_A_LINE, ids=lambda kind: kind.__name__)
def test_under_a_bad_line_it_never_gives_a_wrong_value_and_afterwards_works(
    kind: type[Driver], fault: str, stack: ExitStack
) -> None:
    bench = Bench(kind, interface_for(kind, fault), stack)
    bench.open()
    name, details = FAULTS[fault]
    details = {"probability": 0.35, "for_s": LASTS_s} | details
    if deadlines := details.pop("deadlines", None):
        details["amount"] = deadlines * kind.deadline_s
    if details.pop("another", False):
        details["text"] = "\n" if bench.panel.reply_end.endswith(b"\r") else "\r"
    bench.fault(name, **details)
    ends_s = bench.clock.now() + details["for_s"]
    names, errors = readings_of(kind), 0
    for number in range(ROUNDS):
        if bench.clock.now() >= ends_s:
            break
        errors += not right_or_error(bench, names[number % len(names)], fault)
        bench.clock.sleep(0.4)
    if fault in {"F15 slow", "F4 in two pieces"}:
        assert errors == 0
    bench.clock.sleep(ends_s - bench.clock.now() + 0.1)
    recovers(bench)


@pytest.mark.parametrize("kind", ON_A_LINE, ids=lambda kind: kind.__name__)
def test_what_is_no_number_is_never_taken_for_one(kind: type[Driver], stack: ExitStack) -> None:
    """F5, F14, F16, F17."""
    bench = Bench(kind, "socket", stack)
    bench.open()
    for text in TEXTS:
        for name in readings_of(kind):
            bench.fault("answer", text=text, count=1)
            right_or_error(bench, name, "answer", text)
    recovers(bench)


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("kind", ON_A_LINE, ids=lambda kind: kind.__name__)
def test_lines_that_nobody_asked_for_answer_nothing(kind: type[Driver], interface: str, stack: ExitStack) -> None:
    """F19, with the most treacherous line: the instrument's last reply once more."""
    bench = Bench(kind, interface, stack)
    bench.open()
    names = readings_of(kind)
    for number in range(ROUNDS):
        if bench.said:
            bench.panel.push(bench.said[-1][1].encode("latin-1"))
        bench.panel.push(b"EVENT 7" + bench.panel.reply_end)
        assert right_or_error(bench, names[number % len(names)], "F19 unasked"), names[number % len(names)]
    assert bench.link.dropped > 0


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("kind", ON_A_LINE, ids=lambda kind: kind.__name__)
def test_a_line_that_comes_between_a_command_and_its_reply_is_no_value(
    kind: type[Driver], interface: str, stack: ExitStack
) -> None:
    """F19, where it hurts most; a verb that reads a number sees that this is none."""
    bench = Bench(kind, interface, stack)
    bench.open()
    verbs = [name for name in VERBS if name in readings_of(kind)]
    for number in range(ROUNDS if verbs else 0):
        bench.clock.sleep(0.4)
        soon_s = bench.faults.now_s() + kind.pause_s + 0.3 * bench.panel.latency_s
        bench.faults.add(Fault("unasked", "it", at_s=soon_s, text="EVENT 7"))
        right_or_error(bench, verbs[number % len(verbs)], "F19 unasked")
    recovers(bench)


@pytest.mark.parametrize("kind", ON_A_LINE, ids=lambda kind: kind.__name__)
def test_a_full_error_queue_is_told_or_emptied(kind: type[Driver], stack: ExitStack) -> None:
    """F20."""
    bench = Bench(kind, "gpib", stack)
    bench.open()
    try:
        bench.fault("errors_full")
    except RemanenceError:
        return  # it has none
    for name in readings_of(kind):
        right_or_error(bench, name, "F20 errors full")
    recovers(bench)


@pytest.mark.parametrize("kind", ON_A_LINE, ids=lambda kind: kind.__name__)
def test_to_another_instrument_after_a_reconnection_it_writes_nothing(kind: type[Driver], stack: ExitStack) -> None:
    """F14."""
    bench = Bench(kind, "socket", stack)
    bench.open()
    bench.fault("unreachable", for_s=1.0)
    with pytest.raises(RemanenceError):
        _ask_all(bench)
    bench.clock.sleep(2.0)
    bench.fault("answer", text="SOMEBODY,ELSE,0,0", for_s=LASTS_s)
    before = plain(bench.panel.__dict__.get("orders", ()))
    for _ in range(5):
        with pytest.raises(CommunicationError):
            bench.driver.write("NOBODY SHOULD HEAR THIS")
        bench.clock.sleep(5.0)
    assert [line for line, _ in bench.said if "NOBODY" in line] == []
    assert plain(bench.panel.__dict__.get("orders", ())) == before
    bench.clock.sleep(LASTS_s)
    recovers(bench)


@pytest.mark.parametrize("fault", ["greeting_late", "greeting_lost"])
@pytest.mark.parametrize("kind", [kind for kind in ON_A_LINE if twin_of(kind).greeting], ids=lambda kind: kind.__name__)
def test_a_greeting_that_does_not_come_is_a_connection_that_failed(
    kind: type[Driver], fault: str, stack: ExitStack
) -> None:
    """F18."""
    bench = Bench(kind, "socket", stack)
    bench.open()
    bench.fault("unreachable", for_s=1.0)
    bench.fault(fault, count=3)
    for _ in range(4):
        with pytest.raises(CommunicationError):
            bench.driver.verify()
    recovers(bench)


def interface_for(kind: type[Driver], fault: str) -> str:
    """One of the interfaces for each pair: all of them see every driver and every fault."""
    return INTERFACES[(drivers().index(kind) + list(FAULTS).index(fault)) % len(INTERFACES)]


def right_or_error(bench: Bench, name: str, fault: str, text: str = "") -> bool:
    """Read; True for a value, which must be the right one. Nothing but an error of ours may come instead."""
    try:
        value = plain(bench.read(name))
    except RemanenceError:
        return False
    truths = bench.truths(name)
    if value in truths or _flagged(value):
        return True
    if fault in UNTELLABLE:
        assert value in bench.truths(name, heard=True), (name, value, truths, bench.heard)
        return True
    # A name that somebody gave to an input may be anything.
    if fault in {"answer", "F17 empty"} and text in (value if isinstance(value, tuple) else (value,)):
        return True
    raise AssertionError(f"{name} gave {value!r}, truly {truths!r}; heard {bench.heard!r}, said {bench.said!r}")


def _flagged(value: Any) -> bool:
    """A reading that says of itself that it is none."""
    return isinstance(value, dict) and bool(value.get("flags")) and "nan" in value.values()


def _ask_all(bench: Bench) -> None:
    for name in readings_of(bench.kind):
        assert plain(bench.read(name)) in bench.truths(name), name


def recovers(bench: Bench) -> None:
    """Within bounded time it reads everything rightly again, and goes on so."""
    until_s = bench.clock.now() + RECOVERS_s
    while True:
        try:
            _ask_all(bench)
            break
        except RemanenceError:
            assert bench.clock.now() < until_s
            bench.clock.sleep(1.0)
    _ask_all(bench)
