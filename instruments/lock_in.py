"""What the drivers of all lock-ins share: configure and read back, one coherent reading with its flags, ranging, phase.

A subclass is a table of settings with the wire's words, and says how X and Y and the flags are asked for. Nothing is
automatic behind the caller's back: the instruments' own auto range, auto phase and auto reserve are never sent.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, ClassVar

from ..core.capabilities import LockInReading
from ..core.errors import ConfigError, DeviceFault, LimitError, ReplyError
from .autorange import Autorange
from .driver import strict_float
from .link import Link
from .lock_in_outputs import LockInOutputs
from .lock_in_settings import index_of, place

_POLES = (1, 2, 3, 4)


@lru_cache(maxsize=4096)
def words_of(byte: int, words: tuple[tuple[int, str], ...]) -> tuple[str, ...]:
    """The words of the bits that are set, each once."""
    return tuple(dict.fromkeys(word for mask, word in words if byte & mask))


@dataclass(frozen=True, slots=True)
class PhaseProposal:
    """The phase (degree) at which all of the present signal would be in X, and how far that is from the present one."""

    proposed_deg: float
    turn_deg: float
    reading: LockInReading


class LockInDriver(LockInOutputs):
    """A lock-in; its options are checked before anything is opened.

    `reference` is one of the instrument's reference sources, external if not given. `set_up` are settings of the lab
    that `configure` makes too, by the driver's names (`{ input_config = "A-B" }`). With a `series_ohm` the lock-in
    drives the sample and its reference is its own. `aux_limits_V` is as in `LockInOutputs`.

    Raises:
        ConfigError: an option is wrong.
    """

    full_scales_V: ClassVar[tuple[float, ...]] = ()
    # Those that the autorange uses; a driver has fewer where not every step changes what is measured.
    rungs_V: ClassVar[tuple[float, ...]] = ()
    time_constants_s: ClassVar[tuple[float, ...]] = ()
    # The reference sources; the first is what a station without the option means.
    references: ClassVar[tuple[str, ...]] = ("external", "internal")
    # What `set_up` may name, with the values that leave a voltage to be measured.
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {}
    # The setting that says what kind of input there is, and the kinds that are no voltage.
    current_inputs: ClassVar[tuple[str, tuple[str, ...]]] = ("input_config", ())
    xy_query: ClassVar[str] = ""

    sensitivity: float
    time_constant: float
    filter_slope: int
    synchronous_filter: bool
    phase: float

    def __init__(
        self,
        link: Link,
        name: str = "",
        *,
        reference: str = "",
        series_ohm: float = 0.0,
        set_up: Mapping[str, Any] | None = None,
        aux_limits_V: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        super().__init__(link, name, series_ohm=series_ohm, aux_limits_V=aux_limits_V)
        self._reference = reference or ("internal" if series_ohm else self.references[0])
        if self._reference not in self.references:
            raise ConfigError(
                f"reference {reference!r} is none of {', '.join(self.references)}", where=self.name
            )  # fmt: skip
        if series_ohm and self._reference != "internal":
            raise ConfigError(
                "a lock-in that drives the sample follows its own reference", where=self.name,
                do='leave `series_ohm` out, or write reference = "internal"',
            )  # fmt: skip
        self.set_up = self._checked(set_up or {})
        self._autorange: Autorange | None = None

    # The capability

    def configure(self, *, sensitivity_V: float, time_constant_s: float, poles: int) -> None:
        """Set range, filter, reference and the lab's own settings, and read them back; an autorange ends.

        All is checked before anything is sent. The harmonic is the first, the synchronous filter and the outputs'
        offsets are off, unless `set_up` says otherwise: what somebody left at the front must not be in the data.

        Raises:
            LimitError: the instrument has no such setting; the message names the neighbours.
            ConfigError: its input measures a current.
            ReplyError: it did not take a setting.
        """
        wanted = self.plan(
            self.full_scales_V[index_of(self, "sensitivity (V)", sensitivity_V, self.full_scales_V)],
            self.time_constants_s[index_of(self, "time constant (s)", time_constant_s, self.time_constants_s)],
            _POLES[index_of(self, "number of poles", poles, _POLES)],
        )
        self._autorange = None
        kind, currents = self.current_inputs
        if kind not in wanted and (found := getattr(self, kind)) in currents:
            raise ConfigError(
                f"its input is {found!r} and measures no voltage", where=place(self),
                do=f"set the input at the instrument, or set_up = {{ {kind} = … }} in station.toml",
            )  # fmt: skip
        self.put(wanted)

    def plan(self, sensitivity_V: float, time_constant_s: float, poles: int) -> dict[str, Any]:
        """What `configure` sets, in this order."""
        return {
            "reference_source": self._reference,
            "harmonic": 1,
            "offsets_on": False,
            "synchronous_filter": False,
            **self.set_up,
            "sensitivity": sensitivity_V,
            "time_constant": time_constant_s,
            "filter_slope": 6 * poles,
        }

    def put(self, wanted: Mapping[str, Any]) -> None:
        """Make settings, read each back, and forget what was latched under the old ones.

        Raises:
            ReplyError: it did not take a setting.
        """
        for name, value in wanted.items():
            setattr(self, name, value)
        for name, value in wanted.items():
            found = getattr(self, name)
            if not (math.isclose(found, value, rel_tol=1e-6) if isinstance(value, float) else found == value):
                raise ReplyError(
                    f"{name} was set to {value!r} and reads back {found!r}", where=place(self),
                    do="the instrument may not have this setting together with the others",
                )  # fmt: skip
        self.read_flags()

    def read_xy(self) -> LockInReading:
        """Measure X and Y of one instant (V rms), and what the lock-in said of them.

        With an autorange the full scale is read as well, and changed afterwards if need be; readings after a change
        carry `settling` for five mean delays of the filter.

        Raises:
            ReplyError: the reply is not two numbers.
        """
        x_V, y_V = self.ask_floats(self.xy_query, 2)
        time_s = self.link.answered_s
        flags = self.read_flags()
        if self._autorange is not None:
            range_V = self.sensitivity
            verdict = self._autorange.look(time_s, range_V, x_V, y_V, flags)
            if verdict.range_V != range_V:
                self.set_sensitivity(verdict.range_V)
            if verdict.settling:
                flags = (*flags, "settling")
        return LockInReading(x_V, y_V, time_s, flags)

    def ask_floats(self, query: str, count: int) -> list[float]:
        """Query so many strict numbers with commas between them.

        Raises:
            ReplyError: the reply is anything else.
        """
        reply = self.ask(query)
        try:
            values = [strict_float(text) for text in reply.split(",")]
        except ReplyError as error:
            raise self.reply_error(query, reply) from error
        if len(values) != count:
            raise self.reply_error(query, reply)
        return values

    def read_flags(self) -> tuple[str, ...]:
        """What is wrong with a reading made now, in words."""
        raise NotImplementedError

    def read_delay(self) -> float:
        """Get the mean delay of the filter (s), from the instrument: poles × time constant.

        A synchronous filter adds to it what `synchronous_delay` says.
        """
        poles = self.filter_slope // 6
        delay_s = poles * self.time_constant
        return delay_s + self.synchronous_delay(poles) if self.synchronous_filter else delay_s

    def synchronous_delay(self, poles: int) -> float:
        """Get what the synchronous filter adds (s): one period of the reference.

        It averages over a period, which is half a period, and shows the average until the next: half of one again.
        """
        return self.period()

    def period(self) -> float:
        """Get one period of the reference (s).

        Raises:
            DeviceFault: there is no reference.
        """
        frequency_Hz = self.frequency
        if frequency_Hz <= 0.0:
            raise DeviceFault(
                "the delay of its synchronous filter is not known without a reference", where=place(self),
                do="switch the source on, or the synchronous filter off",
            )  # fmt: skip
        return 1.0 / frequency_Hz

    # Ranging

    def read_sensitivity(self) -> float:
        """Get the full scale in use (V rms)."""
        return self.sensitivity

    def set_sensitivity(self, sensitivity_V: float) -> None:
        """Set the full scale (V rms) and read it back; what was latched in the old one is forgotten.

        Raises:
            LimitError: the instrument has no such setting; nothing was sent.
            ReplyError: it did not take it.
        """
        index = index_of(self, "sensitivity (V)", sensitivity_V, self.full_scales_V)
        self.put(self.range_plan(self.full_scales_V[index]))

    def range_plan(self, sensitivity_V: float) -> dict[str, Any]:
        """What `set_sensitivity` sets."""
        return {"sensitivity": sensitivity_V}

    def start_autorange(self, *, smallest_V: float = 0.0, largest_V: float = math.inf) -> None:
        """Let every `read_xy` choose the full scale of the next, within these two (V rms); `configure` ends it.

        Raises:
            LimitError: there is no range between the two.
        """
        known = self.rungs_V or self.full_scales_V
        rungs = [rung for rung in known if smallest_V * (1 - 1e-6) <= rung <= largest_V * (1 + 1e-6)]
        if not rungs:
            raise LimitError(
                f"there is no range between {smallest_V:g} V and {largest_V:g} V", where=place(self),
                state="Nothing was sent", do="there is " + ", ".join(f"{rung:g}" for rung in sorted(known)),
            )  # fmt: skip
        self._autorange = Autorange(rungs, self.read_delay())

    def stop_autorange(self) -> None:
        """Stay in the range in use."""
        self._autorange = None

    # Phase

    def propose_phase(self) -> PhaseProposal:
        """Measure the phase at which the present signal is all in X; nothing is set, assign it to `phase` to use it.

        The instruments' own auto phase turns whatever there is, an overloaded or an unlocked signal too.

        Raises:
            DeviceFault: the reading is flagged, or there is no signal.
        """
        reading = self.read_xy()
        if reading.flags or not (reading.x_V or reading.y_V):
            raise DeviceFault(
                f"no phase can be proposed from a reading that is {', '.join(reading.flags) or 'zero'}",
                where=place(self), state="The phase was left as it is",
            )  # fmt: skip
        turn_deg = math.degrees(math.atan2(reading.y_V, reading.x_V))
        return PhaseProposal((self.phase + turn_deg + 180.0) % 360.0 - 180.0, turn_deg, reading)

    def _checked(self, set_up: Mapping[str, Any]) -> dict[str, Any]:
        for name, value in set_up.items():
            if name not in self.choices:
                near = get_close_matches(name, self.choices, 1)
                raise ConfigError(
                    f"set_up cannot name {name!r}" + (f": do you mean {near[0]!r}?" if near else ""),
                    where=self.name, do="it can name " + ", ".join(self.choices),
                )  # fmt: skip
            known = self.choices[name]
            # To Python True is 1.
            if value not in known or isinstance(value, bool) != isinstance(known[0], bool):
                shown = f"{known[0]} to {known[-1]}" if isinstance(known, range) else ", ".join(str(k) for k in known)
                raise ConfigError(f"set_up: {name} cannot be {value!r}", where=self.name, do=f"there is {shown}")
        return dict(set_up)
