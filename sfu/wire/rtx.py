"""Retransmission payload format (RFC 4588 section 4)."""

from __future__ import annotations

from struct import Struct

from sfu.wire.header import Packet

_HEADER = Struct("!BBHII")
_OSN = Struct("!H")


def unwrap(packet: Packet, payload_type: int, ssrc: int) -> bytes | None:
    """The packet that was sent again, as first sent; None for a probe that carries none.

    The padding belongs to the retransmission and is left out with its P bit.
    """
    data, at = packet.data, packet.payload_at
    if packet.payload_end - at < _OSN.size:
        return None
    (sequence,) = _OSN.unpack_from(data, at)
    header = _HEADER.pack(
        data[0] & ~0x20, packet.marker | payload_type, sequence, packet.timestamp, ssrc
    )
    return header + data[_HEADER.size : at] + data[at + _OSN.size : packet.payload_end]


def wrap(data: bytes, payload_at: int, payload_type: int, ssrc: int, sequence: int) -> bytes:
    """`data` (a whole RTP packet, as first sent) as a packet of the retransmission stream."""
    first, second, original, timestamp, _ = _HEADER.unpack_from(data)
    header = _HEADER.pack(first, second & 0x80 | payload_type, sequence & 0xFFFF, timestamp, ssrc)
    return header + data[_HEADER.size : payload_at] + _OSN.pack(original) + data[payload_at:]
