"""Does a packet begin a keyframe? Per codec, from the first bytes of the payload.

Each detector takes (data, start, end) of the payload within the packet and never raises: a payload
that can't be read begins no keyframe.
"""

from __future__ import annotations

from collections.abc import Callable

Detector = Callable[[bytes, int, int], bool]

_H264_IDR = 5
_H264_SPS = 7
_H264_STAP_A = 24
_H264_FU_A = 28

_AV1_SEQUENCE_HEADER = 1
_AV1_TEMPORAL_DELIMITER = 2


def vp9(data: bytes, start: int, end: int) -> bool:
    """RFC 9628 section 4.2: B set, P clear, lowest spatial layer.

    Upper layers of a key picture are predicted from the lower ones, so they have P clear as well.
    """
    if start >= end:
        return False
    first, at = data[start], start + 1
    if first & 0x40 or not first & 0x08:
        return False
    if not first & 0x20:
        return True
    if first & 0x80:
        if at >= end:
            return False
        at += 2 if data[at] & 0x80 else 1
    return at < end and data[at] & 0x0E == 0


def h264(data: bytes, start: int, end: int) -> bool:
    """RFC 6184: an SPS or an IDR slice, alone, first in a fragment (FU-A), or anywhere in a STAP-A."""
    if start >= end:
        return False
    kind = data[start] & 0x1F
    if kind == _H264_FU_A:
        return end - start > 1 and bool(data[start + 1] & 0x80) and _starts_h264(data[start + 1])
    if kind == _H264_STAP_A:
        return _stap_a_starts(data, start + 1, end)
    return _starts_h264(kind)


def _starts_h264(kind: int) -> bool:
    return kind & 0x1F in (_H264_IDR, _H264_SPS)


def _stap_a_starts(data: bytes, at: int, end: int) -> bool:
    while at + 2 < end:
        size = data[at] << 8 | data[at + 1]
        if not size or at + 2 + size > end:
            return False
        if _starts_h264(data[at + 2]):
            return True
        at += 2 + size
    return False


def av1(data: bytes, start: int, end: int) -> bool:
    """AV1 RTP specification section 4.4: N set, or the first OBU is a sequence header."""
    if start >= end:
        return False
    aggregation, at = data[start], start + 1
    if aggregation & 0x80:  # Z: goes on from the packet before
        return False
    if aggregation & 0x08:
        return True
    count = aggregation >> 4 & 0x03
    for index in range(1, 3):
        size = end - at
        if index != count:
            size, at = _leb128(data, at, end)
        if size <= 0 or at + size > end:
            return False
        kind = data[at] >> 3 & 0x0F
        if kind != _AV1_TEMPORAL_DELIMITER:
            return kind == _AV1_SEQUENCE_HEADER
        at += size
    return False


def _leb128(data: bytes, at: int, end: int) -> tuple[int, int]:
    """(value, next offset); (-1, ..) when it doesn't end within the payload. Four bytes are enough."""
    value = 0
    for shift in range(0, 28, 7):
        if at >= end:
            break
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if not byte & 0x80:
            return value, at
    return -1, at


DETECTORS: dict[str, Detector] = {"VP9": vp9, "H264": h264, "AV1": av1}
"""By upper-case codec name. VP8 is found with its descriptor, `sfu.wire.vp8`."""
