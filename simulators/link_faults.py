"""What a bad wire makes of a reply: late, doubled, in pieces, cut, garbled, without end.

A reply is a list of pieces, each (seconds after its command, bytes); every fault here turns one such list into another.
"""

from collections.abc import Callable

import numpy as np

from .faults import Fault
from .front_panel import Unfinished

Pieces = list[tuple[float, bytes]]
_BLOCK = 1 << 16
# The bytes of an endless reply come about as fast as a fast network brings them.
_BLOCK_s = 1e-3


def garble(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    """What arrives of `pieces`, whose terminator is `end`, under a fault of the place `REPLY`."""
    return _GARBLERS[fault.kind](pieces, fault, end, random)


def _late(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    return [(after_s + fault.size, data) for after_s, data in pieces]


def _lost(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    return []


def _doubled(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    return pieces * 2


def _split(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    after_s, data = _joined(pieces)
    middle = (len(data) + 1) // 2
    return [(after_s, Unfinished(data[:middle])), (after_s + fault.size, data[middle:])]


def _dripping(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    after_s, data = _joined(pieces)
    *early, last = [(after_s + n * fault.size, data[n : n + 1]) for n in range(len(data))]
    return [*((at_s, Unfinished(byte)) for at_s, byte in early), last]


def _endless(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    after_s, data = _joined(pieces)
    total = int(fault.size)
    block = (_body(data, end) or b"0") * _BLOCK
    sizes = [min(_BLOCK, total - start) for start in range(0, total, _BLOCK)]
    return [(after_s + n * _BLOCK_s, Unfinished(block[:size])) for n, size in enumerate(sizes)]


def _cut(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    after_s, data = _joined(pieces)
    return [(after_s, Unfinished(data[: max(1, len(_body(data, end)) // 2)]))]


def _short(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    after_s, data = _joined(pieces)
    body = _body(data, end)
    kept = int(random.integers(1, len(body))) if len(body) > 1 else 0
    return [(after_s, body[:kept] + end)]


def _garbage(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    after_s, _ = _joined(pieces)
    drawn = random.integers(0, 256, int(random.integers(8, 64)), dtype=np.uint8).tobytes()
    # The terminator itself would make several replies of it; a zero and a byte that is no ASCII are always there.
    return [(after_s, drawn.translate(None, end) + b"\x00\xff" + end)]


def _noise(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    noisy: Pieces = []
    for after_s, data in pieces:
        flips = random.random(8 * len(data)) < fault.size
        bits = np.unpackbits(np.frombuffer(data, np.uint8)) ^ flips
        noisy.append((after_s, np.packbits(bits).tobytes()))
    return noisy


def _unended(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    after_s, data = _joined(pieces)
    return [(after_s, _body(data, end) + fault.text.encode("latin-1"))]


def _empty(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    return [(_joined(pieces)[0], end)]


def _answer(pieces: Pieces, fault: Fault, end: bytes, random: np.random.Generator) -> Pieces:
    return [(_joined(pieces)[0], fault.text.encode("latin-1") + end)]


_GARBLERS: dict[str, Callable[[Pieces, Fault, bytes, np.random.Generator], Pieces]] = {
    "late": _late, "lost": _lost, "doubled": _doubled, "split": _split, "dripping": _dripping, "endless": _endless,
    "cut": _cut, "short": _short, "garbage": _garbage, "noise": _noise, "unended": _unended, "empty": _empty,
    "answer": _answer,
}  # fmt: skip


def _joined(pieces: Pieces) -> tuple[float, bytes]:
    return pieces[0][0], b"".join(data for _, data in pieces)


def _body(data: bytes, end: bytes) -> bytes:
    return data.removesuffix(end)
