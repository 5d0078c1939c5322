"""Sequence numbers: from 16 bits to an unbounded count, and from a source's numbers to a viewer's."""

from __future__ import annotations

from collections import deque

import msgspec

FIRST_CYCLE = 0x10000
"""Extended numbers start here, so that a packet older than the first one still has a number above 0."""

MAX_SEGMENTS = 64

REACH = 960
"""So far behind the newest number a packet still goes out under its own. Who receives SRTP refuses what has left its
replay list (RFC 3711 section 3.3.2), and libsrtp refuses to send it, too: of either, browsers' and ours, 1024 long,
less the 64 of a batch that a full socket may have given back after they were sealed."""


def extend(sequence: int, highest: int) -> int:
    """The extended number nearest to `highest` whose low 16 bits are `sequence` (RFC 3550 A.1)."""
    ahead = (sequence - highest) & 0xFFFF
    return highest + ahead if ahead < 0x8000 else highest + ahead - 0x10000


class Segment(msgspec.Struct):
    """A run of source numbers [start, end) that go out as themselves plus `offset`."""

    era: int
    """Which of the viewer's sources: numbers given by the caller, rising."""
    start: int
    end: int
    offset: int


class SequenceMap:
    """One viewer's numbers: continuous over everything dropped on purpose, with gaps for what was lost.

    Source numbers are extended ones. A segment ends where the source changes or where a packet is
    dropped on purpose, so a late packet and a viewer's NACK both find the offset of their own time.
    """

    def __init__(self, first: int) -> None:
        self._next = first
        self._closed: deque[Segment] = deque(maxlen=MAX_SEGMENTS)
        self._open: Segment | None = None
        self.highest = 0
        """The newest source number of the open segment; packets above it are new, and whoever sends one
        with the number `sequence + offset` moves this up."""
        self.offset = 0

    @property
    def next_out(self) -> int:
        """The number that the next new packet without a gap gets."""
        return self._next if self._open is None else self.highest + self.offset + 1

    def begin(self, era: int, first: int) -> None:
        """From the source number `first` on, go on without a gap."""
        self.end()
        self.highest, self.offset = first - 1, self._next - first
        self._open = Segment(era, first, 0, self.offset)

    def end(self) -> None:
        """Nothing more of this source: what comes late of it is not mapped any more."""
        if self._open is None:
            return
        self._next = self.next_out
        self._close(self.highest + 1)
        self._open = None

    def _close(self, end: int) -> None:
        segment = self._open
        if segment is None or end <= segment.start:
            return
        segment.end = end
        self._closed.append(segment)

    def drop(self, sequence: int) -> None:
        """Leave a new packet out without a gap. An older one's number is promised already."""
        segment = self._open
        if segment is None or sequence <= self.highest:
            return
        self._close(sequence)
        self.highest = sequence
        self.offset -= 1
        self._open = Segment(segment.era, sequence + 1, 0, self.offset)

    def late(self, sequence: int) -> int | None:
        """The number of a packet that is not new, if it belongs to the current source's run."""
        segment = self._open
        if segment is None:
            return None
        if sequence >= segment.start:
            return sequence + segment.offset
        for closed in reversed(self._closed):
            if closed.era != segment.era:
                return None
            if closed.start <= sequence < closed.end:
                return sequence + closed.offset
        return None

    def reaches(self, number: int) -> bool:
        """Whether a packet under this number, extended, would still be taken."""
        return self.next_out - number <= REACH

    def source_of(self, sequence: int) -> tuple[int, int, int] | None:
        """(era, source number, extended number) of a viewer's 16-bit number."""
        number = extend(sequence, self.next_out - 1)
        segment = self._open
        if segment is not None and number - segment.offset >= segment.start:
            source = number - segment.offset
            return (segment.era, source, number) if source <= self.highest else None
        for closed in reversed(self._closed):
            if closed.start <= number - closed.offset < closed.end:
                return closed.era, number - closed.offset, number
        return None
