"""The RTP fixed header and what surrounds the payload (RFC 3550 section 5.1)."""

from __future__ import annotations

from struct import Struct

import msgspec

from sfu.wire.vp8 import Descriptor

FIXED_LENGTH = 12
_FIXED = Struct("!BBHII")
_EXTENSION = Struct("!HH")


class Packet(msgspec.Struct, gc=False):
    """One opened RTP packet, parsed once and shared by every leg that forwards it.

    Offsets index `data`. `extension_at` is the start of the extension elements, 0 without any.
    """

    data: bytes
    payload_type: int
    marker: int
    """The marker bit in its place: 0x80 or 0."""
    sequence: int
    """As in the header; a track makes it its extended number."""
    timestamp: int
    ssrc: int
    profile: int
    """The 16 bits that say which form the extension elements have (RFC 8285)."""
    extension_at: int
    extension_end: int
    payload_at: int
    payload_end: int
    """Without padding."""
    arrived_us: int = 0
    vp8: Descriptor | None = None
    keyframe: bool = False
    """The first packet of a keyframe."""
    tails: dict[object, bytes] = msgspec.field(default_factory=dict)
    """What follows the fixed header, by the shape that legs give it (`sfu.path.python.leg.Shape`)."""

    @property
    def has_media(self) -> bool:
        """False for probes: packets of padding alone, which carry nothing to forward."""
        return self.payload_end > self.payload_at


def parse(data: bytes) -> Packet:
    """Raises ValueError when the packet's own lengths do not fit within it."""
    length = len(data)
    if length < FIXED_LENGTH:
        raise ValueError("RTP packet is shorter than its fixed header")
    first, second, sequence, timestamp, ssrc = _FIXED.unpack_from(data)
    if first >> 6 != 2:
        raise ValueError("RTP version is not 2")
    payload_at = FIXED_LENGTH + 4 * (first & 0x0F)
    profile = extension_at = extension_end = 0
    if first & 0x10:
        if length < payload_at + 4:
            raise ValueError("RTP header extension is cut off")
        profile, words = _EXTENSION.unpack_from(data, payload_at)
        extension_at = payload_at + 4
        payload_at = extension_end = extension_at + 4 * words
    if payload_at > length:
        raise ValueError("RTP header runs past the packet")
    return Packet(
        data,
        second & 0x7F,
        second & 0x80,
        sequence,
        timestamp,
        ssrc,
        profile,
        extension_at,
        extension_end,
        payload_at,
        length - _padding(data, first, length - payload_at),
    )


def _padding(data: bytes, first: int, room: int) -> int:
    if not first & 0x20:
        return 0
    if not room or not 1 <= data[-1] <= room:
        raise ValueError("RTP padding does not fit its packet")
    return data[-1]
