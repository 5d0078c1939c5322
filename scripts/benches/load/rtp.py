"""RTP and RTCP as a browser would send them, built from little: pure bytes, no I/O."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence

TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

HEADER_LENGTH = 12
TAG_LENGTH = 8
_TAG = struct.Struct("!HxxI")
_FILLING = os.urandom(1500)
_ONE_BYTE_PROFILE = 0xBEDE  # RFC 8285 section 4.2
_KEYFRAME_HEADER = bytes((0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x00, 0x05, 0xD0, 0x02))  # RFC 6386 9.1
_INTERFRAME_HEADER = b"\x11"
_NTP_EPOCH = 2_208_988_800
_REPORTS_A_PACKET = 31  # the count field of RFC 3550 section 6.4.2 has five bits


def extension(elements: Sequence[tuple[int, bytes]]) -> bytes:
    """A header extension in one-byte form (RFC 8285); elements without a negotiated id (0) are left out."""
    body = b"".join(
        bytes(((identifier << 4) | (len(value) - 1),)) + value
        for identifier, value in elements
        if identifier
    )
    if not body:
        return b""
    body += bytes(-len(body) % 4)
    return struct.pack("!HH", _ONE_BYTE_PROFILE, len(body) // 4) + body


def packet(
    *,
    payload_type: int,
    marker: bool,
    sequence: int,
    timestamp: int,
    ssrc: int,
    header_extension: bytes,
    payload: bytes,
) -> bytes:
    """One RTP packet (RFC 3550 section 5.1); numbers are cut to their fields."""
    header = struct.pack(
        "!BBHII",
        0x90 if header_extension else 0x80,
        payload_type | (0x80 if marker else 0),
        sequence & 0xFFFF,
        timestamp & 0xFFFFFFFF,
        ssrc,
    )
    return header + header_extension + payload


def tagged(start: bytes, length: int, stream: int, number: int) -> bytes:
    """A payload: `start`, filling, and at the very end a tag for `read_tag`."""
    filling = max(length - len(start) - TAG_LENGTH, 0)
    return start + _FILLING[:filling] + _TAG.pack(stream, number)


def read_tag(plain: bytes) -> tuple[int, int]:
    """(stream, packet number) of a packet with a tagged payload, however its header was rewritten."""
    stream, number = _TAG.unpack_from(plain, len(plain) - TAG_LENGTH)
    return stream, number


def is_media(datagram: bytes) -> bool:
    """RTP rather than RTCP, STUN or DTLS (RFC 7983, RFC 5761 section 4)."""
    return len(datagram) > 12 and 128 <= datagram[0] < 192 and not 192 <= datagram[1] < 224


def vp8_start(picture: int, first: bool, keyframe: bool) -> bytes:
    """A VP8 descriptor with a 15-bit picture id (RFC 7741 section 4.2), and for a frame's first packet its header."""
    descriptor = struct.pack("!BBH", 0x90 if first else 0x80, 0x80, 0x8000 | (picture & 0x7FFF))
    if not first:
        return descriptor
    return descriptor + (_KEYFRAME_HEADER if keyframe else _INTERFRAME_HEADER)


def sender_report(
    ssrc: int, timestamp: int, unix_time: float, packets: int, octets: int, cname: str
) -> bytes:
    """SR and SDES CNAME (RFC 3550 section 6.4.1)."""
    ntp = int((unix_time + _NTP_EPOCH) * (1 << 32))
    report = struct.pack(
        "!BBHIQIII",
        0x80,
        200,
        6,
        ssrc,
        ntp & 0xFFFFFFFFFFFFFFFF,
        timestamp & 0xFFFFFFFF,
        packets & 0xFFFFFFFF,
        octets & 0xFFFFFFFF,
    )
    return report + _sdes(ssrc, cname)


def receiver_reports(ssrc: int, heard: Sequence[int], cname: str) -> list[bytes]:
    """Compound packets that report no loss for every heard SSRC (RFC 3550 section 6.4.2), each well under an MTU."""
    groups = [heard[at : at + _REPORTS_A_PACKET] for at in range(0, len(heard), _REPORTS_A_PACKET)]
    return [_receiver_report(ssrc, group) + _sdes(ssrc, cname) for group in groups or [()]]


def _receiver_report(ssrc: int, heard: Sequence[int]) -> bytes:
    header = struct.pack("!BBHI", 0x80 | len(heard), 201, 1 + 6 * len(heard), ssrc)
    return header + b"".join(struct.pack("!IIIIII", other, 0, 0, 0, 0, 0) for other in heard)


def _sdes(ssrc: int, cname: str) -> bytes:
    name = cname.encode()
    chunk = struct.pack("!IBB", ssrc, 1, len(name)) + name + b"\x00"
    chunk += bytes(-len(chunk) % 4)
    return struct.pack("!BBH", 0x81, 202, len(chunk) // 4) + chunk


def keyframe_requests(compound: bytes) -> Iterator[int]:
    """SSRCs that a plain RTCP compound asks a keyframe of: PLI (RFC 4585 6.3.1) and FIR (RFC 5104 4.3.1)."""
    at = 0
    while at + 12 <= len(compound):
        first, kind, words = struct.unpack_from("!BBH", compound, at)
        end = at + 4 * (words + 1)
        if kind == 206 and first & 0x1F == 1:
            yield struct.unpack_from("!I", compound, at + 8)[0]
        if kind == 206 and first & 0x1F == 4:
            for entry in range(at + 12, min(end, len(compound)) - 7, 8):
                yield struct.unpack_from("!I", compound, entry)[0]
        at = end
