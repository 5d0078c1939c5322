"""Reception figures of one stream (RFC 3550 section 6.4.1, appendices A.1, A.3 and A.8)."""

from __future__ import annotations

from sfu.wire.sequence import FIRST_CYCLE, extend


class Reception:
    """Counts the packets of the stream's own SSRC; what came by RTX says nothing about this path's loss."""

    def __init__(self) -> None:
        self.packets = 0
        self.octets = 0
        self.base = 0
        self.highest = 0
        self._transit = 0
        self._jitter = 0

    def number(self, sequence: int) -> int:
        """The extended number of a 16-bit one; the first ever defines the cycle."""
        if not self.base:
            return FIRST_CYCLE + sequence
        return extend(sequence, self.highest)

    def count(self, number: int, octets: int, timestamp: int, arrival: int) -> None:
        """`arrival` is in the units of the stream's clock."""
        transit = (arrival - timestamp) & 0xFFFFFFFF
        if not self.base:
            self.base = self.highest = number
        else:
            self._spread(transit)
        self._transit = transit
        self.packets += 1
        self.octets += octets
        if number > self.highest:
            self.highest = number

    def _spread(self, transit: int) -> None:
        difference = (transit - self._transit) & 0xFFFFFFFF
        if difference >= 0x80000000:
            difference = 0x100000000 - difference
        # A.8: kept times 16, so that the division by 16 does not lose the fraction.
        self._jitter += difference - ((self._jitter + 8) >> 4)

    @property
    def expected(self) -> int:
        return self.highest - self.base + 1 if self.base else 0

    @property
    def lost(self) -> int:
        return self.expected - self.packets

    @property
    def extended_highest(self) -> int:
        return max(0, self.highest - FIRST_CYCLE)

    @property
    def jitter(self) -> int:
        return self._jitter >> 4
