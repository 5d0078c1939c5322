"""What a publisher sends under one SSRC: numbering, figures, holes, cache, levels, keyframes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from sfu.path.python.cache import AUDIO_SPAN, VIDEO_SPAN, PacketCache
from sfu.path.python.loss import Missing
from sfu.path.python.receive import Reception
from sfu.wire import extensions, vp8
from sfu.wire.header import Packet
from sfu.wire.keyframe import DETECTORS, Detector


class Taken(Enum):
    """What became of a packet."""

    NEW = "new"
    LATE = "late"
    """Older than the cache reaches."""
    DUPLICATE = "duplicate"


class Payload(msgspec.Struct, frozen=True):
    clock_rate: int
    is_vp8: bool
    detect: Detector | None


def payload(name: str, clock_rate: int) -> Payload:
    upper = name.upper()
    return Payload(clock_rate, upper == "VP8", DETECTORS.get(upper))


class Track:
    def __init__(
        self, *, audio: bool, payloads: Mapping[int, Payload], audio_level_id: int
    ) -> None:
        self.audio = audio
        self.muted = False
        self.reception = Reception()
        self.cache = PacketCache(AUDIO_SPAN if audio else VIDEO_SPAN)
        self.missing = Missing()
        self.newest = 0
        self.keyframes = 0
        self.recovered = 0
        self.level_count = self.level_total = 0
        self.loudest = 127
        self.bare_count = self.bare_octets = 0
        """Packets with sound of which no level is told."""
        self._payloads = payloads
        self._clock_rate = next((known.clock_rate for known in payloads.values()), 90_000)
        self._audio_level_id = audio_level_id
        self._keyframe_timestamp: int | None = None

    def clock_rate(self, payload_type: int) -> int:
        known = self._payloads.get(payload_type)
        return known.clock_rate if known else self._clock_rate

    def knows(self, payload_type: int) -> bool:
        return payload_type in self._payloads

    def take(self, packet: Packet, now_us: int, *, recovered: bool) -> Taken:
        """Count the packet, number it, keep it. `recovered`: it came by retransmission (RFC 4588)."""
        reception = self.reception
        if recovered and not reception.base:
            return Taken.LATE  # nothing was lost before the first packet
        number = reception.number(packet.sequence)
        if not recovered:
            arrival = now_us * self.clock_rate(packet.payload_type) // 1_000_000
            octets = packet.payload_end - packet.payload_at
            reception.count(number, octets, packet.timestamp, arrival)
        if number < self.cache.floor:
            return Taken.LATE
        if number in self.cache:
            return Taken.DUPLICATE
        packet.sequence = number
        packet.arrived_us = now_us
        self._note_holes(number, now_us)
        self.recovered += recovered
        self.cache.put(packet)
        self._inspect(packet)
        return Taken.NEW

    def _note_holes(self, number: int, now_us: int) -> None:
        if number <= self.newest:
            self.missing.arrived(number)
            return
        if self.newest and number > self.newest + 1:
            self.missing.gap(self.newest + 1, number - 1, now_us)
        self.newest = number

    def _inspect(self, packet: Packet) -> None:
        if self.audio:
            self._note_level(packet)
            return
        known = self._payloads.get(packet.payload_type)
        if known is None or not packet.has_media:
            return
        if self._begins_keyframe(packet, known) and packet.timestamp != self._keyframe_timestamp:
            # SPS and IDR of one frame come in packets of one timestamp: the first one is the start.
            packet.keyframe = True
            self._keyframe_timestamp = packet.timestamp
            self.keyframes += 1

    def _begins_keyframe(self, packet: Packet, known: Payload) -> bool:
        start, end = packet.payload_at, packet.payload_end
        if known.is_vp8:
            try:
                packet.vp8 = vp8.parse(packet.data, start, end)
            except ValueError:
                return False  # forwarded as it is; the viewer's decoder judges it
            return packet.vp8.keyframe
        return known.detect is not None and known.detect(packet.data, start, end)

    def _note_level(self, packet: Packet) -> None:
        if self.muted:
            return
        level = self._level(packet)
        if level is not None:
            self.level_count += 1
            self.level_total += level
            self.loudest = min(self.loudest, level)
        elif packet.has_media and packet.payload_type in self._payloads:
            self.bare_count += 1
            self.bare_octets += packet.payload_end - packet.payload_at

    def _level(self, packet: Packet) -> int | None:
        if not self._audio_level_id or not packet.extension_at:
            return None
        at = extensions.find(
            packet.data,
            packet.profile,
            packet.extension_at,
            packet.extension_end,
            self._audio_level_id,
        )
        if at is None or at[0] == at[1]:
            return None
        return extensions.audio_level(packet.data[at[0]])

    def forget_levels(self) -> None:
        self.level_count, self.level_total, self.loudest = 0, 0, 127
        self.bare_count = self.bare_octets = 0
