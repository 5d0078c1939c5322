"""One viewer's stream: every rewrite between a track's packet and what the viewer gets.

A leg lives through eras. An era is one uninterrupted stay with one source under one mapping; each has
its own offsets, so what was sent in an earlier era can be sent again exactly as it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from struct import Struct
from weakref import WeakValueDictionary

import msgspec

from sfu.wire import extensions, rtx, vp8
from sfu.wire.header import FIXED_LENGTH, Packet
from sfu.wire.sequence import SequenceMap

_HEADER = Struct("!BBHII")
_MARKER = 0x80

MAX_ERAS = 4
"""Older ones are past the age of any packet cache, unless a viewer switches several times a second."""


RECENT_US = 1_000_000


class Shape:
    """How a packet changes behind its fixed header.

    Most viewers of a track have equal shapes: they share one object, and with it the result.
    """

    __slots__ = ("__weakref__", "_identifiers", "shift")

    def __init__(self, identifiers: Mapping[int, int], shift: vp8.Shift) -> None:
        self._identifiers = identifiers
        self.shift = shift

    def tail(self, packet: Packet) -> bytes:
        """Everything behind the fixed header; its length never changes."""
        shifted = packet.vp8 is not None and self.shift != vp8.NO_SHIFT
        if not packet.extension_at and not shifted:
            return packet.data[FIXED_LENGTH:]
        changed = bytearray(packet.data)
        if packet.extension_at:
            self._remap(packet, changed)
        if packet.vp8 is not None and shifted:
            self.shift.apply(changed, packet.vp8)
        return bytes(memoryview(changed)[FIXED_LENGTH:])

    def _remap(self, packet: Packet, changed: bytearray) -> None:
        start, end = packet.extension_at, packet.extension_end
        profile, block = extensions.remap(
            packet.data, packet.profile, start, end, self._identifiers
        )
        changed[start - 4 : start - 2] = profile.to_bytes(2, "big")
        changed[start:end] = block


class Feed(msgspec.Struct, frozen=True):
    """A track as one viewer is to get it."""

    track: int
    payload_types: Mapping[int, int]
    identifiers: Mapping[int, int]
    """Header extension ids."""


class Era(msgspec.Struct, frozen=True):
    number: int
    feed: Feed
    shape: Shape
    timestamp_shift: int
    talkspurt: int
    """The source number whose marker bit is set (RFC 3551 section 4.1); 0 for none."""


_ShapeKey = tuple[tuple[tuple[int, int], ...], vp8.Shift]


class Shapes:
    """Gives equal shapes as one object."""

    def __init__(self) -> None:
        # Weak: a shape lives as long as an era uses it.
        self._known: WeakValueDictionary[_ShapeKey, Shape] = WeakValueDictionary()

    def get(self, identifiers: Mapping[int, int], shift: vp8.Shift) -> Shape:
        key = (tuple(sorted(identifiers.items())), shift)
        shape = self._known.get(key)
        if shape is None:
            shape = self._known[key] = Shape(identifiers, shift)
        return shape


class Leg:
    """Sequence, timestamp, picture id, payload type and extension ids of one viewer's stream.

    `forward` says what to send; the caller then tells whether it went out, by `sent` or `unsent`.
    """

    def __init__(
        self,
        ssrc: int,
        *,
        audio: bool,
        rtx_ssrc: int | None,
        rtx_payload_types: Mapping[int, int],
        first_sequence: int,
        shapes: Shapes,
    ) -> None:
        self.ssrc = ssrc
        self.audio = audio
        self.era: Era | None = None
        self.packets = 0
        self.octets = 0
        self.last_timestamp = 0
        self.last_sent_us = 0
        self.clock_rate = 0
        self._second_us = 0
        self._second_octets = 0
        """`octets` when the present second began, `_second_us`."""
        self._former_octets = 0
        """Of the second before, if that was followed by this one."""
        self.torn = False
        """A frame was cut short and no keyframe has gone out since."""
        self._rtx_ssrc = rtx_ssrc
        self._rtx_payload_types = rtx_payload_types
        self._rtx_sequence = first_sequence
        self._shapes = shapes
        self._map = SequenceMap(first_sequence)
        self._eras: deque[Era] = deque(maxlen=MAX_ERAS)
        self._last_vp8: vp8.Descriptor | None = None
        self._cut: int | None = None
        """The source timestamp of the frame whose rest is not sent."""

    # --- sources ------------------------------------------------------------------------------

    @property
    def feed(self) -> Feed | None:
        return self.era.feed if self.era is not None else None

    def begin(self, feed: Feed, packet: Packet, clock_rate: int, now_us: int) -> None:
        """From this packet of this source on, with every counter going on from what was sent."""
        last = self._eras[-1] if self._eras else None
        if last is None:
            era = self._enter(feed, packet.sequence, vp8.NO_SHIFT, 0, talkspurt=0)
        else:
            pictures = vp8.shift_after(self._last_vp8, last.shape.shift, packet.vp8)
            timestamps = last.timestamp_shift
            if last.feed.track != feed.track:
                timestamps = self._timestamp_shift(packet.timestamp, clock_rate, now_us)
            talkspurt = packet.sequence if self.audio else 0
            era = self._enter(feed, packet.sequence, pictures, timestamps, talkspurt)
        self.era, self.clock_rate, self._cut = era, clock_rate, None

    def remap(self, feed: Feed) -> None:
        """The same source goes on under another mapping."""
        era = self.era
        if era is None:
            raise ValueError("the leg has no source to remap")
        first = self._map.highest + 1
        self.era = self._enter(feed, first, era.shape.shift, era.timestamp_shift, talkspurt=0)

    def end(self) -> None:
        """No source: whatever is left out until the next one leaves no gap."""
        self._map.end()
        self.era = None

    def _enter(
        self, feed: Feed, first: int, pictures: vp8.Shift, timestamps: int, talkspurt: int
    ) -> Era:
        number = self._eras[-1].number + 1 if self._eras else 1
        shape = self._shapes.get(feed.identifiers, pictures)
        era = Era(number, feed, shape, timestamps, talkspurt)
        self._eras.append(era)
        self._map.begin(number, first)
        return era

    def _timestamp_shift(self, timestamp: int, clock_rate: int, now_us: int) -> int:
        # The sources share no clock: the wall time since the last packet is all there is to go by.
        elapsed = (now_us - self.last_sent_us) * clock_rate // 1_000_000
        return (self.last_timestamp + max(1, elapsed) - timestamp) & 0xFFFFFFFF

    # --- packets ------------------------------------------------------------------------------

    def forward(self, packet: Packet) -> bytes | None:
        """The packet as this viewer gets it; None when it gets nothing."""
        era = self.era
        if era is None:
            return None
        payload_type = era.feed.payload_types.get(packet.payload_type)
        sequence = packet.sequence
        if sequence <= self._map.highest:
            return self._forward_late(packet, era, payload_type)
        if (
            payload_type is None
            or packet.timestamp == self._cut
            or packet.payload_end == packet.payload_at
        ):
            self._map.drop(sequence)
            return None
        return self._write(packet, era, payload_type, sequence + self._map.offset)

    def _forward_late(self, packet: Packet, era: Era, payload_type: int | None) -> bytes | None:
        # A late probe goes out too: its number is promised, and without it the viewer would ask.
        number = self._map.late(packet.sequence)
        if number is None or payload_type is None or packet.timestamp == self._cut:
            return None
        if not self._map.reaches(number):
            return None
        return self._write(packet, era, payload_type, number)

    def _write(self, packet: Packet, era: Era, payload_type: int, number: int) -> bytes:
        tail = packet.tails.get(era.shape)
        if tail is None:
            tail = packet.tails[era.shape] = era.shape.tail(packet)
        marker = _MARKER if packet.sequence == era.talkspurt else packet.marker
        return (
            _HEADER.pack(
                packet.data[0],
                marker | payload_type,
                number & 0xFFFF,
                (packet.timestamp + era.timestamp_shift) & 0xFFFFFFFF,
                self.ssrc,
            )
            + tail
        )

    def sent(self, packet: Packet, now_us: int) -> None:
        if now_us - self._second_us >= RECENT_US:
            self._begin_second(now_us)
        self.packets += 1
        self.octets += packet.payload_end - packet.payload_at
        era, numbers = self.era, self._map
        if packet.sequence <= numbers.highest or era is None:
            return
        numbers.highest = packet.sequence
        self._last_vp8 = packet.vp8
        timestamp = (packet.timestamp + era.timestamp_shift) & 0xFFFFFFFF
        if timestamp != self.last_timestamp or not self.last_sent_us:
            # The first packet of a frame: the others share its timestamp but leave later.
            self.last_timestamp, self.last_sent_us = timestamp, now_us
        if packet.keyframe:
            self.torn = False

    def _begin_second(self, now_us: int) -> None:
        followed = now_us - self._second_us < 2 * RECENT_US
        self._former_octets = self.octets - self._second_octets if followed else 0
        self._second_us, self._second_octets = now_us, self.octets

    def recent_octets(self, now_us: int) -> int:
        """Sent in the last second, as if each second's had been sent evenly."""
        passed = now_us - self._second_us
        present = self.octets - self._second_octets
        if passed < RECENT_US:
            return present + self._former_octets * (RECENT_US - passed) // RECENT_US
        return present * max(0, 2 * RECENT_US - passed) // RECENT_US

    def unsent(self, packet: Packet) -> None:
        """The socket was full: give up the rest of the frame, without a gap."""
        if packet.sequence <= self._map.highest:
            return
        self._map.drop(packet.sequence)
        self._cut = packet.timestamp
        self.torn = True

    # --- repair -------------------------------------------------------------------------------

    def asked(self, sequence: int) -> tuple[Era, int, int] | None:
        """(era, source number, number) of what the viewer names by its 16-bit number."""
        found = self._map.source_of(sequence)
        if found is None:
            return None
        number, source, ours = found
        for era in self._eras:
            if era.number == number:
                return era, source, ours
        return None

    def may_repeat(self, packet: Packet, era: Era, number: int) -> bool:
        """Whether the viewer would still take it."""
        payload_type = era.feed.payload_types.get(packet.payload_type)
        if payload_type is None:
            return False
        has_rtx = self._rtx_ssrc is not None and payload_type in self._rtx_payload_types
        return has_rtx or self._map.reaches(number)

    def again(self, packet: Packet, era: Era, number: int) -> bytes:
        """The packet exactly as first sent, in the retransmission stream where there is one."""
        payload_type = era.feed.payload_types[packet.payload_type]
        data = self._write(packet, era, payload_type, number)
        rtx_payload_type = self._rtx_payload_types.get(payload_type)
        if self._rtx_ssrc is None or rtx_payload_type is None:
            return data
        sequence = self._rtx_sequence
        self._rtx_sequence += 1
        return rtx.wrap(data, packet.payload_at, rtx_payload_type, self._rtx_ssrc, sequence)
