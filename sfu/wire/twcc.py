"""Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).

The publisher's own bandwidth estimate lives on this: without it browsers don't send their best picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct

import msgspec

from sfu.wire.sequence import FIRST_CYCLE, extend

TICK_US = 250
_TICKS_PER_REFERENCE = 256  # 64 ms
_HEAD = Struct("!HHI")

_LOST, _SMALL, _LARGE = 0, 1, 2
_MAX_RUN = 0x1FFF
_VECTOR_1BIT = 14
_VECTOR_2BIT = 7

MAX_STATUSES = 400
"""Of one packet, so that it stays below a path MTU even with two bytes for each."""

_HISTORY = 1024


class TransportFeedback(msgspec.Struct, frozen=True, kw_only=True):
    """`arrivals[i]` is about packet `base_sequence + i`: ticks of 250 µs since `reference_time`, None if lost.

    `reference_time` counts 64 ms and has 24 bits.
    """

    sender_ssrc: int
    media_ssrc: int
    base_sequence: int
    reference_time: int
    feedback_count: int
    arrivals: list[int | None]


# --- building -------------------------------------------------------------------------------


class FeedbackBuilder:
    """Turns a transport's arrivals into feedback that tells of every number once, late ones again."""

    def __init__(self) -> None:
        self._ticks: dict[int, int] = {}
        """Extended sequence -> arrival, of what may have to be told (again)."""
        self._next = 0
        """First number not told about; 0 before the first."""
        self._highest = 0
        self._count = 0

    def build(
        self, arrivals: Iterable[tuple[int, int]], sender_ssrc: int, media_ssrc: int
    ) -> list[TransportFeedback]:
        """For (16-bit sequence, arrival in µs) since the last call; empty when there were none."""
        first = self._next
        fresh = False
        for sequence, arrived_us in arrivals:
            number = self._number(sequence)
            if number in self._ticks or number <= self._highest - _HISTORY:
                continue
            self._ticks[number] = arrived_us // TICK_US
            self._highest = max(self._highest, number)
            first = min(first, number) if first else number
            fresh = True
        if not fresh:
            return []
        feedback = self._cover(first, sender_ssrc, media_ssrc)
        self._next = self._highest + 1
        self._forget()
        return feedback

    def _number(self, sequence: int) -> int:
        if not self._highest:
            self._highest = FIRST_CYCLE + sequence
            return self._highest
        return extend(sequence, self._highest)

    def _forget(self) -> None:
        oldest = self._highest - _HISTORY
        if len(self._ticks) > 2 * _HISTORY:
            self._ticks = {number: at for number, at in self._ticks.items() if number > oldest}

    def _cover(self, first: int, sender_ssrc: int, media_ssrc: int) -> list[TransportFeedback]:
        feedback: list[TransportFeedback] = []
        at = max(first, self._highest - _HISTORY + 1)
        while at <= self._highest:
            base = self._reference(at)
            statuses = self._statuses(at, base)
            feedback.append(
                TransportFeedback(
                    sender_ssrc=sender_ssrc,
                    media_ssrc=media_ssrc,
                    base_sequence=at & 0xFFFF,
                    reference_time=base // _TICKS_PER_REFERENCE & 0xFFFFFF,
                    feedback_count=self._count,
                    arrivals=statuses,
                )
            )
            self._count = (self._count + 1) & 0xFF
            at += len(statuses)
        return feedback

    def _reference(self, first: int) -> int:
        """The first arrival from `first` on, rounded down to what a reference time can say."""
        while first not in self._ticks:
            first += 1
        return self._ticks[first] // _TICKS_PER_REFERENCE * _TICKS_PER_REFERENCE

    def _statuses(self, first: int, base: int) -> list[int | None]:
        """What one packet with this reference tells, from `first` on."""
        statuses: list[int | None] = []
        last = base
        for number in range(first, min(self._highest + 1, first + MAX_STATUSES)):
            ticks = self._ticks.get(number)
            if ticks is None:
                statuses.append(None)
                continue
            if not -0x8000 <= ticks - last <= 0x7FFF:
                break  # a difference has 16 bits: the next packet has a reference of its own
            statuses.append(ticks - base)
            last = ticks
        return statuses


def write(feedback: TransportFeedback) -> bytes:
    """What follows the two SSRCs, not yet padded to a word."""
    deltas = bytearray()
    symbols = []
    last = 0
    for ticks in feedback.arrivals:
        if ticks is None:
            symbols.append(_LOST)
            continue
        delta, last = ticks - last, ticks
        if 0 <= delta <= 0xFF:
            symbols.append(_SMALL)
            deltas.append(delta)
        elif -0x8000 <= delta <= 0x7FFF:
            symbols.append(_LARGE)
            deltas += delta.to_bytes(2, "big", signed=True)
        else:
            raise ValueError("transport feedback can't express a time so far off")
    time_and_count = (feedback.reference_time & 0xFFFFFF) << 8 | feedback.feedback_count
    head = _HEAD.pack(feedback.base_sequence, len(symbols), time_and_count)
    return head + _write_chunks(symbols) + bytes(deltas)


def _write_chunks(symbols: Sequence[int]) -> bytes:
    chunks = bytearray()
    at = 0
    while at < len(symbols):
        chunk, taken = _write_chunk(symbols, at)
        chunks += chunk.to_bytes(2, "big")
        at += taken
    return bytes(chunks)


def _write_chunk(symbols: Sequence[int], at: int) -> tuple[int, int]:
    """(chunk, symbols it covers): a run where it covers more than a vector does."""
    run = _run(symbols, at)
    window = symbols[at : at + _VECTOR_1BIT]
    single_bit = _LARGE not in window
    if run >= (_VECTOR_1BIT if single_bit else _VECTOR_2BIT):
        return symbols[at] << 13 | run, run
    if single_bit:
        bits = 0
        for index, symbol in enumerate(window):
            bits |= symbol << (_VECTOR_1BIT - 1 - index)
        return 0x8000 | bits, len(window)
    window = window[:_VECTOR_2BIT]
    bits = 0
    for index, symbol in enumerate(window):
        bits |= symbol << 2 * (_VECTOR_2BIT - 1 - index)
    return 0xC000 | bits, len(window)


def _run(symbols: Sequence[int], at: int) -> int:
    end = at
    while end < len(symbols) and end - at < _MAX_RUN and symbols[end] == symbols[at]:
        end += 1
    return end - at


# --- reading --------------------------------------------------------------------------------


def parse(sender_ssrc: int, media_ssrc: int, body: bytes) -> TransportFeedback:
    """`body` follows the two SSRCs. Raises ValueError."""
    if len(body) < _HEAD.size:
        raise ValueError("transport feedback is cut off")
    base, count, time_and_count = _HEAD.unpack_from(body)
    symbols, at = _read_chunks(body, _HEAD.size, count)
    arrivals: list[int | None] = []
    ticks = 0
    for symbol in symbols:
        if symbol == _LOST:
            arrivals.append(None)
            continue
        size = 1 if symbol == _SMALL else 2
        if at + size > len(body):
            raise ValueError("transport feedback has too few deltas")
        ticks += int.from_bytes(body[at : at + size], "big", signed=symbol == _LARGE)
        at += size
        arrivals.append(ticks)
    return TransportFeedback(
        sender_ssrc=sender_ssrc,
        media_ssrc=media_ssrc,
        base_sequence=base,
        reference_time=time_and_count >> 8,
        feedback_count=time_and_count & 0xFF,
        arrivals=arrivals,
    )


def _read_chunks(body: bytes, at: int, count: int) -> tuple[list[int], int]:
    symbols: list[int] = []
    while len(symbols) < count:
        if at + 2 > len(body):
            raise ValueError("transport feedback has too few chunks")
        chunk = body[at] << 8 | body[at + 1]
        symbols += _read_chunk(chunk, count - len(symbols))
        at += 2
    if 3 in symbols:
        raise ValueError("transport feedback uses the reserved symbol")
    return symbols, at


def _read_chunk(chunk: int, wanted: int) -> list[int]:
    if not chunk & 0x8000:
        run = chunk & _MAX_RUN
        if not run:
            raise ValueError("transport feedback has an empty run")
        return [chunk >> 13 & 0x03] * min(run, wanted)
    if chunk & 0x4000:
        found = [chunk >> 2 * (_VECTOR_2BIT - 1 - index) & 0x03 for index in range(_VECTOR_2BIT)]
    else:
        found = [chunk >> (_VECTOR_1BIT - 1 - index) & 0x01 for index in range(_VECTOR_1BIT)]
    return found[:wanted]
