"""What a track lately sent, kept for viewers that ask again (RFC 4585 NACK, RFC 4588)."""

from __future__ import annotations

from collections import deque

from sfu.wire.header import Packet

AGE_US = 2_000_000
"""A packet older than this is past every jitter buffer."""

REPAIR_AGE_US = 1_000_000
"""Nor does it help a viewer to get one that is older than this."""

VIDEO_SPAN = 2048
AUDIO_SPAN = 256


class PacketCache:
    """Packets by extended sequence number, bounded by a span of numbers and by age.

    It is also the record of what has arrived: a number below `floor` is too old to tell.
    """

    def __init__(self, span: int) -> None:
        self._span = span
        self._packets: dict[int, Packet] = {}
        self._arrivals: deque[Packet] = deque()
        self._newest = 0
        self._floor = 0

    @property
    def floor(self) -> int:
        return max(self._floor, self._newest - self._span + 1)

    def __contains__(self, sequence: int) -> bool:
        return sequence in self._packets

    def __len__(self) -> int:
        return len(self._packets)

    def put(self, packet: Packet) -> None:
        self._packets[packet.sequence] = packet
        self._arrivals.append(packet)
        if packet.sequence > self._newest:
            self._newest = packet.sequence
        self._evict(packet.arrived_us - AGE_US)

    def get(self, sequence: int, now_us: int) -> Packet | None:
        """For a viewer that asks for it; None too when it is too old to help."""
        packet = self._packets.get(sequence)
        if packet is None or sequence < self.floor or now_us - packet.arrived_us > REPAIR_AGE_US:
            return None
        return packet

    def _evict(self, oldest_us: int) -> None:
        arrivals, first = self._arrivals, self._newest - self._span + 1
        while arrivals and (arrivals[0].arrived_us < oldest_us or arrivals[0].sequence < first):
            packet = arrivals.popleft()
            del self._packets[packet.sequence]
            self._floor = max(self._floor, packet.sequence + 1)
