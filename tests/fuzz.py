"""Lines that no instrument was made for: random bytes, half commands, its own words with absurd arguments."""

import inspect
import random
import re
from collections.abc import Iterator
from time import perf_counter  # noqa: TID251  a hang is one in real time
from types import (
    BuiltinFunctionType,
    FunctionType,
    GenericAlias,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError
from remanence.simulators.catalogue import dotted, front_panels
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import Conversation, FrontPanel
from remanence.simulators.lock_in import LockIn
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.world import World, WorldSettings

_ABSURD = (
    "", "0", "1", "-1", "2", "5", "1.5", "1e3", "1e-30", "1e400", "-1e400", "nan", "inf", "+9.9E37", "9" * 400, "1_0",
    "0x10", "١", "ON", "OFF", "?", ",", ";", ":", '"', "'", "(@1!1)", "(@1!1:1!10)", "#0", "#15abcde", "*", "\x00", "\xff",
    "A", "B", "1,2", "1,1,1,1,1", "1,0.1,1,1,1,1,1,1,1,1,1,1", "MIN", "MAX", "DEF", "=1", " 1 2 3", "%s", "{}", "../..",
)  # fmt: skip
_APART = (
    World, VirtualClock, type, GenericAlias, ModuleType, FunctionType, MethodType, BuiltinFunctionType,
    MethodWrapperType, WrapperDescriptorType, MethodDescriptorType,
)  # fmt: skip
_PLAIN = (int, float, complex, bool, type(None))
# A panel may keep buffers; together they hold no more than this many items.
MOST_ITEMS = 3_000_000
LONGEST_CASE_s = 20.0


def words_of(panel: type[FrontPanel]) -> list[str]:
    """What stands in quotes in the modules that a panel is made of: its mnemonics are among it."""
    found: set[str] = set()
    modules = {inspect.getmodule(base) for base in panel.__mro__}
    for module in filter(None, modules):
        if module.__name__.startswith("remanence.simulators") and not module.__name__.endswith("front_panel"):
            # Modules that it imports from here have the tables that grew too long for one.
            near = {
                inspect.getmodule(value)
                for value in vars(module).values()
                if inspect.isroutine(value) or inspect.isclass(value)
            }
            for each in near | {module}:
                if each is not None and each.__name__.startswith("remanence.simulators"):
                    found |= set(re.findall(r'"([^"\n{}]{1,40})"', inspect.getsource(each)))
    # SCPI headers stand there as patterns, optional nodes marked: without those nodes, short and long.
    for pattern in [word for word in found if " " in word and re.fullmatch(r"[A-Za-z0-9? :]+", word)]:
        nodes = [node for node in pattern.split() if not node.endswith("?")]
        found |= {":".join(nodes), ":".join(re.sub("[a-z]", "", node) for node in nodes)}
    return sorted(found | {"*IDN", "*RST", "*CLS", "*ESR", "*SRE", "*STB"} - {""})


def lines(panel: type[FrontPanel], seed: int) -> Iterator[bytes]:
    """Endless cases, terminators included or left out."""
    chance = random.Random(f"{panel.__qualname__} {seed}")
    words = words_of(panel)
    while True:
        match chance.randrange(12):
            case 0:
                yield chance.randbytes(chance.randrange(1, 200))
            case 1:
                yield chance.randbytes(chance.randrange(1, 20)) + b"\r\n"
            case 2:
                # Far longer than any command here, now and then: each byte of it is looked at, and that takes its time.
                most = chance.choice((30, 30, 300, 300, 3000))
                yield (chance.choice(words) * chance.randrange(1, most))[:20_000].encode("latin-1", "replace") + b"\n"
            case 3:
                yield chance.choice(words)[: chance.randrange(1, 6)].encode("latin-1", "replace")
            case _:
                parts: list[str] = []
                for _ in range(chance.choice((1, 1, 1, 2, 5))):
                    word = chance.choice(words).replace("?", "")
                    if chance.random() < 0.1:
                        word = word.upper() if chance.random() < 0.5 else word[: chance.randrange(len(word) + 1)]
                    parts.append(word + chance.choice(("", "?", " ", "? ", ".", "=")) + chance.choice(_ABSURD))
                yield chance.choice((";", ";:", " ", ",")).join(parts).encode("latin-1", "replace") + chance.choice(
                    (b"\n", b"\r", b"\r\n", b"\n", b"\x00")
                )


def items(thing: Any, seen: set[int] | None = None) -> int:
    """How many items the containers that hang on a panel hold; the laboratory itself and classes are left out."""
    seen = set() if seen is None else seen
    waiting, total = [thing], 0
    while waiting:
        found = waiting.pop()
        if isinstance(found, _PLAIN) or id(found) in seen or isinstance(found, _APART):
            continue
        seen.add(id(found))
        if isinstance(found, dict):
            total += len(found)
            waiting += [*found.keys(), *found.values()]
        elif isinstance(found, (str, bytes, bytearray)):
            total += len(found)
        elif hasattr(found, "__iter__") and hasattr(found, "__len__"):
            total += len(found)
            waiting += list(found) if len(found) < 100_000 and getattr(found, "dtype", None) is None else []
        else:
            slots = [name for base in type(found).__mro__ for name in getattr(base, "__slots__", ())]
            waiting += [getattr(found, name, None) for name in slots]
            waiting += list(getattr(found, "__dict__", {}).values())
    return total


def bench_for(panel: type[FrontPanel]) -> tuple[FrontPanel, VirtualClock]:
    clock = VirtualClock()
    magnet = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((111.0, 0.044),))
    world = World(WorldSettings(magnet, CryostatSettings(), load_sample("park2020_deficient")), clock, 1)
    return panel(world, panel.__name__, "xx" if issubclass(panel, LockIn) else ""), clock


def fuzz(panel: type[FrontPanel], cases: int, seed: int = 1) -> tuple[int, float]:
    """Throw `cases` at a panel; the most items it held, and the longest case (s).

    Raises:
        AssertionError: it crashed, hung, or grew; with the bytes that did it.
    """
    bench, clock = bench_for(panel)
    conversation, chance = Conversation(bench), random.Random(seed)
    most, longest_s = 0, 0.0
    for number, line in zip(range(cases), lines(panel, seed), strict=False):
        started_s = perf_counter()
        try:
            reply = conversation.feed(line)
            if number % 50 == 0:
                bench.status_byte()
                bench.clear()
                bench.changes(line.decode("latin-1"))
                bench.trigger()
            if number % 97 == 0:
                bench.power_cycle()
        except ConfigError:
            pass  # no such hook
        except Exception as error:
            raise AssertionError(
                f"{dotted(panel)} case {number}: {line[:200]!r} gave {type(error).__name__}: {error}"
            ) from error
        spent_s = perf_counter() - started_s
        longest_s = max(longest_s, spent_s)
        assert spent_s < LONGEST_CASE_s, f"{dotted(panel)} case {number}: {line[:200]!r} took {spent_s:.1f} s"
        assert len(reply) <= 1 << 24, f"{dotted(panel)} case {number}: {line[:200]!r} gave {len(reply)} bytes"
        clock.sleep(chance.choice((0.0, 0.01, 0.01, 0.01, 0.1, 1.0)))
        if number % 1000 == 999:
            most = max(most, items(bench))
            assert most < MOST_ITEMS, f"{dotted(panel)} holds {most} items after {number + 1} cases"
    return most, longest_s


def panels() -> list[type[FrontPanel]]:
    return list(front_panels())
