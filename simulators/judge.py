"""The judge: watches a magnet's true state and says which rule a controller broke, whatever it believed.

It is told before and after each message that reaches the supply, and looks at the truth in between: currents, switch
and leads. It knows no protocol but which messages order the heater on. Rules are those a careful operator keeps; their
names M2, M3, M6 to M9 and M12 stand in the safety model (docs/magnet-safety.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .magnet import Magnet

# A rule is broken when it is broken by more than arithmetic, the supply's resolution and its readback's noise make.
_ROUNDING = 1.002
_STILL_A = 1e-6
# So far leads may go from a coil that does not follow them before that is noticed: 20 s of the fastest ramp here.
_UNFOLLOWED_A = 1.6
# A rule that goes on being broken is not told again within this time.
_AGAIN_s = 600.0
# A rate is taken over this time ahead.
_AHEAD_s = 1e-3


@dataclass(frozen=True, slots=True)
class Rules:
    """What the magnet stands, in ampere and seconds. `segments` are (up to this |I|, fastest |dI/dt|), rising."""

    largest_A: float
    segments: Sequence[tuple[float, float]]
    leads_A_per_s: float
    match_A: float
    warm_time_s: float
    cool_time_s: float
    tolerance_A: float


@dataclass(frozen=True, slots=True)
class Breach:
    """A broken rule: when, and what the truth was."""

    rule: str
    time_s: float
    text: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.time_s:.2f} s: {self.text}"


class MagnetJudge:
    """Judges one magnet. `look` as often as anything may have happened, `before` and `after` around each message."""

    def __init__(self, magnet: Magnet, rules: Rules, now_s: float) -> None:
        self.breaches: list[Breach] = []
        self._magnet = magnet
        self.rules = rules
        self._seen_s = now_s
        self._coil_A = magnet.coil_current()
        self._lead_A = magnet.lead_current(now_s)
        self._quenches = magnet.quenches
        self._heater_on = magnet.heater_on
        self._on_s = self._off_s = -float("inf")
        # A coil that jumped by itself (a quench that was planned, flux that moved) is not the controller's doing.
        self._was_quenched = magnet.quenched
        self.excused = False
        self._told_s: dict[str, float] = {}
        # Whether an answer has reached the controller with the leads away from a coil whose heater is broken.
        self._answered_apart = False

    def excuse(self) -> None:
        """What moves now moves by the supply's own doing (it lost its power), until it rests."""
        self.excused = True

    def answered(self, now_s: float) -> None:
        """Something that the supply said has reached the controller."""
        magnet = self._magnet
        if magnet.switch.heater_broken and not self._answered_apart:
            apart_A = abs(magnet.coil_current() - magnet.lead_current(now_s))
            self._answered_apart = apart_A > self.rules.tolerance_A

    def look(self, now_s: float) -> None:
        """Compare the truth with that of the last look; the laboratory must have been brought to `now_s`."""
        magnet, rules = self._magnet, self.rules
        step_s = now_s - self._seen_s
        coil_A, lead_A = magnet.coil_current(), magnet.lead_current(now_s)
        if magnet.quenches != self._quenches:
            if magnet.quench_cause not in ("fault", "ordered"):
                self._breach("quench", now_s, f"the magnet quenched: {magnet.quench_cause}")
            self._quenches = magnet.quenches
        elif self.excused:
            self.excused = magnet.ramping(now_s)
        elif not magnet.quenched and not self._was_quenched and step_s > 0:
            if abs(coil_A) > rules.largest_A + rules.tolerance_A:
                self._breach("M2", now_s, f"{coil_A:.3f} A in the coil")
            moved_A = abs(lead_A - self._lead_A)
            apart_A = abs(coil_A - lead_A)
            left = magnet.switch.heater_broken and magnet.heater_on and moved_A > _STILL_A and apart_A > _UNFOLLOWED_A
            # A heater that breaks on the way is shown by nothing but what the supply says once its coil stays behind:
            # while the line is dead from before that, the supply goes on to the end of its piece, and nobody can tell.
            if left and self._answered_apart:
                self._breach("M10", now_s, f"leads {apart_A:.2f} A from a coil whose heater is broken")
            if abs(coil_A - self._coil_A) > _STILL_A and self._quickest_s(self._coil_A, coil_A) > step_s * _ROUNDING:
                self._breach("M3", now_s, f"from {self._coil_A:.4f} A to {coil_A:.4f} A in {step_s:.3f} s")
            cold = not magnet.switch_warm(now_s) and not magnet.switch_warm(self._seen_s)
            if cold and moved_A > rules.leads_A_per_s * step_s * _ROUNDING + rules.tolerance_A:
                self._breach("M12", now_s, f"the leads moved by {moved_A:.3f} A in {step_s:.2f} s")
        self._was_quenched = magnet.quenched
        self._seen_s, self._coil_A, self._lead_A = now_s, coil_A, lead_A

    def before(self, now_s: float, *, heats: bool) -> None:
        """A message is about to arrive; `heats` says that it orders the heater of the switch on."""
        self.look(now_s)
        magnet, rules = self._magnet, self.rules
        self._heater_on = magnet.heater_on
        if heats and not magnet.heater_on and not magnet.switch.heater_broken:
            apart_A = abs(self._lead_A - self._coil_A)
            if apart_A > rules.match_A * _ROUNDING:
                self._breach("M7", now_s, f"heater ordered on with leads and coil {apart_A:.3f} A apart")
            elif magnet.ramping(now_s):
                self._breach("M7", now_s, "heater ordered on in a ramp")

    def after(self, now_s: float) -> None:
        """The message has arrived, and has done what it does."""
        magnet, rules = self._magnet, self.rules
        ramping = magnet.ramping(now_s) and not self.excused
        if magnet.heater_on and not self._heater_on:
            self._on_s = now_s
        if self._heater_on and not magnet.heater_on:
            self._off_s = now_s
            if ramping:
                self._breach("M9", now_s, "heater switched off in a ramp")
        self._heater_on = magnet.heater_on
        lead_A, target_A = magnet.lead_current(now_s), magnet.target()
        if ramping and magnet.switch_warm(now_s) and not magnet.quenched:
            # If nobody speaks to the supply any more it goes on so: to its target, at this rate.
            rate = abs(magnet.lead_current(now_s + _AHEAD_s) - lead_A) / _AHEAD_s
            allowed = self._slowest(lead_A, target_A)
            if rate > allowed * _ROUNDING:
                self._breach(
                    "M6", now_s, f"left alone it goes from {lead_A:.3f} A to {target_A:.3f} A at {rate:.4f} A/s"
                )
            if abs(target_A) > rules.largest_A + rules.tolerance_A:
                self._breach("M6", now_s, f"left alone it goes to {target_A:.3f} A")
        if ramping and abs(target_A - lead_A) > _STILL_A:
            if now_s < self._on_s + rules.warm_time_s / _ROUNDING and magnet.heater_on:
                self._breach("M8", now_s, f"the leads move {now_s - self._on_s:.1f} s after the heater came on")
            if now_s < self._off_s + rules.cool_time_s / _ROUNDING and not magnet.heater_on:
                self._breach("M9", now_s, f"the leads move {now_s - self._off_s:.1f} s after the heater went off")

    def _slowest(self, start_A: float, stop_A: float) -> float:
        """The smallest rate of the segments between two currents; an edge that is only touched does not count."""
        far = max(abs(start_A), abs(stop_A)) - self.rules.tolerance_A
        near = 0.0 if start_A * stop_A < 0 else min(abs(start_A), abs(stop_A)) + self.rules.tolerance_A
        lower, rates = 0.0, [self.rules.segments[-1][1]] if far > self.rules.segments[-1][0] else list[float]()
        for upper, rate in self.rules.segments:
            if lower < far and upper > near:
                rates.append(rate)
            lower = upper
        return min(rates, default=math.inf)

    def _quickest_s(self, start_A: float, stop_A: float) -> float:
        """The shortest time in which the rules let the coil go from one current to the other."""
        low_A, high_A = sorted((start_A, stop_A))
        spans = [(low_A, high_A)] if low_A * high_A >= 0 else [(0.0, -low_A), (0.0, high_A)]
        total_s = 0.0
        for a, b in spans:
            near, far = sorted((abs(a), abs(b)))
            lower = 0.0
            for edge, rate in self.rules.segments:
                # Arrived at an edge is within the tolerance of it, and the coil follows its leads late.
                upper = edge + self.rules.tolerance_A
                total_s += max(0.0, min(far, upper) - max(near, lower)) / rate
                lower = upper
            # Beyond the last segment there is no allowed rate; the way back down is at the last one's.
            total_s += max(0.0, far - max(near, lower)) / self.rules.segments[-1][1]
        return total_s

    def _breach(self, rule: str, now_s: float, text: str) -> None:
        if now_s - self._told_s.get(rule, -_AGAIN_s) >= _AGAIN_s:
            self._told_s[rule] = now_s
            self.breaches.append(Breach(rule, now_s, text))
